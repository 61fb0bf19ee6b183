"""The naive oracle: a model's bytes decoded and run with plain Python integers, written from docs/SPEC.md alone.

It shares no code with the package and is slow on purpose: every step is a loop over the SPEC's words. It takes
valid models only; refusing damaged ones is the business of the readers.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass, field

OPERATORS = {1: "conv", 2: "depthwise", 3: "dense", 4: "pool"}  # SPEC section 3
DTYPES = ("bits", "u8", "i8", "i16", "i32")  # SPEC section 1
CODES = {"u8": "B", "i8": "b", "i16": "h", "i32": "i"}  # of struct
RANGES = {"u8": (0, 255), "i8": (-128, 127), "i16": (-32768, 32767), "i32": (-(2**31), 2**31 - 1)}


@dataclass
class Node:
    """One node record with its parameters as lists."""

    op: str
    input: int
    second: int  # 0: none
    input_dtype: str
    output_dtype: str
    filters: int
    kernel: tuple
    stride: tuple
    pad: tuple  # top, left, bottom, right
    pool: tuple
    pool_stride: tuple
    pool_pad: tuple
    border: int  # what a tap outside of the input reads
    is_sum: bool
    levels: int  # of bits, else 0
    is_exclusive: bool
    shift: int
    weights: list = field(default_factory=list)  # a filter: a flat list of numbers in the order (ky, kx, c)
    constants: list = field(default_factory=list)  # thresholds or offsets
    gains: list = field(default_factory=list)
    flips: list = field(default_factory=list)


@dataclass
class Model:
    """A decoded model; ``shapes[k]`` is (height, width, channels) of value k, ``dtypes[k]`` its dtype."""

    shapes: list
    dtypes: list
    nodes: list
    labels: list
    seed: int
    selftest_crc: int
    stored_crc: int
    file_crc: int


def crc_step(crc: int) -> int:
    """The CRC after the eight bits of its low byte."""
    for _ in range(8):
        crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    return crc


CRC_STEPS = [crc_step(byte) for byte in range(256)]


def crc32(data: bytes) -> int:
    """zlib's CRC-32."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_STEPS[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def pixel_stride(channels: int) -> int:
    """Bits that a pixel takes."""
    stride = 1
    while stride < channels and stride < 16:
        stride *= 2
    if stride < channels:
        stride = 32
        while stride < channels:
            stride += 32
    return stride


