"""Batch normalization over the last axis, on float32 NumPy arrays.

Per-channel vectors are repeated along each image, so that the inner loops are as long as an image and not as short as
its channels.
"""

from __future__ import annotations

import numpy as np


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _spread(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A per-channel vector repeated for every pixel of one image of ``x``."""
    return np.tile(vector, x[0].size // len(vector))


def channel_sums(x: np.ndarray) -> np.ndarray:
    """float32 (C,): sum over all but the last axis."""
    return _rows(x).sum(axis=0).reshape(-1, x.shape[-1]).sum(axis=0)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (biased) variance of each channel, float32 (C,)."""
    count = np.float32(x.size // x.shape[-1])
    mean = channel_sums(x) / count
    deviation = _rows(x) - _spread(mean, x)
    return mean, channel_sums((deviation * deviation).reshape(x.shape)) / count


def inverse_deviation(variance: np.ndarray, eps: float) -> np.ndarray:
    """1 / sqrt(variance + eps), float32."""
    return np.float32(1) / np.sqrt(variance + np.float32(eps))


def affine(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """((x - mean) * scale) + beta, each operation rounded to float32: monotone in x, so it folds exactly."""
    y = _rows(x) - _spread(mean, x)
    y *= _spread(scale, x)
    y += _spread(beta, x)
    return y.reshape(x.shape)


def gradients(
    x: np.ndarray, gy: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of x, gamma and beta where mean and inverse are those of x itself (Ioffe and Szegedy, 2015)."""
    count = np.float32(x.size // x.shape[-1])
    normal = (_rows(x) - _spread(mean, x)) * _spread(inverse, x)
    gbeta = channel_sums(gy)
    ggamma = channel_sums((normal * _rows(gy)).reshape(x.shape))
    normal *= _spread(ggamma / count, x)
    gx = _rows(gy) - normal
    gx -= _spread(gbeta / count, x)
    gx *= _spread(gamma * inverse, x)
    return gx.reshape(x.shape), ggamma, gbeta
