"""The central types: Value, Geometry, Node, Network. Immutable, validated, already folded to integers.

The integer meaning of every operator is docs/SPEC.md, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ebnn import ops
from ebnn.bits import pixel_stride
from ebnn.errors import NetworkError

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, left, bottom, right

MAX_SIZE = 65535
MAX_BYTE = 255


@dataclass(frozen=True)
class Value:
    """A tensor of a network: ``shape`` is (height, width, channels), ``dtype`` is bits, u8 or i32."""

    id: int
    shape: tuple[int, int, int]
    dtype: str

    def __str__(self) -> str:
        return "x".join(map(str, self.shape)) + f" {self.dtype}"


@dataclass(frozen=True)
class Geometry:
    """Where a window reads: kernel, stride, padding and border of the convolution, then the same of the pool.

    ``border`` is what padding holds: -1 or +1 (for ``u8`` inputs the bytes 0 and 255). Pool padding never counts.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pad: Sides = (0, 0, 0, 0)
    border: int = -1
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_pad: Sides = (0, 0, 0, 0)


def _frozen(array: object, dtype: type) -> np.ndarray | None:
    if array is None:
        return None
    copy = np.array(array, dtype=dtype)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class Node:
    """One operator with its integer parameters.

    Args:
        op: a name of ``ops.OPS``.
        inputs: ids of the values it reads.
        geometry: windows; a dense node has the default.
        weights: int8 (filters, kernel_h, kernel_w, channels), each -1 or +1; a dense node's kernel is its whole
            input. None for ``pool_or``.
        thresholds: int32 (filters,) of an operator that outputs bits.
        flips: bool (filters,), inverted after the pool; None means none.
        offsets: int32 (filters,) of an operator that outputs scores.
        name: the layer's name, for messages; not part of the model file.
    """

    op: str
    inputs: tuple[int, ...]
    geometry: Geometry = field(default_factory=Geometry)
    weights: np.ndarray | None = None
    thresholds: np.ndarray | None = None
    flips: np.ndarray | None = None
    offsets: np.ndarray | None = None
    name: str = ""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "weights", _frozen(self.weights, np.int8))
        set_(self, "thresholds", _frozen(self.thresholds, np.int32))
        set_(self, "offsets", _frozen(self.offsets, np.int32))
        flips = _frozen(self.flips, bool)
        set_(self, "flips", flips if flips is not None and flips.any() else None)

    @property
    def spec(self) -> ops.Op:
        """The row of the operator table."""
        return ops.BY_NAME[self.op]

    @property
    def filters(self) -> int:
        """Number of filters or units; 0 for ``pool_or``."""
        return 0 if self.weights is None else self.weights.shape[0]


def window_count(size: int, before: int, after: int, window: int, stride: int) -> int:
    """How many windows fit along one axis: floor((size + before + after - window) / stride) + 1."""
    return (size + before + after - window) // stride + 1


def map_size(size: Pair, window: Pair, stride: Pair, pad: Sides) -> Pair:
    """(height, width) of the map of all window positions; a part may be below 1 where none fits."""
    top, left, bottom, right = pad
    return (
        window_count(size[0], top, bottom, window[0], stride[0]),
        window_count(size[1], left, right, window[1], stride[1]),
    )


@dataclass(frozen=True, eq=False)
class Network:
    """A binarized network as the device runs it.

    Args:
        input: value 0; dtype ``u8`` or ``bits``.
        nodes: in the order of running; node k makes value k + 1; the last one makes the scores.
        labels: names of the classes, or empty.

    Raises:
        NetworkError: naming the node, when shapes, ranges or values contradict each other.
    """

    input: Value
    nodes: tuple[Node, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "labels", tuple(self.labels))
        _check_network(self)

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """Every value: the input, then each node's output."""
        found = [self.input]
        for node in self.nodes:
            found.append(_output_value(node, found))
        return tuple(found)

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self.values[-1].shape[2]

    def conv_size(self, index: int) -> Pair:
        """(height, width) of node ``index``'s map before its pool."""
        return _conv_size(self.nodes[index], self.values[self.nodes[index].inputs[0]])

    def with_labels(self, labels: Sequence[str]) -> Network:
        """The same network with other class names."""
        return replace(self, labels=tuple(labels))


