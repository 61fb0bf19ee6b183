"""Model files: what is written is what is read, in the layout that the SPEC wants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import networks
from ebnn import ops
from ebnn.errors import ConfigError, ModelError
from ebnn.format import NO_USE, SelfTest, Use, decode, encode, model_crc, version_text
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node
from ebnn.plan import make_plan
from ebnn.prepare import Preparation
from ebnn.record import Record

SEEDS = networks.SEEDS[::3]
TEST = SelfTest(1, 2)


def dense(dtype: str) -> Network:
    """The smallest network of one channel."""
    return Network(Value(0, (4, 4, 1), dtype), (dense_node(0, np.ones((2, 4, 4, 1)), offsets=[1, -1]),))


def resealed(blob: bytes) -> bytes:
    """The model with the checksum that its bytes want."""
    return blob[:12] + model_crc(blob).to_bytes(4, "little") + blob[16:]


def same_nodes(left: Node, right: Node) -> bool:
    """Whether two nodes hold the same."""
    for field in dataclasses.fields(Node):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.dtype != b.dtype or not np.array_equal(a, b):
                return False
        elif a is not b and a != b:
            return False
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_reading_gives_the_network_back(seed: int) -> None:
    network = networks.random_network(seed)
    plan = make_plan(network)
    blob = encode(network, SelfTest(seed + 1, 77))
    model = decode(blob)
    assert (model.selftest, model.plan) == (SelfTest(seed + 1, 77), plan)
    assert (model.network.input, model.network.labels) == (network.input, network.labels)
    assert all(same_nodes(a, b) for a, b in zip(model.network.nodes, network.nodes, strict=True))
    assert encode(model.network, model.selftest, model.plan) == blob


# Of an input of which dtype, what it records, and the header's bytes from 40 on.
USES = (
    ("i16", NO_USE, "00000000 00 00 0000"),
    ("i8", Use(0x12345678), "78563412 00 00 0000"),
    ("u8", Use(1, Preparation("none")), "01000000 01 00 0000"),
    ("u8", Use(0, Preparation("average", True)), "00000000 0b 00 0000"),
    ("bits", Use((1 << 32) - 1, Preparation("nearest", threshold=200)), "ffffffff 05 c8 0000"),
    ("bits", Use(0, Preparation("none", True, 1)), "00000000 09 01 0000"),
)


@pytest.mark.parametrize(("dtype", "use", "header"), USES)
def test_what_a_model_records_of_its_use(dtype: str, use: Use, header: str) -> None:
    blob = encode(dense(dtype), TEST, use=use)
    assert blob[40:48] == bytes.fromhex(header)
    assert decode(blob).use == use
    assert encode(decode(blob).network, TEST) == encode(dense(dtype), TEST)


@pytest.mark.parametrize("dtype", ["i8", "i16"])
def test_integers_are_no_pictures(dtype: str) -> None:
    with pytest.raises(ConfigError, match=f"is for inputs of bits or bytes, this one is {dtype}"):
        encode(dense(dtype), TEST, use=Use(0, Preparation("none")))
    blob = bytearray(encode(dense(dtype), TEST))
    blob[44] = ops.PREPARE_RECORDED
    with pytest.raises(ModelError) as caught:
        decode(resealed(bytes(blob)))
    assert caught.value.code == "HEADER"


def every_attribute() -> Network:
    """Each flag, levels, a shift and a second input; 1-bit and int8 weights on each layout of input."""
    ones, bytes_ = np.ones, lambda *shape: np.arange(-128, -128 + np.prod(shape)).reshape(shape)
    nodes = (
        conv_node(0, bytes_(3, 1, 2, 1), Geometry(pad=(0, 1, 0, 0)), output="u8", offsets=[1, 2, 70_000], shift=5),
        conv_node(1, ones((3, 1, 1, 3)), Geometry(border=1), output="i8", offsets=[0] * 3, gains=[-2, 0, 32767]),
        pool_node(2, output="i8", offsets=[0] * 6, second=2),
        depthwise_node(3, bytes_(12, 1, 1, 1), thresholds=range(24), levels=2, exclusive=True, flips=[0, 1] * 6),
        depthwise_node(4, 1 - 2 * ones((12, 2, 1, 1)), Geometry(pad=(1, 0, 0, 0), border=0), thresholds=range(12)),
        pool_node(5),
        conv_node(6, bytes_(2, 1, 1, 12), thresholds=[-40_000, 1, 2, 3, 4, 5], levels=3, flips=[1, 0, 0, 0, 0, 1]),
        pool_node(7, (3, 4), (3, 4), pool_sum=True, offsets=[0] * 6, output="i16"),
    )
    return Network(Value(0, (3, 4, 1), "i16"), nodes)


def test_every_attribute_survives() -> None:
    network = every_attribute()
    model = decode(encode(network, TEST))
    assert all(same_nodes(a, b) for a, b in zip(model.network.nodes, network.nodes, strict=True))
    assert model.network.values == network.values


def test_records_say_what_a_node_is() -> None:
    blob = encode(every_attribute(), TEST)
    found = [Record.read(blob, index) for index in range(blob[7])]
    assert [record.code for record in found] == [1, 1, 4, 2, 2, 4, 1, 4]
    assert [record.flags for record in found] == [
        ops.FLAG_INT8_WEIGHTS | ops.FLAG_WIDE, ops.FLAG_BORDER_PLUS | ops.FLAG_GAINS, 0,
        ops.FLAG_INT8_WEIGHTS | ops.FLAG_EXCLUSIVE | ops.FLAG_FLIPS, ops.FLAG_BORDER_NONE, 0,
        ops.FLAG_INT8_WEIGHTS | ops.FLAG_WIDE | ops.FLAG_FLIPS, ops.FLAG_SUM,
    ]  # fmt: skip
    assert [record.second for record in found] == [0, 0, 2, 0, 0, 0, 0, 0]
    assert [record.filters for record in found] == [3, 3, 6, 12, 12, 12, 2, 6]
    assert [blob[48 + 36 * index + 27] for index in range(8)] == [1, 2, 2, 0, 0, 0, 0, 3]  # dtypes
    assert [blob[48 + 36 * index + 31] for index in range(8)] == [5, 0, 0, 2, 1, 1, 3, 0]  # levels or shifts
    assert [bool(record.params) for record in found] == [True] * 5 + [False] + [True] * 2


def params_of(node: Node, dtype: str, channels: int = 1) -> bytes:
    """A node's parameters as they lie in the file; it reads 1 x 1 pixels."""
    scores = dense_node(1, np.ones((1, 1, 1, node.filters)), offsets=[0])
    blob = encode(Network(Value(0, (1, 1, channels), dtype), (node, scores)), TEST)
    return blob[Record.read(blob, 0).params : Record.read(blob, 1).params]


