"""The C engine against the oracle: golden vectors and random networks, every node's bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import driver
import pytest

import make_golden
import networks
import vectors
from ebnn import cost, small
from ebnn.cengine import CEngine
from ebnn.format import decode
from exact import elements, feed_engine, rows_of, run_engine, serves_small
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


def test_outputs_may_lie_over_their_inputs(tight_cases: list[Case]) -> None:
    for case in tight_cases:
        assert run_engine(case) == case.runs, case.name


def test_a_batch_gives_what_single_runs_give(random_cases: list[Case]) -> None:
    for case in random_cases[::20]:
        assert CEngine(case.blob).run(elements(case)).tolist() == [run.scores for run in case.runs], case.name


@pytest.mark.parametrize("first", networks.SEEDS[::BLOCK])
def test_rows_give_what_the_whole_input_gives(first: int, random_cases: list[Case]) -> None:
    for case in random_cases[first : first + BLOCK]:
        wanted = [run.scores for run in case.runs]
        assert feed_engine(case) == wanted, case.name
        assert feed_engine(case, "fast") == wanted, case.name


def test_rows_are_kept_only_as_long_as_the_kernel_needs_them(random_cases: list[Case]) -> None:
    """Of a network of which one node with a map reads the input, alone; any other keeps the whole input."""
    windows = 0
    for case in random_cases:
        model, net = decode(case.blob), CEngine(case.blob).net
        network = model.network
        said = {"row_bytes": net.row_size, "window_rows": net.window_rows, "window_bytes": net.window_size}
        assert cost.describe(model)["feed"] == said
        height, first = network.input.shape[0], network.nodes[0]
        row = len(rows_of(network.input, case.runs[0].data)[0])
        assert net.row_size == row
        is_alone = not any(0 in node.inputs for node in network.nodes[1:])
        rows = first.geometry.kernel[0]
        if not first.is_hits:  # all of a window before its sums are worth anything
            rows += (first.geometry.pool[0] - 1) * first.geometry.stride[0]
        if first.op != "dense" and is_alone and rows < height:
            assert net.window_size == -(-row // 4) * 4 * rows, case.name
            windows += 1
        else:
            assert net.window_size == -(-len(case.runs[0].data) // 4) * 4, case.name
    assert windows > 100


def test_wrong_rows_are_refused_and_the_next_input_is_right() -> None:
    case = next(case for case in GOLDEN if case.name == "network")
    engine, first, second = CEngine(case.blob), *case.runs[:2]
    rows = rows_of(decode(case.blob).network.input, first.data)
    for wrong in (rows[:-1], [*rows, rows[0]], [rows[0][:-1]], [rows[0] + b"0"], [b""], []):
        with pytest.raises(ValueError, match="row"):
            engine.feed(wrong)
        assert engine.feed(rows).tolist() == first.scores
        assert engine.scores(second.data).tolist() == second.scores
    assert engine.feed(iter(rows)).tolist() == engine.feed(rows).tolist() == first.scores


def test_a_run_in_the_middle_spoils_no_later_input() -> None:
    case = next(case for case in GOLDEN if case.name == "network")
    engine, first, second = CEngine(case.blob), *case.runs[:2]
    rows = rows_of(decode(case.blob).network.input, first.data)

    def disturbed() -> Iterator[bytes]:
        for index, row in enumerate(rows):
            if index == 5:
                assert engine.scores(second.data).tolist() == second.scores
            yield row

    engine.feed(disturbed())  # gives no scores of anything: nothing else may use the arena meanwhile
    assert engine.feed(rows).tolist() == first.scores


@pytest.mark.parametrize("build", ["sanitized", "counting", "small", "polling"])
def test_driver_gives_the_same_in_exact_memory(
    build: str, random_cases: list[Case], tight_cases: list[Case], request: pytest.FixtureRequest
) -> None:
    program: Path = request.getfixturevalue(build)
    cases = GOLDEN + random_cases + tight_cases
    assert driver.run_driver(program, cases) == driver.expected_lines(cases)


def test_the_least_engine_gives_the_same(least: Path, random_cases: list[Case]) -> None:
    own = [vectors.least_case(seed) for seed in networks.LEAST]
    cases = [case for case in GOLDEN + random_cases if serves_small(case.blob)] + own + vectors.tight_cases(own)
    assert driver.run_driver(least, cases) == driver.least_lines(cases)
    networks_seen = [decode(case.blob).network for case in cases]
    seen = {
        (node.op, network.values[node.inputs[0]].dtype, node.output)
        for network in networks_seen
        for node in network.nodes
    }
    assert seen == set(small.KNOWN)


def test_the_least_engine_refuses_what_it_lacks(least: Path, random_cases: list[Case]) -> None:
    lacking = [case for case in GOLDEN + random_cases if not serves_small(case.blob)]
    lines = driver.run_driver(least, lacking)
    assert len(lines) == len(lacking) > 100
    assert all(re.fullmatch(r"case \d+ error -\d+", line) for line in lines)


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
