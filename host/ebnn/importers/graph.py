"""``read_onnx``: an ONNX or QONNX file -> a network, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ebnn.build import Builder, Tensor
from ebnn.errors import DataError, ExportError
from ebnn.geometry import Shape
from ebnn.importers.constants import Constant, evaluate
from ebnn.importers.layers import LAYERS, Condition, Layers, Wire
from ebnn.network import Network

DTYPES = {onnx.TensorProto.UINT8: "u8", onnx.TensorProto.INT8: "i8", onnx.TensorProto.INT16: "i16"}
FROM_NHWC, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
ELEMENTWISE = ("Cast", "Identity", "Mul", "Div", "Add", "Sub", "Quant")


@dataclass(frozen=True)
class Input:
    """What the device is given where the graph's input is a float: scale * x + offset is the float.

    ``dtype`` is u8, i8, i16 or bits; "" where the graph says it.
    """

    dtype: str = ""
    scale: float = 1.0
    offset: float | tuple[float, ...] = 0.0


@dataclass(frozen=True, eq=False)
class Imported:
    """A network with what is known of its making: the notes of its builder, tensors by their names in the graph."""

    network: Network
    builder: Builder
    tensors: Mapping[str, Tensor]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not exact to the framework's last rounding."""
        return self.builder.notes


def read_onnx(
    path: str | Path | onnx.ModelProto, source: Input | None = None, labels: Sequence[str] = (), head: str = "exact",
    formula: str = "divided",
) -> Imported:  # fmt: skip
    """The network of an ONNX file, exact for ONNX's reference arithmetic in float32.

    Args:
        path: the file, or a model that is read already.
        source: what the device is given.
        labels: names of the classes.
        head: "exact" or "nearest" (``ebnn.build.Builder``).
        formula: of batch norm; "divided" is ONNX's own (``ebnn.build.functions.Normalize``).

    Raises:
        DataError: no ONNX file, or one with other inputs and outputs than one each.
        ExportError: naming the node that is not supported or has no exact integers.
        NetworkError: a layer that the device cannot run.
    """
    graph = (path if isinstance(path, onnx.ModelProto) else _load(Path(path))).graph
    return _Reader(graph, source or Input(), head, formula).read(labels)


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model, skip_opset_compatibility_check=True)
    except OSError:
        raise
    except Exception as error:  # protobuf's and the checker's own classes
        raise DataError(f"{path}: is no sound ONNX file: {str(error).splitlines()[0]}") from None
    return model


def node_name(node: onnx.NodeProto) -> str:
    """How a node is called in messages."""
    return node.name or f"{node.op_type} of {node.output[0]}"


class _Reader:
    def __init__(self, graph: onnx.GraphProto, source: Input, head: str, formula: str) -> None:
        self.graph = graph
        self.constants: dict[str, Constant] = {
            entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer
        }
        inputs = [entry for entry in graph.input if entry.name not in self.constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise DataError(f"the graph has {len(inputs)} inputs and {len(graph.output)} outputs, one each is possible")
        self.entry = inputs[0]
        layout = "NHWC" if self._reads_nhwc() else "NCHW"
        shape = _shape(self.entry, layout)
        self.builder = Builder(shape, self._dtype(source), "NCHW", source.scale, source.offset, head)
        flat = len(self.entry.type.tensor_type.shape.dim) == 2
        tensor = self.builder.flatten(self.builder.input) if flat else self.builder.input
        self.wires: dict[str, Wire | Condition] = {self.entry.name: Wire(tensor, layout)}
        self.layers = Layers(self.builder, formula)

    def read(self, labels: Sequence[str]) -> Imported:
        for node in self.graph.node:
            self._take(node)
        name = self.graph.output[0].name
        if not isinstance(self.wires.get(name), Wire):
            raise DataError(f"the graph's output {name} does not come from its input")
        network = self.builder.network(self.wires[name].tensor, labels)
        found = {name: wire.tensor for name, wire in self.wires.items() if isinstance(wire, Wire)}
        return Imported(network, self.builder, found)

    def _take(self, node: onnx.NodeProto) -> None:
        name = node_name(node)
        try:
            if node.op_type == "Constant" or all(key in self.constants for key in node.input if key):
                inputs = [self.constants.get(key) for key in node.input]
                self.constants.update(zip(node.output, evaluate(node, inputs), strict=False))
                return
            if node.op_type not in LAYERS:
                raise ExportError(f"{node.op_type} is not supported; these are: {', '.join(sorted(LAYERS))}")
            inputs = [self.wires.get(key, self.constants.get(key)) for key in node.input]
            self.wires[node.output[0]] = getattr(self.layers, LAYERS[node.op_type])(node, inputs, name)
        except ExportError as error:
            text = str(error)
            raise (error if text.startswith(f"{name}: ") else ExportError(f"{name}: {text}")) from None

    def _reads_nhwc(self) -> bool:
        """Whether the first thing that moves the input's axes takes channels from the end."""
        names = {self.entry.name}
        for node in self.graph.node:
            if not names & set(node.input):
                continue
            if node.op_type == "Transpose":
                return [entry.ints for entry in node.attribute if entry.name == "perm"][:1] == [FROM_NHWC]
            if node.op_type in ELEMENTWISE:
                names.update(node.output)
        return False

    def _dtype(self, source: Input) -> str:
        kind = self.entry.type.tensor_type.elem_type
        given = DTYPES.get(kind, "")
        if not given and not source.dtype:
            raise DataError(
                f"the graph's input {self.entry.name} is float: say what the device is given (u8, i8, i16, bits), and "
                "with which scale and offset it becomes the float"
            )
        return source.dtype or given


def _shape(entry: onnx.ValueInfoProto, layout: str) -> Shape:
    """(height, width, channels) of the graph's input."""
    dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim][1:]
    if not 1 <= len(dims) <= 3 or min(dims) < 1:
        raise DataError(f"the graph's input {entry.name} must be (N, C, H, W), (N, C, L) or (N, F) with known sizes")
    if len(dims) == 3:
        return (dims[0], dims[1], dims[2]) if layout == "NHWC" else (dims[1], dims[2], dims[0])
    return (1, dims[1], dims[0]) if len(dims) == 2 else (1, 1, dims[0])


def as_images(array: np.ndarray, layout: str = "NCHW") -> np.ndarray:
    """(N, h, w, c) of a batch as a graph takes it: (N, c, h, w), (N, c, l), (N, f), or (N, h, w, c) already."""
    if array.ndim == 4:
        return array if layout == "NHWC" else array.transpose(0, 2, 3, 1)
    return array.transpose(0, 2, 1)[:, None] if array.ndim == 3 else array[:, None, None]
