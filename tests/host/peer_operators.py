"""eBNN's blocks and CBin-NN's operators: their arithmetic in NumPy float32, each from its definition, and how a user
writes it with the builder.

Maps are (N, height, width, channels), bits are -1 and +1, kernels (kernel_h, kernel_w, channels, filters). All sums
are whole numbers of a unit below 2^24 of it, so float32 does not round them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ebnn.build import Builder
from ebnn.build.tensors import Tensor

Pair = tuple[int, int]
EVERY = slice(None)


def conv(x: np.ndarray, kernel: np.ndarray, stride: Pair, pad: Pair) -> np.ndarray:
    """Sums (N, h, w, filters); taps outside of the map do not count."""
    size = output_size(x.shape[1:3], kernel.shape[:2], stride, pad)
    sums = np.zeros((len(x), *size, kernel.shape[3]), np.float32)
    for place, inside, taps in placed(x.shape[1:3], kernel.shape[:2], stride, pad):
        sums[(EVERY, *place)] = np.tensordot(x[(EVERY, *inside)], kernel[taps], 3)
    return sums


def max_pool(x: np.ndarray, window: Pair, stride: Pair, pad: Pair) -> np.ndarray:
    """The largest of each window (N, h, w, channels); what lies outside of the map does not count."""
    size = output_size(x.shape[1:3], window, stride, pad)
    largest = np.empty((len(x), *size, x.shape[3]), x.dtype)
    for place, inside, _ in placed(x.shape[1:3], window, stride, pad):
        largest[(EVERY, *place)] = x[(EVERY, *inside)].max(axis=(1, 2))
    return largest


def dense(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Sums (N, 1, 1, units) of a map that is flattened in its own order, and a kernel (inputs, units)."""
    return (x.reshape(len(x), -1) @ kernel)[:, None, None]


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """x times its channel's slope where x is 0 or less, else x."""
    return np.where(x <= 0, x * slope, x)


def output_size(size: Pair, window: Pair, stride: Pair, pad: Pair) -> Pair:
    """(height, width) of the map of windows that lie inside of a padded map."""
    return tuple((size[a] + 2 * pad[a] - window[a]) // stride[a] + 1 for a in range(2))


def placed(size: Pair, window: Pair, stride: Pair, pad: Pair) -> Iterator[tuple[Pair, tuple, tuple]]:
    """Each window's place, its rows and columns that lie inside of the map, and which of the window these are."""
    for place in np.ndindex(output_size(size, window, stride, pad)):
        first = [place[a] * stride[a] - pad[a] for a in range(2)]
        inside = tuple(slice(max(first[a], 0), min(first[a] + window[a], size[a])) for a in range(2))
        yield place, inside, tuple(slice(inside[a].start - first[a], inside[a].stop - first[a]) for a in range(2))


# --- between sums and sign: arrays (filters,), gammas of both signs; at ties some value becomes 0 exactly ---


def centres(values: np.ndarray, ties: bool, random: np.random.Generator) -> np.ndarray:
    """float32 (filters,): of each channel a value that occurs, or where there are to be no ties one near it."""
    flat = values.reshape(-1, values.shape[-1])
    found = flat[random.integers(len(flat), size=flat.shape[1]), np.arange(flat.shape[1])]
    return found if ties else found + np.float32(0.3) * normal(random, flat.shape[1]) * (flat.std() + np.float32(0.1))


def normal(random: np.random.Generator, count: int) -> np.ndarray:
    """float32 (count,)."""
    return random.normal(size=count).astype(np.float32)


def gammas(random: np.random.Generator, count: int) -> np.ndarray:
    """float32 (count,), not 0; the first below it, the last above."""
    found = (np.abs(normal(random, count)) + np.float32(0.1)) * random.choice(np.float32([-1, 1]), count)
    found[0], found[-1] = -abs(found[0]), abs(found[-1])
    return found


@dataclass(frozen=True)
class Divided:
    """eBNN's bias and batch norm, in the order of its C code."""

    bias: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray

    @classmethod
    def draw(cls, values: np.ndarray, ties: bool, random: np.random.Generator) -> Divided:
        count = values.shape[-1]
        bias = normal(random, count)
        beta = np.zeros(count, np.float32) if ties else normal(random, count) / 4
        deviation = (values.std() + np.float32(0.1)) * random.uniform(0.5, 2, count).astype(np.float32)
        return cls(bias, centres(values + bias, ties, random), deviation, gammas(random, count), beta)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x + self.bias - self.mean) / self.deviation * self.gamma + self.beta

    def build(self, net: Builder, x: Tensor) -> Tensor:
        x = net.divide(net.add_bias(net.add_bias(x, self.bias), -self.mean), self.deviation)
        return net.add_bias(net.multiply(x, self.gamma), self.beta)


@dataclass(frozen=True)
class BatchNorm:
    """Batch norm with its four statistics, as frameworks mostly compute it."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon = np.float32(1e-3)

    @classmethod
    def draw(cls, values: np.ndarray, ties: bool, random: np.random.Generator) -> BatchNorm:
        count = values.shape[-1]
        beta = np.zeros(count, np.float32) if ties else normal(random, count) / 4
        variance = (values.var() + np.float32(0.1)) * random.uniform(0.5, 2, count).astype(np.float32)
        return cls(gammas(random, count), beta, centres(values, ties, random), variance)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        gain = self.gamma / np.sqrt(self.variance + self.epsilon)
        return x * gain + (self.beta - self.mean * gain)

    def build(self, net: Builder, x: Tensor) -> Tensor:
        return net.batch_norm(x, (self.gamma, self.beta, self.mean, self.variance), float(self.epsilon))


@dataclass(frozen=True)
class Scaled:
    """CBin-NN's fused batch norm behind 8-bit inputs: two floats a filter."""

    alpha1: np.ndarray
    alpha2: np.ndarray

    @classmethod
    def draw(cls, values: np.ndarray, ties: bool, random: np.random.Generator) -> Scaled:
        return cls(centres(values, ties, random), gammas(random, values.shape[-1]))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.alpha1) * self.alpha2

    def build(self, net: Builder, x: Tensor) -> Tensor:
        return net.multiply(net.add_bias(x, -self.alpha1), self.alpha2)


@dataclass(frozen=True)
class Shifted:
    """CBin-NN's fused batch norm behind binary inputs: one float a filter, which no gamma below 0 has."""

    weight: np.ndarray

    @classmethod
    def draw(cls, values: np.ndarray, ties: bool, random: np.random.Generator) -> Shifted:
        return cls(-centres(values, ties, random))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x + self.weight

    def build(self, net: Builder, x: Tensor) -> Tensor:
        return net.add_bias(x, self.weight)
