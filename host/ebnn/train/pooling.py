"""Pooling of float32 maps (image, height, width, channel) with any window: maxima in C on a CPU, else array operations.

``windows`` is (window, stride, pad), each (height, width).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ebnn.geometry import Pair, Shape, Sides, map_size
from ebnn.train import arrays, native
from ebnn.train.arrays import Array

Windows = tuple[Pair, Pair, Pair]
SumWindows = tuple[Pair, Pair, Sides]


def output_size(shape: Shape, window: Pair, stride: Pair, pad: Pair) -> Pair:
    """(height, width) of the pooled map: only whole windows count (no ``cover_all``)."""
    return map_size(shape[:2], window, stride, pad * 2)


def forward(x: Array, windows: Windows) -> tuple[Array, Array]:
    """The maximum of each window, float32, and its position in the window, uint16: the first one, row by row.

    Padding never counts.
    """
    size = output_size(x.shape[1:], *windows)
    if native.serves(x):
        return native.pool_forward(np.ascontiguousarray(x), size, windows)
    xp, (pad_y, pad_x) = arrays.module(x), windows[2]
    padded = xp.pad(x, ((0, 0), (pad_y, pad_y), (pad_x, pad_x), (0, 0)), constant_values=-np.inf)
    taps = xp.stack(list(_taps(padded, size, windows)))
    return taps.max(axis=0), taps.argmax(axis=0).astype(np.uint16)


def backward(winners: Array, gy: Array, shape: Shape, windows: Windows) -> Array:
    """Gradient of maps of ``shape``, float32: the winner of each window gets all of its gradient."""
    if native.serves(gy):
        return native.pool_backward(winners, np.ascontiguousarray(gy), shape, windows)
    (height, width, channels), (pad_y, pad_x) = shape, windows[2]
    gx = arrays.module(gy).zeros((len(gy), height + 2 * pad_y, width + 2 * pad_x, channels), np.float32)
    for index, tap in enumerate(_taps(gx, gy.shape[1:3], windows)):
        tap += gy * (winners == index)
    return gx[:, pad_y : pad_y + height, pad_x : pad_x + width]


def _taps(padded: Array, size: Pair, windows: Windows | SumWindows) -> Iterator[Array]:
    """For each position in the window, row by row, a view of what lies there in every window."""
    window, stride, _ = windows
    for ky, kx in np.ndindex(window):
        yield padded[:, ky : ky + stride[0] * size[0] : stride[0], kx : kx + stride[1] * size[1] : stride[1]]


def sums(x: Array, windows: SumWindows) -> Array:
    """The sum of each window, float32; padding, top, left, bottom and right, does not count."""
    top, left, bottom, right = windows[2]
    padded = arrays.module(x).pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    return sum(_taps(padded, map_size(x.shape[1:3], *windows), windows))


def spread(gy: Array, shape: Shape, windows: SumWindows) -> Array:
    """Gradient of maps of ``shape``, float32: each position of a window gets all of its gradient."""
    (height, width, channels), (top, left, bottom, right) = shape, windows[2]
    gx = arrays.module(gy).zeros((len(gy), height + top + bottom, width + left + right, channels), np.float32)
    for tap in _taps(gx, gy.shape[1:3], windows):
        tap += gy
    return gx[:, top : top + height, left : left + width]
