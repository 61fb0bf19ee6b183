"""The oracle against models written byte by byte and answers worked out by hand."""

from __future__ import annotations

import struct
import zlib

import oracle

BITS, U8, I8, I16, I32 = range(5)
CONV, DEPTHWISE, DENSE, POOL = range(1, 5)
PLUS, WIDE, FLIPS, NONE, INT8, SUM, GAINS, EXCLUSIVE = (1 << bit for bit in range(8))
NO_WINDOW = (0,) * 8
ONE = (1, 1, 1, 1, 0, 0, 0, 0)  # a window of one position


def header(nodes: int, shape: tuple[int, int, int], dtype: int) -> bytes:
    """A header whose checksum, sizes and self-test nobody looks at."""
    return b"EBNN" + struct.pack("<4B3I3H2B4I2BH", 1, 0, 36, nodes, 0, 0, 8, *shape, dtype, 0, 0, 1, *(0,) * 5)


def record(
    op: int, inputs: tuple[int, int], filters: int, windows: tuple, output: tuple[int, int, int], params: int
) -> bytes:
    """A node record without a plan; ``output`` is (dtype, flags, levels or shift)."""
    dtype, flags, last = output
    return struct.pack("<4B2H16B3xB3xBI", op, flags, *inputs, filters, 0, *windows, dtype, last, params)


def run(dtype: int, shape: tuple[int, int, int], nodes: list[tuple], data: bytes) -> list[list]:
    """Every node's elements in order; a node is what ``record`` takes, with parameter bytes instead of their place."""
    blob, place = b"", 48 + 36 * len(nodes)
    for *fields, params in nodes:
        blob += record(*fields, place)
        place += len(params)
    blob = header(len(nodes), shape, dtype) + blob + b"".join(params for *_, params in nodes)
    model = oracle.decode(blob)
    outputs = oracle.trace(model, data)
    pixels = [oracle.unpack(*value) for value in zip(outputs, model.shapes[1:], model.dtypes[1:], strict=True)]
    return [[element for row in value for pixel in row for element in pixel] for value in pixels]


def test_scores_of_bytes() -> None:
    params = struct.pack("<2I2h", 0b1111, 0b0101, 5, -7)
    node = (DENSE, (0, 0), 2, NO_WINDOW * 2, (I32, 0, 0), params)
    # 1 + 2 + 3 + 4 + 5, and 1 - 2 + 3 - 4 - 7
    assert run(U8, (2, 2, 1), [node], bytes([1, 2, 3, 4])) == [[15, -9]]


def conv_bits(pool: tuple, flags: int, bits: int = 0b101) -> list[int]:
    """A row of + - +, border +1 on the left, through a filter (+ -) with threshold 1."""
    windows = (1, 2, 1, 1, 0, 1, 0, 0, *pool)
    params = struct.pack("<IhhI", 0b01, 1, 0, 1)
    return run(BITS, (1, 3, 1), [(CONV, (0, 0), 1, windows, (BITS, flags, 1), params)], bytes([bits, 0, 0, 0]))[0]


def test_border_threshold_flip_and_pool() -> None:
    # Sums: border - x0 = 0, x0 - x1 = 2, x1 - x2 = -2; only the middle one hits.
    two = (1, 2, 1, 1, 0, 0, 0, 0)
    assert conv_bits(ONE, PLUS) == [-1, 1, -1]
    assert conv_bits(ONE, PLUS | FLIPS) == [1, -1, 1]
    assert conv_bits(two, PLUS) == [1, 1]
    assert conv_bits(two, PLUS | FLIPS) == [-1, -1]
    # The sum over the window is 2, then 0: of the first both reach 1, of the second none.
    assert conv_bits(two, PLUS | SUM) == [1, -1]
    # With border -1 the first sum is -2: nothing changes; a padded pool does not count what lies outside.
    assert conv_bits(ONE, 0) == [-1, 1, -1]
    assert conv_bits((1, 2, 1, 2, 0, 1, 0, 0), PLUS) == [-1, 1]
    # Where x0 is -1 the sums are 2, 0, -2 with border +1, 0 with border -1, and 1 where the border does not count.
    assert [conv_bits(ONE, flags, 0b100)[0] for flags in (PLUS, 0, NONE)] == [1, -1, 1]


def test_int8_weights_on_every_dtype() -> None:
    # 100 * x0 - 128 * x1
    params = struct.pack("<bbxxhxx", 100, -128, 5)
    for dtype, data, wanted in (
        (BITS, bytes([0b01, 0, 0, 0]), 233),
        (U8, bytes([255, 1]), 25377),
        (I8, bytes([0x80, 0xFF]), 5 - 12800 + 128),
        (I16, struct.pack("<hh", -32768, 2), 5 - 3276800 - 256),
    ):
        assert run(dtype, (1, 1, 2), [(DENSE, (0, 0), 1, NO_WINDOW * 2, (I32, INT8, 0), params)], data) == [[wanted]]


