"""Convolution with its pool as array operations, on NumPy, or on CuPy for a GPU; ``native`` is faster on a CPU.

Layouts: maps are (image, height, width, channel); filters are (filter, taps) with the taps in the order kernel row,
kernel column, channel. Every sum of integers is held in float32 and below 2**24, so the order does not change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ebnn.train.compat import chainer

if TYPE_CHECKING:
    from ebnn.train.convolve import Convolution

Array = Any  # numpy.ndarray or cupy.ndarray
BYTE_MIDDLE = np.float32(255)  # a byte x is trained as the integer 2 x - 255


def module(x: Array) -> Any:
    """numpy or cupy."""
    return chainer.backend.get_array_module(x)


def to_floats(x: Array) -> Array:
    """Bytes as the float32 integers 2 x - 255; float maps as they are."""
    return np.float32(2) * x.astype(np.float32) - BYTE_MIDDLE if x.dtype == np.uint8 else x


def unfold(x: Array, conv: Convolution) -> Array:
    """float32 (phases, windows, taps): what the kernel reads at each position of each pool window."""
    xp = module(x)
    top, left, bottom, right = conv.geometry.pad
    sides = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = xp.ascontiguousarray(xp.pad(to_floats(x), sides, constant_values=conv.border(x)))
    (kh, kw), (sh, sw), (ph, pw) = conv.geometry.kernel, conv.geometry.stride, conv.geometry.pool
    image, row, pixel, channel = padded.strides
    height, width, _ = conv.output
    windows = xp.lib.stride_tricks.as_strided(
        padded,
        (ph, pw, len(padded), height, width, kh, kw, conv.shape[2]),
        (sh * row, sw * pixel, image, sh * ph * row, sw * pw * pixel, row, pixel, channel),
    )
    return xp.ascontiguousarray(windows).reshape(ph * pw, -1, conv.taps)


def conv_forward(conv: Convolution, x: Array, weights: Array) -> tuple[Array, Array | None]:
    """Convolve and pool.

    Args:
        conv: what is computed.
        x: (N, H, W, C), uint8 or float32.
        weights: float32 (filters, taps).

    Returns:
        The sums, float32 (N, h, w, filters), and with a pool the first phase that reached the maximum, uint8 of the
        same shape.
    """
    sums = unfold(x, conv) @ weights.T
    shape = (len(x), *conv.output)
    if len(sums) == 1:
        return sums.reshape(shape), None
    return sums.max(axis=0).reshape(shape), sums.argmax(axis=0).astype(np.uint8).reshape(shape)


def conv_backward(
    conv: Convolution, given: tuple[Array, Array, Array, Array | None], input_too: bool
) -> tuple[Array, Array | None]:
    """Gradients of one ``conv_forward``.

    Args:
        conv: what was computed.
        given: x, the weights, the gradient of the sums and the winners.
        input_too: whether the gradient of x is wanted.

    Returns:
        The gradient of the weights, float32 (filters, taps), and of x, float32, or None.
    """
    x, weights, gy, winners = given
    xp, gsums = module(x), gy.reshape(1, -1, conv.filters)
    if winners is not None:
        gsums = gsums * (winners.reshape(gsums.shape) == xp.arange(conv.phases, dtype=np.uint8)[:, None, None])
    gweights = gsums.reshape(-1, conv.filters).T @ unfold(x, conv).reshape(-1, conv.taps)
    return gweights, _fold_back(gsums @ weights, x, conv) if input_too else None


def _fold_back(gcolumns: Array, x: Array, conv: Convolution) -> Array:
    """Add up, tap by tap, what the gradient says of the pixels that each tap read."""
    (kh, kw), (sh, sw), (ph, pw) = conv.geometry.kernel, conv.geometry.stride, conv.geometry.pool
    top, left, bottom, right = conv.geometry.pad
    (height, width, _), (rows, columns, channels) = conv.output, conv.shape
    xp = module(x)
    padded = xp.zeros((len(x), rows + top + bottom, columns + left + right, channels), np.float32)
    taps = gcolumns.reshape(ph, pw, len(x), height, width, kh, kw, channels)
    for py, px, ky, kx in np.ndindex(ph, pw, kh, kw):
        y, z = sh * py + ky, sw * px + kx
        down, across = sh * ph, sw * pw
        padded[:, y : y + down * height : down, z : z + across * width : across] += taps[py, px, :, :, :, ky, kx]
    return padded[:, top : top + rows, left : left + columns]
