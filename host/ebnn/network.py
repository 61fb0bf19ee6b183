"""Node and Network, the central types. Immutable, validated, already folded to integers.

The integer meaning of every operator is docs/SPEC.md, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ebnn import ops
from ebnn.errors import NetworkError
from ebnn.geometry import (
    MAX_BYTE,
    NO_PAD,
    Geometry,
    Pair,
    Sides,
    Value,
    acc_bound,
    filter_bytes,
    filter_shape,
    filter_taps,
    geometry_fault,
    output_shape,
    value_fault,
)


def _frozen(array: object, dtype: type) -> np.ndarray | None:
    if array is None:
        return None
    given = np.asarray(array)
    with np.errstate(invalid="ignore"):  # NaN and infinity do not survive the comparison
        copy = given.astype(dtype)
    if not (copy == given).all():
        raise NetworkError(f"values must be {np.dtype(dtype)}, got some like {given[copy != given][0]}")
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


def pool_node(source: int, pool: Pair, pool_stride: Pair, pool_pad: Sides = NO_PAD, name: str = "") -> Node:
    """A ``pool_or`` node."""
    geometry = Geometry(pool=pool, pool_stride=pool_stride, pool_pad=pool_pad)
    return Node("pool_or", (source,), geometry, name=name)


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
    fault = _geometry_fault(node, source) or _params_fault(node, source) or _sums_fault(node, source)
    if fault:
        raise NetworkError(f"{where}: {fault}")
    return Value(len(values), output_shape(node.spec, source, node.geometry, _channels(node, source)), node.spec.output)


def _channels(node: Node, source: Value) -> int:
    return source.shape[2] if node.spec.source == "pool" else node.filters


def _geometry_fault(node: Node, source: Value) -> str | None:
    g, default = node.geometry, Geometry()
    conv_part = (g.kernel, g.stride, g.pad, g.border)
    if node.spec.source == "pool" and conv_part != (default.kernel, default.stride, default.pad, default.border):
        return f"{node.op} takes a pool window only"
    if node.spec.source == "dense" and g != default:
        return "a dense node has no geometry"
    if g.border not in (-1, 1):
        return f"border must be -1 or +1, got {g.border}"
    return geometry_fault(node.spec, source, g, _channels(node, source))


def _params_fault(node: Node, source: Value) -> str | None:
    kind, output = node.spec.source, node.spec.output
    wanted = set() if kind == "pool" else {"weights", "thresholds" if output == "bits" else "offsets"}
    for name in ("weights", "thresholds", "offsets"):
        if (getattr(node, name) is not None) != (name in wanted):
            return f"{node.op} {'needs' if name in wanted else 'has no'} {name}"
    if node.flips is not None and (kind == "pool" or output != "bits"):
        return f"{node.op} has no flips"
    if kind == "pool":
        return None
    shape = (node.filters, *filter_shape(node.spec, source, node.geometry))
    if node.weights.shape != shape:
        return f"weights are {node.weights.shape}, its input {source} wants {shape}"
    if not np.isin(node.weights, (-1, 1)).all():
        return "weights must be -1 or +1"
    for name in ("thresholds", "offsets", "flips"):
        array = getattr(node, name)
        if array is not None and array.shape != (node.filters,):
            return f"{name} are {array.shape}, {node.filters} filters want one each"
    return None


def _sums_fault(node: Node, source: Value) -> str | None:
    if node.weights is None:
        return None
    size = 8 * filter_bytes(node.spec, source, node.geometry) * node.filters
    if size > ops.MAX_BITS:
        return f"{size} bits of weights, at most {ops.MAX_BITS} are possible"
    if source.dtype == "u8" and filter_taps(node.spec, source, node.geometry) > ops.MAX_U8_TAPS:
        return f"more than {ops.MAX_U8_TAPS} taps on bytes could overflow"
    if node.offsets is not None:
        worst = acc_bound(node.spec, source, node.geometry) + int(np.abs(node.offsets.astype(np.int64)).max())
        if worst >= 1 << 31:
            return f"scores could reach {worst}, which does not fit into 32 bits"
    return None


def _check_network(network: Network) -> None:
    source = network.input
    if source.id != 0 or source.dtype not in ("u8", "bits") or value_fault(source):
        raise NetworkError(f"the input must be value 0 of dtype u8 or bits, got {source}")
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
