"""Damaged models: named mutations of good ones, each with the error that every reader must give.

A row changes bytes of a good model; the checksum is mended after that, except where the row says otherwise.
Offsets are those of docs/SPEC.md, section 4; the order of the rows is the order of its section 7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ebnn import ops
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, conv_node, dense_node, depthwise_node, pool_node
from vectors import seal

Change = Callable[[bytearray], None]

TOTAL, CRC, ARENA, HEIGHT, WIDTH, CHANNELS, DTYPE, LABELS, SEED = 8, 12, 16, 20, 22, 24, 26, 28, 32
PREPARE, THRESHOLD = 44, 45
CONV1, POOL, CONV2, DENSE, SCORES = range(5)  # nodes of the model "chain"
DEPTH, CODE, ADDS, SUM, LAST = range(5)  # nodes of the model "mixed"
OUT, OUTPUT, SCRATCH, ENDING = 24, 27, 28, 31  # fields of a record: the dtype is above a place, levels or shift too
BITS, U8, I8, I16, I32 = range(5)


@dataclass(frozen=True)
class Damage:
    """One row: what is done to which good model, and the error's name (None: it stays good)."""

    name: str
    error: str | None
    change: Change
    base: str = "chain"
    mend: bool = True

    def blob(self) -> bytes:
        """The damaged model."""
        data = bytearray(GOOD[self.base])
        self.change(data)
        return mended(bytes(data)) if self.mend else bytes(data)


def mended(blob: bytes) -> bytes:
    """The model with the checksum that its bytes want."""
    if len(blob) < 16:
        return blob
    return blob[:12] + struct.pack("<I", zlib.crc32(blob[16:], zlib.crc32(blob[:12]))) + blob[16:]


# --- good models ---


def _signs(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).choice(np.array([-1, 1]), shape)


def _int8(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(-128, 128, shape)


def _chain() -> Network:
    """Hits, with labels: bytes 8x7x2 -> conv -> pool -> conv -> dense -> scores."""
    first = Geometry(stride=(1, 1), pad=(1, 1, 1, 1), border=1, pool=(2, 2), pool_stride=(2, 2))
    flips = np.array([1, 0, 1, 0, 0], bool)
    nodes = (
        conv_node(0, _signs(5, 3, 3, 2), first, thresholds=np.arange(-2, 3) * 50, flips=flips),
        pool_node(1, (2, 2), (1, 1)),
        conv_node(2, _signs(9, 2, 1, 5), thresholds=np.arange(-4, 5)),
        dense_node(3, _signs(6, 2, 2, 9), thresholds=np.arange(6) + 40_000),
        dense_node(4, _signs(3, 1, 1, 6), offsets=np.array([1, -2, 3])),
    )
    return Network(Value(0, (8, 7, 2), "u8"), nodes, ("a", "bc", "d"))


def _mixed() -> Network:
    """Integers: i8 6x6x4 -> depthwise -> code -> conv that adds the depthwise one -> sums -> scores by a conv."""
    around = (1, 1, 1, 1)
    gains, offsets = np.arange(4) + 5, np.arange(4) * 100
    flips = np.arange(5) % 2 == 0
    nodes = (
        depthwise_node(0, _int8(4, 3, 3, 1), Geometry(pad=around), output="i8", gains=gains, offsets=offsets, shift=9),
        pool_node(1, thresholds=np.arange(8) * 9 - 40, levels=2),
        conv_node(2, _signs(5, 3, 3, 8), Geometry(pad=around, border=0), second=1, output="i8", offsets=np.arange(5)),
        pool_node(3, (2, 2), (2, 2), pool_sum=True, thresholds=np.arange(10), levels=2, exclusive=True, flips=flips),
        conv_node(3, _int8(3, 4, 4, 5), Geometry(pool=(3, 3), pool_sum=True), output="i16", offsets=np.arange(3)),
    )
    return Network(Value(0, (6, 6, 4), "i8"), nodes)


def _sums() -> dict[str, Network]:
    """Models of which the parameters end with the numbers that bounds are about."""
    ends, most = np.array([0, 100_000]), np.full((1, 16, 16, 1), -128)
    gains = dense_node(0, _signs(2, 3, 3, 1), offsets=ends, gains=np.array([7, -(1 << 15)]))
    copy = pool_node(0, output="i16", offsets=[0, 0])
    adds = pool_node(0, second=1, output="i32", offsets=ends)
    window = conv_node(0, np.full((1, 1, 1, 1), -128), Geometry(pool=(16, 16), pool_sum=True), offsets=[100_000])
    return {
        "gains": Network(Value(0, (3, 3, 1), "bits"), (gains,)),
        "adds": Network(Value(0, (1, 1, 2), "u8"), (copy, adds)),
        "window": Network(Value(0, (16, 16, 1), "i16"), (window,)),
        "int8": Network(Value(0, (16, 16, 1), "i16"), (dense_node(0, most, offsets=[100_000]),)),
    }


def _good() -> dict[str, bytes]:
    scores = dense_node(0, _signs(3, 3, 3, 3), offsets=np.array([1, 2, 100_000]))
    bytes_ = dense_node(0, _signs(2, 4, 4, 1), offsets=np.array([1, 100_000]))
    bit = dense_node(0, _signs(2, 4, 4, 1), offsets=np.array([1, -1]))
    wide = conv_node(0, _signs(2, 2, 3, 3), Geometry(), output="i8", offsets=np.array([1, -1]))
    return {
        "chain": seal(_chain()),
        "mixed": seal(_mixed()),
        "bit": seal(Network(Value(0, (4, 4, 1), "bits"), (bit,))),
        "bits": seal(Network(Value(0, (3, 3, 3), "bits"), (scores,))),
        "bytes": seal(Network(Value(0, (4, 4, 1), "u8"), (bytes_,))),
        "i16": seal(Network(Value(0, (2, 3, 3), "i16"), (wide,))),
        **{name: seal(network) for name, network in _sums().items()},
    }


GOOD = _good()


# --- ways to change bytes ---


def put(code: str, offset: int, *values: int) -> Change:
    """Write little-endian ``values`` of struct ``code`` at an offset."""

    def change(data: bytearray) -> None:
        struct.pack_into("<" + code, data, offset, *values)

    return change


def node(index: int, offset: int, code: str, *values: int) -> Change:
    """Write into a node record."""
    return put(code, ops.HEADER_SIZE + ops.RECORD_SIZE * index + offset, *values)


def lay(index: int, field: int, words: int) -> Change:
    """Write one of the two places in the arena of a node record."""
    return node(index, field, "3B", *words.to_bytes(3, "little"))


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(data: bytearray) -> None:
        for part in changes:
            part(data)

    return change


def cut(size: int) -> Change:
    """Keep the first ``size`` bytes (negative: all but the last)."""

    def change(data: bytearray) -> None:
        del data[size:]

    return change


def grow(count: int, told: bool) -> Change:
    """Append zero bytes; ``told`` says whether the header counts them."""

    def change(data: bytearray) -> None:
        data.extend(bytes(count))
        if told:
            struct.pack_into("<I", data, TOTAL, len(data))

    return change


def flip(offset: int) -> Change:
    """Invert a bit."""

    def change(data: bytearray) -> None:
        data[offset] ^= 1

    return change


def add(offset: int, code: str, step: int) -> Change:
    """Add to a little-endian number."""

    def change(data: bytearray) -> None:
        (value,) = struct.unpack_from("<" + code, data, offset)
        struct.pack_into("<" + code, data, offset, value + step)

    return change


def add_node(index: int, offset: int, code: str, step: int) -> Change:
    """Add to a number in a node record."""
    return add(ops.HEADER_SIZE + ops.RECORD_SIZE * index + offset, code, step)


def label_place(data: bytearray) -> int:
    """Where the labels begin."""
    return struct.unpack_from("<I", data, LABELS)[0]


def label_byte(step: int, value: int) -> Change:
    """Write a byte ``step`` bytes behind the begin of the labels."""

    def change(data: bytearray) -> None:
        data[label_place(data) + step] = value

    return change


def labels_at_end(before: int) -> Change:
    """Labels that begin ``before`` bytes before the end of the file."""

    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, LABELS, len(data) - before)

    return change


