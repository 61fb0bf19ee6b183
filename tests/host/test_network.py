"""A network that cannot be is refused with a sentence that names the node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, Node, conv_node, dense_node, pool_node

BITS = Value(0, (4, 4, 2), "bits")
BYTES = Value(0, (4, 4, 1), "u8")


def ones(*shape: int) -> np.ndarray:
    """Weights of +1."""
    return np.ones(shape, np.int8)


def conv(weights: np.ndarray | None = None, geometry: Geometry | None = None, **params) -> Node:
    """A conv node on ``BITS``, good as it is."""
    weights = ones(3, 2, 2, 2) if weights is None else weights
    params.setdefault("thresholds", np.zeros(len(weights)))
    return conv_node("conv_bits", 0, weights, geometry, **params)


def scores(source: int = 0, shape: tuple = (4, 4, 2), **params) -> Node:
    """A score node."""
    params.setdefault("offsets", [0, 0])
    return dense_node("dense_scores", source, ones(2, *shape), **params)


def bytes_scores(shape: tuple, offset: int = 0) -> Node:
    """A score node on bytes."""
    return dense_node("dense_u8_scores", 0, ones(1, *shape), offsets=[offset])


GEOMETRIES = [
    (Geometry(stride=(0, 1)), r"node 0 .*kernel .*each must be 1 to 255"),
    (Geometry(pad=(2, 0, 0, 0)), r"padding \(2, 0, 0, 0\) must be 0 or more and below the window's size"),
    (Geometry(pad=(0, 0, 0, -1)), r"padding .* must be 0 or more"),
    (Geometry(pool=(0, 1)), r"pool \(0, 1\).*each must be 1 to 255"),
    (Geometry(pool_stride=(256, 1)), r"pool .*each must be 1 to 255"),
    (Geometry(pool=(2, 2), pool_pad=(0, 2, 0, 0)), r"pool \(2, 2\): padding"),
    (Geometry(pool=(4, 1)), r"shape \(0, 3, 3\) must be 1 to 65535"),
    (Geometry(border=0), r"border must be -1 or \+1, got 0"),
]


@pytest.mark.parametrize(("geometry", "message"), GEOMETRIES)
def test_geometry_is_refused(geometry: Geometry, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(BITS, (conv(geometry=geometry), scores(1, (3, 3, 3))))


NETWORKS: list[tuple[str, Callable[[], Network]]] = [
    (r"a network has 1 to 255 nodes, got 0", lambda: Network(BITS, ())),
    (r"1 to 255 nodes, got 256", lambda: Network(BITS, (pool_node(0, (1, 1), (1, 1)),) * 255 + (scores(),))),
    (r"input must be value 0 of dtype u8 or bits", lambda: Network(Value(0, (1, 1, 1), "i32"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(1, (4, 4, 2), "bits"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(0, (4, 0, 2), "bits"), (scores(),))),
    (r"input must be value 0", lambda: Network(Value(0, (4096, 4097, 1), "u8"), (scores(),))),
    (r"the last node, and only it, must output scores", lambda: Network(BITS, (conv(),))),
    (r"the last node, and only it", lambda: Network(BITS, (scores(), scores()))),
    (r"node 0 .*no operator conv_x; there are conv_u8_bits,", lambda: Network(BITS, (Node("conv_x", (0,)),))),
    (r"node 0 .*reads values \(1,\), only 0 to 0 exist", lambda: Network(BITS, (scores(1),))),
    (r"reads values \(\)", lambda: Network(BITS, (Node("pool_or", ()),))),
    (r"dense_scores reads bits, value 0 is u8", lambda: Network(BYTES, (scores(0, (4, 4, 1)),))),
    (r"node 0 \(first\): ", lambda: Network(BITS, (conv(ones(1, 5, 1, 2), name="first"), scores()))),
    (r"its kernel \(5, 1\) makes a map of", lambda: Network(BITS, (conv(ones(1, 5, 1, 2)), scores()))),
    (r"weights are \(3, 2, 2, 1\), its input 4x4x2 bits wants \(3, 2, 2, 2\)", lambda: Network(
        BITS, (conv(ones(3, 2, 2, 1)), scores()))),
    (r"weights must be -1 or \+1", lambda: Network(BITS, (conv(np.zeros((3, 2, 2, 2))), scores()))),
    (r"thresholds are \(2,\), 3 filters want one each", lambda: Network(
        BITS, (conv(thresholds=[0, 0]), scores()))),
    (r"flips are \(2,\)", lambda: Network(BITS, (conv(flips=[True, True]), scores()))),
    (r"conv_bits has no offsets", lambda: Network(BITS, (conv(offsets=[0, 0, 0]), scores()))),
    (r"conv_bits needs thresholds", lambda: Network(BITS, (conv(thresholds=None), scores()))),
    (r"dense_scores has no flips", lambda: Network(BITS, (scores(flips=[True, True]),))),
    (r"dense_scores needs offsets", lambda: Network(BITS, (scores(offsets=None),))),
    (r"a dense node has no geometry", lambda: Network(
        BITS, (scores(geometry=Geometry(stride=(2, 2))),))),
    (r"pool_or takes a pool window only", lambda: Network(
        BITS, (Node("pool_or", (0,), Geometry(stride=(2, 2), pool=(2, 2))), scores()))),
    (r"pool_or has no weights", lambda: Network(BITS, (Node("pool_or", (0,), weights=ones(1, 1, 1, 1)), scores()))),
    (r"scores could reach 2147483648", lambda: Network(BITS, (scores(offsets=[0, 2**31 - 32]),))),
    (r"scores could reach 2147483648", lambda: Network(BYTES, (bytes_scores((4, 4, 1), 255 * 16 - 2**31),))),
    (r"more than 4194304 taps", lambda: Network(
        Value(0, (2049, 2048, 1), "u8"), (bytes_scores((2049, 2048, 1)),))),
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
        node.op = "pool_or"


def test_flips_that_invert_nothing_are_none() -> None:
    assert conv(flips=[False, False, False]).flips is None


def test_values_have_the_shapes_of_the_nodes() -> None:
    geometry = Geometry(stride=(1, 2), pad=(1, 0, 0, 0), pool=(2, 1), pool_stride=(2, 1))
    network = Network(BITS, (conv(geometry=geometry), scores(1, (2, 2, 3))), ("a", "b"))
    assert [str(value) for value in network.values] == ["4x4x2 bits", "2x2x3 bits", "1x1x2 i32"]
    assert network.with_labels(("x", "y")).labels == ("x", "y")


@pytest.mark.parametrize("offset", [2**31 + 5, float("nan"), 0.5, float("inf")])
def test_numbers_that_are_no_integers_are_refused(offset: float) -> None:
    with pytest.raises(NetworkError, match="values must be int32"):
        scores(offsets=[offset, 0])
