"""The C engine against the oracle: golden vectors and random networks, every node's bytes."""

from __future__ import annotations

from pathlib import Path

import driver
import pytest

import make_golden
import networks
from ebnn.cengine import CEngine
from exact import elements, run_engine
from vectors import Case

GOLDEN = make_golden.load()
BLOCK = 50


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_engine_gives_the_golden_values(case: Case) -> None:
    assert run_engine(case) == case.runs


@pytest.mark.parametrize("first", networks.SEEDS[::BLOCK])
def test_engine_gives_what_the_oracle_says(first: int, random_cases: list[Case]) -> None:
    for case in random_cases[first : first + BLOCK]:
        assert run_engine(case) == case.runs, case.name


def test_a_batch_gives_what_single_runs_give(random_cases: list[Case]) -> None:
    for case in random_cases[::20]:
        assert CEngine(case.blob).run(elements(case)).tolist() == [run.scores for run in case.runs], case.name


@pytest.mark.parametrize("build", ["sanitized", "small"])
def test_driver_gives_the_same_in_exact_memory(
    build: str, random_cases: list[Case], request: pytest.FixtureRequest
) -> None:
    program: Path = request.getfixturevalue(build)
    cases = GOLDEN + random_cases
    assert driver.run_driver(program, cases) == driver.expected_lines(cases)


def test_selftest_notices_a_changed_weight() -> None:
    case = next(case for case in GOLDEN if case.name == "network")
    engine = CEngine(case.blob)
    assert engine.selftest()
    engine._blob[-60:] ^= 0xFF
    assert not engine.selftest()


def test_a_wrong_length_is_refused() -> None:
    engine = CEngine(next(case.blob for case in GOLDEN if case.name == "network"))
    with pytest.raises(ValueError, match="input must be 196 bytes.*got 197"):
        engine.scores(bytes(197))
