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


def _channels(row: np.ndarray, channels: int) -> np.ndarray:
    """Sums over the pixels of one image-long row, for each channel."""
    return row.reshape(-1, channels).sum(axis=0)


def _products(a: np.ndarray, b: np.ndarray, channels: int) -> np.ndarray:
    """For each channel, the sum of a * b."""
    return _channels(np.einsum("ij,ij->j", _rows(a), _rows(b)), channels)


def centre(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x - mean, mean, variance): mean and (biased) variance of each channel, float32 (C,)."""
    channels = x.shape[-1]
    count = np.float32(x.size // channels)
    mean = _channels(_rows(x).sum(axis=0), channels) / count
    deviation = (_rows(x) - _spread(mean, x)).reshape(x.shape)
    return deviation, mean, _products(deviation, deviation, channels) / count


def inverse_deviation(variance: np.ndarray, eps: float) -> np.ndarray:
    """1 / sqrt(variance + eps), float32."""
    return np.float32(1) / np.sqrt(variance + np.float32(eps))


def affine(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """((x - mean) * scale) + beta, each operation rounded to float32: monotone in x, so it folds exactly."""
    return scaled((_rows(x) - _spread(mean, x)).reshape(x.shape), scale, beta)


def scaled(deviation: np.ndarray, scale: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """(deviation * scale) + beta, in the same steps."""
    y = _rows(deviation) * _spread(scale, deviation)
    y += _spread(beta, deviation)
    return y.reshape(deviation.shape)


def gradients(
    deviation: np.ndarray, gy: np.ndarray, inverse: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of x, gamma and beta; ``deviation`` is x minus its own mean, ``inverse`` 1 over its own deviation.

    With n values a channel and u = deviation * inverse:
    gx = gamma * inverse * (gy - sum(gy) / n - u * sum(gy * u) / n) (Ioffe and Szegedy, 2015).
    """
    channels = gy.shape[-1]
    count = np.float32(gy.size // channels)
    gbeta = _channels(_rows(gy).sum(axis=0), channels)
    ggamma = _products(deviation, gy, channels) * inverse
    factor = gamma * inverse
    gx = _rows(gy) * _spread(factor, gy)
    gx -= _rows(deviation) * _spread(factor * inverse * ggamma / count, gy)
    gx -= _spread(factor * gbeta / count, gy)
    return gx.reshape(gy.shape), ggamma, gbeta
