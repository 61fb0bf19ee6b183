"""Convolution of each channel on its own, maps (image, height, width, channel): in C on a CPU, else array operations.

Weights are (filters, kernel height, kernel width, 1); filter f reads channel f mod C of C.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ebnn.geometry import Geometry, Shape, map_size
from ebnn.train import arrays, native
from ebnn.train.arrays import Array
from ebnn.train.convolve import border_of
from ebnn.train.parallel import for_each, slices


def output_shape(x: Array, weights: Array, geometry: Geometry) -> Shape:
    """(height, width, filters) of the sums of one image."""
    return (*map_size(x.shape[1:3], geometry.kernel, geometry.stride, geometry.pad), len(weights))


def forward(x: Array, weights: Array, geometry: Geometry) -> Array:
    """The sums, float32 (N, h, w, filters), of uint8 or float32 maps (N, H, W, C)."""
    border, x = border_of(geometry, x), arrays.to_floats(x)
    y = arrays.module(x).empty((len(x), *output_shape(x, weights, geometry)), np.float32)
    if not native.serves(x):
        return _forward(x, weights, geometry, border, y)
    x, taps = np.ascontiguousarray(x), _tap_major(weights, x.shape[3])

    def work(_: int, part: slice) -> None:
        native.depthwise_forward(native.window_record(geometry, x[part], y.shape[1:], border), x[part], taps, y[part])

    for_each(work, slices(len(x)))
    return y


def backward(x: Array, weights: Array, gy: Array, geometry: Geometry) -> tuple[Array, Array]:
    """Gradients of x and of the weights, of that of the sums, each float32."""
    border, x = border_of(geometry, x), arrays.to_floats(x)
    if not native.serves(x):
        return _backward(x, weights, gy, geometry, border)
    x, gy, taps = np.ascontiguousarray(x), np.ascontiguousarray(gy), _tap_major(weights, x.shape[3])
    parts, gx = slices(len(x)), np.empty_like(x)
    partial = np.empty((len(parts), *taps.shape), np.float32)

    def work(index: int, part: slice) -> None:
        record = native.window_record(geometry, x[part], gy.shape[1:], border)
        native.depthwise_backward(record, (x[part], taps, gy[part]), partial[index], gx[part])

    for_each(work, parts)
    return gx, _filter_major(partial.sum(axis=0), weights.shape)


def _tap_major(weights: Array, channels: int) -> Array:
    """float32 (taps, times, C) of weights (times * C, height, width, 1)."""
    rows = weights.reshape(len(weights) // channels, channels, -1)
    return arrays.module(weights).ascontiguousarray(rows.transpose(2, 0, 1))


def _filter_major(taps: Array, shape: tuple[int, ...]) -> Array:
    return taps.transpose(1, 2, 0).reshape(shape)


def _forward(x: Array, weights: Array, geometry: Geometry, border: float, y: Array) -> Array:
    y[...] = 0
    per_channel = y.reshape(*y.shape[:3], -1, x.shape[3])
    for weight, seen in zip(
        _tap_major(weights, x.shape[3]), _taps(_padded(x, geometry, border), geometry, y), strict=True
    ):
        per_channel += weight * seen[..., None, :]
    return y


def _backward(x: Array, weights: Array, gy: Array, geometry: Geometry, border: float) -> tuple[Array, Array]:
    padded, taps = _padded(x, geometry, border), _tap_major(weights, x.shape[3])
    gpadded, gtaps = arrays.module(x).zeros_like(padded), arrays.module(x).empty_like(taps)
    per_channel = gy.reshape(*gy.shape[:3], -1, x.shape[3])
    both = zip(_taps(padded, geometry, gy), _taps(gpadded, geometry, gy), strict=True)
    for index, (seen, given) in enumerate(both):
        gtaps[index] = (per_channel * seen[..., None, :]).sum(axis=(0, 1, 2))
        given += (per_channel * taps[index]).sum(axis=3)
    (top, left), (height, width) = geometry.pad[:2], x.shape[1:3]
    return gpadded[:, top : top + height, left : left + width], _filter_major(gtaps, weights.shape)


def _padded(x: Array, geometry: Geometry, border: float) -> Array:
    top, left, bottom, right = geometry.pad
    return arrays.module(x).pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=border)


def _taps(padded: Array, geometry: Geometry, sums: Array) -> Iterator[Array]:
    """For each tap, row by row, a view of what it reads at every position of ``sums``."""
    (sh, sw), (height, width) = geometry.stride, sums.shape[1:3]
    for ky, kx in np.ndindex(geometry.kernel):
        yield padded[:, ky : ky + sh * height : sh, kx : kx + sw * width : sw]
