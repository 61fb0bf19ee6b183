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
from ebnn.format import read_blob
from ebnn.freeze import render_module
from vectors import Case

BOARDS = tuple(name for name in list_targets() if load_target(name).kind != "real")
MPY_VERSION = "6.3"  # of the pinned MicroPython
NEWEST = list(read_toml(repo_root() / "firmware/versions.toml")["release"])[-1]
QUICK = ("unix", "mps2-an385")  # the boards that run the newest MicroPython in every test run; make matrix: all
# The boards that run the native module for the least memory: one cannot hold the other.
SMALL_BOARDS = ("microbit",)
NATIVE_NAMES = {"ebnn": "native", "ebnn_small": "small"}


@dataclass(frozen=True)
class Built:
    """What a board runs: the user module, or stock MicroPython that loads a native one; another release or none."""

    board: str
    native: str = ""  # ebnn or ebnn_small
    micropython: str | None = None

    def __str__(self) -> str:
        words = [self.board, NATIVE_NAMES.get(self.native), self.micropython]
        return "-".join(word for word in words if word)

    @property
    def is_small(self) -> bool:
        """Whether it is the module for the least memory."""
        return self.native == "ebnn_small"

    def firmware(self) -> firmware.Firmware:
        """Built where it is missing or out of date."""
        return native_for(self) if self.native else firmware_for(self.board, self.micropython)


def builds() -> list[Built]:
    """What the device suite runs on; with EBNN_MATRIX set every board with every release."""
    large = [board for board in BOARDS if board not in SMALL_BOARDS]
    pinned = [Built(board) for board in BOARDS] + [Built(board, "ebnn") for board in large]
    pinned += [Built(board, "ebnn_small") for board in SMALL_BOARDS]
    newest = BOARDS if os.environ.get("EBNN_MATRIX") else QUICK
    return pinned + [Built(board, micropython=NEWEST) for board in newest]


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
def native_for(built: Built) -> firmware.Firmware:
    """A board's stock MicroPython with a native module in its flash, which ``import native_files`` makes a file, the
    model of ``frozen_case``, and the default MNIST model as ``mnist_model``."""
    root = repo_root()
    out = root / "build" / "tests" / "firmware" / str(built)
    module = native_module(load_target(built.board).mpy_arch, built.native).read_bytes()
    mnist = read_blob(root / "firmware/models/mnist/model.ebnn")
    frozen = [
        write_atomic(out / "modules" / "ebnn_mpy.py", f"data = {module!r}\n"),
        write_atomic(out / "modules" / "ebnn_model.py", render_module(frozen_case().blob)),
        write_atomic(out / "modules" / "mnist_model.py", render_module(mnist)),
        root / "tests/device/native_files.py",
    ]
    return firmware.build(built.board, more=frozen, out=out, variant=firmware.Variant(True, built.micropython))
