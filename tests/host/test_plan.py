"""Memory plans: nothing overlaps what is still needed, the arena is small, and limits are kept."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

import networks
from ebnn.bits import pixel_stride
from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Value, conv_size, value_bytes
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node
from ebnn.plan import FITS, Fit, Limit, Plan, chosen, kernel_name, make_plan, rows_between

SEEDS = networks.SEEDS[::3]


def last_reader(network: Network, value: int) -> int:
    """The last node that needs a value; one behind the last where it is the result."""
    readers = [k for k, node in enumerate(network.nodes) if value in node.inputs]
    return max([value - 1, *readers]) if value < len(network.nodes) else len(network.nodes)


def lifetimes(network: Network, plan: Plan) -> list[tuple[int, int, int, int, int]]:
    """(first node, last node, offset, size, value or -1 for scratch) of every block of the plan."""
    blocks = []
    for index in range(len(network.nodes)):
        last = last_reader(network, index + 1)
        blocks.append((index, last, plan.outputs[index], value_bytes(network.values[index + 1]), index + 1))
        blocks.append((index, index, *plan.scratch[index], -1))
    return blocks


def line_bits(value: Value) -> int:
    """Bits of a row of a value."""
    _, width, channels = value.shape
    size = {"bits": 1, "u8": 8, "i8": 8, "i16": 16, "i32": 32}[value.dtype]
    return width * (pixel_stride(channels) if value.dtype == "bits" else size * channels)


def unread(network: Network, index: int, y: int) -> float:
    """The first byte of its input that a node still reads when it makes row y of its map (or of its output)."""
    node = network.nodes[index]
    source, geometry = network.values[node.inputs[0]], node.geometry
    stride, top = (1, 0) if node.op == "pool" else (geometry.stride[0], geometry.pad[0])
    first = y if node.is_hits else y * geometry.pool_stride[0] - geometry.pool_pad[0]
    row = max(0, first * stride - top)
    return row * line_bits(source) // 8 if row < source.shape[0] else float("inf")


def follows_its_input(network: Network, index: int, place: int, source_place: int) -> bool:
    """Whether an output that lies over its input is written only over rows that were read (SPEC, section 5, Order)."""
    node, output = network.nodes[index], network.values[index + 1]
    source, geometry = network.values[node.inputs[0]], node.geometry
    if node.op == "dense":
        return False
    height = output.shape[0]
    for y in range(conv_size(node, source)[0] if node.is_hits else height):
        last = min(height - 1, (y + geometry.pool_pad[0]) // geometry.pool_stride[0]) if node.is_hits else y
        written = place + -(-(last + 1) * line_bits(output) // 32) * 4
        if written > source_place + unread(network, index, y):
            return False
    return True


def may_lie_over(network: Network, index: int, place: int, value: int, other: int) -> bool:
    """Whether the output of a node may lie at ``place`` over a value at ``other`` that it reads."""
    node, output, read = network.nodes[index], network.values[index + 1], network.values[value]
    if value not in node.inputs or last_reader(network, value) != index:
        return False
    follows = value != node.inputs[0] or follows_its_input(network, index, place, other)
    same = (output.dtype, output.shape[2]) == (read.dtype, read.shape[2]) and place <= other
    return follows and (value != node.second or same)


def check_blocks(network: Network, plan: Plan) -> None:
    """What lives together lies apart, scratch from everything, but for an output that follows its input."""
    blocks = lifetimes(network, plan)
    for place, (first, last, offset, size, value) in enumerate(blocks):
        assert offset % 4 == 0
        assert offset + size <= plan.arena_size
        for other_first, other_last, other, other_size, other_value in blocks[:place]:
            together = first <= other_last and other_first <= last and size and other_size
            apart = offset + size <= other or other + other_size <= offset
            is_over = value > 0 and other_value > 0 and may_lie_over(network, first, offset, other_value, other)
            assert not together or apart or is_over


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_that_live_together_lie_apart(seed: int) -> None:
    network = networks.random_network(seed)
    small, fast = (make_plan(network, fit).arena_size for fit in ("small", "fast"))
    fits: list[Fit] = [*FITS, Limit(scratch=0), Limit(arena=(small + fast) // 2), Limit(arena=fast + 500)]
    for fit in fits:
        check_blocks(network, make_plan(network, fit))


def test_tight_plans_are_as_tight_as_can_be() -> None:
    """The engine's tests rely on them: nothing is overwritten, and a word more would be, whatever kernel runs."""
    found: Counter[str] = Counter()
    made = [networks.random_network(seed) for seed in networks.SEEDS]
    made += [networks.shrinking_network(seed) for seed in networks.SHRINKING]
    for network, has_most in itertools.product(made, (False, True)):
        plan = networks.tight_plan(network, has_most)
        check_blocks(network, plan)
        for index, value in ((k, value) for k, node in enumerate(network.nodes) for value in node.inputs):
            gap = rows_between(network, index, value)
            source, place = plan.outputs[value - 1], plan.outputs[index]
            if gap is None or gap != source - place:
                continue
            assert not may_lie_over(network, index, place + 4, value, source)
            node, over = network.nodes[index], place + value_bytes(network.values[index + 1]) > source
            kernel = kernel_name(node, network.values[node.inputs[0]], plan.scratch[index][1])
            found[node.op, kernel, "second" if value == node.second else ""] += over
    assert min(found[op, "plain", ""] for op in ("conv", "depthwise", "pool")) > 50, found
    assert min(found["conv", kernel, ""] for kernel in ("lanes", "bytes")) > 0, found
    assert sum(count for (*_, role), count in found.items() if role) > 20, found


