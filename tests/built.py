"""Firmware for the tests: the golden case ``network`` as the frozen model, the agent, sample images."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

import make_golden
from ebnn import firmware
from ebnn.board.targets import list_targets, load_target
from ebnn.files import read_toml, repo_root, write_atomic
from ebnn.freeze import render_module
from vectors import Case

BOARDS = tuple(name for name in list_targets() if load_target(name).kind != "real")
MPY_VERSION = "6.3"  # of the pinned MicroPython
NEWEST = list(read_toml(repo_root() / "firmware/versions.toml")["release"])[-1]
QUICK = ("unix", "mps2-an385")  # the boards that run the newest MicroPython in every test run; make matrix: all


@dataclass(frozen=True)
class Built:
    """What a board runs: the user module, or stock MicroPython that loads the native one; another release or none."""

    board: str
    is_native: bool = False
    micropython: str | None = None

    def __str__(self) -> str:
        native = ["native"] if self.is_native else []
        return "-".join([self.board, *native, *([self.micropython] if self.micropython else [])])

    def firmware(self) -> firmware.Firmware:
        """Built where it is missing or out of date."""
        return (native_for if self.is_native else firmware_for)(self.board, micropython=self.micropython)


def builds() -> list[Built]:
    """What the device suite runs on; with EBNN_MATRIX set every board with every release."""
    pinned = [Built(board, is_native) for board in BOARDS for is_native in (False, True)]
    if os.environ.get("EBNN_MATRIX"):
        return pinned + [Built(built.board, built.is_native, NEWEST) for built in pinned]
    return pinned + [Built(board, micropython=NEWEST) for board in QUICK]


@lru_cache
def frozen_case() -> Case:
    """The golden case whose model the tests' firmware holds."""
    return next(case for case in make_golden.load() if case.name == "network")


@lru_cache
def firmware_for(board: str, micropython: str | None = None) -> firmware.Firmware:
    """The tests' firmware of a board; built where it is missing or out of date (half a minute the first time)."""
    folder = repo_root() / "build" / "tests"
    model = folder / "network.ebnn"
    if not model.exists() or model.read_bytes() != frozen_case().blob:
        write_atomic(model, frozen_case().blob)
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    samples = firmware.render_samples(pixels, np.arange(2), ("a", "b"))
    out = folder / "firmware" / str(Built(board, micropython=micropython))
    return firmware.build(board, model, samples, out=out, variant=firmware.Variant(micropython=micropython))


@lru_cache
def stock_for(board: str) -> firmware.Firmware:
    """A board's MicroPython without ebnn; built where it is missing or out of date."""
    return firmware.build(board, variant=firmware.Variant(stock=True))


@lru_cache
def native_module(arch: str, name: str = "ebnn") -> Path:
    """A native module's .mpy file, built where it is missing or out of date."""
    root = repo_root()
    command = [sys.executable, str(root / "firmware/natmod.py"), "--arch", arch]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return root / "build/natmod/builds" / MPY_VERSION / arch / f"{name}.mpy"


@lru_cache
def native_for(board: str, name: str = "ebnn", micropython: str | None = None) -> firmware.Firmware:
    """A board's stock MicroPython with a native module in its flash, which ``import native_files`` makes a file, and
    the model of ``frozen_case``."""
    out = repo_root() / "build" / "tests" / "firmware" / f"{Built(board, True, micropython)}-{name}"
    module = native_module(load_target(board).mpy_arch, name).read_bytes()
    frozen = [
        write_atomic(out / "modules" / "ebnn_mpy.py", f"data = {module!r}\n"),
        write_atomic(out / "modules" / "ebnn_model.py", render_module(frozen_case().blob)),
        repo_root() / "tests/device/native_files.py",
    ]
    return firmware.build(board, more=frozen, out=out, variant=firmware.Variant(True, micropython))
