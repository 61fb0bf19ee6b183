"""Seeded mistakes in engine, simulator, folding, format and packing: each is noticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import mutants
from mutations import MUTATIONS, RUN, SIM, Mutation


@pytest.mark.slow
@pytest.mark.parametrize(("language", "every"), [("c", 8), ("python", 6)])  # two tests, for two workers
def test_mutations_are_caught(language: str, every: int) -> None:
    """Some of them, so that the tests end in time; make mutants takes all."""
    jobs = 1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1)
    command = [sys.executable, mutants.__file__, "--jobs", str(jobs), "--language", language, "--every", str(every)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mutations_are_many_and_different() -> None:
    assert len(MUTATIONS) >= 150
    assert len({(m.file, m.old, m.new) for m in MUTATIONS}) == len(MUTATIONS)
    assert all(m.old != m.new for m in MUTATIONS)


def test_mutations_that_prove_nothing_fail() -> None:
    harmless = Mutation("a comment", SIM, '"""Bit-exact simulator', '"""A bit-exact simulator')
    harmless_in_c = Mutation("a comment", RUN, "// Running a network", "// Running the network")
    gone = Mutation("no such text", SIM, "no such text", "")
    no_code = Mutation("no C", RUN, "int ebnn_argmax(", "nonsense ebnn_argmax(")
    lines = mutants.run_all([harmless, harmless_in_c, gone, no_code], 1, lambda _: None)
    found = [line.rsplit(": ", 1)[1] for line in lines]
    assert found == ["MISSED", "MISSED", "its text does not stand in the file exactly once", "DOES NOT COMPILE"]