def params_at_end(index: int, before: int) -> Change:
    """Parameters that begin ``before`` bytes before the end of the file, which is made a multiple of 4."""

    def change(data: bytearray) -> None:
        grow(-len(data) % 4, told=True)(data)
        node(index, 32, "I", len(data) - before)(data)

    return change


def roomy(count: int) -> Change:
    """Append so many zero bytes that large parameters lie inside of the file, at its aligned end."""

    def change(data: bytearray) -> None:
        grow(-len(data) % 4, told=True)(data)
        node(CONV1, 32, "I", len(data))(data)
        grow(count, told=True)(data)

    return change


# --- the rows, in the order of SPEC section 7 ---


def _file_rows() -> Iterator[Damage]:
    yield Damage("empty", "TRUNCATED", cut(0))
    yield Damage("one byte", "TRUNCATED", cut(1))
    yield Damage("47 bytes", "TRUNCATED", cut(47))
    yield Damage("47 bytes of another kind", "TRUNCATED", both(put("B", 0, 0), cut(47)))
    for place in range(4):
        yield Damage(f"magic byte {place}", "MAGIC", flip(place))
    yield Damage("magic before version", "MAGIC", both(flip(0), put("B", 4, 9)))
    yield Damage("major above", "VERSION", put("B", 4, ops.FORMAT_MAJOR + 1))
    yield Damage("major 255", "VERSION", put("B", 4, 255))
    yield Damage("minor above", "VERSION", put("B", 5, ops.FORMAT_MINOR + 1))
    yield Damage("minor 255", "VERSION", put("B", 5, 255))
    for major, minor in ((0, 4), (0, 0), (0, 255), (1, 1), (2, 0)):
        yield Damage(f"version {major}.{minor}", "VERSION", put("2B", 4, major, minor))
    yield Damage("version before size", "VERSION", both(put("B", 5, 255), cut(-1)))
    yield Damage("header only", "TRUNCATED", cut(48))
    yield Damage("last byte missing", "TRUNCATED", cut(-1))
    yield Damage("total_size one more", "TRUNCATED", add(TOTAL, "I", 1))
    yield Damage("total_size at its end", "TRUNCATED", put("I", TOTAL, 0xFFFFFFFF))
    yield Damage("one byte more", "SIZE", grow(1, told=False))
    yield Damage("four bytes more", "SIZE", grow(4, told=False))
    yield Damage("total_size one less", "SIZE", add(TOTAL, "I", -1))
    yield Damage("total_size 0", "SIZE", put("I", TOTAL, 0))
    yield Damage("size before checksum", "SIZE", both(add(TOTAL, "I", -1), flip(50)), mend=False)
    for place in (6, 11, 12, 15, 16, 40, 47, 48, 200):
        yield Damage(f"bit of byte {place}", "TRUNCATED" if place == 11 else "CRC", flip(place), mend=False)
    yield Damage("bit of the last byte", "CRC", flip(-1), mend=False)
    yield Damage("checksum before header", "CRC", put("B", 7, 0), mend=False)
    yield Damage("bytes behind the labels are nobody's", None, grow(5, told=True))