def test_depthwise_filters_read_their_own_channel() -> None:
    # Two channels, four filters: rows (2, 3), (-5, 7) a tap and channel, one tap.
    params = struct.pack("<2bxx2bxx4h", 2, 3, -5, 7, 0, 1, 2, 3)
    node = (DEPTHWISE, (0, 0), 4, (*ONE, *ONE), (I16, INT8, 0), params)
    assert run(I8, (1, 1, 2), [node], bytes([10, 0xFC])) == [[20, -11, -48, -25]]


def test_thresholds_of_levels_and_their_exclusive_or() -> None:
    # Channels 4 and -3 of i8; level after level the thresholds are (0, -5), (4, -3), (5, 0).
    params = struct.pack("<6h", 0, -5, 4, -3, 5, 0)
    node = (POOL, (0, 0), 2, (*NO_WINDOW, *ONE), (BITS, 0, 3), params)
    assert run(I8, (1, 1, 2), [node], bytes([4, 0xFD])) == [[1, 1, 1, 1, -1, -1]]
    node = (POOL, (0, 0), 2, (*NO_WINDOW, *ONE), (BITS, EXCLUSIVE, 3), params)
    assert run(I8, (1, 1, 2), [node], bytes([4, 0xFD])) == [[-1, -1]]
    node = (POOL, (0, 0), 2, (*NO_WINDOW, *ONE), (BITS, EXCLUSIVE | FLIPS, 3), params + b"\2\0\0\0")
    assert run(I8, (1, 1, 2), [node], bytes([4, 0xFD])) == [[-1, 1]]


def test_integers_shift_down_add_the_second_input_and_stay_in_range() -> None:
    # The first node repeats the channels: 10, -7, 10, -7. The second adds them to (v * gain + offset) >> 2.
    first = (POOL, (0, 0), 4, (*NO_WINDOW, *ONE), (I8, 0, 0), struct.pack("<4h", 0, 0, 0, 0))
    params = struct.pack("<4h4h", 1, 0, 3, -3, 3, -1, -100, 100)
    second = (POOL, (0, 1), 4, (*NO_WINDOW, *ONE), (I8, GAINS, 2), params)
    # 31 >> 2 = 7, 7 >> 2 = 1, -997 >> 2 = -250, -703 >> 2 = -176
    assert run(I8, (1, 1, 2), [first, second], bytes([10, 0xF9])) == [[10, -7, 10, -7], [17, -6, -128, -128]]


def test_sum_and_largest_of_a_window() -> None:
    window = (2, 2, 1, 1, 1, 0, 0, 0)
    params = struct.pack("<hxx", 0)
    data = bytes([1, 2, 3, 250])
    for flags, wanted in ((SUM, [3, 255]), (0, [2, 250])):
        node = (POOL, (0, 0), 1, (*NO_WINDOW, *window), (U8, flags, 0), params)
        assert run(U8, (2, 2, 1), [node], data) == [wanted]


def test_prediction_is_the_first_of_equals() -> None:
    assert [oracle.predict(scores) for scores in ([3], [1, 2, 2], [-5, -5], [-1, -2, 0])] == [0, 1, 0, 2]


def test_checksum_is_that_of_zlib() -> None:
    for data in (b"", b"123456789", bytes(range(256))):
        assert oracle.crc32(data) == zlib.crc32(data)


def test_selftest_input() -> None:
    # xorshift32 from 1: 0x00042021, 0x04080601, 0x9DCCA8C5
    for dtype, wanted in (
        (BITS, bytes([0b100, 0, 0, 0])),
        (U8, bytes([0x00, 0x04, 0x9D])),
        (I8, bytes([0x00, 0x04, 0x9D])),
        (I16, bytes([0x04, 0x00, 0x08, 0x04, 0xCC, 0x9D])),
    ):
        params = bytes(16)
        blob = header(1, (1, 3, 1), dtype) + record(DENSE, (0, 0), 1, NO_WINDOW * 2, (I32, 0, 0), 84) + params
        assert oracle.selftest_input(oracle.decode(blob)) == wanted


def test_selftest_takes_scores_as_32_bits() -> None:
    node = record(POOL, (0, 0), 1, (*NO_WINDOW, *ONE), (I8, 0, 0), 84)
    model = oracle.decode(header(1, (1, 1, 1), I8) + node + struct.pack("<hxx", -3))
    assert oracle.selftest(model) == zlib.crc32(struct.pack("<i", -3))
