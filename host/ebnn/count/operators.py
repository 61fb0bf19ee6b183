"""The bench's single nodes that no network of the other groups has: one network for each, by the name of its case."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ebnn.geometry import Geometry, Value, output_shape
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node

Maker = Callable[[np.random.Generator, Value], tuple[Node, ...]]
PAD = Geometry(pad=(1, 1, 1, 1))
NONE_PAD = Geometry(pad=(1, 1, 1, 1), border=0)
SPREAD = 8  # of the numbers of a map of i16


def build(rng: np.random.Generator, source: Value, maker: Maker) -> Network:
    """The nodes of ``maker`` on a network's input, the one that is counted last, and two units behind for scores.

    A node that reads bits or i16 reads a map: value 0 may be misaligned, so kernels may treat it apart.
    """
    values, nodes = [source], []
    for node in maker(rng, source):
        values.append(Value(len(values), output_shape(node, values[node.inputs[0]]), node.output))
        nodes.append(node)
    weights = _signs(rng, (2, *values[-1].shape))
    return Network(source, (*nodes, dense_node(len(nodes), weights, offsets=np.zeros(2, int))))


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 2 * rng.integers(0, 2, shape, np.int8) - 1


def _copy() -> Node:
    """The network's bits where maps lie."""
    return pool_node(0, (1, 1), (1, 1), name="copy")


def _map(rng: np.random.Generator, source: Value) -> Node:
    """The network's bits as a map of i16."""
    channels = source.shape[2]
    gains, offsets = rng.integers(1, SPREAD, channels), rng.integers(-SPREAD, SPREAD, channels)
    return pool_node(0, (1, 1), (1, 1), output="i16", gains=gains, offsets=offsets, name="map")


def depthwise(kernel: int, border: int = -1) -> Maker:
    """A filter a channel of bits, of odd size, whose map is as large as its input; to bits."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        channels = source.shape[2]
        geometry = Geometry(pad=(kernel // 2,) * 4, border=border)
        thresholds = rng.integers(-2, 3, channels)
        return _copy(), depthwise_node(1, _signs(rng, (channels, kernel, kernel, 1)), geometry, thresholds=thresholds)

    return make


def residual(filters: int) -> Maker:
    """Filters 3x3 of bits with gains, to i16, to which a map of i16 is added."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        weights, numbers = _signs(rng, (filters, 3, 3, source.shape[2])), rng.integers(-100, 101, (2, filters))
        more = {"second": 2, "gains": numbers[0], "offsets": numbers[1], "output": "i16", "shift": 4}
        return _copy(), _map(rng, source), conv_node(1, weights, PAD, **more)

    return make


