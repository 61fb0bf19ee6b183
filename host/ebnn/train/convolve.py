"""Convolution on NumPy arrays: chunks of images, one matrix product a chunk, pooling while the sums are in the cache.

Layouts: maps are (image, height, width, channel); filters are (filter, kernel height, kernel width, channel).
With a pool, the sums of a chunk are computed phase by phase: all top left corners of the pool windows, then all
their neighbours to the right and so on. So the maximum is taken over a few long arrays, and positions that no window
covers are never computed. Every sum is an integer held in float32 and below 2**24, so its value does not depend
on the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Pair, Shape, map_size
from ebnn.train.parallel import chunks, for_each, scratch

BYTE_MIDDLE = np.float32(255)  # a byte x is trained as the integer 2 x - 255
EXACT_LIMIT = 1 << 24  # integers below are exact in float32
FEW_CHANNELS = 4  # below, copies run along the image rows instead of along the channels


@dataclass(frozen=True)
class Convolution:
    """What is computed: ``shape`` of one input image, windows and border, ``output`` (h, w, filters) of one image.

    ``geometry.pool`` must equal ``geometry.pool_stride`` and have no padding.
    """

    shape: Shape
    geometry: Geometry
    output: Shape

    @classmethod
    def of(cls, shape: Shape, filters: int, geometry: Geometry) -> Convolution:
        """The convolution of images of ``shape``; what is left over after the last pool window is dropped."""
        size = map_size(shape[:2], geometry.kernel, geometry.stride, geometry.pad)
        return cls(shape, geometry, (size[0] // geometry.pool[0], size[1] // geometry.pool[1], filters))

    def before_pool(self) -> Convolution:
        """The same sums without the pool, row by row."""
        (ph, pw), (height, width, filters) = self.geometry.pool, self.output
        geometry = replace(self.geometry, pool=(1, 1), pool_stride=(1, 1))
        return Convolution(self.shape, geometry, (height * ph, width * pw, filters))

    @property
    def filters(self) -> int:
        """Number of filters."""
        return self.output[2]

    @property
    def taps(self) -> int:
        """Products in one sum."""
        return self.geometry.kernel[0] * self.geometry.kernel[1] * self.shape[2]

    @property
    def phases(self) -> int:
        """Positions in one pool window."""
        return self.geometry.pool[0] * self.geometry.pool[1]

    @property
    def positions(self) -> int:
        """Sums of one filter on one image."""
        return self.phases * self.output[0] * self.output[1]

    @property
    def tap_major(self) -> bool:
        """Whether unfolded pixels are laid out tap by tap instead of position by position."""
        return self.shape[2] < FEW_CHANNELS

    def parts(self, images: int) -> list[slice]:
        """The chunks of a batch."""
        return chunks(images, 4 * self.positions * (self.taps + self.filters))


def check_exact(taps: int, largest: int, where: str) -> None:
    """Raise NetworkError where a sum of ``taps`` products could leave the integers that float32 holds exactly."""
    if taps * largest >= EXACT_LIMIT:
        raise NetworkError(
            f"{where}: sums of {taps} taps with values up to {largest} reach {taps * largest}, "
            f"and only integers below {EXACT_LIMIT} are exact in float32: use a smaller kernel or input"
        )


def to_integers(images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Bytes as the float32 integers 2 x - 255; float maps, which hold -1 and +1, as they are."""
    if images.dtype != np.uint8:
        return images
    doubled = np.multiply(images, np.float32(2), out=out, dtype=np.float32)
    return np.subtract(doubled, BYTE_MIDDLE, out=doubled)


def _padded(images: np.ndarray, conv: Convolution) -> np.ndarray:
    """The chunk as float32 with its border around it."""
    top, left, bottom, right = conv.geometry.pad
    if images.dtype != np.uint8 and not any(conv.geometry.pad):
        return images
    count, height, width, channels = images.shape
    whole = scratch("padded", (count, height + top + bottom, width + left + right, channels))
    if any(conv.geometry.pad):
        whole.fill(conv.geometry.border * (BYTE_MIDDLE if images.dtype == np.uint8 else 1))
    inside = whole[:, top : top + height, left : left + width]
    if images.dtype == np.uint8:
        to_integers(images, inside)
    else:
        inside[...] = images
    return whole


def _windows(padded: np.ndarray, conv: Convolution) -> np.ndarray:
    """A view (pool y, pool x, image, y, x, kernel y, kernel x, channel) of all that the windows read."""
    (kh, kw), (sh, sw), (ph, pw) = conv.geometry.kernel, conv.geometry.stride, conv.geometry.pool
    image, row, pixel, channel = padded.strides
    height, width, _ = conv.output
    return as_strided(
        padded,
        (ph, pw, len(padded), height, width, kh, kw, conv.shape[2]),
        (sh * row, sw * pixel, image, sh * ph * row, sw * pw * pixel, row, pixel, channel),
        writeable=False,
    )


def _unfold(images: np.ndarray, conv: Convolution) -> np.ndarray:
    """(positions, taps) float32; the positions phase by phase."""
    windows = _windows(_padded(images, conv), conv)
    if conv.tap_major:
        windows = windows.transpose(5, 6, 7, 0, 1, 2, 3, 4)
    columns = scratch("columns", windows.shape)
    np.copyto(columns, windows)
    return columns.reshape(conv.taps, -1).T if conv.tap_major else columns.reshape(-1, conv.taps)


