"""Damaged models through Python's reader."""

from __future__ import annotations

import pytest

from ebnn import ops
from ebnn.errors import ModelError
from ebnn.format import decode
from evil.table import GOOD, Damage, rows

ENGINE_ONLY = {"NODES", "ALIGN", "SPACE", "STOPPED", "FRAME", "CROP", "PICTURE"}


def code_of(blob: bytes) -> str | None:
    """The error that the reader gives, None where it takes the model."""
    try:
        decode(blob)
    except ModelError as error:
        assert str(error)
        return error.code
    return None


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_damaged_model_is_refused_with_its_error(row: Damage) -> None:
    assert code_of(row.blob()) == row.error


@pytest.mark.parametrize("base", GOOD)
def test_good_models_are_read(base: str) -> None:
    assert code_of(GOOD[base]) is None


def test_every_error_of_a_model_has_a_row_and_names_are_single() -> None:
    table = rows()
    assert {row.error for row in table if row.error} == set(ops.ERROR_TEXT) - ENGINE_ONLY
    assert len({row.name for row in table}) == len(table)


def test_every_cut_of_a_model_is_refused() -> None:
    for blob in GOOD.values():
        assert {code_of(blob[:size]) for size in range(len(blob))} == {"TRUNCATED"}


def test_every_changed_byte_is_refused() -> None:
    blob = GOOD["chain"]
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 1 << place % 8
        assert code_of(bytes(damaged)) is not None, place