def needed_scratch(network: Network, index: int) -> int:
    """The table of docs/SPEC.md, section 5, in bytes."""
    node = network.nodes[index]
    source, geometry = network.values[node.inputs[0]], node.geometry
    height, width, channels = source.shape
    if node.op == "dense" and source.dtype == "bits" and source.id == 0:
        return -(-height * width * pixel_stride(channels) // 32) * 4
    if node.op != "conv":
        return 0
    taps = geometry.kernel[0] * geometry.kernel[1]
    bits = {"bits": pixel_stride(channels), "u8": 8 * channels, "i8": 8 * channels, "i16": 16 * channels}
    words = -(-taps * bits[source.dtype] // 32) * (2 if geometry.border == 0 else 1)
    is_pooled = (geometry.pool, geometry.pool_stride) != ((1, 1), (1, 1))
    row = conv_size(node, source)[1] * pixel_stride(node.filters) if is_pooled and node.is_hits else 0
    return 4 * (words + -(-row // 32))


def live_bytes(network: Network) -> int:
    """The most that lives during a node: outputs that it or a later one reads, its own one, and its scratch."""
    values = range(1, len(network.values))
    sizes = {value: -(-value_bytes(network.values[value]) // 4) * 4 for value in values}
    return max(
        needed_scratch(network, k) + sum(sizes[v] for v in values if v - 1 <= k <= last_reader(network, v))
        for k in range(len(network.nodes))
    )


def is_chain(network: Network) -> bool:
    """Whether each node reads what the one before made."""
    return all(node.inputs == (index,) for index, node in enumerate(network.nodes))


def test_the_smallest_arena_is_near_what_lives_at_once() -> None:
    """Outputs over their inputs may even save some of it."""
    saved = branched = 0
    for seed in networks.SEEDS:
        network = networks.random_network(seed)
        arena, live = make_plan(network).arena_size, live_bytes(network)
        assert arena <= (live if is_chain(network) else 1.05 * live), seed
        saved += arena < live
        branched += not is_chain(network)
    assert saved > 10 and branched > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_of_the_arena_is_kept_and_more_gives_no_less_scratch(seed: int) -> None:
    network = networks.random_network(seed)
    small, fast = (make_plan(network, fit).arena_size for fit in ("small", "fast"))
    before = [0] * len(network.nodes)
    for limit in sorted({small + (fast - small) * part // 8 for part in range(9)} | {small + 3, fast - 1, fast + 99}):
        if limit >= small:
            plan = make_plan(network, Limit(arena=limit))
            assert plan.arena_size <= min(limit, fast)
            scratch = [size for _, size in plan.scratch]
            assert all(old <= new for old, new in zip(before, scratch, strict=True)), limit
            before = scratch
    assert before == [size for _, size in make_plan(network, "fast").scratch]
    with pytest.raises(NetworkError, match=rf"needs {small} bytes of arena, the limit is {small - 1}$"):
        make_plan(network, Limit(arena=small - 1))


@pytest.mark.parametrize("limit", [0, 100, 500, 1500, 4000])
def test_a_limit_of_scratch_is_kept_by_every_node(limit: int) -> None:
    for seed in SEEDS:
        network = networks.random_network(seed)
        for index, (_, size) in enumerate(make_plan(network, Limit(scratch=limit)).scratch):
            needed = needed_scratch(network, index)
            assert needed <= size <= max(limit, needed), (seed, index)


def test_a_limit_of_scratch_holds_where_the_arena_has_more() -> None:
    """The output of the first pool leaves room that the convolution behind it may not use."""
    first = pool_node(0)
    second = pool_node(1, (8, 8), (8, 8))
    third = conv_node(2, np.ones((8, 3, 3, 32), np.int8), thresholds=np.zeros(8))
    last = dense_node(3, np.ones((2, 3, 3, 8), np.int8), offsets=[0, 0])
    network = Network(Value(0, (40, 40, 32), "bits"), (first, second, third, last))
    plans = [make_plan(network, fit) for fit in ("small", Limit(scratch=2000), Limit(scratch=0))]
    assert len({plan.arena_size for plan in plans}) == 1
    found = [plan.scratch[2][1] for plan in plans]
    assert found[0] > 2000 >= found[1] > found[2] == needed_scratch(network, 2)


def test_scratch_that_no_record_can_say_is_refused() -> None:
    weights = np.ones((2, 1500, 1500, 1), np.int8)
    network = Network(Value(0, weights.shape[1:], "bits"), (dense_node(0, weights, offsets=[0, 0]),))
    with pytest.raises(NetworkError, match="dense: 281252 bytes of scratch"):
        make_plan(network)


def test_a_residual_takes_no_memory_of_its_own() -> None:
    """The sum lies over its second input, and over both where they are one."""
    words = {"output": "i16", "offsets": [0] * 4}
    nodes = (
        pool_node(0, **words),
        depthwise_node(1, np.ones((4, 3, 3, 1)), Geometry(pad=(1, 1, 1, 1)), thresholds=[0] * 4),
        depthwise_node(2, np.ones((4, 1, 1, 1)), second=1, **words),
        pool_node(3, second=3, **words),
        pool_node(4, (16, 16), (16, 16), pool_sum=True, offsets=[0] * 4),
    )
    plan = make_plan(Network(Value(0, (16, 16, 4), "u8"), nodes))
    map_bytes, bits_bytes = 16 * 16 * 4 * 2, 16 * 16 * 4 // 8
    assert plan.arena_size == map_bytes + bits_bytes
    assert plan.outputs[0] == plan.outputs[2] >= plan.outputs[3]


@pytest.mark.parametrize(
    ("dtype", "change", "kernel"),
    [
        ("bits", {}, "lanes"),
        ("u8", {}, "bytes"),
        ("i8", {}, "plain"),
        ("i16", {}, "plain"),
        ("bits", {"weights": 3 * np.ones((2, 2, 2, 2))}, "plain"),
        ("u8", {"weights": 3 * np.ones((2, 2, 2, 2))}, "plain"),
        ("bits", {"geometry": Geometry((2, 2), border=0)}, "plain"),
        ("bits", {"geometry": Geometry((2, 2), border=1, pool=(2, 2))}, "lanes"),
        ("bits", {"geometry": Geometry((2, 2), pool=(2, 2), pool_sum=True)}, "plain"),
        ("bits", {"levels": 2, "thresholds": [0] * 4}, "plain"),
        ("u8", {"output": "i8", "thresholds": None, "offsets": [0, 0]}, "plain"),
        ("bits", {"op": "depthwise", "weights": np.ones((2, 2, 2, 1))}, "plain"),
    ],
)
def test_fast_kernels_are_for_plain_hits(dtype: str, change: dict, kernel: str) -> None:
    node = Node("conv", (0,), Geometry((2, 2)), weights=np.ones((2, 2, 2, 2)), thresholds=[0, 0])
    node = dataclasses.replace(node, **change)
    assert chosen(node, Value(0, (8, 8, 2), dtype), 100_000).kernel == kernel
