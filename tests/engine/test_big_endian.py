"""The engine on a processor that keeps the uppermost byte of a word first, emulated: the same, in every bit."""

from __future__ import annotations

import shutil

import driver
import pytest

import make_golden
from evil.table import rows
from vectors import Case

TOOLS = (driver.BIG_ENDIAN_COMPILER, driver.BIG_ENDIAN_EMULATOR)
EMULATOR = (driver.BIG_ENDIAN_EMULATOR,)
NEEDS = "qemu-user gcc-mips-linux-gnu libc6-dev-mips-cross"

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)),
    reason=f"big-endian was NOT tested: apt-get install --no-install-recommends {NEEDS}",
)


@pytest.mark.parametrize("flags", [(), driver.PLAIN_ONLY], ids=["lanes and bytes", "plain with popcount"])
def test_driver_gives_the_same(
    flags: tuple[str, ...], random_cases: list[Case], tight_cases: list[Case], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("big")
    program = driver.build_driver(folder, (*driver.BIG_ENDIAN, *flags), driver.BIG_ENDIAN_COMPILER)
    cases = make_golden.load() + random_cases + tight_cases
    assert driver.run_driver(program, cases, emulator=EMULATOR) == driver.expected_lines(cases)
    damaged = [row for row in rows() if row.error]
    lines = driver.run_driver(program, [driver.case_of(row.name, row.blob()) for row in damaged], emulator=EMULATOR)
    assert [driver.error_in(line) for line in lines] == [row.error for row in damaged]


def test_the_program_is_big_endian(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = driver.build_driver(tmp_path_factory.mktemp("big"), driver.BIG_ENDIAN, driver.BIG_ENDIAN_COMPILER)
    assert program.read_bytes()[:6] == b"\x7fELF\1\2"
