"""The fast kernels at the bounds of their lanes, chunks and tiles, against the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn import bits
from ebnn.cengine import CEngine
from ebnn.format import SelfTest, encode
from ebnn.geometry import Geometry, Pair, Value, output_shape
from ebnn.network import Network, conv_node, dense_node
from ebnn.ops import BY_NAME
from ebnn.plan import FITS, kernel_name, make_plan
from ebnn.sim import Simulator


def network(source: Value, filters: int, kernel: Pair, stride: int = 1) -> Network:
    """One convolution, some of whose thresholds are met exactly by extreme inputs, and scores behind it."""
    rng = np.random.default_rng(filters * 1000 + kernel[1])
    op = "conv_bits" if source.dtype == "bits" else "conv_u8_bits"
    weights = rng.choice(np.array([-1, 1], np.int8), (filters, *kernel, source.shape[2]))
    weights[0], weights[-1] = 1, -1
    taps = weights[0].size
    largest = taps * (255 if source.dtype == "u8" else 1)
    thresholds = rng.integers(-2 - taps // 8, 3 + taps // 8, filters) * (largest // taps)
    thresholds[0] = largest
    thresholds[-1] = -largest + 1
    node = conv_node(op, 0, weights, Geometry(stride=(stride, stride)), thresholds=thresholds)
    shape = output_shape(BY_NAME[op], source, node.geometry, filters)
    head = rng.choice(np.array([-1, 1], np.int8), (2, *shape))
    return Network(source, (node, dense_node("dense_scores", 1, head, offsets=[0, 1])))


def inputs(source: Value) -> list[bytes]:
    """All least, all largest, random."""
    rng = np.random.default_rng(source.shape[1])
    if source.dtype == "u8":
        size = int(np.prod(source.shape))
        return [bytes(size), b"\xff" * size, rng.integers(0, 256, size, np.uint8).tobytes()]
    maps = (np.zeros, np.ones, lambda shape, kind: rng.random(shape) < 0.5)
    return [bits.pack_maps(make((1, *source.shape), bool)).tobytes() for make in maps]


def check(net: Network, kernels: dict[str, str]) -> None:
    """Every fit takes the kernel it should, and gives what the simulator gives."""
    simulator = Simulator(net)
    for fit in FITS:
        plan = make_plan(net, fit)
        assert kernel_name(net.nodes[0], net.input, plan.scratch[0][1]) == kernels[fit]
        engine = CEngine(encode(net, SelfTest(1, 0), plan))
        for data in inputs(net.input):
            assert engine.trace(data) == simulator.trace(data), fit


LANES = {"small": "plain", "balanced": "lanes", "fast": "lanes"}
BYTES = {"small": "plain", "balanced": "bytes", "fast": "bytes"}
PLAIN = dict.fromkeys(FITS, "plain")


@pytest.mark.parametrize("words", [1, 2, 6, 7, 8, 9, 13, 14, 15, 20])
@pytest.mark.parametrize("filters", [8, 31, 32, 33, 65])
def test_lanes_at_every_length_of_a_chunk(words: int, filters: int) -> None:
    check(network(Value(0, (2, words + 8, 32), "bits"), filters, (1, words)), LANES)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("channels", [3, 16, 20, 64])
def test_lanes_at_every_length_of_a_tile(width: int, channels: int) -> None:
    check(network(Value(0, (3, width + 2, channels), "bits"), 9, (3, 3)), LANES)


def test_lanes_hold_32767_taps_and_no_more() -> None:
    # A row of so many weights is so much plain scratch that the lanes kernel can live on it.
    check(network(Value(0, (1, 32, 1023), "bits"), 8, (1, 32)), dict.fromkeys(FITS, "lanes"))
    check(network(Value(0, (1, 32, 1024), "bits"), 8, (1, 32)), PLAIN)


@pytest.mark.parametrize(("width", "kernels"), [(32767, LANES), (32768, PLAIN), (40000, PLAIN)])
def test_lanes_reach_so_far(width: int, kernels: dict[str, str]) -> None:
    check(network(Value(0, (1, width, 32), "bits"), 8, (1, 1)), kernels)


@pytest.mark.parametrize(("taps", "kernels"), [(1, BYTES), (31, BYTES), (32, BYTES), (33, BYTES), (64, BYTES),
                                               (127, BYTES), (128, BYTES), (129, PLAIN)])  # fmt: skip
@pytest.mark.parametrize("filters", [4, 32, 33])
def test_bytes_at_every_number_of_taps(taps: int, filters: int, kernels: dict[str, str]) -> None:
    check(network(Value(0, (3, taps + 4, 1), "u8"), filters, (1, taps)), kernels)


def test_few_filters_are_left_to_the_plain_kernel() -> None:
    check(network(Value(0, (5, 5, 32), "bits"), 7, (3, 3)), PLAIN)
    check(network(Value(0, (5, 5, 3), "u8"), 3, (3, 3)), PLAIN)


def test_a_word_less_of_scratch_chooses_the_plain_kernel() -> None:
    net = network(Value(0, (4, 12, 32), "bits"), 8, (1, 9))
    least = make_plan(net, "balanced").scratch[0][1]
    for scratch, kernel in ((least, "lanes"), (least - 4, "plain")):
        plan = make_plan(net, scratch)
        assert kernel_name(net.nodes[0], net.input, plan.scratch[0][1]) == kernel
    sizes = [make_plan(net, fit).scratch[0][1] for fit in FITS]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
