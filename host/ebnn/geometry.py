"""Shapes: what a window reads, how large its output is, how many bits a filter takes (docs/SPEC.md, 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass

from ebnn.bits import map_bytes, pixel_stride, row_words
from ebnn.ops import MAX_BITS, Op

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, left, bottom, right
Shape = tuple[int, int, int]  # height, width, channels

MAX_SIZE = 65535
MAX_BYTE = 255
NO_PAD = (0, 0, 0, 0)


@dataclass(frozen=True)
class Value:
    """A tensor of a network: ``shape`` is (height, width, channels), ``dtype`` is bits, u8 or i32."""

    id: int
    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return "x".join(map(str, self.shape)) + f" {self.dtype}"


@dataclass(frozen=True)
class Geometry:
    """Where a window reads: kernel, stride, padding and border of the convolution, then the same of the pool.

    ``border`` is what padding holds: -1 or +1 (for ``u8`` inputs the bytes 0 and 255). Pool padding never counts.
    A dense node has the default.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pad: Sides = NO_PAD
    border: int = -1
    pool: Pair = (1, 1)
    pool_stride: Pair = (1, 1)
    pool_pad: Sides = NO_PAD

    @property
    def pools(self) -> bool:
        """Whether there is a pool at all."""
        return (self.pool, self.pool_stride) != ((1, 1), (1, 1))


def map_size(size: Pair, window: Pair, stride: Pair, pad: Sides) -> Pair:
    """(height, width) of the map of all window positions; a side is below 1 where no window fits."""
    top, left, bottom, right = pad
    return (
        (size[0] + top + bottom - window[0]) // stride[0] + 1,
        (size[1] + left + right - window[1]) // stride[1] + 1,
    )


def conv_size(op: Op, source: Value, geometry: Geometry) -> Pair:
    """(height, width) of a node's map before its pool."""
    if op.source == "dense":
        return (1, 1)
    if op.source == "pool":
        return source.shape[:2]
    return map_size(source.shape[:2], geometry.kernel, geometry.stride, geometry.pad)


def output_shape(op: Op, source: Value, geometry: Geometry, filters: int) -> Shape:
    """Shape of a node's output."""
    size = map_size(conv_size(op, source, geometry), geometry.pool, geometry.pool_stride, geometry.pool_pad)
    return (*size, source.shape[2] if op.source == "pool" else filters)


def filter_shape(op: Op, source: Value, geometry: Geometry) -> Shape:
    """(height, width, channels) of one filter of a conv or dense node."""
    size = source.shape[:2] if op.source == "dense" else geometry.kernel
    return (*size, source.shape[2])


def filter_taps(op: Op, source: Value, geometry: Geometry) -> int:
    """Number of weights of one filter."""
    height, width, channels = filter_shape(op, source, geometry)
    return height * width * channels


def filter_bytes(op: Op, source: Value, geometry: Geometry) -> int:
    """Bytes of one filter's row of weights in the file: whole words."""
    height, width, channels = filter_shape(op, source, geometry)
    per_pixel = channels if source.dtype == "u8" else pixel_stride(channels)
    return 4 * row_words(height * width * per_pixel)


def acc_bound(op: Op, source: Value, geometry: Geometry) -> int:
    """The largest absolute sum of a filter over every input."""
    return filter_taps(op, source, geometry) * (255 if source.dtype == "u8" else 1)


def value_bytes(value: Value) -> int:
    """Bytes that a value takes in memory."""
    height, width, channels = value.shape
    if value.dtype == "u8":
        return height * width * channels
    return 4 * channels if value.dtype == "i32" else map_bytes(value.shape)


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


def geometry_fault(op: Op, source: Value, geometry: Geometry, filters: int) -> str | None:
    """Why an operator cannot run on ``source`` with this geometry, or None."""
    g = geometry
    fault = window_fault("kernel", g.kernel, g.stride, g.pad) or window_fault("pool", g.pool, g.pool_stride, g.pool_pad)
    if fault:
        return fault
    size = conv_size(op, source, g)
    if not all(1 <= side <= MAX_SIZE for side in size):
        return f"its kernel {g.kernel} makes a map of {size} from {source}"
    return value_fault(Value(0, output_shape(op, source, g, filters), op.output))
