"""A trained chain as a network of integers: ``lower`` walks the chain's functions and folds each group of them.

What can be exported, in this order, any number of times, and Scores at the end:

    [thermometer]
    BinaryConv2D or BinaryDepthwise2D -> ... -> sign -> [max_pool ...]
    BinaryDense -> ... -> sign
    BinaryConv2D or BinaryDepthwise2D -> MapNorm, of whose map: ... -> sign, average, or the next MapNorm on top
    BinaryDense -> Scores, or BinaryConv2D with the sums over its whole map

The dots are any of BatchNorm, Shift, Levels, PReLU and RPReLU, and after a convolution one max_pool among them. Each
never falls or never rises with what it reads, channel by channel, so all together switch a bit at one threshold, of
each level. It is found by evaluating them, so it does not matter how they round. A slope below 0 turns round once:
then every sum is evaluated, and two thresholds are found.

A pool takes the largest value. With f before the pool and sign's g after it, bit = g(max f(s)): where f rises that is
g(f(max s)), where it falls g(f(min s)) = g(f(-max(-s))), and then the weights are negated. Where the whole falls with
the sum that is left, the bit is inverted after the pool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ebnn import fold
from ebnn.errors import ExportError
from ebnn.geometry import MAX_BYTE, Geometry, Value
from ebnn.network import Network, Node
from ebnn.ops import DTYPE
from ebnn.train import checkpoint
from ebnn.train.compat import chainer
from ebnn.train.convolve import EXACT_LIMIT
from ebnn.train.evaluate import batches
from ebnn.train.functions import ScoresFunction
from ebnn.train.groups import LINEAR, ORDERS, Group, groups
from ebnn.train.trace import IMAGES, KINDS, Call, calls, run

LINEAR_FUNCTIONS = tuple(kind for kind, name in KINDS.items() if name in LINEAR)
SUM_STEP = 2  # neighbouring sums of -1 and +1, or of the odd numbers 2 x - 255


@dataclass(frozen=True)
class _Known:
    """A value of the network that groups read: its numbers are the trainer's times 2^fraction."""

    id: int
    dtype: str
    fraction: int = 0

    @property
    def unit(self) -> np.float32:
        """What 1 is in the trainer."""
        return np.float32(2.0**-self.fraction)


def lower(chain: chainer.Chain, x: np.ndarray, labels: Sequence[str] = ()) -> Network:
    """The network that computes exactly what ``chain`` computes outside of training.

    Args:
        chain: maps images to the logits of ``Scores``.
        x: one image or more, (N, H, W, C): uint8, or float32 of -1 and +1 for an input of bits.
        labels: names of the classes, or none.

    Raises:
        ExportError: naming the link or the function that has no integer form.
    """
    dtype = _input_dtype(x)
    found = calls(chain, x[:1])
    _check_integers(found)
    known, nodes = {IMAGES: _Known(0, dtype)}, []
    for group in groups(found):
        nodes.append(_node(group, [known[key] for key in _read(group)]))
        known[group.last.key] = _Known(len(nodes), nodes[-1].output, fraction_of(group))
    return Network(Value(0, tuple(x.shape[1:]), dtype), tuple(nodes), tuple(labels))


def _check_integers(found: Sequence[Call]) -> None:
    for call in found:
        if call.kind in LINEAR and not call.link.is_integer:
            raise ExportError(f"{call.where}: its weights are floats: a float network cannot be exported")


def _input_dtype(x: np.ndarray) -> str:
    if not isinstance(x, np.ndarray):
        raise ExportError(f"sample images must be a NumPy array (N, H, W, C) of uint8, got {type(x).__name__}")
    if x.ndim != 4 or 0 in x.shape:
        raise ExportError(f"sample images must be (N, H, W, C), one or more, got {x.shape}")
    if x.dtype == np.uint8:
        return "u8"
    if x.dtype == np.float32 and (np.abs(x) == 1).all():
        return "bits"
    raise ExportError(f"sample images must be uint8, or float32 of -1 and +1, got {x.dtype}")


def _read(group: Group) -> tuple[int, ...]:
    """Keys of the values that a group reads: the map that it adds is the second."""
    return (group.first.reads[0], *(group.integers.reads[1:] if group.integers else ()))


def fraction_of(group: Group) -> int:
    """By how many bits a group's integers are larger than the trainer's numbers."""
    grid = getattr(group.last.function, "grid", None)
    return grid.fraction if grid else 0


def _node(group: Group, sources: Sequence[_Known]) -> Node:
    linear, source = group.linear, sources[0]
    op, name = (linear.kind, linear.path) if linear else ("pool", f"pool{source.id}")
    kind = group.integers.kind if group.integers else group.pool.kind if linear is None and group.pool else "bits"
    params = {"bits": _bit_params, "pool": _no_params, "encode": _code_params, "scores": _score_params,
              "map": _map_params, "average": _average_params}[kind](group, source)  # fmt: skip
    return Node(op, [value.id for value in sources], _geometry(group), name=name, **params)


