"""Random networks: the simulator against the oracle, and the proof that the networks cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

import networks
from ebnn.format import decode
from ebnn.sim import Simulator
from exact import elements, simulate
from vectors import Case

BLOCK = 50


def test_every_possible_pair_occurs(capsys: pytest.CaptureFixture) -> None:
    coverage = networks.coverage()
    with capsys.disabled():
        print("\n" + coverage.table())
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
    ties = 0
    for case in random_cases:
        network = decode(case.blob).network
        node = network.nodes[0]
        if node.op == "dense_u8_bits":
            taps = elements(case).reshape(len(case.runs), -1).astype(np.int64)
            ties += int((taps @ node.weights.reshape(node.filters, -1).T == node.thresholds).sum())
    assert ties > 50
