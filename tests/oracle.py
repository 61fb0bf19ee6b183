"""The naive oracle: a model's bytes decoded and run with plain Python integers, written from docs/SPEC.md alone.

It shares no code with the package and is slow on purpose: every step is a loop over the SPEC's words. It takes
valid models only; refusing damaged ones is the business of the readers.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass

# code: (name, source, input dtype, output dtype), SPEC section 3
OPERATORS = {
    1: ("conv_u8_bits", "conv", "u8", "bits"),
    2: ("conv_bits", "conv", "bits", "bits"),
    3: ("dense_u8_bits", "dense", "u8", "bits"),
    4: ("dense_bits", "dense", "bits", "bits"),
    5: ("dense_u8_scores", "dense", "u8", "i32"),
    6: ("dense_scores", "dense", "bits", "i32"),
    7: ("pool_or", "pool", "bits", "bits"),
}


@dataclass
class Node:
    """One node record with its parameters as lists."""

    name: str
    source: str
    input_dtype: str
    output_dtype: str
    border_plus: bool
    input: int
    filters: int
    kernel: tuple
    stride: tuple
    pad: tuple  # top, left, bottom, right
    pool: tuple
    pool_stride: tuple
    pool_pad: tuple
    weights: list  # a filter: a flat list of -1 and +1 in the order (ky, kx, c)
    constants: list  # thresholds or offsets
    flips: list


@dataclass
class Model:
    """A decoded model; ``shapes[k]`` is (height, width, channels) of value k."""

    input_dtype: str
    shapes: list
    nodes: list
    labels: list
    seed: int
    selftest_crc: int
    stored_crc: int
    file_crc: int


def crc32(data: bytes) -> int:
    """zlib's CRC-32, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
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


