"""ONNX operators as calls of the builder: one method each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx

from ebnn.build import Builder, Kernel, Tensor, weights, windows
from ebnn.build.functions import Normalize, parameter
from ebnn.errors import ExportError
from ebnn.geometry import NO_PAD, Pair, Sides
from ebnn.importers.constants import Constant, Quantized, attributes, floats

TO_NHWC, FROM_NHWC = [0, 2, 3, 1], [0, 3, 1, 2]

# Which method reads an operator.
LAYERS = {
    "Conv": "conv", "Gemm": "gemm", "MatMul": "matmul", "BatchNormalization": "batch_norm", "Sign": "sign",
    "BipolarQuant": "bipolar", "Quant": "quant", "MaxPool": "max_pool", "AveragePool": "average_pool",
    "GlobalAveragePool": "global_average", "ReduceMean": "reduce_mean", "Flatten": "flatten", "Reshape": "reshape",
    "Squeeze": "flatten", "PRelu": "prelu", "LeakyRelu": "leaky", "Relu": "relu", "Clip": "clip", "Add": "add",
    "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pad": "pad", "Transpose": "transpose",
    "Identity": "same", "Cast": "cast", "Dropout": "same", "GreaterOrEqual": "compare", "Greater": "compare",
    "Less": "compare", "LessOrEqual": "compare", "Where": "where", "ArgMax": "end", "Softmax": "end",
    "LogSoftmax": "end",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Wire:
    """A tensor of the graph: its axes, and a padding with a value that the next convolution takes over.

    ``end`` is the operator after which nothing may come.
    """

    tensor: Tensor
    layout: str = "NCHW"
    pad: Sides = NO_PAD
    pad_value: float = 0.0
    end: str = ""


@dataclass(frozen=True, eq=False)
class Condition:
    """A comparison of a tensor with a number; ``turned`` where it holds below."""

    wire: Wire
    limit: np.ndarray
    strict: bool
    turned: bool


Operand = Wire | Condition | Constant | None


class Layers:
    """One method an operator: (node, operands, name) -> wire. ``formula`` is that of batch norm."""

    def __init__(self, builder: Builder, formula: str) -> None:
        self.net, self.formula = builder, formula

    # --- linear ---

    def conv(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, kernel = _wire(operands[0], padded=True), _constant(operands, 1)
        if wire.layout != "NCHW":
            raise ExportError("reads channels at the end")
        options = attributes(node)
        integers, gains = weights.conv_weights(_kernel(kernel, 0, rank=4), "NCHW")
        integers = weights.dilated(integers, _two(options.get("dilations", [1, 1])))
        groups, channels = options.get("group", 1), wire.tensor.shape[2]
        own = groups == channels == len(integers) and groups > 1
        if groups > 1 and not own:
            integers = weights.ungrouped(integers, groups)
        stride = _two(options.get("strides", [1, 1]))
        pad = _pads(options, wire.tensor.shape[:2], integers.shape[1:3], stride)
        if wire.pad != NO_PAD:
            if pad != NO_PAD and wire.pad_value:
                raise ExportError("pads with 0 what a Pad node has padded with another value")
            pad = tuple(a + b for a, b in zip(pad, wire.pad, strict=True))
        window = (stride, pad, wire.pad_value)
        made = self.net.windowed("depthwise" if own else "conv", wire.tensor, (integers, gains), window, name)
        return self._biased(made, operands, name)

    def gemm(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        options = attributes(node)
        if options.get("transA", 0) or options.get("alpha", 1.0) != 1 or options.get("beta", 1.0) != 1:
            raise ExportError("transA, alpha and beta must be 0, 1 and 1")
        kernel = _constant(operands, 1)
        rows = bool(options.get("transB", 0))
        return self._biased(self._dense(operands[0], kernel, rows, name), operands, name)

    def matmul(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        return Wire(self._dense(operands[0], _constant(operands, 1), False, name))

    def _dense(self, operand: Operand, kernel: Constant, rows: bool, name: str) -> Tensor:
        found = _kernel(kernel, 0 if rows else 1)
        turned = found if rows else Kernel(found.integers.T, found.gain)
        return self.net.dense(_wire(operand).tensor, turned, name=name)

    def _biased(self, tensor: Tensor, operands: list[Operand], name: str) -> Wire:
        if len(operands) < 3 or operands[2] is None:
            return Wire(tensor)
        return Wire(self.net.add_bias(tensor, floats(_constant(operands, 2)).reshape(-1), name=name))

    # --- functions ---

    def batch_norm(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _wire(operands[0]), attributes(node)
        if options.get("training_mode", 0) or wire.layout != "NCHW":
            raise ExportError("batch norm must be of inference, with channels as its second axis")
        found = [parameter(floats(_constant(operands, index)), "statistics") for index in range(1, 5)]
        return self._apply(wire, lambda: Normalize(*found, options.get("epsilon", 1e-5), self.formula), name)

    def sign(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0])
        return replace(wire, tensor=self.net.sign(wire.tensor, zero=0, name=name))

    def bipolar(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, scale = _wire(operands[0]), _channelwise(_constant(operands, 1), _wire(operands[0]))
        made = self.net.sign(wire.tensor, name=name)
        return replace(wire, tensor=made if (scale == 1).all() else self.net.multiply(made, scale, name=name))

    def quant(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        """Only where it changes nothing: an input that is on its grid."""
        wire, options = _wire(operands[0]), attributes(node)
        scale, zero, bits = (float(floats(_constant(operands, index))) for index in (1, 2, 3))
        signed, narrow = options.get("signed", 1), options.get("narrow", 0)
        least = -(2 ** (bits - 1)) + narrow if signed else 0
        most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        found = wire.tensor.sums.source
        every = np.arange(found.least, found.most + 1)[:, None] * found.scale + found.offset
        places = every / scale + zero
        if not wire.tensor.is_plain or (np.abs(places - np.rint(places).clip(least, most)) > 1e-4).any():
            raise ExportError("quantizes to several bits: between layers only BipolarQuant is supported")
        return wire

    def prelu(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0])
        slope = _channelwise(_constant(operands, 1), wire)
        return replace(wire, tensor=self.net.prelu(wire.tensor, slope, name=name))

    def leaky(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0])
        return replace(wire, tensor=self.net.prelu(wire.tensor, attributes(node).get("alpha", 0.01), name=name))

    def relu(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0])
        return replace(wire, tensor=self.net.prelu(wire.tensor, 0.0, name=name))

    def clip(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _wire(operands[0]), attributes(node)
        given = [floats(value) if isinstance(value, Constant) else None for value in [*operands[1:], None, None][:2]]
        limits = (options.get("min", np.finfo(np.float32).min), options.get("max", np.finfo(np.float32).max))
        ends = [float(limit if value is None else value) for value, limit in zip(given, limits, strict=True)]
        return replace(wire, tensor=self.net.clip(wire.tensor, *ends, name=name))

    def add(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        if all(isinstance(operand, Wire) for operand in operands):
            one, other = (_wire(operand) for operand in operands)
            if one.layout != other.layout:
                raise ExportError("adds tensors with other axes")
            return replace(one, tensor=self.net.add(one.tensor, other.tensor, name=name))
        return self._with_constant(operands, self.net.add_bias, name)

    def subtract(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        if isinstance(operands[0], Wire):
            return self._with_constant(
                [operands[0], np.asarray(-floats(_constant(operands, 1)))], self.net.add_bias, name
            )
        turned = self.net.multiply(_wire(operands[1]).tensor, -1.0, name=name)  # exact: only signs change
        return self._with_constant([replace(operands[1], tensor=turned), operands[0]], self.net.add_bias, name)

    def multiply(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        return self._with_constant(operands, self.net.multiply, name)

    def divide(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        if not isinstance(operands[0], Wire):
            raise ExportError("divides by a tensor")
        return self._with_constant(operands, self.net.divide, name)

    def compare(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Condition:
        wire = _wire(operands[0])
        below = node.op_type.startswith("Less")
        strict = node.op_type in ("Greater", "LessOrEqual")  # not [x <= limit] is [x > limit]
        return Condition(wire, _channelwise(_constant(operands, 1), wire), strict, below)

    def where(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        condition = operands[0]
        if not isinstance(condition, Condition):
            raise ExportError("chooses by what is no comparison of a tensor with a number")
        values = [floats(_constant(operands, index)) for index in (1, 2)]
        if any(value.size != 1 for value in values):
            raise ExportError("must choose between two numbers")
        above, below = (float(value.reshape(())) for value in (values[::-1] if condition.turned else values))
        tensor, limit = condition.wire.tensor, condition.limit
        made = self.net.compare(tensor, limit, (below, above), condition.strict, name=name)
        return replace(condition.wire, tensor=made)

    def _with_constant(self, operands: list[Operand], apply: Callable, name: str) -> Wire:
        wires = [operand for operand in operands if isinstance(operand, Wire)]
        others = [operand for operand in operands if isinstance(operand, Constant)]
        if len(wires) != 1 or len(others) != 1:
            raise ExportError("takes a tensor and a constant")
        wire = _wire(wires[0])
        return replace(wire, tensor=apply(wire.tensor, _channelwise(others[0], wire), name=name))

    def _apply(self, wire: Wire, function: Callable, name: str) -> Wire:
        return replace(wire, tensor=self.net.apply(wire.tensor, function, name))

    # --- pools ---

    def max_pool(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _map(operands[0]), attributes(node)
        window, stride = _window(options)
        if max(options.get("dilations", [1])) > 1:
            raise ExportError("dilations are not supported in pools")
        size = wire.tensor.shape[:2]
        pad = _pads(options, size, window, stride)
        pad = windows.rounded_up(pad, size, window, stride) if options.get("ceil_mode", 0) else pad
        return replace(wire, tensor=self.net.max_pool(wire.tensor, window, stride, pad, name=name))

    def average_pool(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _map(operands[0]), attributes(node)
        window, stride = _window(options)
        size = wire.tensor.shape[:2]
        pad = _pads(options, size, window, stride)
        if options.get("ceil_mode", 0) and windows.rounded_up(pad, size, window, stride) != pad:
            raise ExportError("ceil_mode with windows that are not whole: their averages are of fewer values")
        if pad != NO_PAD and not options.get("count_include_pad", 0):
            raise ExportError("padding that does not count: the averages at the border are of fewer values")
        return replace(wire, tensor=self.net.average_pool(wire.tensor, window, stride, pad, name=name))

    def global_average(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _map(operands[0])
        return replace(wire, tensor=self.net.global_average_pool(wire.tensor, name=name))

    def reduce_mean(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _wire(operands[0]), attributes(node)
        axes = options["axes"] if "axes" in options else floats(_constant(operands, 1)).reshape(-1)
        wanted = {2, 3} if wire.layout == "NCHW" else {1, 2}
        if {int(axis) % 4 for axis in axes} != wanted:
            raise ExportError(f"the mean over axes {list(map(int, axes))}: only over rows and columns it is supported")
        return Wire(self.net.global_average_pool(wire.tensor, name=name))

    # --- structure ---

    def flatten(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0])
        if node.op_type == "Flatten" and attributes(node).get("axis", 1) != 1:
            raise ExportError("axis must be 1")
        if node.op_type == "Squeeze" and wire.tensor.shape[:2] != (1, 1):
            raise ExportError("only a map of 1x1 can be squeezed")
        return Wire(self.net.flatten(wire.tensor, "HWC" if wire.layout == "NHWC" else "CHW"))

    def reshape(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, shape = _wire(operands[0]), [int(side) for side in floats(_constant(operands, 1)).reshape(-1)]
        elements = int(np.prod(wire.tensor.shape))
        if len(shape) != 2 or shape[1] not in (-1, elements):
            raise ExportError(f"to {shape}: only (N, {elements}) is supported")
        return Wire(self.net.flatten(wire.tensor, "HWC" if wire.layout == "NHWC" else "CHW"))

    def transpose(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, order = _wire(operands[0]), list(attributes(node).get("perm", []))
        for layout, perm, other in (("NCHW", TO_NHWC, "NHWC"), ("NHWC", FROM_NHWC, "NCHW")):
            if (wire.layout, order) == (layout, perm) and not wire.tensor.flat:
                return replace(wire, layout=other)
        raise ExportError(f"axes {order}: only between NCHW and NHWC they can be moved")

    def pad(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire, options = _map(operands[0]), attributes(node)
        pads = options["pads"] if "pads" in options else floats(_constant(operands, 1)).reshape(-1)
        given = floats(operands[2]) if len(operands) > 2 and operands[2] is not None else options.get("value", 0.0)
        pads = [int(side) for side in pads]
        half = len(pads) // 2
        if options.get("mode", "constant") != "constant" or len(operands) > 3 or min(pads) < 0:
            raise ExportError("only a constant padding of all axes is supported")
        if any(pads[axis] or pads[axis + half] for axis in (0, 1)):
            raise ExportError("only rows and columns can be padded")
        top, left = _two(pads[2:half]) if half > 3 else (0, pads[2])
        bottom, right = _two(pads[half + 2 :]) if half > 3 else (0, pads[half + 2])
        return replace(wire, pad=(top, left, bottom, right), pad_value=float(given))

    def same(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        """What changes no value."""
        return _wire(operands[0], ended=True)

    def cast(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        wire = _wire(operands[0], ended=True)
        if not wire.end and attributes(node)["to"] not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
            raise ExportError("only to float and double values keep what they are")
        return wire

    def end(self, node: onnx.NodeProto, operands: list[Operand], name: str) -> Wire:
        """What does not change which score is the largest, where nothing follows it."""
        wire, options = _wire(operands[0], ended=True), attributes(node)
        default = 0 if node.op_type == "ArgMax" else -1
        if options.get("axis", default) not in (1, -1) or options.get("select_last_index", 0):
            raise ExportError("must be over the classes, and of equal scores take the first")
        return replace(wire, end=node.op_type)


def _wire(operand: Operand, padded: bool = False, ended: bool = False) -> Wire:
    if not isinstance(operand, Wire):
        raise ExportError("its first input must come from the network's input")
    if operand.end and not ended:
        raise ExportError(f"follows {operand.end}, which can only be at the end")
    if operand.pad != NO_PAD and not padded:
        raise ExportError("reads what a Pad node has padded: only Conv can")
    return operand


def _map(operand: Operand) -> Wire:
    wire = _wire(operand)
    if wire.layout != "NCHW":
        raise ExportError("reads channels at the end")
    return wire


def _constant(operands: list[Operand], index: int) -> Constant:
    found = operands[index] if len(operands) > index else None
    if not isinstance(found, Constant):
        raise ExportError(f"its input {index} must be a constant")
    return found


def _kernel(constant: Constant, axis: int, rank: int = 2) -> Kernel:
    """Weights with their filters along ``axis``; those of a 1-D convolution get a height of 1."""
    if not isinstance(constant, Quantized):
        constant = Quantized(np.asarray(constant, np.float64), np.ones(constant.shape))
    kernel = constant.kernel(axis)
    return Kernel(kernel.integers[:, :, None], kernel.gain) if kernel.integers.ndim == rank - 1 == 3 else kernel


def _channelwise(constant: Constant, wire: Wire) -> np.ndarray:
    """A constant that is broadcast to a tensor, as a scalar or (channels,)."""
    array, channels = floats(constant), wire.tensor.shape[2]
    if array.size == 1:
        return array.reshape(())
    at_end = wire.layout == "NHWC" or wire.tensor.flat or wire.tensor.shape[:2] == (1, 1)
    behind = (
        0
        if at_end and array.shape[-1] == channels
        else next(
            (rank for rank in (1, 2) if array.shape[-rank:] == (1,) * rank and array.shape[:-rank][-1:] == (channels,)),
            -1,
        )
    )
    if array.size != channels or behind < 0:
        raise ExportError(f"a constant of {array.shape}: one number, or one a channel, is possible")
    return array.reshape(-1)


def _two(numbers: list[int]) -> Pair:
    """(height, width) of one number a spatial axis."""
    return (1, int(numbers[0])) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _window(options: dict) -> tuple[Pair, Pair]:
    """Window and stride of a pool."""
    kernel = options["kernel_shape"]
    return _two(kernel), _two(options.get("strides", [1] * len(kernel)))


def _pads(options: dict, size: Pair, window: Pair, stride: Pair) -> Sides:
    """Padding (top, left, bottom, right) of a node's attributes."""
    kind = options.get("auto_pad", "NOTSET")
    if kind.startswith("SAME"):
        pad = windows.sides("same", size, window, stride)
        return pad if kind == "SAME_UPPER" else (*pad[2:], *pad[:2])
    pads = [int(side) for side in options.get("pads", [])] if kind == "NOTSET" else []
    if not pads:
        return NO_PAD
    return (0, pads[0], 0, pads[1]) if len(pads) == 2 else (pads[0], pads[1], pads[2], pads[3])