def integers(filters: int, output: str) -> Maker:
    """Filters 3x3 of bits, to integers."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        weights = _signs(rng, (filters, 3, 3, source.shape[2]))
        return _copy(), conv_node(1, weights, PAD, offsets=rng.integers(-9, 9, filters), output=output, shift=1)

    return make


def sign(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
    """A threshold for each channel of a map of i16."""
    thresholds = rng.integers(-SPREAD, SPREAD, source.shape[2])
    return _map(rng, source), pool_node(1, (1, 1), (1, 1), thresholds=thresholds)


def int8(filters: int) -> Maker:
    """Filters 3x3 with weights of a byte, to bits."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        weights = rng.integers(-127, 128, (filters, 3, 3, source.shape[2]))
        thresholds = np.round(127.5 * weights.reshape(filters, -1).sum(axis=1)).astype(int)
        copy = (_copy(),) if source.dtype == "bits" else ()
        return *copy, conv_node(len(copy), weights, thresholds=thresholds if not copy else thresholds // 500)

    return make


def on_i16(filters: int) -> Maker:
    """Filters 3x3 of weights of a bit on a map of i16, to bits."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        weights = _signs(rng, (filters, 3, 3, source.shape[2]))
        return _map(rng, source), conv_node(1, weights, thresholds=rng.integers(-99, 100, filters))

    return make


def depthwise_int8(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
    """A filter 3x3 a channel with weights of a byte, to i8."""
    weights, offsets = rng.integers(-127, 128, (source.shape[2], 3, 3, 1)), np.zeros(source.shape[2], int)
    return (depthwise_node(0, weights, PAD, offsets=offsets, output="i8", shift=10),)


def sum_pool(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
    """The majority of 2x2 bits."""
    thresholds = rng.integers(-1, 2, source.shape[2])
    return _copy(), pool_node(1, (2, 2), (2, 2), pool_sum=True, thresholds=thresholds)


def global_sum(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
    """The sum of each channel of bits over the whole map, to i16."""
    size = source.shape[:2]
    return _copy(), pool_node(1, size, size, pool_sum=True, output="i16", offsets=np.zeros(source.shape[2], int))


def thermometer(levels: int) -> Maker:
    """Bytes compared with so many thresholds each."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        steps = (np.arange(1, levels + 1) * 256 // (levels + 1)).repeat(source.shape[2])
        return (pool_node(0, (1, 1), (1, 1), thresholds=steps, levels=levels),)

    return make


def border_none(filters: int) -> Maker:
    """Filters 3x3 of bits whose taps on padding do not count."""

    def make(rng: np.random.Generator, source: Value) -> tuple[Node, ...]:
        weights = _signs(rng, (filters, 3, 3, source.shape[2]))
        return _copy(), conv_node(1, weights, NONE_PAD, thresholds=rng.integers(-9, 10, filters))

    return make


BITS, U8 = "bits", "u8"
# name: what it is, input, dtype, index of the node that is counted, how it is made
CASES: dict[str, tuple[str, tuple[int, int, int], str, int, Maker]] = {
    "depthwise32": ("depthwise 3x3", (16, 16, 32), BITS, 1, depthwise(3)),
    "depthwise64": ("depthwise 3x3", (16, 16, 64), BITS, 1, depthwise(3)),
    "depthwise64-none": ("depthwise 3x3, border none", (16, 16, 64), BITS, 1, depthwise(3, 0)),
    "depthwise24-5": ("depthwise 5x5", (10, 12, 24), BITS, 1, depthwise(5)),
    "residual64": ("conv 3x3 to i16, gains, second input", (16, 16, 64), BITS, 2, residual(64)),
    "residual32": ("conv 3x3 to i16, gains, second input", (8, 8, 32), BITS, 2, residual(32)),
    "integers16": ("conv 3x3 to i8", (8, 8, 32), BITS, 1, integers(16, "i8")),
    "sign64": ("threshold of i16", (16, 16, 64), BITS, 1, sign),
    "sign20": ("threshold of i16", (8, 8, 20), BITS, 1, sign),
    "int8-u8": ("conv 3x3 of int8 weights, 16 filters", (28, 28, 1), U8, 0, int8(16)),
    "int8-u8-rgb": ("conv 3x3 of int8 weights, 32 filters", (32, 32, 3), U8, 0, int8(32)),
    "int8-bits": ("conv 3x3 of int8 weights, 16 filters", (8, 8, 32), BITS, 1, int8(16)),
    "on-i16": ("conv 3x3 of i16, 16 filters", (10, 12, 8), BITS, 1, on_i16(16)),
    "depthwise-int8": ("depthwise 3x3 of int8 weights", (16, 16, 3), U8, 0, depthwise_int8),
    "depthwise40-int8": ("depthwise 3x3 of int8 weights", (8, 8, 40), U8, 0, depthwise_int8),
    "sum64": ("sums of 2x2 to bits", (16, 16, 64), BITS, 1, sum_pool),
    "sum20": ("sums of 2x2 to bits", (8, 8, 20), BITS, 1, sum_pool),
    "global64": ("sums of a map to i16", (8, 8, 64), BITS, 1, global_sum),
    "global32": ("sums of a map to i16", (16, 16, 32), BITS, 1, global_sum),
    "thermometer8": ("8 thresholds a byte", (28, 28, 1), U8, 0, thermometer(8)),
    "thermometer4-rgb": ("4 thresholds a byte", (32, 32, 3), U8, 0, thermometer(4)),
    "none64": ("conv 3x3, border none, 64 filters", (16, 16, 64), BITS, 1, border_none(64)),
    "none32": ("conv 3x3, border none, 32 filters", (8, 8, 32), BITS, 1, border_none(32)),
}
