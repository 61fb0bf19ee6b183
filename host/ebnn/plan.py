"""Memory plan: lifetimes of values and scratch -> offsets in the arena. The device plans nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ebnn import ops
from ebnn.bits import pixel_stride
from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Value, conv_size, filter_bytes, filter_taps, value_bytes
from ebnn.network import Network, Node
from ebnn.ops import Op

MAX_SCRATCH = 4 * 65535
FITS = ("small", "balanced", "fast")


@dataclass(frozen=True)
class Plan:
    """Where everything lies in the arena, in bytes; all multiples of 4.

    Args:
        outputs: offset of each node's output.
        scratch: (offset, size) of each node's scratch.
        arena_size: bytes of the whole arena.
    """

    outputs: tuple[int, ...]
    scratch: tuple[tuple[int, int], ...]
    arena_size: int


@dataclass(frozen=True)
class _Block:
    """A piece of memory that is needed from node ``first`` to node ``last``."""

    size: int
    first: int
    last: int


def scratch_bytes(op: Op, source: Value, geometry: Geometry) -> int:
    """Scratch that the plain engine needs for a node (docs/SPEC.md, section 5)."""
    if op.source == "conv" and source.dtype == "u8":
        return -(-filter_taps(op, source, geometry) // 4) * 4
    gathers = op.source == "conv" or (op.source == "dense" and source.id == 0)
    return filter_bytes(op, source, geometry) if gathers and source.dtype == "bits" else 0


@dataclass(frozen=True)
class TileScratch:
    """Scratch of a kernel that does several positions at once: ``fixed`` bytes, and ``step`` a word of a chunk."""

    fixed: int
    step: int
    words: int

    def within(self, limit: int) -> int:
        """The most that it makes use of within ``limit`` bytes; 0 where not even one word fits."""
        words = min(self.words, (limit - self.fixed) // self.step)
        return self.fixed + self.step * words if words > 0 else 0


def tile_scratch(op: Op, source: Value, geometry: Geometry, filters: int) -> TileScratch | None:
    """What the engine's fast kernel for the node can use; None where there is none."""
    taps = filter_taps(op, source, geometry)
    row = filter_bytes(op, source, geometry)
    if op.source != "conv":
        return None
    if source.dtype == "u8":
        if taps > ops.BYTES_TAPS_MAX:
            return None
        patches = ops.BYTES_TILE * (-(-taps // 4) * 4) if any(geometry.pad) else 0
        return TileScratch(ops.BYTES_SUM_BYTES * filters + patches, ops.BYTES_TABLE_BYTES, row // 4)
    # The kernel keeps positions of the input in 16 bits.
    reach = [size * stride for size, stride in zip(conv_size(op, source, geometry), geometry.stride, strict=True)]
    if taps > ops.LANES_TAPS_MAX or max(reach) > ops.LANES_REACH_MAX:
        return None
    patches = 0 if pixel_stride(source.shape[2]) % 32 == 0 else ops.LANES_TILE * row
    fixed = ops.LANES_TILE_BYTES + ops.LANES_SUM_BYTES * filters + patches
    return TileScratch(fixed, ops.LANES_TABLE_BYTES, min(ops.LANES_CHUNK_MAX, row // 4))


def kernel_name(node: Node, source: Value, scratch: int) -> str:
    """The kernel that the engine takes for a node with so many bytes of scratch: lanes, bytes, plain, dense or pool."""
    if node.spec.source != "conv":
        return node.spec.source
    tile = tile_scratch(node.spec, source, node.geometry, node.filters)
    if tile is None or scratch < tile.fixed + tile.step:
        return "plain"
    return "bytes" if source.dtype == "u8" else "lanes"


def _node_scratch(network: Network, node: Node, fit: str | int) -> int:
    """Scratch of a node under a fit."""
    source = network.values[node.inputs[0]]
    plain = scratch_bytes(node.spec, source, node.geometry)
    tile = tile_scratch(node.spec, source, node.geometry, node.filters)
    fewest = ops.BYTES_FILTERS_MIN if source.dtype == "u8" else ops.LANES_FILTERS_MIN
    if tile is None or fit == "small" or node.filters < fewest:
        return plain
    limits = {"balanced": tile.fixed + tile.step, "fast": tile.fixed + tile.step * tile.words}
    return max(plain, tile.within(limits.get(fit, fit)))


def _last_use(network: Network, value: int) -> int:
    """The last node that reads ``value``; the result lives until the end."""
    readers = [index for index, node in enumerate(network.nodes) if value in node.inputs]
    return max([value - 1, *readers])


def _place(blocks: list[_Block]) -> list[int]:
    """Offsets by greedy first fit, largest blocks first: the usual offline heuristic for tensor arenas."""
    placed: dict[int, int] = {}
    for index in sorted(range(len(blocks)), key=lambda i: (-blocks[i].size, i)):
        block = blocks[index]
        rivals = sorted(
            (offset, blocks[other].size)
            for other, offset in placed.items()
            if blocks[other].first <= block.last and block.first <= blocks[other].last
        )
        start = 0
        for offset, size in rivals:
            if start + block.size <= offset:
                break
            start = max(start, offset + size)
        placed[index] = start
    return [placed[index] for index in range(len(blocks))]


def make_plan(network: Network, fit: str | int = "small") -> Plan:
    """Lay out the outputs and the scratch of every node.

    Args:
        network: what to lay out.
        fit: ``small`` gives each node what the plain kernels need, ``balanced`` the least with which the fast kernels
            run, ``fast`` all that they can use; a number: the fast kernels within so many bytes of scratch a node.

    Raises:
        NetworkError: a node needs more scratch than a record can say.
    """
    nodes = range(len(network.nodes))
    outputs = [
        _Block(-(-value_bytes(network.values[k + 1]) // 4) * 4, k, _last_use(network, k + 1)) for k in nodes
    ]
    scratch = [_Block(_node_scratch(network, node, fit), k, k) for k, node in enumerate(network.nodes)]
    for node, block in zip(network.nodes, scratch, strict=True):
        if block.size > MAX_SCRATCH:
            raise NetworkError(f"{node.name or node.op}: {block.size} bytes of scratch, at most {MAX_SCRATCH}")
    offsets = _place(outputs + scratch)
    blocks = outputs + scratch
    size = max(offset + block.size for offset, block in zip(offsets, blocks, strict=True))
    places = offsets[len(outputs) :]
    return Plan(
        tuple(offsets[: len(outputs)]),
        tuple((place if block.size else 0, block.size) for place, block in zip(places, scratch, strict=True)),
        size,
    )
