"""Seeded mistakes in engine, simulator, folding, format and packing: each is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mutants


@pytest.mark.slow
def test_every_mutation_is_caught() -> None:
    jobs = 1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1)
    command = [sys.executable, mutants.__file__, "--jobs", str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mutations_are_many_and_different() -> None:
    assert len(mutants.MUTATIONS) >= 24
    assert len({(m.file, m.old, m.new) for m in mutants.MUTATIONS}) == len(mutants.MUTATIONS)
    assert all(m.old != m.new for m in mutants.MUTATIONS)


def test_a_mutation_that_changes_nothing_is_missed_and_one_without_place_fails(tmp_path: Path) -> None:
    harmless = mutants.Mutation("a comment", mutants.SIM, '"""Bit-exact simulator', '"""A bit-exact simulator')
    gone = mutants.Mutation("no such text", mutants.SIM, "no such text", "")
    lines = mutants.run_all([harmless, gone], 1, lambda _: None)
    assert len(lines) == 2
    assert "MISSED" in lines[0]
    assert "DOES NOT APPLY" in lines[1]
