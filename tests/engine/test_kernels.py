"""The fast kernels at the bounds of their lanes, chunks and tiles, against the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn import bits
from ebnn.cengine import CEngine
from ebnn.format import SelfTest, encode
from ebnn.geometry import Geometry, Pair, Value, output_shape
from ebnn.network import Network, conv_node, dense_node, depthwise_node
from ebnn.plan import Limit, Plan, choices, kernel_name, make_plan
from ebnn.sim import Simulator

PLAIN_GEOMETRY = Geometry()


def network(source: Value, filters: int, kernel: Pair, geometry: Geometry = PLAIN_GEOMETRY) -> Network:
    """One convolution, some of whose thresholds are met exactly by extreme inputs, and scores behind it."""
    rng = np.random.default_rng(filters * 1000 + kernel[1])
    weights = rng.choice(np.array([-1, 1], np.int8), (filters, *kernel, source.shape[2]))
    weights[:2], weights[-2:] = 1, -1
    taps = weights[0].size
    largest = taps * (255 if source.dtype == "u8" else 1)
    thresholds = rng.integers(-2 - taps // 8, 3 + taps // 8, filters) * (largest // taps)
    thresholds[0] = largest
    thresholds[1:2] = largest + 1  # never
    thresholds[-2:-1] = -largest  # always
    thresholds[-1] = -largest + 1
    node = conv_node(0, weights, geometry, thresholds=thresholds)
    shape = output_shape(node, source)
    head = rng.choice(np.array([-1, 1], np.int8), (2, *shape))
    return Network(source, (node, dense_node(1, head, offsets=[0, 1])))


def inputs(source: Value) -> list[bytes]:
    """All least, all largest, random."""
    rng = np.random.default_rng(source.shape[1])
    if source.dtype == "u8":
        size = int(np.prod(source.shape))
        return [bytes(size), b"\xff" * size, rng.integers(0, 256, size, np.uint8).tobytes()]
    maps = (np.zeros, np.ones, lambda shape, kind: rng.random(shape) < 0.5)
    return [bits.pack_maps(make((1, *source.shape), bool)).tobytes() for make in maps]


def check(net: Network, kernel: str) -> None:
    """The node runs with every size of scratch, the largest one for ``kernel``, and gives what the simulator gives."""
    simulator, node = Simulator(net), net.nodes[0]
    found = choices(node, net.input)
    assert kernel_name(node, net.input, found[-1].scratch) == kernel
    for choice in found:
        plan = make_plan(net, Limit(scratch=choice.scratch))
        assert plan.scratch[0][1] == choice.scratch
        engine = CEngine(encode(net, SelfTest(1, 0), plan))
        for data in inputs(net.input):
            assert engine.trace(data) == simulator.trace(data), choice


@pytest.mark.parametrize("words", [1, 2, 6, 7, 8, 9, 13, 14, 15, 20])
@pytest.mark.parametrize("filters", [8, 31, 32, 33, 65])
def test_lanes_at_every_length_of_a_chunk(words: int, filters: int) -> None:
    check(network(Value(0, (2, words + 8, 32), "bits"), filters, (1, words)), "lanes")


@pytest.mark.parametrize("width", [1, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("channels", [3, 16, 20, 64])
def test_lanes_at_every_length_of_a_tile(width: int, channels: int) -> None:
    check(network(Value(0, (3, width + 2, channels), "bits"), 9, (3, 3)), "lanes")


def test_lanes_hold_32766_taps_and_no_more() -> None:
    # A row of so many weights is so much plain scratch that the lanes kernel can live on it.
    check(network(Value(0, (1, 32, 1023), "bits"), 8, (1, 32)), "lanes")
    check(network(Value(0, (1, 32, 1024), "bits"), 8, (1, 32)), "plain")


@pytest.mark.parametrize("width", [32767, 32768, 40000, 65535])
def test_lanes_on_the_widest_maps(width: int) -> None:
    check(network(Value(0, (1, width, 32), "bits"), 8, (1, 1)), "lanes")


@pytest.mark.parametrize(("taps", "kernel"), [(1, "bytes"), (31, "bytes"), (32, "bytes"), (33, "bytes"), (64, "bytes"),
                                               (127, "bytes"), (128, "bytes"), (129, "plain")])  # fmt: skip
@pytest.mark.parametrize("filters", [4, 32, 33])
def test_bytes_at_every_number_of_taps(taps: int, filters: int, kernel: str) -> None:
    check(network(Value(0, (3, taps + 4, 1), "u8"), filters, (1, taps)), kernel)


def borders(source: Value, filters: int, border: int) -> Network:
    """A convolution with another padding on each side."""
    return network(source, filters, (3, 4), Geometry(pad=(1, 3, 2, 2), border=border))


@pytest.mark.parametrize("border", [-1, 1])
@pytest.mark.parametrize("width", [1, 2, 6, 11, 16, 17])
@pytest.mark.parametrize("channels", [20, 32, 40])
def test_lanes_at_every_border(channels: int, width: int, border: int) -> None:
    check(borders(Value(0, (4, width, channels), "bits"), 9, border), "lanes")


@pytest.mark.parametrize("border", [-1, 1])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_at_every_border(channels: int, width: int, border: int) -> None:
    check(borders(Value(0, (4, width, channels), "u8"), 9, border), "bytes")


@pytest.mark.parametrize("source", [Value(0, (2, 30, 32), "bits"), Value(0, (1, 22, 1560), "bits"),
                                    Value(0, (1, 22, 1561), "bits"), Value(0, (2, 130, 1), "u8"),
                                    Value(0, (2, 131, 1), "u8")], ids=str)  # fmt: skip
def test_more_scratch_than_a_kernel_can_use(source: Value) -> None:
    """At the bounds of what its lanes hold, and beyond; in an arena that another exporter may have laid out."""
    taps = 21 if source.dtype == "bits" else source.shape[1] - 2
    net = network(source, 5, (1, taps))
    plan = make_plan(net)
    room = 40_000
    plan = Plan(plan.outputs, ((plan.arena_size, room), (0, 0)), plan.arena_size + room)
    engine, simulator = CEngine(encode(net, SelfTest(1, 0), plan)), Simulator(net)
    for data in inputs(source):
        assert engine.trace(data) == simulator.trace(data)


def test_one_filter_is_left_to_the_plain_kernel() -> None:
    for filters, kernel in ((1, "plain"), (2, "lanes")):
        net = network(Value(0, (5, 5, 32), "bits"), filters, (3, 3))
        assert kernel_name(net.nodes[0], net.input, make_plan(net, "fast").scratch[0][1]) == kernel


def test_a_word_less_of_scratch_chooses_the_plain_kernel() -> None:
    net = network(Value(0, (4, 12, 32), "bits"), 8, (1, 9))
    node = net.nodes[0]
    least = choices(node, net.input)[1].scratch
    for scratch, kernel in ((least, "lanes"), (least - 4, "plain")):
        plan = make_plan(net, Limit(scratch=scratch))
        assert kernel_name(net.nodes[0], net.input, plan.scratch[0][1]) == kernel


@pytest.mark.parametrize("kernel", [(1, 1), (15, 17), (16, 16), (3, 170), (30, 51)])
@pytest.mark.parametrize("channels", [3, 33])
@pytest.mark.parametrize("border", [-1, 0, 1])
def test_depthwise_at_every_number_of_taps(kernel: Pair, channels: int, border: int) -> None:
    rng = np.random.default_rng(kernel[1])
    weights = rng.choice(np.array([-1, 1], np.int8), (channels, *kernel, 1))
    weights[0], weights[-1] = 1, -1
    pad = (kernel[0] // 2, kernel[1] // 2, kernel[0] // 3, 0)
    source = Value(0, (*kernel, channels), "bits")
    node = depthwise_node(0, weights, Geometry(pad=pad, border=border), output="i16", offsets=np.zeros(channels, int))
    head = rng.choice(np.array([-1, 1], np.int8), (2, *output_shape(node, source)))
    net = Network(source, (node, dense_node(1, head, offsets=[0, 1])))
    engine, simulator = CEngine(encode(net, SelfTest(1, 0), make_plan(net))), Simulator(net)
    for data in inputs(source):
        assert engine.trace(data) == simulator.trace(data)