def _header_rows() -> Iterator[Damage]:
    for size in (0, 35, 37, 72):
        yield Damage(f"record_size {size}", "HEADER", put("B", 6, size))
    yield Damage("no nodes", "HEADER", put("B", 7, 0))
    for step in (1, 2, 3):
        yield Damage(f"arena_size {step} above a multiple of 4", "HEADER", add(ARENA, "I", step))
    yield Damage("arena above 2^26", "HEADER", put("I", ARENA, ops.MAX_ARENA + 4))
    yield Damage("largest arena", None, put("I", ARENA, ops.MAX_ARENA))
    for name, place in (("height", HEIGHT), ("width", WIDTH), ("channels", CHANNELS)):
        yield Damage(f"input {name} 0", "HEADER", put("H", place, 0))
    for dtype in (I32, 5, 255):
        yield Damage(f"input dtype {dtype}", "HEADER", put("B", DTYPE, dtype))
    yield Damage("reserved byte", "HEADER", put("B", 27, 1))
    yield Damage("seed 0", "HEADER", put("I", SEED, 0))
    for shape in ((65535, 65535, 65535), (4096, 4096, 2), (256, 65535, 2)):
        yield Damage(f"bytes of input {shape}", "HEADER", put("3H", HEIGHT, *shape))
    for shape in ((65535, 65535, 65535), (4096, 32768, 2), (16384, 8192, 2), (4097, 1024, 17)):
        change = put("3H", HEIGHT, *shape)
        yield Damage(f"bits of input {shape}", "HEADER", change, base="bits")
    yield Damage("2^27 bits of input", "RANGE", put("3H", HEIGHT, 8192, 16384, 1), base="bits")
    yield Damage("2^24 bytes of input", "RANGE", put("3H", HEIGHT, 4096, 4096, 1), base="bytes")
    yield Damage("2^23 i16 of input", "RANGE", put("3H", HEIGHT, 4096, 2048, 1), base="int8")
    yield Damage("i16 of input above 2^27 bits", "HEADER", put("3H", HEIGHT, 4096, 2049, 1), base="int8")
    yield Damage("more records than bytes", "HEADER", put("B", 7, 255))
    yield Damage("records end behind the file", "HEADER", both(cut(48 + 36 * 5 - 1), put("I", TOTAL, 227)))
    yield Damage("reserved u16, low byte", "HEADER", put("H", 46, 1))
    yield Damage("reserved u16, high byte", "HEADER", put("H", 46, 256))
    yield from _preparation_rows()
    yield Damage("header before nodes", "HEADER", both(put("I", SEED, 0), node(CONV1, 0, "B", 99)))


def _preparation_rows() -> Iterator[Damage]:
    for prepare in (2, 4, 8, 14, 16, 128):
        yield Damage(f"prepare {prepare} is not recorded", "HEADER", put("B", PREPARE, prepare), base="bytes")
    for prepare in (7, 15, 17, 33, 65, 129, 255):
        yield Damage(f"prepare {prepare}", "HEADER", put("B", PREPARE, prepare), base="bytes")
    for prepare in (1, 3, 5, 9, 11, 13):
        yield Damage(f"good prepare {prepare}", None, put("B", PREPARE, prepare), base="bytes")
    yield Damage("preparation of two channels", "HEADER", put("B", PREPARE, 3))
    for dtype in (I8, I16):
        change = both(put("B", PREPARE, 3), put("B", DTYPE, dtype))
        yield Damage(f"preparation of dtype {dtype}", "HEADER", change, base="bytes")
    yield Damage("threshold, nothing recorded", "HEADER", put("B", THRESHOLD, 1), base="bit")
    yield Damage("threshold of bytes", "HEADER", put("2B", PREPARE, 3, 1), base="bytes")
    yield Damage("preparation of bits without a threshold", "HEADER", put("B", PREPARE, 3), base="bit")
    for threshold in (1, 255):
        yield Damage(f"bits, threshold {threshold}", None, put("2B", PREPARE, 3, threshold), base="bit")
    yield Damage("largest margin", None, put("I", 40, 0xFFFFFFFF))


