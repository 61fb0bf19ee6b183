"""Packing: the only owner of bit order (docs/SPEC.md, section 1)."""

from __future__ import annotations

import numpy as np


def pixel_stride(channels: int) -> int:
    """Bits that a pixel of ``channels`` binary channels takes: 1, 2, 4, 8, 16 or a multiple of 32."""
    for stride in (1, 2, 4, 8, 16):
        if channels <= stride:
            return stride
    return -(-channels // 32) * 32


def row_words(bit_count: int) -> int:
    """Words that so many bits fill."""
    return -(-bit_count // 32)


def pack_rows(rows: np.ndarray) -> np.ndarray:
    """Pack boolean rows (..., n) into bytes uint8 (..., 4 * ceil(n / 32)), least significant bit first."""
    count = rows.shape[-1]
    packed = np.packbits(rows.astype(bool), axis=-1, bitorder="little")
    missing = 4 * row_words(count) - packed.shape[-1]
    return np.pad(packed, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])


def unpack_rows(packed: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` bits of each row of bytes (..., m), as booleans (..., count)."""
    return np.unpackbits(packed, axis=-1, count=count, bitorder="little").astype(bool)


def _strided(bits: np.ndarray) -> np.ndarray:
    """Pad the channel axis of booleans (..., c) to the pixel stride with zeros."""
    channels = bits.shape[-1]
    return np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, pixel_stride(channels) - channels)])


def pack_maps(bits: np.ndarray) -> np.ndarray:
    """Pack maps or filters, booleans (n, h, w, c), into uint8 (n, bytes of whole words)."""
    return pack_rows(_strided(bits).reshape(bits.shape[0], -1))


def unpack_maps(packed: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The inverse of ``pack_maps``: uint8 (n, bytes) to booleans (n, h, w, c)."""
    height, width, channels = shape
    stride = pixel_stride(channels)
    bits = unpack_rows(packed, height * width * stride)
    return bits.reshape(-1, height, width, stride)[..., :channels]


def map_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes of a packed map of ``shape`` (h, w, c)."""
    height, width, channels = shape
    return 4 * row_words(height * width * pixel_stride(channels))