def get_bit(data: bytes, index: int) -> int:
    """Bit ``index``, least significant bit of byte 0 first."""
    return data[index // 8] >> index % 8 & 1


def whole_words(size: int) -> int:
    """Bytes of as many whole words as hold ``size`` bytes."""
    return (size + 3) // 4 * 4


def pack(pixels: list, dtype: str) -> bytes:
    """The bytes of a value ``pixels[y][x][c]``; an element of ``bits`` is -1 or +1."""
    if dtype != "bits":
        flat = [value for row in pixels for pixel in row for value in pixel]
        return struct.pack(f"<{len(flat)}{CODES[dtype]}", *flat)
    height, width, channels = len(pixels), len(pixels[0]), len(pixels[0][0])
    stride = pixel_stride(channels)
    data = bytearray(whole_words((height * width * stride + 7) // 8))
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                place = (y * width + x) * stride + c
                data[place // 8] |= (pixels[y][x][c] == 1) << place % 8
    return bytes(data)


def unpack(data: bytes, shape: tuple, dtype: str) -> list:
    """The inverse of ``pack``: ``[y][x]`` is the list of the pixel's elements."""
    height, width, channels = shape
    stride = pixel_stride(channels)
    flat = () if dtype == "bits" else struct.unpack_from(f"<{height * width * channels}{CODES[dtype]}", data)

    def element(y, x, c):
        if dtype == "bits":
            return 2 * get_bit(data, (y * width + x) * stride + c) - 1
        return flat[(y * width + x) * channels + c]

    return [[[element(y, x, c) for c in range(channels)] for x in range(width)] for y in range(height)]


# --- reading a model ---


def window_count(size: int, before: int, after: int, window: int, stride: int) -> int:
    """How many windows fit along one axis."""
    return (size + before + after - window) // stride + 1


def map_size(node: Node, shape: tuple) -> tuple:
    """Height and width of the sums of a node, before its pool."""
    if node.op == "dense":
        return 1, 1
    if node.op == "pool":
        return shape[0], shape[1]
    top, left, bottom, right = node.pad
    return (
        window_count(shape[0], top, bottom, node.kernel[0], node.stride[0]),
        window_count(shape[1], left, right, node.kernel[1], node.stride[1]),
    )


def pooled_size(node: Node, size: tuple) -> tuple:
    """Height and width after the pool."""
    top, left, bottom, right = node.pool_pad
    return (
        window_count(size[0], top, bottom, node.pool[0], node.pool_stride[0]),
        window_count(size[1], left, right, node.pool[1], node.pool_stride[1]),
    )


def output_shape(node: Node, shape: tuple) -> tuple:
    """Shape of a node's output for an input of ``shape``."""
    height, width = pooled_size(node, map_size(node, shape))
    channels = node.filters
    if node.output_dtype == "bits" and not node.is_exclusive:
        channels = node.levels * node.filters
    return height, width, channels


def has_parameters(node: Node) -> bool:
    """SPEC section 4.3: all but a pool of bits without flag 32 that makes bits."""
    is_hit_pool = node.op == "pool" and node.input_dtype == "bits" and node.output_dtype == "bits" and not node.is_sum
    return not is_hit_pool


def read_row(row: bytes, node: Node, channels: int, is_int8: bool) -> list:
    """The weights in a row as ``[tap][c]``, where taps are in the order (ky, kx)."""
    taps = node.kernel[0] * node.kernel[1]
    if is_int8:
        return [[struct.unpack_from("b", row, tap * channels + c)[0] for c in range(channels)] for tap in range(taps)]
    stride = pixel_stride(channels) if node.input_dtype == "bits" else channels
    return [[2 * get_bit(row, tap * stride + c) - 1 for c in range(channels)] for tap in range(taps)]


def read_weights(node: Node, blob: bytes, offset: int, channels: int, is_int8: bool) -> int:
    """Fill in the weights; returns where they end."""
    taps = node.kernel[0] * node.kernel[1]
    bits = 8 * taps * channels
    if not is_int8:
        bits = taps * (pixel_stride(channels) if node.input_dtype == "bits" else channels)
    size = whole_words((bits + 7) // 8)
    is_depthwise = node.op == "depthwise"
    rows = node.filters // channels if is_depthwise else node.filters
    for j in range(rows):
        row = read_row(blob[offset + j * size : offset + (j + 1) * size], node, channels, is_int8)
        if is_depthwise:  # the filters j * C on, each with the taps of its own channel
            for c in range(channels):
                node.weights.append([tap[c] for tap in row])
        else:
            node.weights.append([weight for tap in row for weight in tap])
    return offset + rows * size


def read_numbers(blob: bytes, offset: int, count: int, code: str) -> tuple:
    """(numbers of a struct code, where the whole words that hold them end)."""
    numbers = struct.unpack_from(f"<{count}{code}", blob, offset)
    return list(numbers), offset + whole_words(count * struct.calcsize(f"<{code}"))


def read_parameters(node: Node, blob: bytes, offset: int, flags: int, channels: int) -> None:
    """Fill in weights, thresholds or offsets, gains and flips (SPEC section 4.3)."""
    outputs = output_shape(node, (1, 1, channels))[2]
    node.gains = [1] * node.filters
    node.flips = [0] * outputs
    if not has_parameters(node):
        node.constants = [0] * node.filters
        return
    if node.op != "pool":
        offset = read_weights(node, blob, offset, channels, bool(flags & 16))
    count = node.levels * node.filters if node.output_dtype == "bits" else node.filters
    node.constants, offset = read_numbers(blob, offset, count, "i" if flags & 2 else "h")
    if flags & 64:
        node.gains, offset = read_numbers(blob, offset, node.filters, "h")
    if flags & 4:
        node.flips = [get_bit(blob[offset:], channel) for channel in range(outputs)]


def border_of(dtype: str, flags: int) -> int:
    """What taps outside of the input read; 0 where they do not count."""
    if dtype == "bits":
        return 0 if flags & 8 else 1 if flags & 1 else -1
    return 255 if dtype == "u8" and flags & 1 else 0


def read_node(blob: bytes, start: int, shapes: list, dtypes: list) -> Node:
    """One node record and its parameters (SPEC section 4.2)."""
    op, flags, source, second, filters = struct.unpack_from("<4BH", blob, start)
    windows = tuple(blob[start + 8 : start + 24])
    output, last = DTYPES[blob[start + 27]], blob[start + 31]
    (params,) = struct.unpack_from("<I", blob, start + 32)
    kernel, stride, pad = windows[0:2], windows[2:4], windows[4:8]
    pool, pool_stride, pool_pad = windows[8:10], windows[10:12], windows[12:16]
    if OPERATORS[op] == "dense":
        kernel, stride, pool, pool_stride = shapes[source][0:2], (1, 1), (1, 1), (1, 1)
    makes_bits = output == "bits"
    node = Node(
        OPERATORS[op], source, second, dtypes[source], output, filters,
        kernel, stride, pad, pool, pool_stride, pool_pad, border_of(dtypes[source], flags),
        bool(flags & 32), last if makes_bits else 0, bool(flags & 128), 0 if makes_bits else last,
    )  # fmt: skip
    read_parameters(node, blob, params, flags, shapes[source][2])
    return node


def read_labels(blob: bytes, offset: int, count: int) -> list:
    """The labels (SPEC section 4.4)."""
    labels = []
    while offset and len(labels) < count:
        size = blob[offset]
        text = blob[offset + 1 : offset + 1 + size]
        try:
            labels.append(text.decode("utf-8"))
        except UnicodeDecodeError:
            labels.append("".join(chr(byte) for byte in text if byte < 128))
        offset += 1 + size
    return labels


def decode(blob: bytes) -> Model:
    """Decode a valid model."""
    record_size, node_count = blob[6], blob[7]
    stored_crc = struct.unpack_from("<I", blob, 12)[0]
    height, width, channels, dtype = struct.unpack_from("<HHHB", blob, 20)
    labels_offset, seed, selftest_crc = struct.unpack_from("<III", blob, 28)
    shapes, dtypes, nodes = [(height, width, channels)], [DTYPES[dtype]], []
    for index in range(node_count):
        node = read_node(blob, 48 + index * record_size, shapes, dtypes)
        nodes.append(node)
        shapes.append(output_shape(node, shapes[node.input]))
        dtypes.append(node.output_dtype)
    labels = read_labels(blob, labels_offset, shapes[-1][2])
    file_crc = crc32(blob[0:12] + blob[16:])
    return Model(shapes, dtypes, nodes, labels, seed, selftest_crc, stored_crc, file_crc)


# --- sums, pools, endings ---


def pixels_under(node: Node, pixels: list, y: int, x: int, channels: int) -> list:
    """``[tap]`` is the pixel that a kernel's tap reads at a position of the map."""
    stride, pad = ((1, 1), (0, 0, 0, 0)) if node.op == "dense" else (node.stride, node.pad)
    found = []
    for ky in range(node.kernel[0]):
        for kx in range(node.kernel[1]):
            in_y, in_x = y * stride[0] + ky - pad[0], x * stride[1] + kx - pad[1]
            inside = 0 <= in_y < len(pixels) and 0 <= in_x < len(pixels[0])
            found.append(pixels[in_y][in_x] if inside else [node.border] * channels)
    return found


def sums_at(node: Node, pixels: list, y: int, x: int, channels: int) -> list:
    """The sums of all filters at a position of the map (SPEC section 2.1)."""
    if node.op == "pool":
        return [pixels[y][x][f % channels] for f in range(node.filters)]
    taps = pixels_under(node, pixels, y, x, channels)
    if node.op == "depthwise":
        own = [[tap[c] for tap in taps] for c in range(channels)]
        return [sum(map(operator.mul, node.weights[f], own[f % channels])) for f in range(node.filters)]
    flat = [element for tap in taps for element in tap]
    return [sum(map(operator.mul, weights, flat)) for weights in node.weights]


def pooled_at(node: Node, sums: list, y: int, x: int) -> list:
    """The largest sums of a window or their sums, positions outside of the map left out (SPEC section 2.2)."""
    seen = []
    for py in range(node.pool[0]):
        for px in range(node.pool[1]):
            in_y = y * node.pool_stride[0] + py - node.pool_pad[0]
            in_x = x * node.pool_stride[1] + px - node.pool_pad[1]
            if 0 <= in_y < len(sums) and 0 <= in_x < len(sums[0]):
                seen.append(sums[in_y][in_x])
    join = sum if node.is_sum else max
    return [join(position[f] for position in seen) for f in range(node.filters)]


def bits_of(node: Node, v: list) -> list:
    """The channels of an output ``bits``, -1 or +1 (SPEC section 2.3)."""
    hits = []
    for k in range(node.levels * node.filters):
        hits.append(int(v[k % node.filters] >= node.constants[k]))
    if node.is_exclusive:
        hits = [sum(hits[f :: node.filters]) % 2 for f in range(node.filters)]
    return [2 * (hit ^ flip) - 1 for hit, flip in zip(hits, node.flips, strict=True)]


def integers_of(node: Node, v: list, second: list) -> list:
    """The channels of an output of integers; ``second`` is the pixel of the second input (SPEC section 2.3)."""
    low, high = RANGES[node.output_dtype]
    found = []
    for f in range(node.filters):
        t = v[f] * node.gains[f] + node.constants[f]
        r = second[f] if f < len(second) else 0
        found.append(min(max(t // 2**node.shift + r, low), high))
    return found


def pooled_map(node: Node, pixels: list, channels: int) -> list:
    """``[y][x][f]``: what the ending of a node gets for its input ``pixels[y][x][c]``."""
    rows, columns = map_size(node, (len(pixels), len(pixels[0])))
    sums = [[sums_at(node, pixels, y, x, channels) for x in range(columns)] for y in range(rows)]
    height, width = pooled_size(node, (rows, columns))
    return [[pooled_at(node, sums, y, x) for x in range(width)] for y in range(height)]


def ended_map(node: Node, pooled: list, second: list | None) -> list:
    """``[y][x][c]``: the output; ``second`` is the value of the second input or None."""
    out = []
    for y, row in enumerate(pooled):
        out.append([])
        for x, v in enumerate(row):
            if node.output_dtype == "bits":
                out[y].append(bits_of(node, v))
            else:
                out[y].append(integers_of(node, v, second[y][x] if second else []))
    return out


def run_node(node: Node, model: Model, values: list) -> bytes:
    """A node's output bytes; ``values[k]`` are the bytes of value k."""

    def value(k):
        return unpack(values[k], model.shapes[k], model.dtypes[k])

    pooled = pooled_map(node, value(node.input), model.shapes[node.input][2])
    return pack(ended_map(node, pooled, value(node.second) if node.second else None), node.output_dtype)


def trace(model: Model, data: bytes) -> list:
    """The bytes of every node's output, in order, for the bytes of an input (SPEC section 1)."""
    values = [data]
    for node in model.nodes:
        values.append(run_node(node, model, values))
    return values[1:]


# --- scores and the self-test ---


def scores_of(model: Model, result: bytes) -> list:
    """Scores out of the last node's bytes."""
    return unpack(result, model.shapes[-1], model.dtypes[-1])[0][0]


def predict(scores: list) -> int:
    """The index of the largest score, the lowest index first among equals."""
    best = 0
    for index, score in enumerate(scores):
        if score > scores[best]:
            best = index
    return best


def margin_of(scores: list) -> int:
    """The highest score minus the one that is highest without it; 2^32 - 1 where there is no other."""
    falling = sorted(scores, reverse=True)
    return falling[0] - falling[1] if len(falling) > 1 else 4294967295


def selftest_element(x: int, dtype: str) -> int:
    """An element of the pseudo-random input out of the generator's state."""
    if dtype == "bits":
        return 2 * (x >> 31) - 1
    size = 16 if dtype == "i16" else 8
    element = x >> 32 - size
    is_negative = dtype != "u8" and element >= 2 ** (size - 1)
    return element - 2**size if is_negative else element


def selftest_input(model: Model) -> bytes:
    """The pseudo-random input of SPEC section 6."""
    height, width, channels = model.shapes[0]
    x = model.seed
    pixels = []
    for row in range(height):
        pixels.append([])
        for column in range(width):
            pixels[row].append([])
            for _ in range(channels):
                x ^= x << 13 & 0xFFFFFFFF
                x ^= x >> 17
                x ^= x << 5 & 0xFFFFFFFF
                pixels[row][column].append(selftest_element(x, model.dtypes[0]))
    return pack(pixels, model.dtypes[0])


def selftest(model: Model) -> int:
    """CRC-32 of the scores of the self-test's input, each as i32."""
    scores = scores_of(model, trace(model, selftest_input(model))[-1])
    return crc32(struct.pack(f"<{len(scores)}i", *scores))
