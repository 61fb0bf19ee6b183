"""The module in ports that build with CMake: the same sources as with make, and -O2 where make has it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ebnn.count.image import FOR_SIZE
from ebnn.files import repo_root

sys.path.insert(0, str(repo_root() / "firmware"))

import source
from versions import load_pins

HERE = Path(__file__).parent
USERMOD = repo_root() / "usermod"

pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def level(words: list[str]) -> str:
    """The optimization that counts: the last one."""
    return [word for word in words if word.startswith("-O")][-1]


@pytest.fixture(scope="module")
def micropython() -> Path:
    """The pinned source."""
    return source.obtain(load_pins(), print).root


@pytest.fixture
def by_make() -> dict[str, str]:
    """Optimization by source, in a make port that builds with -Os."""
    command = ["make", "-s", "-C", str(HERE), "PORT_OPTIONS=-Os", f"USER_C_MODULES={USERMOD}"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {row.split()[0]: level(row.split()) for row in rows if row.startswith("/")}


def configure(folder: Path, micropython: Path, *options: str) -> list[dict]:
    """The compile commands of a CMake port."""
    command = ["cmake", "-G", "Unix Makefiles", "-S", str(HERE), "-B", str(folder), f"-DMICROPY_DIR={micropython}"]
    command += [f"-DUSER_C_MODULES={USERMOD}/micropython.cmake", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options]
    subprocess.run(command, capture_output=True, check=True)
    return json.loads((folder / "compile_commands.json").read_text())


@pytest.mark.parametrize("options", [["-DPORT_OPTIONS=-Os"], ["-DPORT_OPTIONS=-Os", "-DCMAKE_BUILD_TYPE=MinSizeRel"]])
def test_sources_and_optimization_are_those_of_make(
    options: list[str], tmp_path: Path, micropython: Path, by_make: dict[str, str]
) -> None:
    commands = configure(tmp_path, micropython, *options)
    assert {row["file"]: level(shlex.split(row["command"])) for row in commands} == by_make
    fast = {Path(name).stem for name, option in by_make.items() if option == "-O2"}
    engine = {path.stem for path in (USERMOD / "ebnn/engine").glob("*.c")}
    assert fast == engine - set(FOR_SIZE)


def test_the_engine_compiles_in_a_port_that_debugs(tmp_path: Path, micropython: Path) -> None:
    engine = [row for row in configure(tmp_path, micropython, "-DPORT_OPTIONS=-Og;-Werror") if "engine" in row["file"]]
    for row in engine:
        subprocess.run(shlex.split(row["command"]), cwd=row["directory"], check=True)
    assert len(engine) > 4


def test_a_port_can_keep_its_own_optimization(tmp_path: Path, micropython: Path) -> None:
    commands = configure(tmp_path, micropython, "-DPORT_OPTIONS=-Os", "-DEBNN_COPT=")
    assert {level(shlex.split(row["command"])) for row in commands} == {"-Os"}
