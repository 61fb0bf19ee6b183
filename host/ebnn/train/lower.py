"""A trained chain as a network of integers: ``lower`` walks the chain's functions and folds each group of them.

What can be exported, in this order, any number of times, and a dense layer with Scores at the end:

    BinaryConv2D -> [max_pool] -> BatchNorm -> sign -> [max_pool ...]
    BinaryDense                -> BatchNorm -> sign
    BinaryDense -> Scores
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
from ebnn.train.compat import chainer
from ebnn.train.evaluate import batches
from ebnn.train.functions import ScoresFunction
from ebnn.train.trace import Call, calls, run

ORDERS = (
    "ebnn exports BinaryConv2D - [max_pool] - BatchNorm - sign - [max_pool], BinaryDense - BatchNorm - sign, "
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
    groups = _groups(calls(chain, x[:1]))
    nodes: list[Node] = []
    for group in groups:
        nodes.append(_node(group, len(nodes), dtype if not nodes else "bits"))
    return Network(Value(0, tuple(x.shape[1:]), dtype), tuple(nodes), tuple(labels))


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
    pool: Call | None
    end: Call | None  # BatchNorm or Scores

    @property
    def input_shape(self) -> Shape:
        return (self.linear or self.pool).input_shape


def _groups(found: list[Call]) -> list[_Group]:
    rest, groups = _without_reshapes(found), []
    while rest:
        first = rest.pop(0)
        if first.kind == "pool" and groups:
            groups.append(_Group(None, first, None))
        elif first.kind in ("conv", "dense"):
            groups.append(_take_group(first, rest))
        else:
            raise _refusal(first)
    if not groups or groups[-1].end is None or groups[-1].end.kind != "scores":
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
    pool = rest.pop(0) if rest and rest[0].kind == "pool" and linear.kind == "conv" else None
    if not rest:
        raise ExportError(f"{linear.where}: nothing follows it; {ORDERS}")
    end = rest.pop(0)
    if end.kind == "scores" and linear.kind == "dense":
        if rest:
            raise _refusal(rest[0])
        return _Group(linear, None, end)
    if end.kind != "normalize":
        raise _refusal(end)
    if not rest or rest.pop(0).kind != "sign":
        raise ExportError(f"{end.where}: sign must follow it; {ORDERS}")
    return _Group(linear, pool, end)


def _refusal(call: Call) -> ExportError:
    if not call.kind:
        return ExportError(f"{call.where}: ebnn has no such layer; {ORDERS}")
    return ExportError(f"{call.where}: cannot stand here; {ORDERS}")


def _node(group: _Group, source: int, dtype: str) -> Node:
    geometry = _geometry(group)
    if group.linear is None:
        return Node("pool_or", (source,), geometry, name=f"pool{source}")
    kind = group.linear.kind + ("_u8" if dtype == "u8" else "")
    if group.end.kind == "scores":
        return Node(f"{kind}_scores", (source,), geometry, name=group.linear.path, **_score_params(group, dtype))
    params = _bit_params(group, geometry, dtype)
    return Node(f"{kind}_bits", (source,), geometry, name=group.linear.path, **params)


def _geometry(group: _Group) -> Geometry:
    if group.linear is not None and group.linear.kind == "dense":
        return Geometry()
    base = Geometry() if group.linear is None else group.linear.function.geometry
    if group.pool is None:
        return base
    if base.pools:
        raise ExportError(f"{group.pool.where}: the convolution before it has a pool already; use one of the two")
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
    weights, norm, largest = _weights(group), group.end.link, MAX_BYTE if dtype == "u8" else 1
    _check_finite(group.end)
    reach = largest * weights[0].size
    thresholds, rising = fold.threshold(norm.bits, -reach, reach, SUM_STEP)
    flips = None
    if geometry.pools:
        # The maximum of the pool does not commute with a negated weight row, so the bit is inverted after it.
        flips = ~rising
    else:
        weights = np.where(rising[:, None, None, None], weights, -weights)
        thresholds = np.where(rising, thresholds, fold.negate(thresholds))
    if dtype == "u8":
        thresholds = fold.byte_thresholds(thresholds, _sums(weights))
    return {"weights": weights, "thresholds": thresholds, "flips": flips}


def _score_params(group: _Group, dtype: str) -> dict:
    """Weights and offsets of the last node."""
    weights, offsets = _weights(group), group.end.link.offsets.astype(np.int64)
    if dtype == "u8":
        # 2 acc - 255 sum(w) + B is odd for all classes or for none: halving it keeps their order.
        offsets = (offsets - MAX_BYTE * _sums(weights)) // 2
    return {"weights": weights, "offsets": offsets}


def _check_finite(call: Call) -> None:
    link = call.link
    for name in ("gamma", "beta", "mean", "variance"):
        values = getattr(link, name)
        if not np.isfinite(getattr(values, "array", values)).all():
            raise ExportError(f"{call.where}: its {name} is not finite, so it has no threshold")


def predict_scores(chain: chainer.Chain, x: np.ndarray) -> np.ndarray:
    """The trainer's own integer scores, int32 (N, classes): what simulator and device must compute.

    Raises:
        ExportError: when the chain does not end with Scores.
    """
    return np.concatenate([_integers(run(chain, part)) for part in batches(x)])


def _integers(y: chainer.Variable) -> np.ndarray:
    head = y.creator_node
    if not isinstance(head, ScoresFunction):
        raise ExportError(f"function {head.label}: a chain must end with Scores; {ORDERS}")
    scores, dense = head.integers.astype(np.int32), head.inputs[0].creator_node
    reads_bytes = dense is not None and dense.inputs[0].dtype == np.uint8
    return scores // 2 if reads_bytes else scores  # as in _score_params
