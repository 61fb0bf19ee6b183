"""Memory plans: nothing overlaps what is still needed, the arena is small, and limits are kept."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import networks
from ebnn.bits import pixel_stride
from ebnn.errors import NetworkError
from ebnn.geometry import Value, conv_size, value_bytes
from ebnn.network import Network, conv_node, dense_node, pool_node
from ebnn.plan import FITS, Fit, Limit, Plan, kernel_name, make_plan, rows_between

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


def follows_its_input(network: Network, index: int, place: int, source_place: int) -> bool:
    """Whether an output that lies over its input is written only over rows that were read (SPEC, section 5, Order)."""
    node = network.nodes[index]
    source, geometry = network.values[node.inputs[0]], node.geometry
    height, width, channels = network.values[index + 1].shape
    if (
        node.spec.source == "dense"
        or source.id == 0
        or any(source.id in other.inputs for other in network.nodes[index + 1 :])
    ):
        return False
    stride, top = (1, 0) if node.spec.source == "pool" else (geometry.stride[0], geometry.pad[0])
    for y in range(conv_size(node.spec, source, geometry)[0]):
        last = min(height - 1, (y + geometry.pool_pad[0]) // geometry.pool_stride[0])
        written = place + -(-(last + 1) * width * pixel_stride(channels) // 32) * 4
        row = max(0, y * stride - top)
        unread = source_place + row * source.shape[1] * pixel_stride(source.shape[2]) // 8
        if row < source.shape[0] and written > unread:
            return False
    return True


def check_blocks(network: Network, plan: Plan) -> None:
    """What lives together lies apart, scratch from everything, but for an output that follows its input."""
    blocks = lifetimes(network, plan)
    for place, (first, last, offset, size, value) in enumerate(blocks):
        assert offset % 4 == 0
        assert offset + size <= plan.arena_size
        for other_first, other_last, other, other_size, other_value in blocks[:place]:
            together = first <= other_last and other_first <= last and size and other_size
            apart = offset + size <= other or other + other_size <= offset
            reads = value > 0 and network.nodes[first].inputs[0] == other_value
            assert not together or apart or (reads and follows_its_input(network, first, offset, other))


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
        for index, node in enumerate(network.nodes):
            if rows_between(network, node) is not None:
                source, place = plan.outputs[node.inputs[0] - 1], plan.outputs[index]
                assert not follows_its_input(network, index, place + 4, source)
                over = place + value_bytes(network.values[index + 1]) > source
                found[kernel_name(node, network.values[node.inputs[0]], plan.scratch[index][1])] += over
    assert min(found[kernel] for kernel in ("plain", "lanes", "pool")) > 50, found


def needed_scratch(network: Network, index: int) -> int:
    """The table of docs/SPEC.md, section 5, in bytes."""
    node = network.nodes[index]
    source, geometry = network.values[node.inputs[0]], node.geometry
    if node.spec.source == "pool" or (node.spec.source == "dense" and (source.id or source.dtype == "u8")):
        return 0
    taps = node.weights[0].size
    bits = 8 * taps if source.dtype == "u8" else taps // source.shape[2] * pixel_stride(source.shape[2])
    is_pooled = (geometry.pool, geometry.pool_stride) != ((1, 1), (1, 1))
    row = conv_size(node.spec, source, geometry)[1] * pixel_stride(node.filters) if is_pooled else 0
    return 4 * (-(-bits // 32) + -(-row // 32))


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
    first = pool_node(0, (1, 1), (1, 1))
    second = pool_node(1, (8, 8), (8, 8))
    third = conv_node("conv_bits", 2, np.ones((8, 3, 3, 32), np.int8), thresholds=np.zeros(8))
    last = dense_node("dense_scores", 3, np.ones((2, 3, 3, 8), np.int8), offsets=[0, 0])
    network = Network(Value(0, (40, 40, 32), "bits"), (first, second, third, last))
    plans = [make_plan(network, fit) for fit in ("small", Limit(scratch=2000), Limit(scratch=0))]
    assert len({plan.arena_size for plan in plans}) == 1
    found = [plan.scratch[2][1] for plan in plans]
    assert found[0] > 2000 >= found[1] > found[2] == needed_scratch(network, 2)


def test_scratch_that_no_record_can_say_is_refused() -> None:
    weights = np.ones((2, 1500, 1500, 1), np.int8)
    network = Network(Value(0, weights.shape[1:], "bits"), (dense_node("dense_scores", 0, weights, offsets=[0, 0]),))
    with pytest.raises(NetworkError, match="dense_scores: 281252 bytes of scratch"):
        make_plan(network)
