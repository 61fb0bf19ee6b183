"""A node's parameters in the model file, one block behind the other: docs/SPEC.md, section 4.3."""

from __future__ import annotations

import numpy as np

from ebnn import bits, ops
from ebnn.geometry import Layer, Value, filter_shape, is_or, output_shape, row_shape, weight_bytes, weight_rows
from ebnn.network import Node
from ebnn.record import Record, is_wide


def sizes(layer: Layer, source: Value, flags: int) -> dict[str, int]:
    """Bytes of the blocks, in their order: weights, thresholds (or offsets), gains, flips; whole words."""
    return {"weights": weight_bytes(layer, source)} | {
        name: 4 * bits.row_words(count) for name, count in number_bits(layer, source, flags).items()
    }


def number_bits(layer: Layer, source: Value, flags: int) -> dict[str, int]:
    """Bits of the blocks behind the weights that are in use."""
    numbers = 0 if is_or(layer, source) else layer.levels * layer.filters
    return {
        "thresholds": (32 if flags & ops.FLAG_WIDE else 16) * numbers,
        "gains": 16 * layer.filters if flags & ops.FLAG_GAINS else 0,
        "flips": output_shape(layer, source)[2] if flags & ops.FLAG_FLIPS else 0,
    }


def pack(node: Node, source: Value) -> bytes:
    """All parameters of a node; none of a pool of bits by OR."""
    parts = []
    if node.weights is not None:
        parts.append(_packed(node, source).tobytes())
    numbers = node.thresholds if node.offsets is None else node.offsets
    if numbers is not None:
        parts.append(_words(numbers.astype("<i4" if is_wide(node) else "<i2").tobytes()))
    if node.gains is not None:
        parts.append(_words(node.gains.astype("<i2").tobytes()))
    if node.flips is not None:
        parts.append(bits.pack_rows(node.flips).tobytes())
    return b"".join(parts)


def _words(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _packed(node: Node, source: Value) -> np.ndarray:
    """Rows of weights, uint8 (rows, bytes)."""
    height, width, channels = row_shape(node, source)
    # A row of a depthwise node has a filter for each channel; any other filter is a row of its own.
    rows = node.weights.reshape(-1, channels if node.op == "depthwise" else 1, *filter_shape(node, source))
    rows = rows.transpose(0, 2, 3, 1, 4).reshape(-1, height, width, channels)
    if node.has_int8:
        flat = rows.reshape(len(rows), -1).view(np.uint8)
        return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))
    return bits.pack_maps(rows > 0) if source.dtype == "bits" else bits.pack_rows(rows.reshape(len(rows), -1) > 0)


def unpack(record: Record, source: Value, blob: bytes) -> dict[str, np.ndarray | None]:
    """The arrays of a ``network.Node``; the blocks must lie inside of the file."""
    place, parts = record.params, {}
    for name, size in sizes(record, source, record.flags).items():
        parts[name] = np.frombuffer(blob, np.uint8, size, place)
        place += size
    kind = "<i4" if record.flags & ops.FLAG_WIDE else "<i2"
    numbers = parts["thresholds"].view(kind)[: record.levels * record.filters].astype(np.int32)
    channels = output_shape(record, source)[2]
    return {
        "weights": _unpacked(record, source, parts["weights"]) if len(parts["weights"]) else None,
        "thresholds" if record.output == "bits" else "offsets": numbers if len(numbers) else None,
        "gains": parts["gains"].view("<i2")[: record.filters] if len(parts["gains"]) else None,
        "flips": bits.unpack_rows(parts["flips"], channels) if len(parts["flips"]) else None,
    }


def _unpacked(record: Record, source: Value, packed: np.ndarray) -> np.ndarray:
    """int8 weights of a node of packed rows."""
    shape = row_shape(record, source)
    taps, packed = shape[0] * shape[1] * shape[2], packed.reshape(weight_rows(record, source), -1)
    if record.has_int8:
        rows = packed[:, :taps].view(np.int8)
    elif source.dtype == "bits":
        rows = np.where(bits.unpack_maps(packed, shape), 1, -1)
    else:
        rows = np.where(bits.unpack_rows(packed, taps), 1, -1)
    groups = shape[2] if record.op == "depthwise" else 1
    filters = rows.reshape(-1, *shape[:2], groups, shape[2] // groups).transpose(0, 3, 1, 2, 4)
    return filters.reshape(-1, *filter_shape(record, source)).astype(np.int8)
