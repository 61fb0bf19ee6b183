"""Weights of frameworks as int8 weights of nodes: signs with a gain a filter, or whole numbers; layouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import ExportError
from ebnn.geometry import Shape
from ebnn.ops import DTYPE

# From a framework's layout to (filters, kernel_h, kernel_w, channels of a group).
CONV_AXES = {"NHWC": (3, 0, 1, 2), "NCHW": (0, 2, 3, 1)}


@dataclass(frozen=True, eq=False)
class Kernel:
    """Weights that are integers times a gain.

    Args:
        integers: -128 to 127, in the framework's layout.
        gain: a number, or one a filter.
    """

    integers: np.ndarray
    gain: np.ndarray | float = 1.0


def binarize(weights: np.ndarray) -> np.ndarray:
    """float32 signs of latent weights; the sign of 0 is +1.

    Raises:
        ExportError: NaN or infinite.
    """
    array = np.asarray(weights, np.float32)
    if not np.isfinite(array).all():
        raise ExportError("weights must be finite numbers")
    return np.where(array >= 0, np.float32(1), np.float32(-1))


def conv_weights(kernel: np.ndarray | Kernel, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """int8 (filters, kernel_h, kernel_w, channels) and gains float64 (filters,) of a convolution's weights.

    ``layout`` NHWC means (kernel_h, kernel_w, channels, filters), NCHW (filters, channels, kernel_h, kernel_w).

    Raises:
        ExportError: weights that are neither signs times a gain a filter nor whole numbers.
    """
    return _split(kernel, 4, CONV_AXES[layout])


def depthwise_weights(kernel: np.ndarray | Kernel, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """int8 (channels, kernel_h, kernel_w, 1) and gains of a depthwise convolution, one filter a channel.

    ``layout`` NHWC means (kernel_h, kernel_w, channels, 1), NCHW (channels, 1, kernel_h, kernel_w).

    Raises:
        ExportError: as ``conv_weights``, or more filters a channel.
    """
    weights, gains = _split(kernel, 4, {"NHWC": (2, 0, 1, 3), "NCHW": (0, 2, 3, 1)}[layout])
    if weights.shape[3] != 1:
        raise ExportError(f"depthwise weights have {weights.shape[3]} filters a channel, one is possible")
    return weights, gains


def dense_weights(kernel: np.ndarray | Kernel, layout: str, shape: Shape, order: str) -> tuple[np.ndarray, np.ndarray]:
    """int8 (units, height, width, channels) and gains of a dense layer's weights.

    ``layout`` NHWC means (inputs, units), NCHW (units, inputs).

    Args:
        kernel: the weights.
        layout: of the framework.
        shape: (height, width, channels) of what was flattened.
        order: HWC or CHW, in which it was flattened.

    Raises:
        ExportError: as ``conv_weights``, or another number of inputs.
    """
    weights, gains = _split(kernel, 2, (1, 0) if layout == "NHWC" else (0, 1))
    height, width, channels = shape
    if weights.shape[1] != height * width * channels:
        raise ExportError(f"weights are for {weights.shape[1]} inputs, there are {height}x{width}x{channels}")
    if order == "CHW":
        return weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1), gains
    return weights.reshape(-1, height, width, channels), gains


def ungrouped(weights: np.ndarray, groups: int) -> np.ndarray:
    """The weights of a grouped convolution as those of one that reads all channels: zeros where it does not."""
    filters, height, width, channels = weights.shape
    whole = np.zeros((filters, height, width, channels * groups), np.int8)
    for group in range(groups):
        own = slice(group * filters // groups, (group + 1) * filters // groups)
        whole[own, ..., group * channels : (group + 1) * channels] = weights[own]
    return whole


def dilated(weights: np.ndarray, dilation: tuple[int, int]) -> np.ndarray:
    """The weights of a dilated convolution as those of a larger kernel with zeros between."""
    height, width = ((side - 1) * step + 1 for side, step in zip(weights.shape[1:3], dilation, strict=True))
    whole = np.zeros((weights.shape[0], height, width, weights.shape[3]), np.int8)
    whole[:, :: dilation[0], :: dilation[1]] = weights
    return whole


def _split(kernel: np.ndarray | Kernel, rank: int, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    given = kernel if isinstance(kernel, Kernel) else Kernel(np.asarray(kernel))
    numbers = np.asarray(given.integers, np.float64)
    if numbers.ndim != rank:
        raise ExportError(f"weights are {numbers.shape}, {rank} dimensions are needed")
    if not np.isfinite(numbers).all() or not np.isfinite(given.gain).all():
        raise ExportError("weights must be finite numbers")
    numbers = numbers.transpose(axes)
    flat = np.abs(numbers.reshape(len(numbers), -1))
    gains = np.broadcast_to(np.asarray(given.gain, np.float64), len(numbers))
    if (gains <= 0).any():
        raise ExportError("gains of weights must be above 0")
    if (flat == flat[:, :1]).all() and (flat > 0).all():
        return np.sign(numbers).astype(np.int8), gains * flat[:, 0]
    whole = (numbers == np.rint(numbers)).all()
    if not whole or numbers.min() < DTYPE["i8"].least or numbers.max() > DTYPE["i8"].most:
        raise ExportError(
            "weights must be -1 and +1, or these times one gain a filter, or whole numbers from -128 to 127; "
            "binarize() makes signs of latent weights"
        )
    return numbers.astype(np.int8), gains
