"""Shapes: what a window reads, how large its output is, how many bits a filter takes (docs/SPEC.md, 1 and 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ebnn.bits import pixel_stride, row_words
from ebnn.ops import DTYPE, INT8_MOST, MAX_BITS

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, left, bottom, right
Shape = tuple[int, int, int]  # height, width, channels

MAX_SIZE = 65535
MAX_BYTE = 255
NO_PAD = (0, 0, 0, 0)


@dataclass(frozen=True)
class Value:
    """A tensor of a network: ``shape`` is (height, width, channels), ``dtype`` a name of ``ops.DTYPES``."""

    id: int
    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return "x".join(map(str, self.shape)) + f" {self.dtype}"


@dataclass(frozen=True)
class Geometry:
    """Where a window reads: kernel, stride, padding and border of the convolution, then the same of the pool.

    ``border`` is what padding holds: -1 or +1 (for ``u8`` inputs the bytes 0 and 255), or 0: of ``bits`` taps there do
    not count. For ``i8`` and ``i16`` they never count, and it is -1. Pool padding never counts. ``pool_sum`` is whether
    a window's sums are added up, instead of the largest taken. A dense node has the default.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pad: Sides = NO_PAD
    border: int = -1
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_pad: Sides = NO_PAD
    pool_sum: bool = False

    @property
    def pools(self) -> bool:
        """Whether there is a pool at all."""
        return (self.pool, self.pool_stride) != ((1, 1), (1, 1))


class Layer(Protocol):
    """A node without its numbers, as shapes need it: a ``network.Node`` or a record of a model file."""

    op: str  # conv, depthwise, dense or pool
    geometry: Geometry
    output: str  # a dtype
    filters: int
    levels: int
    exclusive: bool
    shift: int
    has_int8: bool  # whether the weights are int8 instead of bits


def map_size(size: Pair, window: Pair, stride: Pair, pad: Sides) -> Pair:
    """(height, width) of the map of all window positions; a side is below 1 where no window fits."""
    top, left, bottom, right = pad
    return (
        (size[0] + top + bottom - window[0]) // stride[0] + 1,
        (size[1] + left + right - window[1]) // stride[1] + 1,
    )


def conv_size(layer: Layer, source: Value) -> Pair:
    """(height, width) of a node's map of sums, before its pool."""
    if layer.op == "dense":
        return (1, 1)
    if layer.op == "pool":
        return source.shape[:2]
    return map_size(source.shape[:2], layer.geometry.kernel, layer.geometry.stride, layer.geometry.pad)


def output_shape(layer: Layer, source: Value) -> Shape:
    """Shape of a node's output."""
    geometry = layer.geometry
    size = map_size(conv_size(layer, source), geometry.pool, geometry.pool_stride, geometry.pool_pad)
    return (*size, layer.filters if layer.exclusive else layer.levels * layer.filters)


def is_or(layer: Layer, source: Value) -> bool:
    """Whether a node is a pool of bits by OR, the one without parameters."""
    return (layer.op, source.dtype, layer.output) == ("pool", "bits", "bits") and not layer.geometry.pool_sum


def makes_hits(layer: Layer) -> bool:
    """Whether a node is a convolution that makes a map of hits: thresholds, one level, no sums of windows."""
    return (layer.op, layer.output, layer.levels) == ("conv", "bits", 1) and not layer.geometry.pool_sum


def filter_shape(layer: Layer, source: Value) -> Shape:
    """(height, width, channels) of the taps of a filter; of a pool the one tap."""
    if layer.op == "dense":
        return source.shape
    return (*layer.geometry.kernel, source.shape[2] if layer.op == "conv" else 1)


def filter_taps(layer: Layer, source: Value) -> int:
    """Number of taps of a filter; 1 of a pool."""
    return math.prod(filter_shape(layer, source))


def row_shape(layer: Layer, source: Value) -> Shape:
    """(height, width, channels) of a row of weights: a filter, or of a depthwise node one for each channel."""
    return (*filter_shape(layer, source)[:2], source.shape[2])


def row_bits(layer: Layer, source: Value) -> int:
    """Bits of a row of weights that are in use, those between the pixels among them."""
    height, width, channels = row_shape(layer, source)
    if layer.has_int8:
        return 8 * height * width * channels
    return height * width * (pixel_stride(channels) if source.dtype == "bits" else channels)


def weight_rows(layer: Layer, source: Value) -> int:
    """Number of rows of weights; 0 of a pool."""
    if layer.op == "pool":
        return 0
    return layer.filters // source.shape[2] if layer.op == "depthwise" else layer.filters


def weight_bytes(layer: Layer, source: Value) -> int:
    """Bytes of all weights of a node in the file."""
    return 4 * row_words(row_bits(layer, source)) * weight_rows(layer, source)


def acc_bound(layer: Layer, source: Value) -> int:
    """The largest absolute sum, after the pool, over every input: B of docs/SPEC.md, section 2.3."""
    geometry = layer.geometry
    added = math.prod(geometry.pool) if geometry.pool_sum else 1
    return filter_taps(layer, source) * DTYPE[source.dtype].largest * (INT8_MOST if layer.has_int8 else 1) * added


def packed_bits(shape: Shape, dtype: str) -> int:
    """Bits that elements of a value or a part of it take, those between the pixels among them."""
    height, width, channels = shape
    return height * width * (pixel_stride(channels) if dtype == "bits" else channels * DTYPE[dtype].size)


def value_bytes(value: Value) -> int:
    """Bytes that a value takes in memory."""
    bits = packed_bits(value.shape, value.dtype)
    return 4 * row_words(bits) if value.dtype == "bits" else bits // 8


def value_fault(value: Value) -> str | None:
    """Why a value cannot be, or None."""
    if not all(1 <= size <= MAX_SIZE for size in value.shape):
        return f"shape {value.shape} must be 1 to {MAX_SIZE} in each direction"
    if 8 * value_bytes(value) > MAX_BITS:
        return f"{value} takes {8 * value_bytes(value)} bits, at most {MAX_BITS} are possible"
    return None


def window_fault(what: str, window: Pair, stride: Pair, pad: Sides) -> str | None:
    """Why a window cannot be, or None."""
    if not all(1 <= size <= MAX_BYTE for size in (*window, *stride)):
        return f"{what} {window} with stride {stride}: each must be 1 to {MAX_BYTE}"
    if not all(0 <= side < window[axis % 2] for axis, side in enumerate(pad)):
        return f"{what} {window}: padding {pad} must be 0 or more and below the window's size"
    return None


def geometry_fault(layer: Layer, source: Value) -> str | None:
    """Why a node cannot run on ``source`` with its geometry, or None."""
    g = layer.geometry
    fault = window_fault("kernel", g.kernel, g.stride, g.pad) or window_fault("pool", g.pool, g.pool_stride, g.pool_pad)
    if fault:
        return fault
    size = conv_size(layer, source)
    if not all(1 <= side <= MAX_SIZE for side in size):
        return f"its kernel {g.kernel} makes a map of {size} from {source}"
    return value_fault(Value(0, output_shape(layer, source), layer.output))
