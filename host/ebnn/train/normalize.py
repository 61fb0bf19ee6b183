"""Batch normalization over the last axis, float32: in C on a CPU, array operations on a GPU or without a compiler."""

from __future__ import annotations

import numpy as np

from ebnn.train import arrays, native
from ebnn.train.arrays import Array


def inverse_deviation(variance: Array, eps: float) -> Array:
    """1 / sqrt(variance + eps), float32."""
    return np.float32(1) / arrays.module(variance).sqrt(variance + np.float32(eps))


def affine(x: Array, mean: Array, scale: Array, beta: Array) -> Array:
    """((x - mean) * scale) + beta, each operation rounded to float32: monotone in x, so it folds exactly.

    Per-channel vectors are repeated along each image, so that the inner loops are as long as an image.
    """
    xp, rows = arrays.module(x), x.reshape(len(x), -1)
    mean, scale, beta = (xp.tile(vector, rows.shape[1] // len(vector)) for vector in (mean, scale, beta))
    y = rows - mean
    y *= scale
    y += beta
    return y.reshape(x.shape)


def forward(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """(y, mean, variance): normalized with the mean and (biased) variance of the batch, each float32 (C,)."""
    if native.serves(x):
        return native.norm_forward(np.ascontiguousarray(x), gamma, beta, eps)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    return affine(x, mean, gamma * inverse_deviation(variance, eps), beta), mean, variance


def backward(x: Array, gy: Array, mean: Array, inverse: Array, gamma: Array) -> tuple[Array, Array, Array]:
    """Gradients of x, gamma and beta; ``mean`` is of x itself, ``inverse`` 1 over its deviation.

    With n values a channel and u = (x - mean) * inverse:
    gx = gamma * inverse * (gy - sum(gy) / n - u * sum(gy * u) / n) (Ioffe and Szegedy, 2015).
    """
    if native.serves(x):
        return native.norm_backward(np.ascontiguousarray(x), np.ascontiguousarray(gy), mean, inverse, gamma)
    axes, count = tuple(range(x.ndim - 1)), np.float32(x.size // len(gamma))
    unit = (x - mean) * inverse
    gbeta, ggamma = gy.sum(axis=axes), (gy * unit).sum(axis=axes)
    return gamma * inverse * (gy - gbeta / count - unit * (ggamma / count)), ggamma, gbeta
