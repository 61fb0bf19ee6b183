"""Memory plan: lifetimes of values and scratch -> offsets in the arena. The device plans nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ebnn import ops
from ebnn.bits import pixel_stride
from ebnn.errors import NetworkError
from ebnn.geometry import (
    Layer,
    Value,
    conv_size,
    filter_shape,
    filter_taps,
    makes_hits,
    packed_bits,
    row_bits,
    value_bytes,
)
from ebnn.network import Network, Node

MAX_SCRATCH = 4 * 65535
FITS = ("small", "balanced", "fast")
SEARCH_STEPS = 2000  # of a search for places; a network without branches takes one a value


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
class Limit:
    """Most speed within so many bytes: of the whole arena, or of each node's scratch."""

    arena: int | None = None
    scratch: int | None = None


Fit = str | Limit


@dataclass(frozen=True)
class Choice:
    """A kernel for a node, its scratch in bytes, a multiple of 4, and how many tables it keeps at once."""

    kernel: str
    scratch: int
    tables: int = 0


def row_bytes(layer: Layer, source: Value) -> int:
    """The start of the scratch: one row of hits before the pool (docs/SPEC.md, section 5)."""
    if not makes_hits(layer) or not layer.geometry.pools:
        return 0
    return _round_bits(conv_size(layer, source)[1] * pixel_stride(layer.filters))


def scratch_bytes(layer: Layer, source: Value) -> int:
    """Scratch that the plain engine needs for a node (docs/SPEC.md, section 5)."""
    row, is_bits = row_bytes(layer, source), source.dtype == "bits"
    if layer.op == "conv":
        patch = _round_bits(packed_bits(filter_shape(layer, source), source.dtype))
        return row + (2 * patch if layer.geometry.border == 0 else patch)
    return value_bytes(source) if layer.op == "dense" and is_bits and source.id == 0 else 0


