"""Random networks: the simulator against the oracle, and the proof that the networks cover what they should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import networks
import oracle
from ebnn import ops
from ebnn.format import decode
from ebnn.geometry import Value
from ebnn.network import Network, dense_node
from ebnn.sim import Simulator
from exact import elements, simulate
from vectors import Case

BLOCK = 50


def test_every_possible_pair_occurs(record_property: Callable[[str, str], None]) -> None:
    coverage = networks.coverage()
    record_property("shown at the end", coverage.table())
    assert coverage.missing() == []


def test_coverage_notices_what_did_not_occur() -> None:
    assert len(networks.coverage(range(5)).missing()) > 100


@pytest.mark.parametrize("first", networks.SEEDS[::BLOCK])
def test_simulator_gives_what_the_oracle_says(first: int, random_cases: list[Case]) -> None:
    for case in random_cases[first : first + BLOCK]:
        assert simulate(case) == case.runs, case.name


def test_a_batch_gives_what_single_runs_give(random_cases: list[Case]) -> None:
    for case in random_cases[::10]:
        scores = Simulator(decode(case.blob).network).run(elements(case))
        assert scores.dtype == np.int32
        assert scores.tolist() == [run.scores for run in case.runs], case.name


def test_sums_hit_their_thresholds_exactly(random_cases: list[Case]) -> None:
    """Ties must occur, or >= and > would look the same."""
    ties: Counter[tuple[str, str]] = Counter()
    for case in random_cases:
        network = decode(case.blob).network
        node, source = network.nodes[0], network.input
        if node.output != "bits" or node.thresholds is None:
            continue
        channels = source.shape[2]
        for run in case.runs:
            pixels = oracle.unpack(run.data, source.shape, source.dtype)
            v = np.array(oracle.pooled_map(networks.naive_node(node, source), pixels, channels))
            ties[node.op, source.dtype] += int((v[..., None, :] == node.thresholds.reshape(node.levels, -1)).sum())
    assert len(ties) == len(ops.OPS) * len(ops.INPUT_DTYPES)
    assert min(ties.values()) > 20, ties


def test_integers_are_clamped_and_shifted_below_zero(random_cases: list[Case]) -> None:
    """Or a missing clamp, and a shift that cuts towards zero, would look the same."""
    least: Counter[str] = Counter()
    odd = 0
    for case in random_cases:
        network = decode(case.blob).network
        node, source = network.nodes[0], network.input
        if node.output == "bits":
            continue
        pixels = oracle.unpack(case.runs[2].data, source.shape, source.dtype)
        v = np.array(oracle.pooled_map(networks.naive_node(node, source), pixels, source.shape[2]))
        t = v * (1 if node.gains is None else node.gains.astype(np.int64)) + node.offsets
        limits = ops.DTYPE[node.output]
        least[f"{node.output} below"] += int((t >> node.shift < limits.least).sum())
        least[f"{node.output} above"] += int((t >> node.shift > limits.most).sum())
        odd += int(((t < 0) & (t % (1 << node.shift) != 0) & (t >> node.shift >= limits.least)).sum())
    assert odd > 1000
    assert min(least[f"{dtype} {side}"] for dtype in ("u8", "i8", "i16") for side in ("below", "above")) > 50, least


def test_sums_beyond_float32_are_exact() -> None:
    """255 * 90000 passes 2**24, where float32 has no odd numbers."""
    shape = (300, 300, 1)
    rng = np.random.default_rng(5)
    weights = np.stack([np.ones(shape, np.int8), np.where(rng.random(shape) < 0.9, 1, -1)])
    images = np.stack([np.full(shape, 255, np.uint8), rng.integers(200, 256, shape, np.uint8)])
    images[:, 0, 0] = 254
    node = dense_node(0, weights, offsets=[0, 1])
    scores = Simulator(Network(Value(0, shape, "u8"), (node,))).run(images)
    wanted = images.reshape(2, -1).astype(np.int64) @ weights.reshape(2, -1).T.astype(np.int64) + [0, 1]
    assert scores.tolist() == wanted.tolist()
    assert wanted[0, 0] == 255 * 90_000 - 1
