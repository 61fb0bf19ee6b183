"""What the builder knows of a tensor before it is a node: sums of integers, their meaning, and functions of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ebnn.build.functions import Compare, Function, Sign
from ebnn.geometry import NO_PAD, Geometry, Pair, Shape, Sides, map_size
from ebnn.ops import DTYPE

FLOAT_BITS = (
    24  # of a float32's significand: whole numbers below 2^24, and their multiples of a power of two, are exact
)
ROUNDING = 2.0**-FLOAT_BITS


@dataclass(frozen=True, eq=False)
class Stored:
    """A value of the network, and what its integers mean to the framework: scale * x + offset of the channel.

    ``least`` and ``most`` are those integers that occur, ``error`` is how far the framework's float32 may be from that.
    """

    id: int
    shape: Shape
    dtype: str
    scale: float
    offset: np.ndarray
    least: int
    most: int
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of a node, before its pool.

    Args:
        op: the source, a name of ``ops.OPS``; ``pool`` is the value itself.
        source: what it reads.
        scale, constant: float64 (filters,): a sum means scale * acc + constant.
        least, most: int64 (filters,): the sums lie between.
        step: distance of neighbouring sums.
        weights: int8 as a node has them, or None.
        geometry: kernel, stride, pad, border.
        error: float64 (filters,): how far the framework's own sum, which it rounds in an order of its own, may be from
            the exact one; 0 where no rounding can occur.
    """

    op: str
    source: Stored
    scale: np.ndarray
    constant: np.ndarray
    least: np.ndarray
    most: np.ndarray
    step: int
    weights: np.ndarray | None = None
    geometry: Geometry = field(default_factory=Geometry)
    error: np.ndarray | float = 0.0

    @property
    def filters(self) -> int:
        """Number of sums of a position."""
        return len(self.scale)

    @property
    def can_negate(self) -> bool:
        """Whether the weights of a filter can have the other sign."""
        return self.weights is not None and int(self.weights.min()) > DTYPE["i8"].least

    @property
    def size(self) -> Pair:
        """(height, width) of their map."""
        if self.op == "dense":
            return (1, 1)
        if self.op == "pool":
            return self.source.shape[:2]
        geometry = self.geometry
        return map_size(self.source.shape[:2], geometry.kernel, geometry.stride, geometry.pad)


@dataclass(frozen=True)
class Pool:
    """Windows over a map: the largest, or with ``adds`` the sum."""

    window: Pair
    stride: Pair
    pad: Sides = NO_PAD
    adds: bool = False

    @property
    def count(self) -> int:
        """Values that are added up."""
        return math.prod(self.window) if self.adds else 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """Sums, functions of them, a pool and functions after it: what becomes one node where something reads it.

    ``flat`` says in which order its elements were flattened: "HWC", "CHW", or "" where they were not.
    """

    sums: Sums
    before: tuple[Function, ...] = ()
    pool: Pool | None = None
    after: tuple[Function, ...] = ()
    flat: str = ""
    name: str = ""

    @property
    def shape(self) -> Shape:
        """(height, width, channels)."""
        size = self.sums.size
        if self.pool:
            size = map_size(size, self.pool.window, self.pool.stride, self.pool.pad)
        return (*size, self.sums.filters)

    @property
    def key(self) -> tuple:
        """What tells it from others, however it is flattened."""
        return (self.sums, self.before, self.pool, self.after)

    @property
    def functions(self) -> tuple[Function, ...]:
        """All of them."""
        return self.before + self.after

    @property
    def is_plain(self) -> bool:
        """Whether it is a stored value as it is, with its meaning."""
        return self.sums.op == "pool" and not self.functions and not self.pool

    def then(self, function: Function) -> Tensor:
        """With one function more."""
        if self.pool:
            return replace(self, after=(*self.after, function))
        return replace(self, before=(*self.before, function))


def is_binary(function: Function) -> bool:
    """Whether a function makes two values only."""
    return isinstance(function, (Sign, Compare))


def last_binary(functions: Iterable[Function]) -> int:
    """Index of the last function that makes two values; -1: there is none."""
    return max((index for index, function in enumerate(functions) if is_binary(function)), default=-1)


def identity(stored: Stored, flat: str = "", name: str = "") -> Tensor:
    """The tensor that is a stored value."""
    channels = stored.shape[2]
    ends = (np.full(channels, end, np.int64) for end in (stored.least, stored.most))
    scale, step = np.full(channels, stored.scale), 2 if stored.dtype == "bits" else 1
    error = np.full(channels, stored.error)
    return Tensor(Sums("pool", stored, scale, stored.offset, *ends, step, error=error), flat=flat, name=name)


def weighted(op: str, source: Stored, weights: np.ndarray, gains: np.ndarray, geometry: Geometry) -> Sums:
    """The sums of weights.

    Args:
        op: conv, depthwise or dense.
        source: what is read.
        weights: int8 (filters, kernel_h, kernel_w, channels, of depthwise 1).
        gains: float64 (filters,): what the framework's weights are of these.
        geometry: kernel, stride, pad and border.
    """
    taps = weights.reshape(len(weights), -1).astype(np.int64)
    ends = np.stack([taps * source.least, taps * source.most, 0 * taps])
    if not _skips(source, geometry):
        ends = ends[:2]
    steps = 2 if source.dtype == "bits" and not _skips(source, geometry) and (taps % 2 == 1).all() else 1
    offsets = source.offset.reshape(1, 1, 1, -1) if op != "depthwise" else source.offset[:, None, None, None]
    constant = gains * (weights * offsets).reshape(len(weights), -1).sum(axis=1)
    return Sums(
        op, source, gains * source.scale, constant, ends.min(axis=0).sum(axis=1), ends.max(axis=0).sum(axis=1),
        steps, weights, geometry, _sum_error(source, taps, gains),
    )  # fmt: skip


def _skips(source: Stored, geometry: Geometry) -> bool:
    """Whether there are taps that may not count."""
    return geometry.pad != NO_PAD and (source.dtype in ("i8", "i16") or geometry.border == 0)


def _sum_error(source: Stored, taps: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """float64 (filters,): how far a float32 sum in any order may be from the exact one."""
    sizes = np.abs(taps).sum(axis=1)
    largest = max(abs(source.scale * end) for end in (source.least, source.most)) + np.abs(source.offset).max()
    if source.error == 0:
        unit = _power([source.scale, *source.offset])
        exact = np.array([size * largest * abs(gain) < float(unit * _power([gain])) * 2**FLOAT_BITS
                          for size, gain in zip(sizes, gains, strict=True)])  # fmt: skip
    else:
        exact = np.zeros(len(taps), bool)
    count = taps.shape[1]
    return np.where(exact, 0.0, np.abs(gains) * sizes * (source.error + (count + 1) * ROUNDING * largest))


def _power(numbers: Iterable[float]) -> Fraction:
    """The largest power of two of which all of these are whole multiples."""
    unit = common_unit(numbers)
    return Fraction(unit.numerator & -unit.numerator, unit.denominator)


def common_unit(numbers: Iterable[float]) -> Fraction:
    """The largest number of which all of these are whole multiples; 1 where all are 0."""
    fractions = [Fraction(float(number)) for number in set(map(float, numbers)) if number]
    if not fractions:
        return Fraction(1)
    below = max(fraction.denominator for fraction in fractions)  # powers of two
    return Fraction(math.gcd(*(int(fraction * below) for fraction in fractions)), below)