def _geometry(group: Group) -> Geometry:
    linear, pool = group.linear, group.pool
    base = linear.function.geometry if linear and linear.kind != "dense" else Geometry()
    if group.integers and group.integers.kind == "average":
        pool = group.integers
    if pool is None or pool.kind == "encode":
        return base
    window, stride, pad = pool.function.windows
    sides = pad * 2 if pool.kind == "pool" else pad
    return replace(base, pool=window, pool_stride=stride, pool_pad=sides, pool_sum=pool.kind != "pool")


def _no_params(group: Group, source: _Known) -> dict:
    """A pool of bits has none."""
    return {}


def _code_params(group: Group, source: _Known) -> dict:
    """Thresholds of a thermometer."""
    levels, channels = group.pool.function.thresholds, group.input_shape[-1]
    if source.dtype != "u8":
        raise ExportError(f"{group.pool.where}: takes bytes, not {source.dtype}")
    return {"thresholds": np.repeat(levels, channels), "levels": len(levels)}


def _weights(group: Group) -> np.ndarray:
    """int8 (filters, kernel height, kernel width, channels)."""
    signs = group.linear.link.signs
    if group.linear.kind != "dense":
        return signs
    shape = group.input_shape if len(group.input_shape) == 3 else (1, 1, signs.shape[1])
    return signs.reshape(len(signs), *shape)


def _bit_params(group: Group, source: _Known) -> dict:
    """Weights, thresholds, levels and flips of a node that outputs bits."""
    for call in group.steps:
        _check_finite(call)
    weights = _weights(group) if group.linear else None
    sums = _Sums.of(group, source, weights)
    fold_ = _fold_bends if any(call.kind == "bend" for call in group.steps) else _fold
    weights, thresholds, params = fold_(group, sums, weights)
    if source.dtype == "u8":
        thresholds = fold.byte_thresholds(thresholds, _bytes_at_zero(group, weights))
    return {"thresholds": thresholds.reshape(-1), **params} | ({} if weights is None else {"weights": weights})


@dataclass(frozen=True)
class _Sums:
    """The sums a group can have: ``filters`` of them, ``low`` to ``high`` in steps; ``unit`` is 1 in the trainer."""

    low: int
    high: int
    step: int
    filters: int
    unit: np.float32

    @classmethod
    def of(cls, group: Group, source: _Known, weights: np.ndarray | None) -> _Sums:
        limits = DTYPE[source.dtype]
        if weights is None:
            return cls(limits.least, limits.most, 1, group.input_shape[-1], source.unit)
        geometry = _geometry(group)
        magnitudes = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1)
        reach = int(magnitudes.max()) * limits.largest * _added(group)
        if reach >= EXACT_LIMIT:
            raise ExportError(f"{group.linear.where}: sums up to {reach} are not exact in the trainer")
        # Every tap of one bit is odd, where all of them count.
        is_odd = (
            source.dtype in ("bits", "u8")
            and group.linear.link.is_binary
            and (geometry.border or not any(geometry.pad))
        )
        return cls(-reach, reach, SUM_STEP if is_odd else 1, len(weights), source.unit)

    def values(self, sums: np.ndarray) -> np.ndarray:
        """The trainer's float32 (N, filters) of integers (N, 1 or filters)."""
        return np.ascontiguousarray(np.broadcast_to(sums * self.unit, (len(sums), self.filters)))


def _added(group: Group) -> int:
    """How many sums a pool adds up."""
    return math.prod(group.pool.function.windows[0]) if group.pool and group.pool.kind == "sum" else 1


def _bytes_at_zero(group: Group, weights: np.ndarray) -> np.ndarray:
    """The sums of weights that count 255 each where a byte x is trained as 2 x - 255, int64 (filters,)."""
    return weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64) * _added(group)


Folded = tuple[np.ndarray | None, np.ndarray, dict]  # weights, thresholds (levels, filters), levels and flips


def _fold(group: Group, sums: _Sums, weights: np.ndarray | None) -> Folded:
    """Of functions that never turn round: a threshold a level."""
    levels = next((call.function.levels for call in group.steps if call.kind == "levels"), 1)
    own = np.arange(levels)

    def bits(values: np.ndarray) -> np.ndarray:
        """(1, levels * filters), of sums of each level's own channels."""
        spread = np.broadcast_to(values, (1, levels * sums.filters)).reshape(levels, sums.filters)
        made = _evaluate(group.steps, sums.values(spread)).reshape(levels, levels, sums.filters)
        return made[own, own].reshape(1, -1) >= 0

    thresholds, rising = (part.reshape(levels, -1) for part in fold.threshold(bits, sums.low, sums.high, sums.step))
    if weights is None:
        return None, thresholds, {"levels": levels, "flips": ~rising.reshape(-1)}
    # Without a pool that takes the largest a filter that falls is negated, with one that falls before it.
    has_maximum = _geometry(group).pools and not _geometry(group).pool_sum
    negated = _falls(group.before, sums) if has_maximum else ~rising.all(axis=0)
    weights = np.where(negated[:, None, None, None], -weights, weights)
    thresholds = np.where(negated, fold.negate(thresholds), thresholds)
    return weights, thresholds, {"levels": levels, "flips": (rising == negated).reshape(-1)}


