"""A network that cannot be is refused with a sentence that names the node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node

BITS = Value(0, (4, 4, 2), "bits")
BYTES = Value(0, (4, 4, 1), "u8")
WORDS = Value(0, (4, 4, 2), "i16")


def ones(*shape: int) -> np.ndarray:
    """Weights of +1."""
    return np.ones(shape, np.int8)


def conv(weights: np.ndarray | None = None, geometry: Geometry | None = None, **params) -> Node:
    """A conv node on 2 channels, good as it is."""
    weights = ones(3, 2, 2, 2) if weights is None else weights
    if params.get("offsets") is None:
        params.setdefault("thresholds", np.zeros(len(weights) * params.get("levels", 1)))
    return conv_node(0, weights, geometry, **params)


def scores(source: int = 0, shape: tuple = (4, 4, 2), **params) -> Node:
    """A score node."""
    params.setdefault("offsets", [0, 0])
    return dense_node(source, ones(2, *shape), **params)


def bytes_scores(shape: tuple, offset: int = 0) -> Node:
    """A score node on bytes."""
    return dense_node(0, ones(1, *shape), offsets=[offset])


GEOMETRIES = [
    (Geometry(stride=(0, 1)), r"node 0 .*kernel .*each must be 1 to 255"),
    (Geometry(pad=(2, 0, 0, 0)), r"padding \(2, 0, 0, 0\) must be 0 or more and below the window's size"),
    (Geometry(pad=(0, 0, 0, -1)), r"padding .* must be 0 or more"),
    (Geometry(pool=(0, 1)), r"pool \(0, 1\).*each must be 1 to 255"),
    (Geometry(pool_stride=(256, 1)), r"pool .*each must be 1 to 255"),
    (Geometry(pool=(2, 2), pool_pad=(0, 2, 0, 0)), r"pool \(2, 2\): padding"),
    (Geometry(pool=(4, 1)), r"shape \(0, 3, 3\) must be 1 to 65535"),
    (Geometry(border=2), r"border must be -1 or \+1 or 0 on bits, got 2"),
]


@pytest.mark.parametrize(("geometry", "message"), GEOMETRIES)
def test_geometry_is_refused(geometry: Geometry, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(BITS, (conv(geometry=geometry), scores(1, (3, 3, 3))))


NETWORKS: list[tuple[str, Callable[[], Network]]] = [
    (r"a network has 1 to 255 nodes, got 0", lambda: Network(BITS, ())),
    (r"1 to 255 nodes, got 256", lambda: Network(BITS, (pool_node(0),) * 255 + (scores(),))),
    (r"input must be value 0 of dtype bits, u8, i8 or i16, got", lambda: Network(
        Value(0, (1, 1, 1), "i32"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(1, (4, 4, 2), "bits"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(0, (4, 0, 2), "bits"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(0, (4096, 4097, 1), "u8"), (scores(),))),
    (r"node 0 .*: the last node must make scores: i8, i16, i32 of 1x1, not bits of", lambda: Network(BITS, (conv(),))),
    (r"the last node must make scores: .* not u8", lambda: Network(BITS, (scores(output="u8"),))),
    (r"the last node must make scores: .* not i8 of \(3, 3, 3\)", lambda: Network(
        BITS, (conv(offsets=[0] * 3, output="i8"),))),
    (r"node 0 .*: only the last node makes i32", lambda: Network(BITS, (scores(), scores()))),
    (r"node 0 .*no operator conv_x; there are conv, depthwise,", lambda: Network(BITS, (Node("conv_x", (0,)),))),
    (r"node 0 .*reads values \(1,\), only 0 to 0 exist", lambda: Network(BITS, (scores(1),))),
    (r"reads values \(\)", lambda: Network(BITS, (Node("pool", ()),))),
    (r"node 1 .*: reads values \(1, 2\), only 0 to 1 exist", lambda: Network(
        WORDS, (pool_node(0, offsets=[0, 0], output="i8"), pool_node(1, second=2, offsets=[0, 0])))),
    (r"the network's input cannot be a second input", lambda: Network(
        WORDS, (pool_node(0, second=0, offsets=[0, 0], output="i8"), scores(1)))),
    (r"its second input must be one of u8, i8, i16, value 1 is bits", lambda: Network(
        BITS, (pool_node(0), pool_node(0, second=1, offsets=[0, 0], output="i8"), scores(2)))),
    (r"its second input 4x4x2 i8 does not fit its output of \(2, 2, 2\)", lambda: Network(
        WORDS, (pool_node(0, offsets=[0, 0], output="i8"),
                pool_node(0, (2, 2), (2, 2), second=1, offsets=[0, 0], output="i8"), scores(2)))),
    (r"its second input 4x4x2 i8 does not fit its output of \(4, 4, 1\)", lambda: Network(
        WORDS, (pool_node(0, offsets=[0, 0], output="i8"),
                conv_node(0, ones(1, 1, 1, 2), second=1, offsets=[0], output="i8"), scores(2)))),
    (r"an output of bits has no use for a second input", lambda: Network(
        WORDS, (pool_node(0, offsets=[0, 0], output="i8"), pool_node(1, thresholds=[0, 0], second=1), scores(2)))),
    (r"node 0 \(first\): ", lambda: Network(BITS, (conv(ones(1, 5, 1, 2), name="first"), scores()))),
    (r"its kernel \(5, 1\) makes a map of", lambda: Network(BITS, (conv(ones(1, 5, 1, 2)), scores()))),
    (r"border must be -1 or \+1 on u8, got 0", lambda: Network(
        BYTES, (conv_node(0, ones(1, 1, 1, 1), Geometry(border=0), thresholds=[0]), scores()))),
    (r"border must be -1 on i16, got 1", lambda: Network(WORDS, (conv(geometry=Geometry(border=1)), scores()))),
    (r"weights are \(3, 2, 2, 1\), its input 4x4x2 bits and 3 filters want \(3, 2, 2, 2\)", lambda: Network(
        BITS, (conv(ones(3, 2, 2, 1)), scores()))),
    (r"weights are \(4, 2, 2, 2\), .* want \(4, 2, 2, 1\)", lambda: Network(
        BITS, (depthwise_node(0, ones(4, 2, 2, 2), thresholds=[0] * 4), scores()))),
    (r"3 filters, depthwise wants a multiple of the input's 2 channels", lambda: Network(
        BITS, (depthwise_node(0, ones(3, 2, 2, 1), thresholds=[0] * 3), scores()))),
    (r"3 filters, pool wants a multiple", lambda: Network(WORDS, (pool_node(0, thresholds=[0] * 3), scores()))),
    (r"4 filters, 1 levels: a pool of bits that makes bits has 2 channels, 1 level", lambda: Network(
        BITS, (Node("pool", (0,), filters=4), scores()))),
    (r"2 filters, 2 levels: a pool of bits", lambda: Network(
        BITS, (Node("pool", (0,), levels=2), scores()))),
    (r"thresholds are \(2,\), .* 3 filters want \(3,\)", lambda: Network(
        BITS, (conv(thresholds=[0, 0]), scores()))),
    (r"thresholds are \(3,\), .* want \(6,\)", lambda: Network(
        BITS, (conv(thresholds=[0] * 3, levels=2), scores()))),
    (r"flips are \(2,\)", lambda: Network(BITS, (conv(flips=[True, True]), scores()))),
    (r"flips are \(3,\), .* want \(6,\)", lambda: Network(BITS, (conv(levels=2, flips=[True] * 3), scores()))),
    (r"gains are \(1,\)", lambda: Network(BITS, (scores(gains=[1]),))),
    (r"conv of bits to bits has no offsets", lambda: Network(
        BITS, (conv(offsets=[0, 0, 0], thresholds=[0, 0, 0], output="bits"), scores()))),
    (r"conv of bits to bits needs thresholds", lambda: Network(BITS, (conv(thresholds=None), scores()))),
    (r"conv of bits to bits has no gains", lambda: Network(BITS, (conv(gains=[1, 1, 1]), scores()))),
    (r"dense of bits to i32 has no flips", lambda: Network(BITS, (scores(flips=[True, True]),))),
    (r"dense of bits to i32 needs offsets", lambda: Network(BITS, (scores(offsets=None, output="i32"),))),
    (r"pool of bits to bits has no thresholds", lambda: Network(BITS, (pool_node(0, thresholds=[0, 0]), scores()))),
    (r"pool of bits to bits has no flips", lambda: Network(BITS, (pool_node(0, flips=[True, True]), scores()))),
    (r"pool of i16 to bits needs thresholds", lambda: Network(WORDS, (pool_node(0), scores()))),
    (r"conv of bits to bits needs weights", lambda: Network(BITS, (Node("conv", (0,)), scores()))),
    (r"0 levels, an output of bits has 1 to 255", lambda: Network(BITS, (conv(levels=0), scores()))),
    (r"256 levels", lambda: Network(BITS, (conv(levels=256), scores()))),
    (r"2 levels, an output of i32 has none but 1", lambda: Network(BITS, (scores(levels=2),))),
    (r"exclusive wants at least 2 levels", lambda: Network(BITS, (conv(exclusive=True), scores()))),
    (r"shift 32, 0 to 31 are possible", lambda: Network(BITS, (scores(shift=32),))),
    (r"shift 1, bits have none", lambda: Network(BITS, (conv(shift=1), scores()))),
    (r"no dtype f32; there are bits, u8,", lambda: Network(BITS, (scores(output="f32"),))),
    (r"a dense node has no geometry", lambda: Network(
        BITS, (scores(geometry=Geometry(stride=(2, 2))),))),
    (r"a dense node has no geometry", lambda: Network(BITS, (scores(geometry=Geometry(pool_sum=True)),))),
    (r"a pool node takes a pool window only", lambda: Network(
        BITS, (Node("pool", (0,), Geometry(stride=(2, 2), pool=(2, 2))), scores()))),
    (r"pool of bits to bits has no weights", lambda: Network(
        BITS, (Node("pool", (0,), weights=ones(2, 1, 1, 1)), scores()))),
    (r"integers could reach 2147483648", lambda: Network(BITS, (scores(offsets=[0, 2**31 - 32]),))),
    (r"integers could reach 2147483648", lambda: Network(BYTES, (bytes_scores((4, 4, 1), 255 * 16 - 2**31),))),
    (r"integers could reach 2147483648", lambda: Network(
        BITS, (scores(gains=[1, -32768], offsets=[0, 2**31 - 32 * 32768]),))),
    (r"integers could reach 2147483648", lambda: Network(
        WORDS, (pool_node(0, output="i16", offsets=[0, 0]),
                pool_node(0, (4, 4), (4, 4), offsets=[0] * 2, output="i16"),
                pool_node(0, (4, 4), (4, 4), offsets=[0, 2**31 - 65536], second=2)))),
    (r"sums could reach 1079443456, at most 1073741824", lambda: Network(
        Value(0, (182, 181, 1), "i16"), (bytes_scores((182, 181, 1)),))),
    (r"sums could reach", lambda: Network(WORDS, (conv(3 * ones(3, 2, 2, 2), Geometry(
        pool=(255, 255), pool_pad=(254, 254, 254, 254), pool_sum=True)), scores()))),
    (r"167772160 bits of weights, at most 134217728", lambda: Network(
        Value(0, (2048, 2048, 1), "bits"), (dense_node(0, np.zeros((5, 2048, 2048, 1)), offsets=[0] * 5),))),
    (r"3 labels for 2 classes", lambda: Network(BITS, (scores(),), ("a", "b", "c"))),
    (r"label 'ääää.*is longer than 255 bytes", lambda: Network(BITS, (scores(),), ("ä" * 128, "b"))),
]  # fmt: skip


@pytest.mark.parametrize(("message", "build"), NETWORKS, ids=lambda part: part if isinstance(part, str) else "")
def test_network_is_refused(message: str, build: Callable[[], Network]) -> None:
    with pytest.raises(NetworkError, match=message):
        build()


def test_largest_offsets_are_allowed() -> None:
    assert Network(BITS, (scores(offsets=[2**31 - 33, 33 - 2**31]),)).classes == 2


def test_arrays_cannot_be_changed() -> None:
    node = conv()
    with pytest.raises(ValueError, match="read-only"):
        node.weights[0] = -1
    with pytest.raises(AttributeError):
        node.op = "pool"


def test_flips_that_invert_nothing_are_none() -> None:
    assert conv(flips=[False, False, False]).flips is None


def test_values_have_the_shapes_of_the_nodes() -> None:
    geometry = Geometry(stride=(1, 2), pad=(1, 0, 0, 0), pool=(2, 1), pool_stride=(2, 1))
    network = Network(BITS, (conv(geometry=geometry), scores(1, (2, 2, 3))), ("a", "b"))
    assert [str(value) for value in network.values] == ["4x4x2 bits", "2x2x3 bits", "1x1x2 i32"]
    assert network.with_labels(("x", "y")).labels == ("x", "y")


def test_channels_follow_from_filters_and_levels() -> None:
    nodes = (
        depthwise_node(0, ones(4, 1, 1, 1), thresholds=np.zeros(12), levels=3),
        conv_node(1, 3 * ones(2, 1, 1, 12), thresholds=np.zeros(4), levels=2, exclusive=True, flips=[True, False]),
        pool_node(2),
        pool_node(0, thresholds=np.zeros(8), levels=2),
        pool_node(0, (4, 4), (4, 4), pool_sum=True, offsets=[0] * 6),
    )
    network = Network(WORDS, nodes)
    assert [str(value) for value in network.values[1:]] == [
        "4x4x12 bits", "4x4x2 bits", "4x4x2 bits", "4x4x8 bits", "1x1x6 i32",
    ]  # fmt: skip
    assert [node.filters for node in network.nodes] == [4, 2, 2, 4, 6]
    assert [node.has_int8 for node in network.nodes] == [False, True, False, False, False]


def test_hit_nodes_are_those_of_the_spec() -> None:
    summed = Geometry(pool_sum=True)
    nodes = {
        conv(): True,
        conv(2 * ones(3, 2, 2, 2), Geometry(border=0)): True,
        conv(geometry=summed): False,
        conv(levels=2): False,
        conv(offsets=[0] * 3): False,
        pool_node(0): True,
        pool_node(0, pool_sum=True, thresholds=[0, 0]): False,
        pool_node(0, offsets=[0, 0]): False,
        depthwise_node(0, ones(2, 1, 1, 1), thresholds=[0, 0]): False,
        scores(): False,
    }
    assert {node: node.is_hits for node in nodes} == nodes


def test_the_largest_sums_are_allowed() -> None:
    """2**30: a window of 256 taps of bytes would pass it; and the second input's 2**15 beside 2**31 - 1."""
    words = Value(0, (128, 256, 1), "i16")
    scores = dense_node(0, ones(1, 128, 256, 1), offsets=[2**30 - 1])
    assert Network(words, (scores,)).classes == 1
    first = pool_node(0, (128, 256 - 1), (128, 255), output="i16", offsets=[0])
    last = pool_node(0, (128, 255), (128, 255), offsets=[2**31 - 1 - 2**16], second=1)
    assert Network(words, (first, last)).classes == 1


@pytest.mark.parametrize("offset", [2**31 + 5, float("nan"), 0.5, float("inf")])
def test_numbers_that_are_no_integers_are_refused(offset: float) -> None:
    with pytest.raises(NetworkError, match="values must be int32"):
        scores(offsets=[offset, 0])
