"""What the engine for the least memory (usermod/ebnn/small, the native module ebnn_small) can run."""

from __future__ import annotations

from ebnn.network import Network, Node
from ebnn.record import is_wide

MAX_SIDE = 255
MAX_CHANNELS = 1024
KNOWN = (("conv", "u8", "bits"), ("conv", "bits", "bits"), ("dense", "bits", "bits"), ("dense", "bits", "i32"))


def lacks(network: Network) -> str:
    """Why that engine refuses the network, as a part of a sentence; "" where it runs it."""
    for value in network.values:
        height, width, channels = value.shape
        if max(height, width) > MAX_SIDE or channels > MAX_CHANNELS:
            return f"a map of {height}x{width}x{channels} is larger than {MAX_SIDE}x{MAX_SIDE}x{MAX_CHANNELS}"
    for index, node in enumerate(network.nodes):
        reason = _node_lacks(node, index, network.values[node.inputs[0]].dtype)
        if reason:
            return f"node {index} ({node.op}) {reason}"
    return ""


def _node_lacks(node: Node, index: int, dtype: str) -> str:
    place = node.geometry
    if not _is_in(node, dtype):
        return "is not in it"
    if node.inputs != (index,):
        return "does not read the node before it"
    if node.offsets is not None and is_wide(node):
        return "has offsets of more than 16 bits"
    if any(place.pad) or any(place.pool_pad):
        return "has padding"
    if place.pool_stride != place.pool:
        return "has pool windows that overlap or leave something out"
    return ""


def _is_in(node: Node, dtype: str) -> bool:
    """Whether it has the operator: conv of bytes or bits, dense of bits, thresholds of one level, scores of i32."""
    makes = (node.op, dtype, node.output) in KNOWN and (node.levels, node.shift) == (1, 0) and node.gains is None
    return makes and not (node.has_int8 or node.geometry.pool_sum or node.second)
