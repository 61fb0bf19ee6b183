"""The driver's modules are found by name, as they find each other; a small tree stands for MicroPython's."""

from __future__ import annotations

import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ebnn.files import repo_root

sys.path.insert(0, str(repo_root() / "firmware"))

import tree
from versions import Pins, load_pins

HEADER = """\
#define MICROPY_VERSION_MAJOR {0}
#define MICROPY_VERSION_MINOR {1}
#define MICROPY_VERSION_MICRO {2}
#define MICROPY_VERSION_PRERELEASE {3}
"""
FOLDERS = ("py", "ports/qemu")


def write_tree(root: Path, version: tuple[int, ...] = (1, 25, 0, 0)) -> Path:
    """A source tree of a few files that says it is MicroPython ``version`` (with the prerelease mark)."""
    for name, text in (
        ("py/mpconfig.h", HEADER.format(*version)),
        ("py/vm.c", "int vm;\n"),
        ("ports/qemu/main.c", "int main(void) { return 0; }\n"),
        ("docs/index.rst", "not compiled\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def write_tarball(path: Path, root: Path) -> Path:
    """The tarball of a tree, with a top folder as releases have one."""
    with tarfile.open(path, "w:xz") as archive:
        archive.add(root, "micropython-1.25.0")
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A tree of the supported version."""
    return write_tree(tmp_path / "checkout")


@pytest.fixture
def pins(checkout: Path) -> Pins:
    """Pins under which ``checkout`` is the release."""
    return replace(load_pins(), folders=FOLDERS, identity=tree.identity(checkout, FOLDERS))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv("EBNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("EBNN_MICROPYTHON", raising=False)
    return tmp_path / "cache"
