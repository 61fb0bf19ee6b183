"""A trained chain as a network of integers: ``lower`` walks the chain's functions and folds each group of them.

What can be exported, in this order, any number of times, and a dense layer with Scores at the end:

    BinaryConv2D -> ... -> sign -> [max_pool ...]
    BinaryDense  -> ... -> sign
    BinaryDense -> Scores

The dots are any of BatchNorm, Shift, PReLU and RPReLU, and after a convolution one max_pool among them. Each never
falls or never rises with what it reads, channel by channel, so all together switch a bit at one threshold. It is found
by evaluating them, so it does not matter how they round.

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
from ebnn.geometry import MAX_BYTE, Geometry, Shape, Value
from ebnn.network import Network, Node
from ebnn.train import checkpoint
from ebnn.train.compat import chainer
from ebnn.train.evaluate import batches
from ebnn.train.functions import ScoresFunction
from ebnn.train.trace import Call, calls, run

ORDERS = (
    "ebnn exports BinaryConv2D or BinaryDense, then any of BatchNorm, Shift, PReLU, RPReLU and max_pool, then sign, "
    "and at the end BinaryDense - Scores"
)
SUM_STEP = 2  # neighbouring sums of -1 and +1, or of the odd numbers 2 x - 255


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
    _check_binary(found)
    groups = _groups(found)
    nodes: list[Node] = []
    for group in groups:
        nodes.append(_node(group, len(nodes), dtype if not nodes else "bits"))
    return Network(Value(0, tuple(x.shape[1:]), dtype), tuple(nodes), tuple(labels))


def _check_binary(found: Sequence[Call]) -> None:
    for call in found:
        if call.kind in ("conv", "dense") and not call.link.is_binary:
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


@dataclass(frozen=True)
class _Group:
    """Calls that become one node: a linear one with what follows up to sign or scores, or a pool alone."""

    linear: Call | None
    before: tuple[Call, ...] = ()  # monotone functions and sign before the pool
    pool: Call | None = None
    after: tuple[Call, ...] = ()  # those after it
    scores: Call | None = None

    @property
    def input_shape(self) -> Shape:
        return (self.linear or self.pool).input_shape


def _groups(found: list[Call]) -> list[_Group]:
    rest, groups = _without_reshapes(found), []
    while rest:
        first = rest.pop(0)
        if first.kind == "pool" and groups:
            groups.append(_Group(None, pool=first))
        elif first.kind in ("conv", "dense"):
            groups.append(_take_group(first, rest))
        else:
            raise _refusal(first)
    if not groups or groups[-1].scores is None:
        raise ExportError(f"{found[-1].where}: a chain must end with BinaryDense and Scores; {ORDERS}")
    return groups


def _without_reshapes(found: list[Call]) -> list[Call]:
    """Leave out reshapes before dense layers, which flatten by themselves, and before what is refused anyway."""
    kept: list[Call] = []
    for call in found:
        if kept and kept[-1].function.label == "Reshape":
            before = kept[-1].input_shape
            if not call.kind or (call.kind == "dense" and math.prod(before) == call.link.taps):
                kept.pop()
                call = replace(call, input_shape=before)
        kept.append(call)
    return kept


def _take_group(linear: Call, rest: list[Call]) -> _Group:
    steps = _take(rest, "monotone", "pool")
    last = steps[-1] if steps else linear
    if not rest:
        raise ExportError(f"{last.where}: {'sign must follow it' if steps else 'nothing follows it'}; {ORDERS}")
    if rest[0].kind == "scores" and linear.kind == "dense" and not steps:
        scores = rest.pop(0)
        if rest:
            raise _refusal(rest[0])
        return _Group(linear, scores=scores)
    if rest[0].kind != "sign":
        raise ExportError(f"{last.where}: sign must follow it; {ORDERS}") if steps else _refusal(rest[0])
    steps.append(rest.pop(0))
    if rest and rest[0].kind == "pool" and not _has_pool(linear, steps):
        steps.append(rest.pop(0))  # the node of the convolution does it on the way
    return _split(linear, steps)


def _take(rest: list[Call], *kinds: str) -> list[Call]:
    taken = []
    while rest and rest[0].kind in kinds:
        taken.append(rest.pop(0))
    return taken


def _has_pool(linear: Call, steps: list[Call]) -> bool:
    """Whether one more pool is not the group's own; a dense layer has none."""
    return linear.kind == "dense" or linear.function.geometry.pools or any(call.kind == "pool" for call in steps)


def _split(linear: Call, steps: list[Call]) -> _Group:
    """A group whose functions stand before or after the pool, the convolution's own or the one among ``steps``."""
    pools = [index for index, call in enumerate(steps) if call.kind == "pool"]
    if linear.kind == "conv" and linear.function.geometry.pools:
        if pools:
            raise _second_pool(steps[pools[0]])
        return _Group(linear, after=tuple(steps))
    if not pools:
        return _Group(linear, before=tuple(steps))
    if len(pools) > 1:
        raise _second_pool(steps[pools[1]])
    return _Group(linear, tuple(steps[: pools[0]]), steps[pools[0]], tuple(steps[pools[0] + 1 :]))