def _link_rows() -> Iterator[Damage]:
    for code in (0, 5, 8, 99, 255):
        yield Damage(f"operator {code}", "OP", node(CONV1, 0, "B", code))
    yield Damage("operator of the last node", "OP", node(SCORES, 0, "B", 0))
    yield Damage("operator before link", "OP", both(node(POOL, 0, "B", 9), node(POOL, 2, "B", 9)))
    for index, source in ((CONV1, 1), (POOL, 2), (CONV2, 5), (SCORES, 5), (SCORES, 6), (SCORES, 255)):
        yield Damage(f"node {index} reads value {source}", "LINK", node(index, 2, "B", source))
    for index, second in ((DEPTH, 1), (ADDS, 3), (ADDS, 4), (ADDS, 255)):
        yield Damage(f"node {index} adds value {second}", "LINK", node(index, 3, "B", second), base="mixed")
    yield Damage("second input of bits", "LINK", node(ADDS, 3, "B", 2), base="mixed")
    yield Damage("second input of bits where nothing is added", "LINK", node(CONV2, 3, "B", 1))
    yield Damage("link before shape", "LINK", both(node(CONV2, 2, "B", 9), node(CONV2, 8, "B", 0)))
    change = both(node(ADDS, 3, "B", 2), node(ADDS, OUTPUT, "B", 9))
    yield Damage("second input before shape", "LINK", change, base="mixed")


def _unused_rows() -> Iterator[Damage]:
    named = {flag.name: flag.value for flag in ops.FLAGS}
    for base, index, names in (
        ("chain", CONV1, ("border_none", "gains", "exclusive")),
        ("chain", POOL, ("border_plus", "wide", "flips", "border_none", "int8_weights", "gains", "exclusive")),
        ("chain", CONV2, ("gains", "exclusive")),
        ("chain", DENSE, ("border_plus", "border_none", "sum", "gains", "exclusive")),
        ("chain", SCORES, ("border_plus", "flips", "border_none", "sum", "exclusive")),
        ("mixed", DEPTH, ("border_plus", "flips", "border_none", "exclusive")),
        ("mixed", CODE, ("border_plus", "border_none", "int8_weights", "gains")),
        ("mixed", ADDS, ("border_plus", "flips", "exclusive")),
        ("mixed", SUM, ("border_plus", "border_none", "int8_weights", "gains")),
        ("i16", 0, ("border_plus", "flips", "border_none", "exclusive")),
    ):
        for name in names:
            yield Damage(f"{name} in node {index} of {base}", "SHAPE", _flag(index, named[name]), base=base)
    yield Damage("bytes with a border that does not count", "SHAPE", node(CONV1, 1, "B", ops.FLAG_BORDER_NONE))
    for index, kinds in ((POOL, range(8, 16)), (DENSE, range(8, 24)), (SCORES, range(8, 24))):
        for field in kinds:
            yield Damage(f"unused byte {field} of node {index}", "SHAPE", node(index, field, "B", 1))
    yield Damage("pool of bits with parameters", "SHAPE", node(POOL, 32, "I", 228))


def _ending_rows() -> Iterator[Damage]:
    for dtype in (5, 9, 128, 255):
        yield Damage(f"output dtype {dtype}", "SHAPE", node(CONV1, OUTPUT, "B", dtype))
        yield Damage(f"output dtype {dtype} of the last node", "SHAPE", node(SCORES, OUTPUT, "B", dtype))
    for dtype in (BITS, U8):
        yield Damage(f"scores of dtype {dtype}", "SHAPE", node(SCORES, OUTPUT, "2BxxB", dtype, 0, 1))
    for dtype in (I8, I16):
        yield Damage(f"good scores of dtype {dtype}", None, node(SCORES, OUTPUT, "B", dtype))
    yield Damage("scores before the last node", "SHAPE", node(DENSE, OUTPUT, "B", I32))
    yield Damage("i32 that nobody reads", "SHAPE", node(SUM, OUTPUT, "B", I32), base="mixed")
    yield Damage("one node, no scores", "SHAPE", put("B", 7, 1))
    yield Damage("scores of two positions", "SHAPE", node(LAST, 16, "B", 2), base="mixed")
    yield Damage("scores of two positions in a row", "SHAPE", node(LAST, 17, "B", 2), base="mixed")
    yield Damage("last node of bits", "SHAPE", put("B", 7, 4), base="mixed")
    for index in (CONV1, POOL, CONV2, DENSE):
        yield Damage(f"no levels in node {index}", "SHAPE", node(index, ENDING, "B", 0))
    yield Damage("pool of bits with two levels", "SHAPE", node(POOL, ENDING, "B", 2))
    exclusive = both(node(POOL, 1, "B", ops.FLAG_EXCLUSIVE), node(POOL, ENDING, "B", 2))
    yield Damage("pool of bits with two levels, exclusive", "SHAPE", exclusive)
    yield Damage("no levels, exclusive", "SHAPE", node(SUM, ENDING, "B", 0), base="mixed")
    yield Damage("one level, exclusive", "SHAPE", node(SUM, ENDING, "B", 1), base="mixed")
    levels = both(node(CONV2, 4, "H", 258), node(CONV2, ENDING, "B", 255))
    yield Damage("levels that make more than 65535 channels", "SHAPE", levels)
    few = both(node(CONV2, 4, "H", 257), node(CONV2, ENDING, "B", 255))
    yield Damage("levels that make 65535 channels", "RANGE", few)
    for shift in (32, 63, 255):
        yield Damage(f"shift {shift}", "SHAPE", node(SCORES, ENDING, "B", shift))
        yield Damage(f"shift {shift} of an inner node", "SHAPE", node(ADDS, ENDING, "B", shift), base="mixed")
    yield Damage("shift 31", None, node(SCORES, ENDING, "B", 31))
    for index in (CONV1, CONV2, DENSE, SCORES):
        yield Damage(f"no filters in node {index}", "SHAPE", node(index, 4, "H", 0))
    for index, base in ((DEPTH, "mixed"), (CODE, "mixed"), (SUM, "mixed"), (POOL, "chain")):
        for filters in (0, 1, 6, 65534):
            yield Damage(
                f"{filters} filters in node {index} of {base}", "SHAPE", node(index, 4, "H", filters), base=base
            )
    yield Damage("pool of bits with twice its channels", "SHAPE", node(POOL, 4, "H", 10))
    yield from _second_rows()


