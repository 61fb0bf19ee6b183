"""What frameworks do between sums and sign, in their own float32: functions of each channel on its own.

A function maps arrays (N, channels) to such arrays in the dtype that it is given: in float32 as the framework does it,
rounding by rounding, and in float64 where an export wants to know gains and offsets. Its parameters are scalars or
(channels,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebnn.errors import ExportError

RISES, FALLS, CONSTANT, TURNS = 1, -1, 0, 2  # what a function does, or functions one after the other

FORMULAS = ("affine", "centered", "divided")


def parameter(values: object, name: str) -> np.ndarray:
    """A parameter as float32 (channels,) or scalar.

    Raises:
        ExportError: NaN or infinite.
    """
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all():
        raise ExportError(f"{name} must be finite numbers, got some like {array[~np.isfinite(array)].flat[0]}")
    return array


@dataclass(frozen=True, eq=False)
class Function:
    """A function of each channel: monotone, or with one turn at 0."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values (N, channels) in the dtype of ``x``."""
        raise NotImplementedError

    @property
    def directions(self) -> np.ndarray:
        """int (channels,) or scalar: ``RISES``, ``FALLS``, ``CONSTANT`` or ``TURNS``."""
        return np.array(RISES)

    @property
    def is_affine(self) -> bool:
        """Whether it is a product and a sum."""
        return False

    def check(self, channels: int) -> None:
        """Raise ExportError where its parameters are not for so many channels."""
        for values in vars(self).values():
            if isinstance(values, np.ndarray) and values.shape not in ((), (channels,)):
                raise ExportError(f"parameters are {values.shape}, there are {channels} channels")


@dataclass(frozen=True, eq=False)
class Add(Function):
    """A bias."""

    term: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x + self.term.astype(x.dtype)

    is_affine = True


@dataclass(frozen=True, eq=False)
class Multiply(Function):
    """A gain."""

    factor: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x * self.factor.astype(x.dtype)

    @property
    def directions(self) -> np.ndarray:
        return np.sign(self.factor).astype(int)

    is_affine = True


@dataclass(frozen=True, eq=False)
class Divide(Function):
    """A division, which rounds other than the product with the reciprocal."""

    divisor: np.ndarray

    def __post_init__(self) -> None:
        if (self.divisor == 0).any():
            raise ExportError("divides by 0")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x / self.divisor.astype(x.dtype)

    @property
    def directions(self) -> np.ndarray:
        return np.sign(self.divisor).astype(int)

    is_affine = True


@dataclass(frozen=True, eq=False)
class Normalize(Function):
    """Batch norm with its running statistics.

    ``formula`` says in which order the framework computes it: ``affine`` x * a + (beta - mean * a) with
    a = gamma / sqrt(variance + epsilon); ``centered`` (x - mean) * a + beta; ``divided``
    gamma * (x - mean) / sqrt(variance + epsilon) + beta.
    """

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float = 1e-3
    formula: str = "affine"

    def __post_init__(self) -> None:
        if self.formula not in FORMULAS:
            raise ExportError(f"no formula {self.formula}; there are {', '.join(FORMULAS)}")
        if not np.isfinite(self.epsilon) or (self._deviation(np.float32, squared=True) <= 0).any():
            raise ExportError(f"variance plus epsilon {self.epsilon:g} must be above 0, least variance is "
                              f"{self.variance.min():g}")  # fmt: skip

    def _deviation(self, dtype: type, squared: bool = False) -> np.ndarray:
        found = self.variance.astype(dtype) + np.asarray(self.epsilon, np.float32).astype(dtype)
        return found if squared else np.sqrt(found)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        gamma, beta, mean = (values.astype(x.dtype) for values in (self.gamma, self.beta, self.mean))
        deviation = self._deviation(x.dtype)
        if self.formula == "divided":
            return gamma * (x - mean) / deviation + beta
        a = gamma / deviation
        return (x - mean) * a + beta if self.formula == "centered" else x * a + (beta - mean * a)

    @property
    def directions(self) -> np.ndarray:
        return np.sign(self.gamma).astype(int)

    is_affine = True


@dataclass(frozen=True, eq=False)
class Slope(Function):
    """PReLU, LeakyReLU and ReLU: x where x >= 0, else x times its slope."""

    slope: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, x, x * self.slope.astype(x.dtype))

    @property
    def directions(self) -> np.ndarray:
        return np.where(self.slope < 0, TURNS, RISES)


@dataclass(frozen=True, eq=False)
class Clip(Function):
    """Values limited to a range: ReLU6, hard tanh."""

    least: np.ndarray
    most: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(x, self.least.astype(x.dtype)), self.most.astype(x.dtype))


@dataclass(frozen=True, eq=False)
class Compare(Function):
    """A constant where x is at least a limit (or above it), another one elsewhere."""

    limit: np.ndarray
    above: np.ndarray
    below: np.ndarray
    strict: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        limit = self.limit.astype(x.dtype)
        hits = x > limit if self.strict else x >= limit
        return np.where(hits, self.above.astype(x.dtype), self.below.astype(x.dtype))

    @property
    def directions(self) -> np.ndarray:
        return np.sign(self.above - self.below).astype(int)


@dataclass(frozen=True, eq=False)
class Sign(Function):
    """-1, +1, and of 0 what ``zero`` says: +1, -1 or 0."""

    zero: int = 1

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.where(x == 0, self.zero, np.sign(x)).astype(x.dtype)


def apply(functions: Sequence[Function], x: np.ndarray) -> np.ndarray:
    """What functions, one after the other, make of values (N, channels).

    Raises:
        ExportError: they overflow, so that nothing can be said of them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for function in functions:
            x = function(x)
    if np.isnan(x).any():
        raise ExportError("its parameters are so large that float32 gives NaN")
    return x


def direction(functions: Sequence[Function], channels: int) -> np.ndarray:
    """int (channels,): what functions, one after the other, do as their input grows."""
    found = np.full(channels, RISES)
    for function in functions:
        turns = (found == TURNS) | (function.directions == TURNS)
        product = found * function.directions
        found = np.where(turns & (product != CONSTANT), TURNS, product)
    return found