def _second_pool(call: Call) -> ExportError:
    return ExportError(f"{call.where}: the convolution before it has a pool already; use one of the two")


def _refusal(call: Call) -> ExportError:
    if not call.kind:
        return ExportError(f"{call.where}: ebnn has no such layer; {ORDERS}")
    return ExportError(f"{call.where}: cannot stand here; {ORDERS}")


def _node(group: _Group, source: int, dtype: str) -> Node:
    geometry = _geometry(group)
    if group.linear is None:
        return Node("pool", (source,), geometry, name=f"pool{source}")
    kind, name = group.linear.kind, group.linear.path
    if group.scores is not None:
        return Node(kind, (source,), geometry, "i32", name=name, **_score_params(group, dtype))
    return Node(kind, (source,), geometry, name=name, **_bit_params(group, geometry, dtype))


def _geometry(group: _Group) -> Geometry:
    if group.linear is not None and group.linear.kind == "dense":
        return Geometry()
    base = Geometry() if group.linear is None else group.linear.function.geometry
    if group.pool is None:
        return base
    window, stride, pad = group.pool.function.windows
    return replace(base, pool=window, pool_stride=stride, pool_pad=pad * 2)


def _weights(group: _Group) -> np.ndarray:
    """int8 (filters, kernel height, kernel width, channels)."""
    signs = group.linear.link.signs
    if group.linear.kind == "conv":
        return signs
    shape = group.input_shape if len(group.input_shape) == 3 else (1, 1, signs.shape[1])
    return signs.reshape(len(signs), *shape)


def _sums(weights: np.ndarray) -> np.ndarray:
    """int64: each filter's sum of weights."""
    return weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)


def _bit_params(group: _Group, geometry: Geometry, dtype: str) -> dict:
    """Weights, thresholds and flips of a node that outputs bits."""
    weights, largest = _weights(group), MAX_BYTE if dtype == "u8" else 1
    for call in (*group.before, *group.after):
        _check_finite(call)
    reach = largest * weights[0].size

    def bits(sums: np.ndarray) -> np.ndarray:
        spread = np.ascontiguousarray(np.broadcast_to(sums, (1, len(weights))))
        return _evaluate((*group.before, *group.after), spread) >= 0

    thresholds, rising = fold.threshold(bits, -reach, reach, SUM_STEP)
    # Without a pool a filter that falls is negated, with one that falls before it.
    negated = _falls(group.before, reach, len(weights)) if geometry.pools else ~rising
    weights = np.where(negated[:, None, None, None], -weights, weights)
    thresholds = np.where(negated, fold.negate(thresholds), thresholds)
    if dtype == "u8":
        thresholds = fold.byte_thresholds(thresholds, _sums(weights))
    return {"weights": weights, "thresholds": thresholds, "flips": rising == negated}


def _evaluate(calls_: Sequence[Call], values: np.ndarray) -> np.ndarray:
    """What the trainer's functions, one after the other, make of float32 (N, channels)."""
    for call in calls_:
        values = call.again(values)
    return values


def _falls(before: Sequence[Call], reach: int, channels: int) -> np.ndarray:
    """bool (channels,): whether the functions before a pool make less of a larger sum."""
    least, largest = (_evaluate(before, np.full((1, channels), end, np.float32))[0] for end in (-reach, reach))
    return largest < least


def _score_params(group: _Group, dtype: str) -> dict:
    """Weights and offsets of the last node."""
    weights, offsets = _weights(group), group.scores.link.offsets.astype(np.int64)
    if dtype == "u8":
        # 2 acc - 255 sum(w) + B is odd for all classes or for none: halving it keeps their order.
        offsets = (offsets - MAX_BYTE * _sums(weights)) // 2
    return {"weights": weights, "offsets": offsets}


def _check_finite(call: Call) -> None:
    for name, values in checkpoint.state_of(call.link).items() if call.link else ():
        if not np.isfinite(values).all():
            raise ExportError(f"{call.where}: its {name} is not finite, so it has no threshold")


def node_functions(chain: chainer.Chain, x: np.ndarray) -> tuple[tuple[type, ...], list[int]]:
    """Where the nodes of ``lower`` begin in a run of ``chain``.

    Returns:
        The classes of functions that a node may begin with, and of each node the number, counted from 0, of its first
        function among those of these classes.
    """
    found = calls(chain, x[:1])
    firsts = {id((group.linear or group.pool).function) for group in _groups(list(found))}
    starts = [call.function for call in found if call.kind in ("conv", "dense", "pool")]
    classes = tuple({type(function) for function in starts})
    return classes, [index for index, function in enumerate(starts) if id(function) in firsts]


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
    scores, dense = head.integers.astype(np.int32), head.inputs[0].creator_node
    reads_bytes = dense is not None and dense.inputs[0].dtype == np.uint8
    return scores // 2 if reads_bytes else scores  # as in _score_params