def conv_node(op: str, source: int, weights: np.ndarray, geometry: Geometry | None = None, **params) -> Node:
    """A conv node whose geometry takes its kernel size from ``weights`` (filters, kernel_h, kernel_w, channels)."""
    kernel = (int(weights.shape[1]), int(weights.shape[2]))
    return Node(op, (source,), replace(geometry or Geometry(), kernel=kernel), weights=weights, **params)


def dense_node(op: str, source: int, weights: np.ndarray, **params) -> Node:
    """A dense node; ``weights`` is (units, height, width, channels) of its input."""
    return Node(op, (source,), weights=weights, **params)


def pool_node(source: int, pool: Pair, pool_stride: Pair, pool_pad: Sides = (0, 0, 0, 0), name: str = "") -> Node:
    """A ``pool_or`` node."""
    return Node(
        "pool_or", (source,), Geometry(pool=pool, pool_stride=pool_stride, pool_pad=pool_pad), name=name
    )


def _conv_size(node: Node, source: Value) -> Pair:
    if node.spec.source == "dense":
        return (1, 1)
    if node.spec.source == "pool":
        return source.shape[:2]
    geometry = node.geometry
    return map_size(source.shape[:2], geometry.kernel, geometry.stride, geometry.pad)


def _output_value(node: Node, values: Sequence[Value]) -> Value:
    """The value that ``node`` makes; raises NetworkError where its parts do not fit together."""
    where = f"node {len(values) - 1} ({node.name or node.op})"
    if node.op not in ops.BY_NAME:
        raise NetworkError(f"{where}: no operator {node.op}; there are {', '.join(ops.BY_NAME)}")
    if len(node.inputs) != 1 or not 0 <= node.inputs[0] < len(values):
        raise NetworkError(f"{where}: reads values {node.inputs}, only 0 to {len(values) - 1} exist")
    source = values[node.inputs[0]]
    if source.dtype != node.spec.input:
        raise NetworkError(f"{where}: {node.op} reads {node.spec.input}, value {source.id} is {source.dtype}")
    _check_geometry(node, source, where)
    _check_params(node, source, where)
    geometry = node.geometry
    height, width = map_size(
        _conv_size(node, source), geometry.pool, geometry.pool_stride, geometry.pool_pad
    )
    if height < 1 or width < 1:
        raise NetworkError(f"{where}: no window fits into its {source} input")
    channels = source.shape[2] if node.spec.source == "pool" else node.filters
    value = Value(len(values), (height, width, channels), node.spec.output)
    _check_value(value, where)
    return value


def _check_value(value: Value, where: str) -> None:
    height, width, channels = value.shape
    if not all(1 <= size <= MAX_SIZE for size in value.shape):
        raise NetworkError(f"{where}: shape {value.shape} must be 1 to {MAX_SIZE} in each direction")
    bits = height * width * (8 * channels if value.dtype == "u8" else pixel_stride(channels))
    if bits > ops.MAX_BITS:
        raise NetworkError(f"{where}: {value} takes {bits} bits, at most {ops.MAX_BITS} are possible")


def _check_geometry(node: Node, source: Value, where: str) -> None:
    geometry = node.geometry
    default = Geometry()
    kind = node.spec.source
    conv_part = (geometry.kernel, geometry.stride, geometry.pad, geometry.border)
    pool_part = (geometry.pool, geometry.pool_stride, geometry.pool_pad)
    if kind == "pool" and conv_part != (default.kernel, default.stride, default.pad, default.border):
        raise NetworkError(f"{where}: {node.op} takes a pool window only")
    if kind == "dense" and geometry != default:
        raise NetworkError(f"{where}: a dense node has no geometry")
    if geometry.border not in (-1, 1):
        raise NetworkError(f"{where}: border must be -1 or +1, got {geometry.border}")
    _check_window(geometry.kernel, geometry.stride, geometry.pad, f"{where}: kernel")
    _check_window(*pool_part, f"{where}: pool")
    height, width = _conv_size(node, source)
    if height < 1 or width < 1:
        raise NetworkError(f"{where}: its kernel {geometry.kernel} does not fit into {source}")