def _round_bits(count: int) -> int:
    """Bytes of the words that so many bits fill."""
    return -(-count // 32) * 4


def choices(layer: Layer, source: Value) -> tuple[Choice, ...]:
    """What the engine may run a node with, by scratch; the later the faster, where there are filters enough."""
    plain = scratch_bytes(layer, source)
    row, taps, found = row_bytes(layer, source), filter_taps(layer, source), []
    if not makes_hits(layer) or layer.has_int8 or layer.geometry.border == 0:
        return (Choice("plain", plain),)
    if source.dtype == "u8" and taps <= ops.BYTES_TAPS_MAX:
        fixed = row + ops.BYTES_SUM_BYTES * layer.filters
        found = [Choice("bytes", fixed + ops.BYTES_GROUP_BYTES * groups, groups) for groups in (1, ops.BYTES_GROUPS)]
    elif source.dtype == "bits" and taps <= ops.LANES_TAPS_MAX:
        words = _round_bits(row_bits(layer, source)) // 4
        patches = 0 if pixel_stride(source.shape[2]) % 32 == 0 else 4 * ops.LANES_TILE * words
        fixed = row + ops.LANES_TILE_BYTES + ops.LANES_SUM_BYTES * layer.filters + patches
        chunks = range(1, min(ops.LANES_CHUNK_MAX, words) + 1)
        found = [Choice("lanes", fixed + ops.LANES_TABLE_BYTES * chunk, chunk) for chunk in chunks]
    # The engine asks for the plain kernel's scratch in any case.
    return (Choice("plain", plain), *(replace(c, scratch=max(c.scratch, plain)) for c in found))


def chosen(node: Node, source: Value, scratch: int) -> Choice:
    """What the engine runs a node with, given so many bytes of scratch.

    An engine that was built without a kernel, or for a core that counts bits with an instruction, takes ``plain``.
    """
    return [c for c in choices(node, source) if c.scratch <= scratch][-1]


def kernel_name(node: Node, source: Value, scratch: int) -> str:
    """The kernel of ``chosen``: lanes, bytes or plain."""
    return chosen(node, source, scratch).kernel


def _worth(network: Network, node: Node) -> tuple[Choice, ...]:
    """What a node may run with, each choice faster than the one before and with more scratch."""
    source = network.values[node.inputs[0]]
    plain, *others = choices(node, source)
    if plain.scratch > MAX_SCRATCH:
        raise NetworkError(f"{node.name or node.op}: {plain.scratch} bytes of scratch, at most {MAX_SCRATCH}")
    if source.dtype == "bits" and node.filters < ops.LANES_FILTERS_MIN:
        others = []
    return (plain, *(c for c in others if c.scratch <= MAX_SCRATCH))


def _last_use(network: Network, value: int) -> int:
    """The last node that reads ``value``; the result lives until the end."""
    readers = [index for index, node in enumerate(network.nodes) if value in node.inputs]
    return max([value - 1, *readers])


def _round(size: int) -> int:
    return -(-size // 4) * 4


def rows_between(network: Network, index: int, value: int) -> int | None:
    """How far before ``value`` the output of a node that reads it may begin at most, in bytes; None: not over it.

    The engine makes the rows of a map from the top. Before it begins with a row of it, it has written output rows up
    to the last one that this row belongs to, and will read no input above the kernel there. Of the second input it
    reads each element right before it writes one.
    """
    node, source = network.nodes[index], network.values[value]
    if node.op == "dense" and value == node.inputs[0] or value == 0 or _last_use(network, value) != index:
        return None
    gap = _rows_gap(network, index) if value == node.inputs[0] else 0
    if value == node.second:
        output = network.values[index + 1]
        return gap if (output.dtype, output.shape) == (source.dtype, source.shape) else None
    return gap


def _rows_gap(network: Network, index: int) -> int:
    """``rows_between`` for the input, as far as its order of rows goes."""
    node, output = network.nodes[index], network.values[index + 1]
    source, geometry = network.values[node.inputs[0]], node.geometry
    stride, top = (1, 0) if node.op == "pool" else (geometry.stride[0], geometry.pad[0])
    out_row, in_row = (packed_bits((1, *value.shape[1:]), value.dtype) for value in (output, source))
    gap = 0
    for row in range(output.shape[0]):
        first = max(0, row * geometry.pool_stride[0] - geometry.pool_pad[0])
        reads_from = max(0, first * stride - top)
        if reads_from < source.shape[0]:
            gap = max(gap, _round_bits((row + 1) * out_row) - reads_from * in_row // 8)
    return _round(gap)


class _Layout:
    """Places for the outputs of a network in an arena, and the room that they leave for each node's scratch."""

    def __init__(self, network: Network):
        self.sizes = [_round(value_bytes(network.values[k + 1])) for k in range(len(network.nodes))]
        self.last = [_last_use(network, k + 1) for k in range(len(network.nodes))]
        # Of each node by the nodes whose outputs it reads.
        self.gaps = [
            {value - 1: rows_between(network, index, value) for value in node.inputs if value}
            for index, node in enumerate(network.nodes)
        ]

    def bound(self, scratch: list[int]) -> int:
        """No arena can be smaller: what lives during some node, with its scratch."""
        return max(self._live_bytes(k) + scratch[k] for k in range(len(self.sizes)))

    def _live_bytes(self, k: int) -> int:
        live = [v for v in range(k + 1) if self.last[v] >= k]
        over = (min(self.sizes[v], max(0, self.sizes[k] - gap)) for v, gap in self.gaps[k].items() if gap is not None)
        return sum(self.sizes[v] for v in live) - min(self.sizes[k], sum(over))

    def _apart(self, first: int, place: int, second: int, other: int) -> bool:
        """Whether the output of node ``second`` at ``other`` spares that of ``first`` at ``place``."""
        if other + self.sizes[second] <= place or place + self.sizes[first] <= other:
            return True
        gap = self.gaps[second].get(first)
        return gap is not None and other + gap <= place

    def _candidates(self, k: int, places: list[int], arena: int) -> list[int]:
        """Where the output of node ``k`` may lie, beside what lives: at an end, next to another, over what it reads."""
        rivals = [v for v in range(k) if self.last[v] >= k]
        size = self.sizes[k]
        ends = {0, arena - size}
        ends |= {places[v] + self.sizes[v] for v in rivals} | {places[v] - size for v in rivals}
        ends |= {places[v] - gap for v, gap in self.gaps[k].items() if gap is not None}
        fits = [p for p in ends if 0 <= p <= arena - size and all(self._apart(v, places[v], k, p) for v in rivals)]
        return sorted(fits, key=lambda p: (p != 0, p != arena - size, p))

    def room(self, k: int, places: list[int], arena: int) -> tuple[int, int]:
        """(offset, size) of the largest piece that no value takes which lives during node ``k``."""
        live = sorted((places[v], places[v] + self.sizes[v]) for v in range(k + 1) if self.last[v] >= k)
        best, start = (0, 0), 0
        for low, high in [*live, (arena, arena)]:
            if low - start > best[1]:
                best = (start, low - start)
            start = max(start, high)
        return best

    def place(self, scratch: list[int], arena: int) -> list[int] | None:
        """Offsets of all outputs such that each node has room for its scratch; None where the search finds none."""
        steps = iter(range(SEARCH_STEPS))
        return next(self._extend([], scratch, arena, steps), None)

    def _extend(self, places: list[int], scratch: list[int], arena: int, steps: Iterator[int]) -> Iterator[list[int]]:
        k = len(places)
        if k == len(self.sizes):
            yield places
            return
        for place in self._candidates(k, places, arena):
            if next(steps, None) is None:
                return
            if self.room(k, [*places, place], arena)[1] >= scratch[k]:
                yield from self._extend([*places, place], scratch, arena, steps)

    def smallest(self, scratch: list[int]) -> tuple[int, list[int]]:
        """(bytes, offsets) of the smallest arena that the search finds."""
        low, high = self.bound(scratch), sum(self.sizes) + max(scratch)
        best = (high, self.place(scratch, high) or [sum(self.sizes[:k]) for k in range(len(self.sizes))])
        while low < best[0]:
            middle = (low + best[0]) // 8 * 4
            places = self.place(scratch, middle)
            if places is None:
                low = middle + 4
            else:
                best = (middle, places)
        return best


def _wanted(options: list[tuple[Choice, ...]], fit: Fit) -> list[int]:
    """Scratch that the arena must have room for."""
    if isinstance(fit, Limit):
        most = fit.scratch or 0
        return [max([found[0].scratch, *(c.scratch for c in found if c.scratch <= most)]) for found in options]
    if fit == "balanced":
        # A convolution of bytes gains several times from little scratch; one of bits less than twice from much.
        return [next((c for c in found if c.kernel == "bytes"), found[0]).scratch for found in options]
    return [found[0 if fit == "small" else -1].scratch for found in options]


def _arena(layout: _Layout, options: list[tuple[Choice, ...]], fit: Fit) -> tuple[int, list[int]]:
    """(bytes, offsets of the outputs) of the arena."""
    arena, places = layout.smallest(_wanted(options, fit))
    if isinstance(fit, str) or fit.arena is None:
        return arena, places
    if arena > fit.arena:
        raise NetworkError(f"the network needs {arena} bytes of arena, the limit is {fit.arena}")
    most = layout.smallest(_wanted(options, "fast"))
    if most[0] <= fit.arena:
        return most
    whole = fit.arena // 4 * 4
    return whole, layout.place(_wanted(options, "small"), whole) or places


def make_plan(network: Network, fit: Fit = "small") -> Plan:
    """Lay out the outputs and the scratch of every node.

    Each node then gets the most scratch of which it can make use in what the arena has left.

    Args:
        network: what to lay out.
        fit: ``small`` wants the smallest arena, ``balanced`` the smallest one in which convolutions of bytes run on
            their fast kernel, ``fast`` one in which each node has all that it can use; or a limit.

    Raises:
        NetworkError: a node needs more scratch than a record can say, or the network more arena than the limit.
    """
    options = [_worth(network, node) for node in network.nodes]
    layout = _Layout(network)
    arena, places = _arena(layout, options, fit)
    most = fit.scratch if isinstance(fit, Limit) and fit.scratch is not None else arena
    found = []
    for k, choice in enumerate(options):
        offset, room = layout.room(k, places, arena)
        size = max([choice[0].scratch, *(c.scratch for c in choice if c.scratch <= min(room, most))])
        found.append((offset if size else 0, size))
    # A limit may be more than anything makes use of.
    ends = [place + size for place, size in [*zip(places, layout.sizes, strict=True), *found]]
    return Plan(tuple(places), tuple(found), max(ends))
