"""The driver's modules are found by name, as they find each other; a small tree stands for MicroPython's."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ebnn.files import repo_root

sys.path.insert(0, str(repo_root() / "firmware"))

from trees import FOLDERS, write_tree

import tree
from versions import Pins, load_pins


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
