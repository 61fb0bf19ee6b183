"""Model files: what is written is what is read, in the layout that the SPEC wants."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import networks
from ebnn import ops
from ebnn.errors import ModelError
from ebnn.format import NO_USE, SelfTest, Use, decode, encode, model_crc, version_text
from ebnn.network import Node
from ebnn.plan import make_plan
from ebnn.prepare import Preparation
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


# Which good model, what it records, and the header's bytes from 40 on.
USES = (
    ("chain", NO_USE, "00000000 00 00 0000"),
    ("chain", Use(0x12345678), "78563412 00 00 0000"),
    ("bytes", Use(1, Preparation("none")), "01000000 01 00 0000"),
    ("bytes", Use(0, Preparation("average", True)), "00000000 0b 00 0000"),
    ("bit", Use((1 << 32) - 1, Preparation("nearest", threshold=200)), "ffffffff 05 c8 0000"),
    ("bit", Use(0, Preparation("none", True, 1)), "00000000 09 01 0000"),
)


@pytest.mark.parametrize(("base", "use", "header"), USES)
def test_what_a_model_records_of_its_use(base: str, use: Use, header: str) -> None:
    good = decode(GOOD[base])
    blob = encode(good.network, good.selftest, good.plan, use)
    assert blob[40:48] == bytes.fromhex(header)
    assert decode(blob).use == use
    assert encode(good.network, good.selftest, good.plan) == GOOD[base]


def test_flags_say_how_the_parameters_are_stored() -> None:
    flags = [GOOD["chain"][48 + 36 * k + 1] for k in range(5)]
    assert flags == [ops.FLAG_BORDER_PLUS | ops.FLAG_FLIPS, 0, 0, ops.FLAG_WIDE, 0]


def test_newer_formats_are_refused_with_both_versions() -> None:
    newer = bytearray(GOOD["chain"])
    newer[4:6] = (1, 3)
    with pytest.raises(ModelError) as caught:
        decode(mended(bytes(newer)))
    assert str(caught.value) == version_text(1, 3)
    assert version_text(1, 3) == (
        f"model format 1.3, this ebnn reads {ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}: update the firmware or export again"
    )


def test_the_checksum_leaves_itself_out() -> None:
    blob = GOOD["chain"]
    changed = blob[:12] + b"\1\2\3\4" + blob[16:]
    assert model_crc(blob) == model_crc(changed) == int.from_bytes(blob[12:16], "little")
