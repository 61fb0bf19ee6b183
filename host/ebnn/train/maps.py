"""Maps of integers beside the bits: what a block adds to, in the device's own fixed point (docs/SPEC.md, section 2.3).

A map is float32 in steps of 2^-fraction, so its numbers are the device's integers times that, and exact. Outside of
training a block computes the very integers of the device, on the way there the same grid with a gradient that passes
through rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import NetworkError
from ebnn.geometry import Pair, Shape, Sides
from ebnn.ops import DTYPE
from ebnn.train import arrays, pooling
from ebnn.train.arrays import Array
from ebnn.train.compat import chainer
from ebnn.train.functions import Arrays, Variable
from ebnn.train.links import BatchNorm

MOST_GAIN = (1 << 14) - 1  # half of what a gain can be: for bytes it is doubled
MOST_PRODUCT = (1 << 30) // 3  # of a gain and a sum: bytes take three times as much, and 32 bits hold it
MOST_OFFSET = 1 << 29
MOST_SHIFT = 16
FRACTIONS = {"i16": 8, "i8": 4}  # bits behind the point: from -128 to 128, or from -8 to 8


@dataclass(frozen=True)
class Grid:
    """The numbers that a map can hold: integers of ``dtype`` times 2^-fraction."""

    dtype: str
    fraction: int

    @classmethod
    def of(cls, dtype: str) -> Grid:
        """The grid of a block's map, ``i16`` or ``i8``."""
        return cls(dtype, FRACTIONS[dtype])

    def clamp(self, integers: Array) -> Array:
        """float32 numbers of the grid, of integers that may lie outside."""
        limits = DTYPE[self.dtype]
        return (integers.clip(limits.least, limits.most) * 2.0**-self.fraction).astype(np.float32, copy=False)

    def holds(self, integers: Array) -> Array:
        """Where integers need not be clamped."""
        limits = DTYPE[self.dtype]
        return (integers >= limits.least) & (integers <= limits.most)

    def integers(self, numbers: Array) -> Array:
        """float32 integers of numbers of the grid."""
        return numbers * np.float32(2.0**self.fraction)