def _second_rows() -> Iterator[Damage]:
    yield Damage("second input of thresholds", "SHAPE", node(SUM, 3, "B", 1), base="mixed")
    yield Damage("second input of thresholds that fits", "SHAPE", node(CODE, 3, "B", 1), base="mixed")
    yield Damage("second input of another size", "SHAPE", node(LAST, 3, "B", 1), base="mixed")
    larger = both(node(LAST, 3, "B", 1), node(LAST, 4, "H", 4))
    yield Damage("second input of another size with channels enough", "SHAPE", larger, base="mixed")
    yield Damage("second input that is higher", "SHAPE", node(ADDS, 12, "B", 0), base="mixed")
    yield Damage("second input that is wider", "SHAPE", node(ADDS, 13, "B", 0), base="mixed")
    for axis, (name, field) in enumerate((("high", HEIGHT), ("wide", WIDTH))):
        change = both(put("H", field, 2), node(1, 16 + axis, "B", 2), add(ARENA, "I", 64))
        yield Damage(f"second input that is twice as {name}, and fits otherwise", "SHAPE", change, base="adds")
    yield Damage("second input of more channels", "SHAPE", node(ADDS, 4, "H", 3), base="mixed")
    yield Damage("second input of as many channels", None, node(ADDS, 3, "B", 0), base="mixed")
    yield Damage("second input that is the input", None, both(node(1, 2, "B", 1)), base="adds")
    yield Damage(
        "shape of the second input before range",
        "SHAPE",
        both(node(ADDS, 4, "H", 3), node(ADDS, 32, "I", 2)),
        base="mixed",
    )


def _flag(index: int, flag: int) -> Change:
    def change(data: bytearray) -> None:
        data[ops.HEADER_SIZE + ops.RECORD_SIZE * index + 1] |= flag

    return change


def _geometry_rows() -> Iterator[Damage]:
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    for place, name in enumerate(names):
        yield Damage(f"{name} 0", "SHAPE", node(CONV1, 8 + place, "B", 0))
    for place, name in enumerate(("top", "left", "bottom", "right")):
        yield Damage(f"pad_{name} as large as the kernel", "SHAPE", node(CONV1, 12 + place, "B", 3))
        yield Damage(f"pad_{name} 255", "SHAPE", node(CONV1, 12 + place, "B", 255))
        for index in (CONV1, POOL):
            change = node(index, 20 + place, "B", 2)
            yield Damage(f"pool_pad_{name} as large as the window, node {index}", "SHAPE", change)
    for index in (CONV1, POOL):
        for place, name in enumerate(("pool_h", "pool_w", "pool_stride_h", "pool_stride_w")):
            yield Damage(f"{name} 0 in node {index}", "SHAPE", node(index, 16 + place, "B", 0))
    for axis, (name, size) in enumerate((("higher", 11), ("wider", 10))):
        beyond = node(CONV1, 8 + axis, "B", size)
        yield Damage(f"kernel {name} than the padded input", "SHAPE", beyond)
        # A pool that is as large as its padding finds a window in no map at all.
        pool = node(CONV1, 16, "8B", 2, 2, 1, 1, 1, 1, 1, 1)
        yield Damage(f"kernel {name} than the padded input, padded pool", "SHAPE", both(beyond, pool))
    # (3 - 4) / 2 is -0 where a division cuts towards zero: a count of 1 where there is none.
    yield Damage("kernel higher, stride 2", "SHAPE", both(node(CONV2, 8, "2B", 4, 1), node(CONV2, 10, "B", 2)))
    yield Damage("kernel wider, stride 255", "SHAPE", both(node(CONV2, 8, "2B", 1, 4), node(CONV2, 11, "B", 255)))
    yield Damage("pool higher than the map", "SHAPE", node(POOL, 16, "B", 5))
    yield Damage("pool wider than the map, stride 9", "SHAPE", node(POOL, 16, "4B", 1, 4, 1, 9))
    yield Damage("fused pool higher than the map", "SHAPE", node(CONV1, 16, "4B", 9, 2, 9, 9))
    for axis, name in enumerate(("high", "wide")):
        tall = both(put("3H", HEIGHT, *((65535, 2, 1), (2, 65535, 1))[axis]), _long_kernel(axis))
        yield Damage(f"map too {name}", "SHAPE", both(tall, _unpool(CONV1)))
        # A pool would make the output small enough, but the map before it counts too.
        yield Damage(f"map too {name}, pooled", "SHAPE", both(tall, _long_pool(axis)))
    large = both(put("3H", HEIGHT, 64, 64, 1), node(CONV1, 4, "H", 65535), _unpooled(CONV1))
    bytes_ = both(
        put("3H", HEIGHT, 64, 65, 1), node(CONV1, 4, "H", 4096), _unpooled(CONV1), node(CONV1, OUTPUT, "B", U8)
    )
    yield Damage("output of bytes above 2^27 bits", "SHAPE", both(bytes_, node(CONV1, 1, "B", 0)))
    yield Damage("output above 2^27 bits", "SHAPE", large)
    huge = both(put("3H", HEIGHT, 4096, 4096, 1), node(CONV1, 4, "H", 65535), _unpooled(CONV1))
    yield Damage("output above 2^32 bits", "SHAPE", huge)
    yield Damage("shape before range", "SHAPE", both(node(CONV1, 8, "B", 0), node(CONV1, 32, "I", 2)))


