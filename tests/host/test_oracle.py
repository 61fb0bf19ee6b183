"""The oracle against models written byte by byte and answers worked out by hand."""

from __future__ import annotations

import struct
import zlib

import oracle


def header(nodes: int, arena: int, shape: tuple[int, int, int], dtype: int) -> bytes:
    """A header whose checksum, total size and self-test nobody looks at."""
    return b"EBNN" + struct.pack("<4B3I3H2B4I2BH", 0, 4, 36, nodes, 0, 0, arena, *shape, dtype, 0, 0, 1, *(0,) * 5)


def record(op: int, flags: int, source: int, filters: int, windows: tuple, params: int) -> bytes:
    """A node record without a plan."""
    return struct.pack("<4B2H16B3I", op, flags, source, 0, filters, 0, *windows, 0, 0, params)


def test_scores_of_bytes() -> None:
    blob = header(1, 8, (2, 2, 1), 1) + record(5, 0, 0, 2, (0,) * 16, 84)
    blob += struct.pack("<2I2h", 0b1111, 0b0101, 5, -7)
    model = oracle.decode(blob)
    # 1 + 2 + 3 + 4 + 5, and 1 - 2 + 3 - 4 - 7
    assert oracle.scores_of(oracle.trace(model, bytes([1, 2, 3, 4]))[-1]) == [15, -9]


def conv_outputs(pool: tuple, flags: int) -> list[bytes]:
    """Outputs of + - +, border +1 on the left, through a filter (+ -) with threshold 1, then a score of all bits."""
    windows = (1, 2, 1, 1, 0, 1, 0, 0, *pool)
    width = 3 if pool[1] == 1 else 2
    blob = header(2, 8, (1, 3, 1), 0) + record(2, flags, 0, 1, windows, 120)
    blob += record(6, 0, 1, 1, (0,) * 16, 132) + struct.pack("<IhhI", 0b01, 1, 0, 1)
    blob += struct.pack("<Ihh", (1 << width) - 1, 100, 0)
    return oracle.trace(oracle.decode(blob), bytes([0b101, 0, 0, 0]))


def test_border_threshold_flip_and_pool() -> None:
    # Sums: border - x0 = 0, x0 - x1 = 2, x1 - x2 = -2; only the middle one hits.
    one, two = (1, 1, 1, 1, 0, 0, 0, 0), (1, 2, 1, 1, 0, 0, 0, 0)
    assert conv_outputs(one, 1) == [bytes([0b010, 0, 0, 0]), struct.pack("<i", 99)]
    assert conv_outputs(one, 1 | 4) == [bytes([0b101, 0, 0, 0]), struct.pack("<i", 101)]
    assert conv_outputs(two, 1) == [bytes([0b11, 0, 0, 0]), struct.pack("<i", 102)]
    assert conv_outputs(two, 1 | 4) == [bytes(4), struct.pack("<i", 98)]
    # With border -1 the first sum is -2: nothing changes; a padded pool does not count what lies outside.
    assert conv_outputs(one, 0)[0] == bytes([0b010, 0, 0, 0])
    assert conv_outputs((1, 2, 1, 2, 0, 1, 0, 0), 1)[0] == bytes([0b10, 0, 0, 0])


def test_prediction_is_the_first_of_equals() -> None:
    assert [oracle.predict(scores) for scores in ([3], [1, 2, 2], [-5, -5], [-1, -2, 0])] == [0, 1, 0, 2]


def test_checksum_is_that_of_zlib() -> None:
    for data in (b"", b"123456789", bytes(range(256))):
        assert oracle.crc32(data) == zlib.crc32(data)


def test_selftest_input() -> None:
    model = oracle.decode(header(1, 8, (1, 2, 1), 1) + record(5, 0, 0, 1, (0,) * 16, 84) + bytes(8))
    # xorshift32 from 1: 0x00042021, 0x04080601
    assert oracle.selftest_input(model) == bytes([0x00, 0x04])