def pack_bits(places: list, total: int) -> bytes:
    """Bits (index, bit) set into whole words that hold ``total`` bits."""
    data = bytearray((total + 31) // 32 * 4)
    for index, bit in places:
        data[index // 8] |= bit << index % 8
    return bytes(data)


def pack_map(pixels: list, channels: int) -> bytes:
    """Pack rows of pixels of channel bits, ``pixels[y][x][c]``."""
    height, width, stride = len(pixels), len(pixels[0]), pixel_stride(channels)
    places = []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                places.append(((y * width + x) * stride + c, pixels[y][x][c]))
    return pack_bits(places, height * width * stride)


def unpack_map(data: bytes, shape: tuple, dtype: str) -> list:
    """``[y][x]`` is the list of the pixel's values: -1 or +1, or 0 to 255."""
    height, width, channels = shape
    stride = pixel_stride(channels)

    def element(y, x, c):
        if dtype == "u8":
            return data[(y * width + x) * channels + c]
        return 2 * get_bit(data, (y * width + x) * stride + c) - 1

    return [[[element(y, x, c) for c in range(channels)] for x in range(width)] for y in range(height)]


def window_count(size: int, before: int, after: int, window: int, stride: int) -> int:
    """How many windows fit along one axis."""
    return (size + before + after - window) // stride + 1


def conv_size(node: Node, shape: tuple) -> tuple:
    """Height and width of the sums of a node, before its pool."""
    if node.source == "dense":
        return 1, 1
    if node.source == "pool":
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
    height, width = pooled_size(node, conv_size(node, shape))
    return height, width, shape[2] if node.source == "pool" else node.filters


def read_parameters(node: Node, blob: bytes, offset: int, flags: int, channels: int) -> None:
    """Fill in weights, thresholds or offsets, and flips (SPEC section 4.3)."""
    taps = node.kernel[0] * node.kernel[1]
    stride = channels if node.input_dtype == "u8" else pixel_stride(channels)
    row_bytes = (taps * stride + 31) // 32 * 4
    for f in range(node.filters):
        row = blob[offset + f * row_bytes : offset + (f + 1) * row_bytes]
        bits = [get_bit(row, tap * stride + c) for tap in range(taps) for c in range(channels)]
        node.weights.append([2 * bit - 1 for bit in bits])
    offset += node.filters * row_bytes
    size, code = (4, "<i") if flags & 2 else (2, "<h")
    for f in range(node.filters):
        node.constants.append(struct.unpack_from(code, blob, offset + f * size)[0])
    offset += (node.filters * size + 3) // 4 * 4
    flips = blob[offset:]
    node.flips = [get_bit(flips, f) if flags & 4 else 0 for f in range(node.filters)]


def read_node(blob: bytes, start: int, shapes: list) -> Node:
    """One node record and its parameters (SPEC section 4.2)."""
    op, flags, source, _, filters, _ = struct.unpack_from("<BBBBHH", blob, start)
    windows = tuple(blob[start + 8 : start + 24])
    _, _, params = struct.unpack_from("<III", blob, start + 24)
    name, kind, input_dtype, output_dtype = OPERATORS[op]
    shape = shapes[source]
    kernel, stride, pad = windows[0:2], windows[2:4], windows[4:8]
    pool, pool_stride, pool_pad = windows[8:10], windows[10:12], windows[12:16]
    if kind == "dense":
        kernel, pool, pool_stride = shape[0:2], (1, 1), (1, 1)
    node = Node(
        name, kind, input_dtype, output_dtype, bool(flags & 1), source, filters,
        kernel, stride, pad, pool, pool_stride, pool_pad, [], [], [],
    )  # fmt: skip
    if kind == "pool":
        node.flips = [0] * shape[2]
    else:
        read_parameters(node, blob, params, flags, shape[2])
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
    shapes, nodes = [(height, width, channels)], []
    for index in range(node_count):
        node = read_node(blob, 48 + index * record_size, shapes)
        nodes.append(node)
        shapes.append(output_shape(node, shapes[node.input]))
    labels = read_labels(blob, labels_offset, shapes[-1][2])
    file_crc = crc32(blob[0:12] + blob[16:])
    return Model(("bits", "u8")[dtype], shapes, nodes, labels, seed, selftest_crc, stored_crc, file_crc)


def conv_sums(node: Node, pixels: list, channels: int) -> list:
    """``[y][x][f]``: sum over the taps of w * x, border outside of the input (SPEC section 2)."""
    in_height, in_width = len(pixels), len(pixels[0])
    height, width = conv_size(node, (in_height, in_width, channels))
    stride, pad = (node.stride, node.pad) if node.source == "conv" else ((1, 1), (0, 0, 0, 0))
    low, high = (0, 255) if node.input_dtype == "u8" else (-1, 1)
    border = [high if node.border_plus else low] * channels
    sums = []
    for y in range(height):
        sums.append([])
        for x in range(width):
            taps = []
            for ky in range(node.kernel[0]):
                for kx in range(node.kernel[1]):
                    in_y, in_x = y * stride[0] + ky - pad[0], x * stride[1] + kx - pad[1]
                    inside = 0 <= in_y < in_height and 0 <= in_x < in_width
                    taps += pixels[in_y][in_x] if inside else border
            sums[y].append([sum(map(operator.mul, weights, taps)) for weights in node.weights])
    return sums


def pooled(node: Node, hits: list, channels: int) -> list:
    """OR over each window, positions outside of the map left out, then the flip."""
    height, width = pooled_size(node, (len(hits), len(hits[0])))
    out = []
    for y in range(height):
        out.append([])
        for x in range(width):
            bits = [0] * channels
            for py in range(node.pool[0]):
                for px in range(node.pool[1]):
                    in_y = y * node.pool_stride[0] + py - node.pool_pad[0]
                    in_x = x * node.pool_stride[1] + px - node.pool_pad[1]
                    if 0 <= in_y < len(hits) and 0 <= in_x < len(hits[0]):
                        bits = [a | b for a, b in zip(bits, hits[in_y][in_x], strict=True)]
            out[y].append([bit ^ flip for bit, flip in zip(bits, node.flips, strict=True)])
    return out


def run_node(node: Node, data: bytes, shape: tuple) -> bytes:
    """A node's output bytes for its input's bytes."""
    pixels = unpack_map(data, shape, node.input_dtype)
    if node.source == "pool":
        hits = [[[int(value == 1) for value in pixel] for pixel in row] for row in pixels]
        return pack_map(pooled(node, hits, shape[2]), shape[2])
    sums = conv_sums(node, pixels, shape[2])
    if node.output_dtype == "i32":
        scores = [acc + offset for acc, offset in zip(sums[0][0], node.constants, strict=True)]
        return struct.pack(f"<{len(scores)}i", *scores)
    hits = []
    for row in sums:
        hits.append([[int(acc >= t) for acc, t in zip(accs, node.constants, strict=True)] for accs in row])
    return pack_map(pooled(node, hits, node.filters), node.filters)


def trace(model: Model, data: bytes) -> list:
    """The bytes of every node's output, in order, for input bytes (u8 elements, or a packed map)."""
    values = [data]
    for node in model.nodes:
        values.append(run_node(node, values[node.input], model.shapes[node.input]))
    return values[1:]


def scores_of(result: bytes) -> list:
    """Scores out of the last node's bytes."""
    return list(struct.unpack(f"<{len(result) // 4}i", result))


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
                pixels[row][column].append(x >> 24 if model.input_dtype == "u8" else x >> 31)
    if model.input_dtype == "u8":
        return bytes(value for row in pixels for pixel in row for value in pixel)
    return pack_map(pixels, channels)


def selftest(model: Model) -> int:
    """CRC-32 of the scores of the self-test's input."""
    return crc32(trace(model, selftest_input(model))[-1])