def _long_kernel(axis: int) -> Change:
    """A kernel of 255 along an axis, padded so that its map is longer than its input."""
    windows = ((255, 1, 1, 1, 254, 0, 254, 0), (1, 255, 1, 1, 0, 254, 0, 254))
    return node(CONV1, 8, "8B", *windows[axis])


def _long_pool(axis: int) -> Change:
    windows = ((2, 1, 255, 1, 0, 0, 0, 0), (1, 2, 1, 255, 0, 0, 0, 0))
    return node(CONV1, 16, "8B", *windows[axis])


def _unpooled(index: int) -> Change:
    return node(index, 8, "16B", 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0)


def _range_rows() -> Iterator[Damage]:
    for index in (CONV1, CONV2, DENSE, SCORES):
        for step in (1, 2, 3):
            change = add_node(index, 32, "I", step)
            yield Damage(f"parameters of node {index} moved by {step}", "RANGE", change)
    for place in (0, 4, 48, 224):
        yield Damage(f"parameters at {place}", "RANGE", node(CONV2, 32, "I", place))
    for place in (0x7FFFFFFC, 0x80000000, 0xFFFFFFFC):
        yield Damage(f"parameters at {place:#x}", "RANGE", node(CONV2, 32, "I", place))
    for index, size in ((CONV1, 36), (CONV2, 56), (DENSE, 72), (SCORES, 20)):
        yield Damage(f"parameters of node {index} end 4 behind the file", "RANGE", params_at_end(index, size - 4))
        yield Damage(f"parameters of node {index} end with the file", None, params_at_end(index, size))
    yield Damage("parameters behind the end of the file", "RANGE", params_at_end(CONV1, -4))
    yield Damage("more filters than parameters", "RANGE", node(CONV2, 4, "H", 40))
    yield Damage("wide parameters that are not there", "RANGE", both(params_at_end(CONV2, 56), _flag(CONV2, 2)))
    yield Damage("flips that are not there", "RANGE", both(params_at_end(CONV2, 56), _flag(CONV2, 4)))
    yield Damage("levels that are not there", "RANGE", both(params_at_end(CONV2, 56), node(CONV2, ENDING, "B", 2)))
    for index, size in ((DEPTH, 52), (CODE, 16), (ADDS, 72), (SUM, 24), (LAST, 248)):
        change = params_at_end(index, size - 4)
        yield Damage(f"parameters of node {index} of mixed end 4 behind the file", "RANGE", change, base="mixed")
        change = params_at_end(index, size)
        yield Damage(f"parameters of node {index} of mixed end with the file", None, change, base="mixed")
    change = both(params_at_end(SCORES, 20), _flag(SCORES, 64))
    yield Damage("gains that are not there", "RANGE", change)
    yield Damage("int8 weights that are not there", "RANGE", both(params_at_end(DENSE, 72), _flag(DENSE, 16)))
    yield Damage(
        "int8 weights that are there", None, both(grow(400, told=True), params_at_end(DENSE, 240), _flag(DENSE, 16))
    )
    yield Damage("pool that wants parameters", "RANGE", _flag(POOL, 32))
    wide = both(put("3H", HEIGHT, 1, 1, 65535), node(CONV1, 8, "8B", 255, 255, 1, 1, 254, 254, 254, 254))
    yield Damage("one filter above 2^27 bits", "RANGE", both(wide, node(CONV1, 4, "H", 1)))
    # 65535 rows of 255 * 255 * 65535 bits pass 2^32 words: no product may wrap.
    few = both(wide, node(CONV1, 14, "2B", 0, 0), node(CONV1, 4, "H", 65535), _unpool(CONV1))
    yield Damage("rows that pass 32 bits", "RANGE", few)
    many = both(put("3H", HEIGHT, 1, 1, 2049), _unpooled(CONV1), node(CONV1, 4, "H", 65535))
    yield Damage("all filters above 2^27 bits", "RANGE", many)
    # 2^15 rows of 2^15 words: their bytes are 0 where a product wraps, and all else is there.
    wraps = both(put("3H", HEIGHT, 128, 128, 64), node(CONV1, 4, "H", 1 << 15), _kernel(CONV1, 128, 128))
    yield Damage("rows whose bytes wrap", "RANGE", both(wraps, roomy(80_000)))
    yield Damage("range before arena", "RANGE", both(node(CONV2, 32, "I", 2), lay(CONV2, OUT, 0xFFFF)))