def _fold_bends(group: Group, sums: _Sums, weights: np.ndarray | None) -> Folded:
    """Of functions that turn round once: two thresholds, and the bit is whether the sum lies between them."""
    try:
        first, second, begins = fold.interval(
            lambda values: _evaluate(group.steps, sums.values(values)) >= 0, sums.low, sums.high, sums.step
        )
    except ValueError as error:
        raise ExportError(f"{group.steps[0].where}: {error}") from None
    return weights, np.stack([first, second]), {"levels": 2, "exclusive": True, "flips": begins}


def _evaluate(calls_: Sequence[Call], values: np.ndarray) -> np.ndarray:
    """What the trainer's functions, one after the other, make of float32 (N, channels)."""
    for call in calls_:
        values = call.again(values)
    return values


def _falls(before: Sequence[Call], sums: _Sums) -> np.ndarray:
    """bool (filters,): whether the functions before a pool make less of a larger sum, in any of its levels."""
    least, largest = (_evaluate(before, sums.values(np.float32([[end]])))[0] for end in (sums.low, sums.high))
    return (largest < least).reshape(-1, sums.filters).any(axis=0)


def _score_params(group: Group, source: _Known) -> dict:
    """Weights and offsets of the last node."""
    weights, offsets = _weights(group), group.integers.link.offsets * 2.0**source.fraction
    if (offsets != np.rint(offsets)).any():
        raise ExportError(f"{group.integers.where}: its step {group.integers.link.step} is finer than its sums")
    offsets = offsets.astype(np.int64)
    _Sums.of(group, source, weights)
    if source.dtype == "u8":
        # 2 acc - 255 sum(w) + B is odd for all classes or for none: halving it keeps their order.
        offsets = (offsets - MAX_BYTE * _bytes_at_zero(group, weights)) // 2
    return {"output": "i32", "weights": weights, "offsets": offsets}


def _map_params(group: Group, source: _Known) -> dict:
    """Weights, gains, offsets and shift of a node that makes a map, of its own or added to the second input."""
    _check_finite(group.integers)
    weights, fixed = _weights(group), group.integers.function.fixed
    if source.fraction or source.dtype not in ("bits", "u8"):
        raise ExportError(f"{group.integers.where}: sums of integers cannot be added to a map")
    gains, offsets = fixed.gains.astype(np.int64), fixed.offsets.astype(np.int64)
    if source.dtype == "u8":  # (2 acc - 255 sum(w)) gain + offset
        gains, offsets = 2 * gains, offsets - MAX_BYTE * _bytes_at_zero(group, weights) * gains
    ending = {"output": group.integers.function.grid.dtype, "shift": fixed.shift}
    return {"weights": weights, "gains": gains, "offsets": offsets, **ending}


def _average_params(group: Group, source: _Known) -> dict:
    """Filters, offsets and shift of a pool that adds up."""
    function = group.integers.function
    if function.grid.fraction - source.fraction + function.shift < 0 or source.dtype == "u8":
        raise ExportError(f"{group.integers.where}: cannot stand here; {ORDERS}")
    offsets = np.full(function.times * group.input_shape[-1], 1 << function.shift >> 1)
    return {"output": function.grid.dtype, "offsets": offsets, "shift": function.shift}


def _check_finite(call: Call) -> None:
    for name, values in checkpoint.state_of(call.link).items() if call.link else ():
        if not np.isfinite(values).all():
            raise ExportError(f"{call.where}: its {name} is not finite, so it has no threshold")


def node_readers(chain: chainer.Chain, x: np.ndarray) -> list[tuple[Call, int, int]]:
    """Of each node of ``lower`` but the last a call that reads its value in a run of ``chain``.

    Returns:
        For each the call, which of its inputs the value is, and ``fraction_of`` it.
    """
    found = calls(chain, x[:1])
    readers = {key: (call, call.places[index]) for call in found[::-1] for index, key in enumerate(call.reads)}
    return [(*readers[group.last.key], fraction_of(group)) for group in groups(found)[:-1]]


def predict_scores(chain: chainer.Chain, x: np.ndarray) -> np.ndarray:
    """The trainer's own integer scores, int32 (N, classes): what simulator and device must compute.

    Raises:
        ExportError: when the chain does not end with Scores.
    """
    return np.concatenate([head_integers(run(chain, part)) for part in batches(x)])


def head_integers(y: chainer.Variable) -> np.ndarray:
    """The integer scores, int32 (N, classes), behind logits that ``trace.run`` returned."""
    head = y.creator_node
    if not isinstance(head, ScoresFunction):
        raise ExportError(f"function {head.label}: a chain must end with Scores; {ORDERS}")
    # As in _score_params.
    linear = head.inputs[0].creator_node
    while linear is not None and not isinstance(linear, LINEAR_FUNCTIONS):
        linear = linear.inputs[0].creator_node
    if linear is None:
        return head.integers.astype(np.int32)
    if linear.inputs[0].dtype == np.uint8:
        return head.integers.astype(np.int32) // 2
    grid = getattr(linear.inputs[0].creator_node, "grid", None)
    return (grid.integers(head.integers) if grid else head.integers).astype(np.int32)
