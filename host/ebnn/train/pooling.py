"""Max pooling of float32 maps (image, height, width, channel) with any window, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ebnn.geometry import Pair, Shape, map_size


def output_size(shape: Shape, window: Pair, stride: Pair, pad: Pair) -> Pair:
    """(height, width) of the pooled map: only whole windows count (no ``cover_all``)."""
    return map_size(shape[:2], window, stride, pad * 2)


def _padded(x: np.ndarray, pad: Pair, value: float) -> np.ndarray:
    if not any(pad):
        return x
    sides = ((0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0))
    return np.pad(x, sides, constant_values=np.float32(value))


def _taps(padded: np.ndarray, size: Pair, window: Pair, stride: Pair) -> Iterator[np.ndarray]:
    """For each position in the window, row by row, a view of what lies there in every window."""
    for ky, kx in np.ndindex(window):
        yield padded[:, ky : ky + stride[0] * size[0] : stride[0], kx : kx + stride[1] * size[1] : stride[1]]


def forward(x: np.ndarray, window: Pair, stride: Pair, pad: Pair) -> np.ndarray:
    """The maximum of each window, float32; padding never counts."""
    size = output_size(x.shape[1:], window, stride, pad)
    taps = _taps(_padded(x, pad, -np.inf), size, window, stride)
    y = np.array(next(taps))
    for tap in taps:
        np.maximum(y, tap, out=y)
    return y


def backward(x: np.ndarray, y: np.ndarray, gy: np.ndarray, windows: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """Gradient of x: the first position of each window, row by row, that reached the maximum gets it all.

    ``windows`` is (window, stride, pad).
    """
    window, stride, pad = windows
    padded = _padded(x, pad, -np.inf)
    gx = np.zeros_like(padded)
    size, free = y.shape[1:3], np.ones(y.shape, bool)
    pairs = zip(_taps(padded, size, window, stride), _taps(gx, size, window, stride), strict=True)
    for values, gradients in pairs:
        won = free & (values == y)
        free &= ~won
        gradients += gy * won
    height, width = x.shape[1:3]
    return gx[:, pad[0] : pad[0] + height, pad[1] : pad[1] + width]