def _unpool(index: int) -> Change:
    return node(index, 16, "8B", 1, 1, 1, 1, 0, 0, 0, 0)


def _kernel(index: int, height: int, width: int) -> Change:
    return both(node(index, 8, "8B", height, width, 1, 1, 0, 0, 0, 0), _unpool(index))


def _overflow_rows() -> Iterator[Damage]:
    taps = both(put("3H", HEIGHT, 255, 255, 65), _kernel(CONV1, 255, 255), node(CONV1, 4, "H", 1))
    yield Damage("byte taps above 2^22", "OVERFLOW", both(taps, roomy(600_000)))
    yield Damage("byte taps that are not there", "RANGE", taps)
    many = both(put("3H", HEIGHT, 2049, 2048, 1), node(0, 4, "H", 1), grow(530_000, told=True))
    yield Damage("as many taps of bits", "ARENA", many, base="bits")
    top = (1 << 31) - 1
    for base, limit in (
        ("bits", top - 27),
        ("bytes", top - 255 * 16),
        ("gains", top - 9 * 32768),
        ("adds", top - 255 - 32768),
        ("window", top - (1 << 30)),
        ("int8", top - (1 << 30)),
    ):
        yield Damage(f"largest offset of {base}", None, _offset(base, limit), base=base)
        yield Damage(f"smallest offset of {base}", None, _offset(base, -limit), base=base)
        yield Damage(f"offset of {base} too large", "OVERFLOW", _offset(base, limit + 1), base=base)
        yield Damage(f"offset of {base} too small", "OVERFLOW", _offset(base, -limit - 1), base=base)
        yield Damage(f"offset -2^31 of {base}", "OVERFLOW", _offset(base, -(1 << 31)), base=base)
    yield Damage("gain 0 with the largest offset", None, both(_gain(0), _offset("gains", top)), base="gains")
    yield Damage(
        "gain 0 with an offset of -2^31", "OVERFLOW", both(_gain(0), _offset("gains", -(1 << 31))), base="gains"
    )
    gain = both(_gain(32767), _offset("gains", top - 9 * 32767))
    yield Damage("gain 32767 with the largest offset", None, gain, base="gains")
    gain = both(_gain(32767), _offset("gains", top - 9 * 32767 + 1))
    yield Damage("gain 32767 with a larger offset", "OVERFLOW", gain, base="gains")
    for axis, field in enumerate((HEIGHT, WIDTH)):
        window = both(put("H", field, 17), node(0, 16 + axis, "B", 17))
        yield Damage(f"a window of 272 positions, axis {axis}", "OVERFLOW", window, base="window")
    taps = both(put("H", WIDTH, 17), roomy(400))
    yield Damage("272 taps of i16 and int8", "OVERFLOW", taps, base="int8")
    taps = both(put("3H", HEIGHT, 16, 16, 129), roomy(40_000), node(0, 1, "B", 0))
    yield Damage("33024 taps of i16", "OVERFLOW", taps, base="int8")
    taps = both(put("3H", HEIGHT, 16, 16, 128), roomy(40_000), node(0, 1, "B", 0))
    yield Damage("32768 taps of i16", None, taps, base="int8")
    taps = both(put("3H", HEIGHT, 256, 256, 1), put("B", DTYPE, I8), roomy(70_000))
    yield Damage("65536 taps of i8 and int8", None, taps, base="int8")
    taps = both(put("3H", HEIGHT, 256, 257, 1), put("B", DTYPE, I8), roomy(70_000))
    yield Damage("65792 taps of i8 and int8", "OVERFLOW", taps, base="int8")
    taps = both(put("3H", HEIGHT, 129, 256, 1), put("B", DTYPE, U8), roomy(40_000))
    yield Damage("33024 taps of u8 and int8", "OVERFLOW", taps, base="int8")
    wide = both(node(SUM, 16, "2B", 255, 255), node(SUM, 20, "4B", 249, 249, 0, 0))
    yield Damage("a window of 255 x 255 bytes", None, wide, base="mixed")
    change = both(_offset("bits", top), lay(0, OUT, 0xFFFFFF))
    yield Damage("overflow before arena", "OVERFLOW", change, base="bits")


def _offset(base: str, value: int) -> Change:
    """The last offset of a model, which stands at the end of the file, before gains."""
    return put("i", len(GOOD[base]) - (8 if base == "gains" else 4), value)


