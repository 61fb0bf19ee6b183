"""Model files: what is written is what is read, in the layout and the memory plan that the SPEC wants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import networks
from ebnn import ops
from ebnn.errors import ModelError
from ebnn.format import SelfTest, decode, encode, model_crc, version_text
from ebnn.geometry import value_bytes
from ebnn.network import Network, Node
from ebnn.plan import make_plan
from evil.table import GOOD, mended

SEEDS = networks.SEEDS[::3]


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


def lifetimes(network: Network) -> list[tuple[int, int, int, int]]:
    """(first node, last node, offset, size) of every block of the plan."""
    plan = make_plan(network)
    blocks = []
    for index in range(len(network.nodes)):
        readers = [k for k, node in enumerate(network.nodes) if index + 1 in node.inputs]
        last = max([index, *readers]) if index + 1 < len(network.nodes) else len(network.nodes)
        blocks.append((index, last, plan.outputs[index], value_bytes(network.values[index + 1])))
        blocks.append((index, index, *plan.scratch[index]))
    return blocks


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_that_live_together_lie_apart(seed: int) -> None:
    network = networks.random_network(seed)
    blocks = lifetimes(network)
    for place, (first, last, offset, size) in enumerate(blocks):
        assert offset % 4 == 0
        assert offset + size <= make_plan(network).arena_size
        for other_first, other_last, other, other_size in blocks[:place]:
            together = first <= other_last and other_first <= last and size and other_size
            assert not together or offset + size <= other or other + other_size <= offset


def test_flags_say_how_the_parameters_are_stored() -> None:
    flags = [GOOD["chain"][40 + 36 * k + 1] for k in range(5)]
    assert flags == [ops.FLAG_BORDER_PLUS | ops.FLAG_FLIPS, 0, 0, ops.FLAG_WIDE, 0]


def test_newer_formats_are_refused_with_both_versions() -> None:
    newer = bytearray(GOOD["chain"])
    newer[4:6] = (1, 3)
    with pytest.raises(ModelError) as caught:
        decode(mended(bytes(newer)))
    assert str(caught.value) == version_text(1, 3)
    assert version_text(1, 3) == (
        f"model format 1.3, this ebnn reads up to {ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}: "
        "update the firmware or export again"
    )


def test_the_checksum_leaves_itself_out() -> None:
    blob = GOOD["chain"]
    changed = blob[:12] + b"\1\2\3\4" + blob[16:]
    assert model_crc(blob) == model_crc(changed) == int.from_bytes(blob[12:16], "little")