@dataclass(frozen=True)
class FixedPoint:
    """floor((v gain + offset) / 2^shift) is about scale v + base in steps of the grid; gains, offsets: float64."""

    gains: Array
    offsets: Array
    shift: int

    @classmethod
    def of(cls, scale: Array, base: Array, reach: int, fraction: int) -> FixedPoint:
        """The finest one whose products stay within 32 bits for sums from -reach to reach."""
        xp, most = arrays.module(scale), min(MOST_GAIN, MOST_PRODUCT // reach)
        largest, shift = float(xp.abs(scale).max()) * 2.0**fraction, 0
        while shift < MOST_SHIFT and largest * 2.0 ** (shift + 1) <= most:
            shift += 1
        step = 2.0 ** (fraction + shift)
        offsets = xp.rint(base * step).clip(-MOST_OFFSET, MOST_OFFSET) + (1 << shift >> 1)  # a half, so floor rounds
        return cls(xp.rint(scale * step).clip(-most, most), offsets, shift)

    def __call__(self, sums: Array) -> Array:
        """float64 integers; exact, since products stay below 2^53."""
        return arrays.module(sums).floor((sums.astype(np.float64) * self.gains + self.offsets) / 2.0**self.shift)


class RoundFunction(chainer.FunctionNode):
    """clamp(r + round(y)) on a grid; r, where given, has the first channels of y.

    The gradient passes through round unchanged (straight-through) and is 0 where clamped.
    Source: of the addition Liu et al., "Bi-Real Net" (2018); of training on the grid of the device Jacob et al.,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018).
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, inputs: Arrays) -> Arrays:
        y = inputs[0]
        total = self.grid.integers(y)
        total += np.float32(0.5)
        arrays.module(y).floor(total, out=total)
        for shortcut in inputs[1:]:
            self._channels = shortcut.shape[-1]
            total[..., : self._channels] += self.grid.integers(shortcut)
        self._inside = self.grid.holds(total)
        return (self.grid.clamp(total),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        gy = gradients[0].array * self._inside
        return tuple(chainer.as_variable(gy[..., : self._channels] if index else gy) for index in indexes)


class FixedMapFunction(chainer.FunctionNode):
    """clamp(floor((v gain + offset) / 2^shift) + r): what the device makes of sums v and a map r; it has no gradient.

    Gains and offsets are those of batch norm with given statistics; ``fixed`` holds them afterwards.
    """

    def __init__(self, link: MapNorm) -> None:
        super().__init__()
        self.link, self.grid = link, link.grid

    def forward(self, inputs: Arrays) -> Arrays:
        sums, gamma, beta = inputs[:3]
        link, xp = self.link, arrays.module(sums)
        scale = gamma / xp.sqrt(link.variance.astype(np.float64) + link.eps)
        self.fixed = FixedPoint.of(scale, beta - link.mean * scale, link.reach, self.grid.fraction)
        total = self.fixed(sums)
        for shortcut in inputs[3:]:
            total[..., : shortcut.shape[-1]] += self.grid.integers(shortcut)
        return (self.grid.clamp(total),)


class AverageFunction(chainer.FunctionNode):
    """clamp(floor((sum of a window + half) / 2^shift)), each channel ``times`` times: a window's average on the grid.

    What lies outside of the map does not count. With n positions, y is about sum(x) / 2^k with k the next to log2(n),
    so gx = gy / 2^k where nothing was clamped; the gradient passes through rounding. Of bits, -1 and +1, nothing is
    rounded: their sum is kept, in steps of 2^-k.
    """

    def __init__(self, windows: pooling.SumWindows, grid: Grid | None, times: int = 1, dtype: str = "i16") -> None:
        super().__init__()
        self.windows, self.times = windows, times
        count = int(np.rint(np.log2(np.prod(windows[0]))))
        self.grid, self.shift = (grid, count) if grid else (Grid(dtype, count), 0)
        self._from, self._factor = grid.fraction if grid else 0, np.float32(2.0**-count)

    def forward(self, inputs: Arrays) -> Arrays:
        self._shape = inputs[0].shape[1:]
        xp = arrays.module(inputs[0])
        sums = pooling.sums(inputs[0], self.windows) * np.float32(2.0**self._from)
        averages = xp.floor((sums + np.float32(1 << self.shift >> 1)) * np.float32(2.0**-self.shift))
        self._inside = self.grid.holds(averages)
        return (xp.tile(self.grid.clamp(averages), self.times),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        gy = gradients[0].array
        gy = gy.reshape(*gy.shape[:-1], self.times, -1).sum(axis=-2) * self._inside * self._factor
        return (chainer.as_variable(pooling.spread(gy, self._shape, self.windows)),)


class MapNorm(BatchNorm):
    """Batch norm onto a map of integers: clamp(r + BN(sums)), r the map of the block before.

    Where r is larger, windows of it are averaged; where it has fewer channels, the others begin at 0 (He et al., "Deep
    Residual Learning", 2016, option A), or its channels are repeated.

    Args:
        channels: of the sums.
        reach: the largest absolute sum there can be.
        dtype: of the map, ``i16`` or ``i8``.
        shortcut: ``zeros`` or ``repeat``.
    """

    def __init__(self, channels: int, reach: int, dtype: str = "i16", shortcut: str = "zeros") -> None:
        super().__init__(channels)
        self.reach, self.shortcut, self.grid = reach, shortcut, Grid.of(dtype)

    def forward(self, x: Variable, r: Variable | None = None) -> Variable:
        """The next map, float32 (N, h, w, channels), of sums x and the map before."""
        before = () if r is None else (self._fitted(r, x.shape[1:]),)
        if chainer.config.train:
            return RoundFunction(self.grid).apply((super().forward(x), *before))[0]
        return FixedMapFunction(self).apply((x, self.gamma, self.beta, *before))[0]

    def _fitted(self, r: Variable, shape: Shape) -> Variable:
        """The map before in the form of the sums."""
        fault = shortcut_fault(r.shape[1:], shape)
        if fault:
            raise NetworkError(f"{self.name} (MapNorm): {fault}")
        window, pad = shortcut_window(r.shape[1:3], shape[:2])
        times = shape[2] // r.shape[3] if self.shortcut == "repeat" else 1
        if window == (1, 1) and times == 1:
            return r
        return AverageFunction((window, window, pad), self.grid, times).apply((r,))[0]


class Bases(chainer.Chain):
    """r + BN_1(conv_1(x)) + ... + BN_M(conv_M(x)) on a map of integers: M convolutions read the same.

    On the device each is a node that adds to the one before.
    Source: Lin, Zhao and Pan, "Towards Accurate Binary Convolutional Neural Network" (ABC-Net, 2017), whose weight
    bases approximate a float filter, with factors that are fitted; here each basis has latent weights of its own, and
    the factor is batch norm's gamma.

    Args:
        convs: convolutions of the same form.
        norms: a ``MapNorm`` for each.
    """

    def __init__(self, convs: list[chainer.Link], norms: list[MapNorm]) -> None:
        super().__init__()
        with self.init_scope():
            self.convs, self.norms = chainer.ChainList(*convs), chainer.ChainList(*norms)

    def forward(self, x: Variable, r: Variable | None = None, **window: Pair) -> Variable:
        """The next map of x and the one before; ``window`` is the ``pool`` or ``average`` of every convolution."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            r = norm(conv(x, **window), r)
        return r


def shortcut_window(before: Pair, after: Pair) -> tuple[Pair, Sides] | None:
    """Window, which is the stride too, and padding that make maps of size ``after`` of those of ``before``, or None.

    What is left over at the right and at the bottom is dropped or, where the sums have a position for it, kept.
    """
    window = []
    for large, small in zip(before, after, strict=True):
        fits = [size for size in range(1, large + 1) if small in (large // size, -(-large // size))]
        if not fits:
            return None
        window.append(fits[0])
    bottom, right = (max(0, size * after[axis] - before[axis]) for axis, size in enumerate(window))
    return (window[0], window[1]), (0, 0, bottom, right)


def shortcut_fault(before: Shape, after: Shape) -> str | None:
    """Why a map of one shape cannot be added to one of another, or None."""
    if shortcut_window(before[:2], after[:2]) is None or before[2] > after[2]:
        sizes = ["x".join(map(str, shape)) for shape in (before, after)]
        return f"it makes {sizes[1]}, the map before is {sizes[0]}: pad so that sizes stay, and keep or add channels"
    return None


def average(x: Variable, grid: Grid | None = None) -> Variable:
    """The average over a whole map, (N, 1, 1, C): of a map of integers on ``grid``, or of bits without one."""
    size = (int(x.shape[1]), int(x.shape[2]))
    return AverageFunction((size, size, (0, 0, 0, 0)), grid).apply((x,))[0]