def _strongest(sums: np.ndarray, best: np.ndarray, winners: np.ndarray) -> None:
    """Maximum over the first axis and, as bytes, the first phase that reaches it."""
    np.copyto(best, sums[0])
    winners.fill(0)
    better = scratch("better", best.shape, bool)
    for phase in range(1, len(sums)):
        np.greater(sums[phase], best, out=better)
        np.maximum(best, sums[phase], out=best)
        np.maximum(winners, better.view(np.uint8) * np.uint8(phase), out=winners)


def forward(x: np.ndarray, weights: np.ndarray, conv: Convolution) -> tuple[np.ndarray, np.ndarray | None]:
    """Convolve and pool.

    Args:
        x: (N, H, W, C), uint8, or float32 of -1 and +1.
        weights: float32 (filters, taps) of -1 and +1.

    Returns:
        The sums, float32 (N, h, w, filters), and with a pool the phase that won, uint8 of the same shape.
    """
    y = np.empty((len(x), *conv.output), np.float32)
    winners = np.empty(y.shape, np.uint8) if conv.phases > 1 else None

    def work(_: int, part: slice) -> None:
        columns = _unfold(x[part], conv)
        if winners is None:
            np.matmul(columns, weights.T, out=y[part].reshape(-1, conv.filters))
            return
        sums = scratch("sums", (conv.phases, *y[part].shape))
        np.matmul(columns, weights.T, out=sums.reshape(-1, conv.filters))
        _strongest(sums, y[part], winners[part])

    for_each(work, conv.parts(len(x)))
    return y, winners


def _unpool(gy: np.ndarray, winners: np.ndarray, pool: Pair, by_phase: bool) -> np.ndarray:
    """Gradient of the sums, (positions, filters): ``gy`` where the phase won, 0 elsewhere; by phase or row by row."""
    (ph, pw), (count, height, width, filters) = pool, gy.shape
    if by_phase:
        sums = scratch("gradient", (ph, pw, *gy.shape))
        target = sums
    else:
        sums = scratch("gradient", (count, height, ph, width, pw, filters))
        target = sums.transpose(2, 4, 0, 1, 3, 5)
    won = scratch("won", gy.shape, bool)
    for py, px in np.ndindex(ph, pw):
        np.equal(winners, np.uint8(py * pw + px), out=won)
        np.multiply(gy, won, out=target[py, px])
    return sums.reshape(-1, filters)


def _fold_back(sums: np.ndarray, by_tap: np.ndarray, gx: np.ndarray, conv: Convolution) -> None:
    """Add to ``gx``, tap by tap, what the gradient of the sums says of the pixels that each tap read."""
    (kh, kw), (sh, sw) = conv.geometry.kernel, conv.geometry.stride
    height, width, _ = conv.output
    pixels = scratch("taps", (kh * kw, len(sums), conv.shape[2]))
    np.matmul(sums[None], by_tap, out=pixels)
    pixels = pixels.reshape(kh, kw, len(gx), height, width, -1)
    for ky, kx in np.ndindex(kh, kw):
        gx[:, ky : ky + sh * height : sh, kx : kx + sw * width : sw] += pixels[ky, kx]


@dataclass
class Backward:
    """Gradients of one ``forward`` call: its arguments and the winners it returned."""

    x: np.ndarray
    weights: np.ndarray
    winners: np.ndarray | None
    conv: Convolution

    def run(self, gy: np.ndarray, input_too: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the gradient of the weights, (filters, taps), and of x if ``input_too``, both float32."""
        parts = self.conv.parts(len(gy))
        # The gradient of the input is added up faster row by row, that of the weights alone phase by phase.
        conv = self.conv.before_pool() if input_too else self.conv
        by_tap = np.ascontiguousarray(self.weights.reshape(conv.filters, -1, conv.shape[2]).swapaxes(0, 1))
        partial = np.empty((len(parts), conv.taps, conv.filters), np.float32)
        gx = np.empty(self.x.shape, np.float32) if input_too else None

        def work(index: int, part: slice) -> None:
            sums = self._sums(gy[part], part, not input_too)
            np.matmul(_unfold(self.x[part], conv).T, sums, out=partial[index])
            if gx is not None:
                _input_gradient(sums, by_tap, gx[part], conv)

        for_each(work, parts)
        return partial.sum(axis=0).T, gx

    def _sums(self, gy: np.ndarray, part: slice, by_phase: bool) -> np.ndarray:
        if self.winners is None:
            return gy.reshape(-1, gy.shape[3])
        return _unpool(gy, self.winners[part], self.conv.geometry.pool, by_phase)


def _input_gradient(sums: np.ndarray, by_tap: np.ndarray, gx: np.ndarray, conv: Convolution) -> None:
    top, left, bottom, right = conv.geometry.pad
    height, width, channels = conv.shape
    padded = scratch("padded", (len(gx), height + top + bottom, width + left + right, channels))
    padded.fill(0)
    _fold_back(sums, by_tap, padded, conv)
    gx[...] = padded[:, top : top + height, left : left + width]
