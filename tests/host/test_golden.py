"""Golden vectors: what is committed is what the oracle says, and the simulator says the same."""

from __future__ import annotations

import zlib

import pytest

import make_golden
import oracle
import vectors
from ebnn import ops
from ebnn.format import decode, model_crc
from ebnn.sim import Simulator, selftest_input
from exact import simulate
from vectors import Case

CASES = make_golden.load()


def test_making_them_again_changes_nothing() -> None:
    assert {path.name: text for path, text in make_golden.rendered().items()} == {
        path.name: path.read_text(encoding="ascii") for path in make_golden.CURRENT.glob("*.txt")
    }


def test_they_are_small_and_cover_every_operator_flag_and_dtype() -> None:
    assert sum(path.stat().st_size for path in make_golden.FOLDER.glob("*/*.txt")) < 320_000
    assert {name for case in CASES for name in case.operators} == set(ops.BY_NAME)
    assert {op.code: op.name for op in ops.OPS} == oracle.OPERATORS
    records = [case.blob[place : place + 36] for case in CASES for place in range(48, 48 + 36 * case.blob[7], 36)]
    flags = {record[1] & flag.value for record in records for flag in ops.FLAGS}
    assert flags == {0} | {flag.value for flag in ops.FLAGS}
    assert {record[27] for record in records} == set(ops.DTYPE_BY_CODE)


def test_models_lie_in_the_folder_of_their_version() -> None:
    for path in make_golden.FOLDER.glob("*/*.txt"):
        blob = vectors.from_text(path.stem, path.read_text(encoding="ascii")).blob
        assert path.parent.name == f"{blob[4]}.{blob[5]}", path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_simulator_gives_the_same(case: Case) -> None:
    assert simulate(case) == case.runs


def test_text_survives_reading_and_writing() -> None:
    for case in CASES:
        assert vectors.from_text(case.name, vectors.to_text(case)) == case


def test_selftests_hold_what_the_oracle_says() -> None:
    for case in CASES:
        model = oracle.decode(case.blob)
        assert model.stored_crc == model.file_crc == model_crc(case.blob)
        assert oracle.selftest(model) == model.selftest_crc
        network, selftest = decode(case.blob).network, decode(case.blob).selftest
        scores = Simulator(network).run(selftest_input(network.input, selftest.seed))
        assert zlib.crc32(scores.astype("<i4").tobytes()) == selftest.crc


def test_a_wrong_length_is_refused_with_a_sentence() -> None:
    network = decode(next(case for case in CASES if case.name == "network").blob).network
    with pytest.raises(ValueError, match=r"input must be 196 bytes \(14x14x1 uint8\), got 195"):
        Simulator(network).scores(bytes(195))
