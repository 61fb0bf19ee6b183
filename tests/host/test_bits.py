"""Packing: against the oracle, and back."""

from __future__ import annotations

import numpy as np
import pytest

import oracle
from ebnn import bits

SHAPES = [(1, 1, 1), (3, 5, 1), (2, 3, 3), (4, 7, 8), (1, 9, 17), (3, 3, 32), (2, 2, 33), (5, 1, 70)]


def maps_of(shape: tuple[int, int, int], count: int = 3) -> np.ndarray:
    """Random booleans (count, *shape)."""
    return np.random.default_rng(shape).random((count, *shape)) < 0.5


def test_pixel_strides() -> None:
    assert [bits.pixel_stride(c) for c in (1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65)] == [
        1, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 96,
    ]  # fmt: skip
    assert all(bits.pixel_stride(c) == oracle.pixel_stride(c) for c in range(1, 300))


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_are_packed_as_the_oracle_packs_them(shape: tuple[int, int, int]) -> None:
    for one, packed in zip(maps_of(shape), bits.pack_maps(maps_of(shape)), strict=True):
        assert packed.tobytes() == oracle.pack((2 * one.astype(int) - 1).tolist(), "bits")
        assert len(packed) == bits.map_bytes(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_unpacking_gives_the_maps_back(shape: tuple[int, int, int]) -> None:
    assert (bits.unpack_maps(bits.pack_maps(maps_of(shape)), shape) == maps_of(shape)).all()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 32, 33, 100])
def test_rows_fill_whole_words_from_the_least_significant_bit(count: int) -> None:
    rows = maps_of((1, 1, count))[:, 0, 0]
    packed = bits.pack_rows(rows)
    assert packed.shape == (3, 4 * bits.row_words(count)) == (3, -(-count // 32) * 4)
    for row, data in zip(rows, packed, strict=True):
        assert int.from_bytes(data.tobytes(), "little") == sum(1 << k for k in range(count) if row[k])
    assert (bits.unpack_rows(packed, count) == rows).all()