def test_blocks_are_filled_up_to_words_one_behind_the_other() -> None:
    weights = np.array([[-1, 2, -128, 3, 127]])[:, None, None]
    node = conv_node(0, weights, output="i8", offsets=[-2], gains=[256], shift=3)
    assert params_of(node, "u8", 5) == bytes.fromhex("ff028003 7f000000 feff0000 00010000")
    node = conv_node(0, np.sign(weights), thresholds=[65536], flips=[True])
    assert params_of(node, "i16", 5) == bytes.fromhex("1a000000 00000100 01000000")


def test_a_row_of_a_depthwise_node_serves_all_channels() -> None:
    """Filters f and f + 3 share channel f: row j has filters 3 j, 3 j + 1 and 3 j + 2."""
    filters = np.array([1, -1, 1, -1, -1, 1])[:, None, None, None]
    node = depthwise_node(0, filters, thresholds=[0] * 6)
    thresholds = "00000000 00000000 00000000"
    assert params_of(node, "bits", 3) == bytes.fromhex("05000000 04000000" + thresholds)
    node = depthwise_node(0, filters * [[[[7]]]], thresholds=[0] * 6)
    assert params_of(node, "bits", 3) == bytes.fromhex("07f90700 f9f90700" + thresholds)


def test_newer_formats_are_refused_with_both_versions() -> None:
    newer = bytearray(encode(dense("u8"), TEST))
    for version in ((1, 1), (0, 4), (2, 0)):
        newer[4:6] = version
        with pytest.raises(ModelError) as caught:
            decode(resealed(bytes(newer)))
        assert (caught.value.code, str(caught.value)) == ("VERSION", version_text(*version))
    assert version_text(1, 3) == "model format 1.3, this ebnn reads 1.0: update the firmware or export again"


def test_the_checksum_leaves_itself_out() -> None:
    blob = encode(dense("u8"), TEST)
    changed = blob[:12] + b"\1\2\3\4" + blob[16:]
    assert model_crc(blob) == model_crc(changed) == int.from_bytes(blob[12:16], "little")