def _gain(value: int) -> Change:
    """The last gain of the model "gains"."""
    return put("h", len(GOOD["gains"]) - 2, value)


def _arena_rows() -> Iterator[Damage]:
    for words in (0x3FFFFF, 0x7FFFFF, 0x800000, 0xFFFFFF):
        yield Damage(f"output at word {words:#x}", "ARENA", lay(CONV2, OUT, words))
        yield Damage(f"scratch at word {words:#x}", "ARENA", lay(CONV2, SCRATCH, words))
        yield Damage(f"empty scratch at word {words:#x}", "ARENA", lay(POOL, SCRATCH, words))
    last = lay(SCORES, OUT, (ops.MAX_ARENA - 12) // 4)
    yield Damage("output at the last words of the largest arena", None, both(put("I", ARENA, ops.MAX_ARENA), last))
    behind = lay(SCORES, OUT, (ops.MAX_ARENA - 8) // 4)
    yield Damage("output behind the largest arena", "ARENA", both(put("I", ARENA, ops.MAX_ARENA), behind))
    for base in ("chain", "mixed"):
        for index in range(5):
            name = f"of node {index} of {base} behind the arena"
            yield Damage(f"output {name}", "ARENA", _at_arena_end(index, OUT, 0), base=base)
            yield Damage(f"scratch {name}", "ARENA", _at_arena_end(index, SCRATCH, 1), base=base)
    yield Damage("no arena", "ARENA", put("I", ARENA, 0))
    yield Damage("arena 4 bytes short", "ARENA", add(ARENA, "I", -4))
    yield Damage("arena larger than needed", None, add(ARENA, "I", 4))
    for index, base in ((CONV1, "chain"), (CONV2, "chain"), (ADDS, "mixed"), (LAST, "mixed"), (0, "bits"), (0, "i16")):
        exact = both(_scratch(base, index, 0), add(ARENA, "I", 1 << 20))
        yield Damage(f"the least scratch of node {index} of {base}", None, exact, base=base)
        short = both(_scratch(base, index, -1), add(ARENA, "I", 1 << 20))
        yield Damage(f"scratch of node {index} of {base} a word short", "ARENA", short, base=base)
        yield Damage(f"no scratch in node {index} of {base}", "ARENA", node(index, 6, "H", 0), base=base)
    for index in (DEPTH, CODE, SUM):
        yield Damage(f"node {index} of mixed needs no scratch", None, node(index, 6, "H", 0), base="mixed")
    yield Damage("scratch that nobody needs", None, both(node(SCORES, 6, "H", 2), add(ARENA, "I", 64)))
    yield Damage("scratch that ends behind the arena", "ARENA", node(CONV1, 6, "H", 65535))
    yield Damage("arena before the next node", "ARENA", both(lay(CONV1, OUT, 0xFFFF), node(POOL, 0, "B", 99)))


def _at_arena_end(index: int, field: int, more: int) -> Change:
    """A place ``more`` words behind the arena: wrong even where what lies there is empty."""

    def change(data: bytearray) -> None:
        lay(index, field, struct.unpack_from("<I", data, ARENA)[0] // 4 + more)(data)

    return change


# Words of scratch that section 5 asks for. chain: a row of 7 x 8 bits, and 18 bytes; 2 x 1 x 8 bits. mixed: twice
# 3 x 3 x 8 bits; 4 x 4 x 5 bytes. bits: 3 x 3 x 4 bits. i16: 2 x 3 x 3 elements.
LEAST = {("chain", CONV1): 2 + 5, ("chain", CONV2): 1, ("mixed", ADDS): 6, ("mixed", LAST): 20, ("bits", 0): 2,
         ("i16", 0): 9}  # fmt: skip


def _scratch(base: str, index: int, more: int) -> Change:
    return node(index, 6, "H", LEAST[base, index] + more)


def _label_rows() -> Iterator[Damage]:
    for place in (1, 47, 48, 227):
        yield Damage(f"labels at {place}", "LABELS", put("I", LABELS, place))
    yield Damage("labels at the end of the file", "LABELS", labels_at_end(0))
    yield Damage("labels behind the file", "LABELS", labels_at_end(-1))
    yield Damage("labels at 0xffffffff", "LABELS", put("I", LABELS, 0xFFFFFFFF))
    yield Damage("one label too few", "LABELS", labels_at_end(5))
    yield Damage("last label one byte short", "LABELS", both(cut(-1), add(TOTAL, "I", -1)))
    yield Damage("label longer than the file", "LABELS", label_byte(0, 255))
    yield Damage("label that is no UTF-8", None, label_byte(1, 0xFF))
    yield Damage("no labels", None, put("I", LABELS, 0))
    yield Damage("nodes before labels", "ARENA", both(put("I", LABELS, 1), lay(SCORES, OUT, 0xFFFF)))


def rows() -> list[Damage]:
    """The whole table."""
    families = (
        _file_rows, _header_rows, _link_rows, _unused_rows, _ending_rows, _geometry_rows, _range_rows, _overflow_rows,
        _arena_rows, _label_rows,
    )  # fmt: skip
    return [row for family in families for row in family()]
