"""What of a chain becomes one node: its functions in groups, each from what reads a value to what makes the next one.

A group is a linear function, or none, then functions of each number by itself, with one pool among them, and an
ending: sign, scores or a map of integers. A value may be read by several groups, what lies inside of one only once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ebnn.errors import ExportError
from ebnn.geometry import Shape
from ebnn.train.trace import IMAGES, Call

ORDERS = (
    "ebnn exports BinaryConv2D, BinaryDepthwise2D or BinaryDense, then any of BatchNorm, Shift, PReLU, RPReLU and "
    "max_pool, then sign, or MapNorm, and at the end BinaryDense - Scores"
)
LINEAR = ("conv", "depthwise", "dense")
POOLS = ("pool", "sum")
BETWEEN = ("monotone", "bend", "levels")  # functions of each number by itself
# What may begin a group, by what it reads.
STARTS = {
    "images": (*LINEAR, "encode"),
    "bits": (*LINEAR, "pool", "average"),
    "map": (*LINEAR, *BETWEEN, "sign", "average"),
}


@dataclass(frozen=True)
class Group:
    """Calls that become one node.

    Args:
        first: what reads the value.
        linear: a convolution or a dense layer, or None.
        before: functions of each number by itself, sign among them, before the pool, or all where there is none.
        pool: one that stands by itself.
        after: those behind it; where the linear function has a pool of its own, all.
        integers: what makes integers instead of bits: the head, a map or an average.
    """

    first: Call
    linear: Call | None = None
    before: tuple[Call, ...] = ()
    pool: Call | None = None
    after: tuple[Call, ...] = ()
    integers: Call | None = None

    @property
    def input_shape(self) -> Shape:
        """Shape of what it reads."""
        return self.first.input_shape

    @property
    def steps(self) -> tuple[Call, ...]:
        """All functions of each number by itself."""
        return (*self.before, *self.after)

    @property
    def last(self) -> Call:
        """What makes the value."""
        return self.integers or (self.after or (self.pool,) if self.pool else self.steps)[-1]


def groups(found: Sequence[Call]) -> list[Group]:
    """The groups of a chain's calls, each behind those whose values it reads.

    Raises:
        ExportError: naming the link or the function that cannot stand where it does.
    """
    rest, made, result = _without_reshapes(found), {IMAGES: "images"}, []
    order = {call.key: index for index, call in enumerate(rest)}
    while rest:
        if rest[0].kind not in STARTS.get(made.get(rest[0].reads[0]), ()):
            raise _refusal(rest[0])
        row = _row(rest)
        taken = list(row)
        result.append(_take_group(row))
        taken = {call.key for call in taken[: len(taken) - len(row)]}
        rest = [call for call in rest if call.key not in taken]
        made[result[-1].last.key] = "map" if result[-1].integers else "bits"
    if not result or result[-1].last.kind != "scores":
        raise ExportError(f"{found[-1].where}: a chain must end with BinaryDense and Scores; {ORDERS}")
    return sorted(result, key=lambda group: order[group.last.key])


def _row(rest: list[Call]) -> list[Call]:
    """The first call and those behind it, as far as nothing else reads what lies between."""
    readers, row = Counter(key for call in rest for key in call.reads), [rest[0]]
    behind = {call.reads[0]: call for call in rest}
    while readers[row[-1].key] == 1 and row[-1].key in behind:
        row.append(behind[row[-1].key])
    return row


def _without_reshapes(found: Sequence[Call]) -> list[Call]:
    """Leave out reshapes before dense layers, which flatten by themselves, and before what is refused anyway."""
    kept: list[Call] = []
    for call in found:
        if kept and kept[-1].function.label == "Reshape" and call.reads == (kept[-1].key,):
            before = kept[-1]
            if not call.kind or math.prod(before.input_shape) == _flat_size(call):
                kept.pop()
                call = replace(call, input_shape=before.input_shape, reads=before.reads)
        kept.append(call)
    return kept


def _flat_size(call: Call) -> int:
    """How many numbers of an image a call reads that takes them in a row; else 0."""
    if call.kind == "dense":
        return call.link.taps
    return len(call.link.bias) if call.kind == "scores" else 0


def _take_group(row: list[Call]) -> Group:
    """Take a group from the begin of a row."""
    first = row.pop(0)
    if first.kind in ("pool", "encode"):
        return Group(first, pool=first)
    if first.kind == "average":
        return Group(first, integers=first)
    if first.kind not in LINEAR:
        return _take_values(first, row)
    steps = _take(row, *BETWEEN, *POOLS)
    last = steps[-1] if steps else first
    if not row:
        raise ExportError(f"{last.where}: {'sign must follow it' if steps else 'nothing follows it'}; {ORDERS}")
    if row[0].kind == "scores" and all(call.kind == "sum" for call in steps):
        scores = row.pop(0)
        if row:
            raise _refusal(row[0])
        return replace(_split(first, steps), integers=scores)
    if row[0].kind == "map" and all(call.kind in POOLS for call in steps):
        return replace(_split(first, steps), integers=row.pop(0))
    if {"bend", "levels"}.issubset(call.kind for call in steps):
        raise ExportError(f"{last.where}: levels cannot stand behind slopes below 0; {ORDERS}")
    if row[0].kind != "sign":
        raise ExportError(f"{last.where}: sign must follow it; {ORDERS}") if steps else _refusal(row[0])
    steps.append(row.pop(0))
    if row and row[0].kind == "pool" and not _has_pool(first, steps):
        steps.append(row.pop(0))  # the node of the convolution does it on the way
    return _split(first, steps)


def _take_values(first: Call, row: list[Call]) -> Group:
    """Take a group that makes bits of a map of integers."""
    row.insert(0, first)
    steps = _take(row, *BETWEEN)
    if not row or row[0].kind != "sign":
        raise ExportError(f"{steps[-1].where}: sign must follow it; {ORDERS}")
    return Group(first, before=(*steps, row.pop(0)))


def _take(row: list[Call], *kinds: str) -> list[Call]:
    taken = []
    while row and row[0].kind in kinds:
        taken.append(row.pop(0))
    return taken


def _own_pool(linear: Call) -> bool:
    return linear.kind == "conv" and linear.function.geometry.pools


def _has_pool(linear: Call, steps: list[Call]) -> bool:
    """Whether one more pool is not the group's own: a dense layer has none, and bits that switch twice no maximum."""
    return linear.kind == "dense" or _own_pool(linear) or any(call.kind in (*POOLS, "bend") for call in steps)


def _split(linear: Call, steps: list[Call]) -> Group:
    """A group whose functions stand before or after the pool, the convolution's own or the one among ``steps``."""
    pools = [index for index, call in enumerate(steps) if call.kind in POOLS]
    if _own_pool(linear):
        if pools:
            raise _second_pool(steps[pools[0]])
        return Group(linear, linear, after=tuple(steps))
    if not pools:
        return Group(linear, linear, tuple(steps))
    if len(pools) > 1:
        raise _second_pool(steps[pools[1]])
    if pools[0] and (steps[pools[0]].kind == "sum" or any(call.kind == "bend" for call in steps[: pools[0]])):
        raise ExportError(f"{steps[pools[0]].where}: must stand right after the convolution; {ORDERS}")
    return Group(linear, linear, tuple(steps[: pools[0]]), steps[pools[0]], tuple(steps[pools[0] + 1 :]))


def _second_pool(call: Call) -> ExportError:
    return ExportError(f"{call.where}: the convolution before it has a pool already; use one of the two")


def _refusal(call: Call) -> ExportError:
    if not call.kind:
        return ExportError(f"{call.where}: ebnn has no such layer; {ORDERS}")
    return ExportError(f"{call.where}: cannot stand here; {ORDERS}")
