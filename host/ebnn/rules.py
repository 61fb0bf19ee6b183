"""What a node must be, whatever its numbers: docs/SPEC.md, section 2, for networks and for records of model files."""

from __future__ import annotations

import numpy as np

from ebnn import ops
from ebnn.geometry import (
    MAX_BYTE,
    MAX_SIZE,
    Layer,
    Value,
    acc_bound,
    geometry_fault,
    is_or,
    output_shape,
    weight_bytes,
)


def link_fault(source: Value, second: Value | None) -> str | None:
    """Why a node cannot read these values, or None."""
    if source.dtype == "i32":
        return f"value {source.id} is i32: no node reads scores"
    if second is not None and second.dtype not in ops.SECOND_DTYPES:
        return f"its second input must be one of {', '.join(ops.SECOND_DTYPES)}, value {second.id} is {second.dtype}"
    return None


def shape_fault(layer: Layer, source: Value, second: Value | None) -> str | None:
    """Why a node cannot make its output of these values, or None."""
    return (
        _filters_fault(layer, source)
        or _ending_fault(layer)
        or geometry_fault(layer, source)
        or (_second_fault(layer, source, second) if second else None)
    )


def score_fault(layer: Layer, source: Value, is_last: bool) -> str | None:
    """Why a node cannot stand at its place, or None."""
    shape = output_shape(layer, source)
    makes = layer.output in ops.SCORE_DTYPES and shape[:2] == (1, 1)
    if is_last and not makes:
        return f"the last node must make scores: {', '.join(ops.SCORE_DTYPES)} of 1x1, not {layer.output} of {shape}"
    if layer.output == "i32" and not is_last:
        return "only the last node makes i32"
    return None


def size_fault(layer: Layer, source: Value) -> str | None:
    """Why a node has too many weights, or None."""
    size = 8 * weight_bytes(layer, source)
    return f"{size} bits of weights, at most {ops.MAX_BITS} are possible" if size > ops.MAX_BITS else None


def sums_fault(
    layer: Layer, source: Value, second: Value | None, offsets: np.ndarray | None, gains: np.ndarray | None
) -> str | None:
    """Why sums could overflow, or None; ``offsets`` and ``gains`` are integers (filters,) or None."""
    bound = acc_bound(layer, source)
    if bound > ops.MAX_SUM:
        return f"its sums could reach {bound}, at most {ops.MAX_SUM} are possible"
    if offsets is None:
        return None
    gained = bound * (1 if gains is None else np.abs(gains.astype(np.int64)))
    worst = int((gained + np.abs(offsets.astype(np.int64))).max()) + (ops.DTYPE[second.dtype].largest if second else 0)
    return None if worst < 1 << 31 else f"its integers could reach {worst}, which does not fit into 32 bits"


def _filters_fault(layer: Layer, source: Value) -> str | None:
    filters, channels = layer.filters, source.shape[2]
    if not 1 <= filters <= MAX_SIZE:
        return f"{filters} filters, 1 to {MAX_SIZE} are possible"
    if is_or(layer, source) and (filters, layer.levels) != (channels, 1):
        return (
            f"{filters} filters, {layer.levels} levels: a pool of bits that makes bits has {channels} channels, 1 level"
        )
    if layer.op in ("depthwise", "pool") and filters % channels:
        return f"{filters} filters, {layer.op} wants a multiple of the input's {channels} channels"
    return None


def _ending_fault(layer: Layer) -> str | None:
    if layer.output not in ops.DTYPE:
        return f"no dtype {layer.output}; there are {', '.join(ops.DTYPE)}"
    is_bits = layer.output == "bits"
    most = MAX_BYTE if is_bits else 1
    if not 1 <= layer.levels <= most:
        return f"{layer.levels} levels, an output of {layer.output} has {'1 to 255' if is_bits else 'none but 1'}"
    if not 0 <= layer.shift <= (0 if is_bits else ops.MAX_SHIFT):
        return f"shift {layer.shift}, " + ("bits have none" if is_bits else f"0 to {ops.MAX_SHIFT} are possible")
    if layer.exclusive and layer.levels < 2:
        return "exclusive wants at least 2 levels"
    return None


def _second_fault(layer: Layer, source: Value, second: Value) -> str | None:
    if layer.output == "bits":
        return "an output of bits has no use for a second input"
    height, width, channels = output_shape(layer, source)
    if second.shape[:2] != (height, width) or second.shape[2] > channels:
        return f"its second input {second} does not fit its output of {(height, width, channels)}"
    return None
