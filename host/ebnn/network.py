"""Node and Network, the central types. Immutable, validated, already folded to integers.

The integer meaning of every operator is docs/SPEC.md, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ebnn import ops, rules
from ebnn.errors import NetworkError
from ebnn.geometry import (
    MAX_BYTE,
    NO_PAD,
    Geometry,
    Pair,
    Sides,
    Value,
    filter_shape,
    is_or,
    makes_hits,
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
    """A source of sums, a pool of these, and an ending, with all integer parameters.

    Args:
        op: a name of ``ops.OPS``.
        inputs: ids of the values it reads: the input, and the second input where it adds one.
        geometry: windows; a dense node has the default.
        output: dtype of what it makes.
        weights: int8 (filters, kernel_h, kernel_w, channels), of ``depthwise`` (filters, kernel_h, kernel_w, 1); a
            dense node's kernel is its whole input. None for ``pool``. In the file they take a bit each where all are
            -1 or +1.
        thresholds: int32 (levels * filters,), level after level, of an output of bits. None for a pool of bits that
            makes bits without ``pool_sum``.
        levels: thresholds a filter.
        exclusive: whether the hits of a filter's levels become one bit.
        flips: bool (channels of the output,), inverted at last; None means none.
        offsets: int32 (filters,) of an output of integers.
        gains: int16 (filters,) of an output of integers; None means 1.
        shift: of an output of integers.
        filters: 0 means that the parameters say it; of a pool without any the network fills in its input's channels.
        name: the layer's name, for messages; not part of the model file.
    """

    op: str
    inputs: tuple[int, ...]
    geometry: Geometry = field(default_factory=Geometry)
    output: str = "bits"
    weights: np.ndarray | None = None
    thresholds: np.ndarray | None = None
    levels: int = 1
    exclusive: bool = False
    flips: np.ndarray | None = None
    offsets: np.ndarray | None = None
    gains: np.ndarray | None = None
    shift: int = 0
    filters: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "inputs", tuple(self.inputs))
        for name, dtype in (("weights", np.int8), ("thresholds", np.int32), ("offsets", np.int32), ("gains", np.int16)):
            set_(self, name, _frozen(getattr(self, name), dtype))
        flips = _frozen(self.flips, bool)
        set_(self, "flips", flips if flips is not None and flips.any() else None)
        set_(self, "filters", self.filters or self._count())

    def _count(self) -> int:
        if self.weights is not None:
            return len(self.weights)
        if self.offsets is not None:
            return len(self.offsets)
        return 0 if self.thresholds is None else len(self.thresholds) // max(1, self.levels)

    @cached_property
    def has_int8(self) -> bool:
        """Whether the weights take a byte each, not a bit."""
        return self.weights is not None and not np.isin(self.weights, (-1, 1)).all()

    @property
    def second(self) -> int | None:
        """Id of the second input."""
        return self.inputs[1] if len(self.inputs) > 1 else None

    @property
    def is_hits(self) -> bool:
        """Whether the output is made of a map of hits, row by row (docs/SPEC.md, section 5)."""
        return makes_hits(self) or (self.op == "pool" and self.output == "bits" and self.thresholds is None)


@dataclass(frozen=True, eq=False)
class Network:
    """A binarized network as the device runs it.

    Args:
        input: value 0; dtype ``bits``, ``u8``, ``i8`` or ``i16``.
        nodes: in the order of running; node k makes value k + 1; the last one makes the scores.
        labels: names of the classes, or empty.

    Raises:
        NetworkError: naming the node, when shapes, ranges or values contradict each other.
    """

    input: Value
    nodes: tuple[Node, ...]
    labels: tuple[str, ...] = ()
    values: tuple[Value, ...] = field(init=False)  # every value: the input, then each node's output

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "labels", tuple(self.labels))
        _check_input(self)
        nodes, values = [], [self.input]
        for node in self.nodes:
            nodes.append(_settled(node, values))
            values.append(_output_value(nodes[-1], values, len(values) == len(self.nodes)))
        set_(self, "nodes", tuple(nodes))
        set_(self, "values", tuple(values))
        _check_labels(self)

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self.values[-1].shape[2]

    def with_labels(self, labels: Sequence[str]) -> Network:
        """The same network with other class names."""
        return replace(self, labels=tuple(labels))


def conv_node(source: int, weights: np.ndarray, geometry: Geometry | None = None, **params) -> Node:
    """A conv node whose geometry takes its kernel size from ``weights`` (filters, kernel_h, kernel_w, channels).

    Of each of these functions ``params`` are those of a node, and ``second``, the value that is added. The output is
    i32 where offsets are given and no output.
    """
    return _node("conv", source, params, geometry=_with_kernel(geometry, weights), weights=weights)


def depthwise_node(source: int, weights: np.ndarray, geometry: Geometry | None = None, **params) -> Node:
    """A depthwise node whose geometry takes its kernel size from ``weights`` (filters, kernel_h, kernel_w, 1)."""
    return _node("depthwise", source, params, geometry=_with_kernel(geometry, weights), weights=weights)


def dense_node(source: int, weights: np.ndarray, **params) -> Node:
    """A dense node; ``weights`` is (units, height, width, channels) of its input."""
    return _node("dense", source, params, weights=weights)


def pool_node(
    source: int, pool: Pair = (1, 1), pool_stride: Pair = (1, 1), pool_pad: Sides = NO_PAD, pool_sum: bool = False,
    **params
) -> Node:  # fmt: skip
    """A pool node."""
    geometry = Geometry(pool=pool, pool_stride=pool_stride, pool_pad=pool_pad, pool_sum=pool_sum)
    return _node("pool", source, params, geometry=geometry)


def _with_kernel(geometry: Geometry | None, weights: np.ndarray) -> Geometry:
    return replace(geometry or Geometry(), kernel=(int(weights.shape[1]), int(weights.shape[2])))


def _node(op: str, source: int, params: dict, **others) -> Node:
    second = params.pop("second", None)
    params.setdefault("output", "bits" if params.get("offsets") is None else "i32")
    return Node(op, (source,) if second is None else (source, second), **others, **params)


# --- checks ---


def _settled(node: Node, values: Sequence[Value]) -> Node:
    """The node with as many filters as its input has channels, where nothing of it says how many."""
    known = node.filters or not node.inputs or not 0 <= node.inputs[0] < len(values)
    return node if known else replace(node, filters=values[node.inputs[0]].shape[2])


def _output_value(node: Node, values: Sequence[Value], is_last: bool) -> Value:
    """The value that ``node`` makes; raises NetworkError where its parts do not fit together."""
    where = f"node {len(values) - 1} ({node.name or node.op})"
    fault = _inputs_fault(node, len(values))
    if fault:
        raise NetworkError(f"{where}: {fault}")
    source, second = values[node.inputs[0]], None if node.second is None else values[node.second]
    fault = (
        rules.link_fault(source, second)
        or _geometry_fault(node, source)
        or rules.shape_fault(node, source, second)
        or rules.score_fault(node, source, is_last)
        or _params_fault(node, source)
        or rules.size_fault(node, source)
        or rules.sums_fault(node, source, second, node.offsets, node.gains)
    )
    if fault:
        raise NetworkError(f"{where}: {fault}")
    return Value(len(values), output_shape(node, source), node.output)


def _inputs_fault(node: Node, count: int) -> str | None:
    if node.op not in ops.BY_NAME:
        return f"no operator {node.op}; there are {', '.join(ops.BY_NAME)}"
    if len(node.inputs) not in (1, 2) or not all(0 <= value < count for value in node.inputs):
        return f"reads values {node.inputs}, only 0 to {count - 1} exist"
    return "the network's input cannot be a second input" if node.second == 0 else None


def _geometry_fault(node: Node, source: Value) -> str | None:
    g, default = node.geometry, Geometry()
    conv_part = (g.kernel, g.stride, g.pad, g.border)
    if node.op == "pool" and conv_part != (default.kernel, default.stride, default.pad, default.border):
        return "a pool node takes a pool window only"
    if node.op == "dense" and g != default:
        return "a dense node has no geometry"
    borders = {"bits": (-1, 1, 0), "u8": (-1, 1)}.get(source.dtype, (-1,))
    if g.border not in borders:
        return (
            f"border must be {' or '.join(f'{b:+d}' if b else '0' for b in borders)} on {source.dtype}, got {g.border}"
        )
    return None


def _params_fault(node: Node, source: Value) -> str | None:
    ending = {"thresholds"} if node.output == "bits" else {"offsets"}
    wanted = (set() if node.op == "pool" else {"weights"}) | (set() if is_or(node, source) else ending)
    for name in ("weights", "thresholds", "offsets"):
        if (getattr(node, name) is not None) != (name in wanted):
            return f"{node.op} of {source.dtype} to {node.output} {'needs' if name in wanted else 'has no'} {name}"
    for name, beside in (("gains", node.offsets), ("flips", node.thresholds)):
        if getattr(node, name) is not None and beside is None:
            return f"{node.op} of {source.dtype} to {node.output} has no {name}"
    sizes = {
        "weights": (node.filters, *filter_shape(node, source)),
        "thresholds": (node.levels * node.filters,),
        "offsets": (node.filters,),
        "gains": (node.filters,),
        "flips": output_shape(node, source)[2:],
    }
    for name, shape in sizes.items():
        array = getattr(node, name)
        if array is not None and array.shape != shape:
            return f"{name} are {array.shape}, its input {source} and {node.filters} filters want {shape}"
    return None


def _check_input(network: Network) -> None:
    source, kinds = network.input, ops.INPUT_DTYPES
    if source.id != 0 or source.dtype not in kinds or value_fault(source):
        raise NetworkError(f"the input must be value 0 of dtype {', '.join(kinds[:-1])} or {kinds[-1]}, got {source}")
    if not 1 <= len(network.nodes) <= MAX_BYTE:
        raise NetworkError(f"a network has 1 to {MAX_BYTE} nodes, got {len(network.nodes)}")


def _check_labels(network: Network) -> None:
    if network.labels and len(network.labels) != network.classes:
        raise NetworkError(f"{len(network.labels)} labels for {network.classes} classes")
    for label in network.labels:
        if len(label.encode()) > MAX_BYTE:
            raise NetworkError(f"label {label[:20]!r}... is longer than {MAX_BYTE} bytes")
