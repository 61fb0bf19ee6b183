"""The engine's assembly on emulated cores at every optimization: each node's output as the simulator has it."""

from __future__ import annotations

import shutil
import zlib

import pytest

import networks
from ebnn.count import cores
from ebnn.count.emulate import case_bytes, emulate
from ebnn.count.image import build_image, snapshot
from ebnn.format import SelfTest, encode
from ebnn.plan import kernel_name, make_plan
from ebnn.sim import Simulator

NETWORKS = 14  # of each kernel


def cases(kernel: str) -> list[tuple[bytes, bytes, list[int]]]:
    """Model, input and CRC-32 of every node, of random networks that the kernel serves."""
    found = []
    for seed in networks.SEEDS:
        network = networks.random_network(seed)
        plan = make_plan(network, "fast" if seed % 2 else "balanced")
        used = [
            kernel_name(node, network.values[node.inputs[0]], scratch[1])
            for node, scratch in zip(network.nodes, plan.scratch, strict=True)
        ]
        if kernel in used:
            data = networks.random_inputs(network, seed)[-1]
            crcs = [zlib.crc32(output) for output in Simulator(network).trace(data)]
            found.append((encode(network, SelfTest(1, 0), plan), data, crcs))
        if len(found) == NETWORKS:
            break
    return found


CASES = cases("lanes") + cases("bytes")


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
@pytest.mark.parametrize("optimization", ["-O0", "-Og", "-Os", "-O2", "-O2 -fno-omit-frame-pointer"])
@pytest.mark.parametrize("core", ["m0", "m3", "m4"])
def test_assembly(core: str, optimization: str) -> None:
    assert len(CASES) == 2 * NETWORKS
    image = build_image(cores.BY_NAME[core], snapshot(), optimization)
    for model, data, crcs in CASES:
        assert emulate(image, case_bytes(model, data)).words("node") == crcs