def _check_window(window: Pair, stride: Pair, pad: Sides, where: str) -> None:
    if not all(1 <= size <= MAX_BYTE for size in (*window, *stride)):
        raise NetworkError(f"{where} {window} with stride {stride}: each must be 1 to {MAX_BYTE}")
    if not all(0 <= side < window[axis % 2] for axis, side in enumerate(pad)):
        raise NetworkError(f"{where} {window}: padding {pad} must be 0 or more and below the window's size")


def filter_shape(node: Node, source: Value) -> tuple[int, int, int]:
    """(height, width, channels) of one filter of a conv or dense node."""
    size = source.shape[:2] if node.spec.source == "dense" else node.geometry.kernel
    return (*size, source.shape[2])


def _check_params(node: Node, source: Value, where: str) -> None:
    kind, output = node.spec.source, node.spec.output
    wanted = set() if kind == "pool" else {"weights", "thresholds" if output == "bits" else "offsets"}
    for name in ("weights", "thresholds", "offsets"):
        if (getattr(node, name) is not None) != (name in wanted):
            raise NetworkError(f"{where}: {node.op} {'needs' if name in wanted else 'has no'} {name}")
    if node.flips is not None and (kind == "pool" or output != "bits"):
        raise NetworkError(f"{where}: {node.op} has no flips")
    if kind == "pool":
        return
    shape = (node.filters, *filter_shape(node, source))
    if node.weights.shape != shape or node.filters < 1:
        raise NetworkError(f"{where}: weights are {node.weights.shape}, its input {source} wants {shape}")
    if not np.isin(node.weights, (-1, 1)).all():
        raise NetworkError(f"{where}: weights must be -1 or +1")
    for name in ("thresholds", "offsets", "flips"):
        array = getattr(node, name)
        if array is not None and array.shape != (node.filters,):
            raise NetworkError(f"{where}: {name} are {array.shape}, {node.filters} filters want one each")
    _check_sums(node, source, where)


def acc_range(node: Node, source: Value) -> tuple[int, int]:
    """Bounds of a filter's sum that hold for every input: -taps to taps, or 255 times that for bytes."""
    height, width, channels = filter_shape(node, source)
    bound = height * width * channels * (255 if node.spec.input == "u8" else 1)
    return -bound, bound


def _check_sums(node: Node, source: Value, where: str) -> None:
    height, width, channels = filter_shape(node, source)
    row = height * width * (channels if source.dtype == "u8" else pixel_stride(channels))
    row_bits = -(-row // 32) * 32
    if row_bits * node.filters > ops.MAX_BITS:
        raise NetworkError(f"{where}: {row_bits * node.filters} bits of weights, at most {ops.MAX_BITS}")
    if source.dtype == "u8" and height * width * channels > ops.MAX_U8_TAPS:
        raise NetworkError(f"{where}: more than {ops.MAX_U8_TAPS} taps on bytes could overflow")
    if node.offsets is not None:
        worst = acc_range(node, source)[1] + int(np.abs(node.offsets.astype(np.int64)).max())
        if worst >= 1 << 31:
            raise NetworkError(f"{where}: scores could reach {worst}, which does not fit 32 bits")


def _check_network(network: Network) -> None:
    if network.input.id != 0 or network.input.dtype not in ("u8", "bits"):
        raise NetworkError(f"the input must be value 0 of dtype u8 or bits, got {network.input}")
    _check_value(network.input, "input")
    if not 1 <= len(network.nodes) <= MAX_BYTE:
        raise NetworkError(f"a network has 1 to {MAX_BYTE} nodes, got {len(network.nodes)}")
    dtypes = [value.dtype for value in network.values[1:]]
    if dtypes[-1] != "i32" or "i32" in dtypes[:-1]:
        raise NetworkError("the last node, and only it, must output scores")
    if network.labels and len(network.labels) != network.classes:
        raise NetworkError(f"{len(network.labels)} labels for {network.classes} classes")
    for label in network.labels:
        if len(label.encode()) > MAX_BYTE:
            raise NetworkError(f"label {label[:20]!r}... is longer than {MAX_BYTE} bytes")
