"""What the fuzzer found worth keeping, flipped bits, and models that change while they are open: no fault."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuzz
from ebnn import ops
from ebnn.errors import ModelError
from ebnn.format import decode

SOME_BITS = "61"  # of the largest model every 61st is flipped here, and all of them by `make flips`
SOME_BYTES = "16"


@pytest.fixture(scope="module")
def flips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that flips bits, with sanitizers."""
    return fuzz.build_program("flips", tmp_path_factory.mktemp("flips"), "gcc", fuzz.driver.SANITIZED)


def code_of(blob: bytes) -> str:
    """What Python's reader says of a model, as the engine's number."""
    try:
        decode(blob)
    except ModelError as error:
        return str(ops.error_code(error.code))
    return "0"


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_corpus_gives_no_fault_and_pythons_errors(target: str, tmp_path: Path) -> None:
    program = fuzz.build_program("replay", tmp_path, "gcc", fuzz.driver.SANITIZED, target)
    models = fuzz.unpack()
    found = fuzz.drive(program, models)
    if target != "small":  # which refuses what it lacks, and does not read what it has no use for
        assert found == [code_of(blob) for blob in models]
    assert len(models) > 100 and found.count("0") > 50
    assert fuzz.PACKED.stat().st_size < 100_000


@pytest.mark.parametrize("name", fuzz.flipped_models())
def test_flipped_bits_are_refused_or_run(name: str, flips: Path) -> None:
    """As they are all are refused, which the program checks; behind a mended checksum many can be opened and run."""
    blob = fuzz.flipped_models()[name]
    step = SOME_BITS if len(blob) > fuzz.MOST_BYTES else "1"
    (line,) = fuzz.drive(flips, [blob], "closed", step)
    runs, *errors = line.split()
    found = {int(code): int(count) for code, count in (error.split(":") for error in errors)}
    assert sum(found.values()) == -(-8 * len(blob) // int(step))
    assert found[0] == int(runs) > 50 and found[ops.error_code("SHAPE")] > 0


@pytest.mark.parametrize("name", ["chain", "mixed", "dense"])
def test_bytes_may_change_while_a_model_is_open(name: str, flips: Path) -> None:
    blob = fuzz.flipped_models()[name]
    (runs,) = fuzz.drive(flips, [blob], "open", SOME_BYTES)
    assert int(runs) >= len(blob) * (255 // int(SOME_BYTES))
