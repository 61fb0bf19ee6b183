"""Firmware for the tests: the golden case ``network`` as the frozen model, the agent, sample images."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import make_golden
import networks
from ebnn import firmware
from ebnn.board.targets import list_targets, load_target
from ebnn.files import read_toml, repo_root, write_atomic
from ebnn.format import decode
from evil.table import Damage, rows
from exact import serves_small
from vectors import Case, least_case, seal

BOARDS = tuple(name for name in list_targets() if load_target(name).kind != "real")
MPY_VERSION = "6.3"  # of the pinned MicroPython
NEWEST = list(read_toml(repo_root() / "firmware/versions.toml")["release"])[-1]
QUICK = ("unix", "mps2-an385")  # the boards that run the newest MicroPython in every test run; make matrix: all
NATIVE = (*QUICK, "virt-rv32")  # and those that run the native module
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
    """What the suite runs on; with EBNN_MATRIX set every board with every release and every native module.

    The micro:bit's heap does not hold the whole native module.
    """
    everything = bool(os.environ.get("EBNN_MATRIX"))
    native = [board for board in BOARDS if board != "microbit"] if everything else NATIVE
    newest = BOARDS if everything else QUICK
    pinned = [Built(board) for board in BOARDS] + [Built(board, "ebnn") for board in native]
    return pinned + [Built(board, micropython=NEWEST) for board in newest]


def few_builds() -> list[Built]:
    """What tests run on that ask more of the module than of the core; with EBNN_MATRIX set all of ``builds``."""
    if os.environ.get("EBNN_MATRIX"):
        return builds()
    return [built for built in builds() if built.board in (*QUICK, "microbit") and not built.micropython]


SMALL_BYTES = 300  # of a model, an input or an arena that the micro:bit holds beside the native module
SMALL_BUILDS = (Built("microbit", "ebnn_small"), Built("mps2-an385", "ebnn_small"))


def tight(case: Case) -> Case:
    """The same in the least arena: many golden cases have room for the fast kernels, which a small heap has not."""
    return replace(case, blob=seal(decode(case.blob).network))


@lru_cache
def golden(name: str) -> Case:
    """A golden case in the least arena."""
    return tight(next(case for case in make_golden.load() if case.name == name))


@lru_cache
def frozen_case() -> Case:
    """The golden case whose model the tests' firmware holds."""
    return golden("network")


@lru_cache
def frozen_model() -> Path:
    """Its model as a file."""
    model = repo_root() / "build" / "tests" / "network.ebnn"
    if not model.exists() or model.read_bytes() != frozen_case().blob:
        write_atomic(model, frozen_case().blob)
    return model


@lru_cache
def firmware_for(board: str, micropython: str | None = None) -> firmware.Firmware:
    """The tests' firmware of a board; built where it is missing or out of date (half a minute the first time)."""
    folder = repo_root() / "build" / "tests"
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    samples = firmware.render_samples(pixels, np.arange(2), ("a", "b"))
    out = folder / "firmware" / str(Built(board, micropython=micropython))
    return firmware.build(board, frozen_model(), samples, out=out, variant=firmware.Variant(micropython=micropython))


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
def small_cases() -> list[Case]:
    """Golden cases and random networks that the module for the least memory runs, with small models and maps."""
    cases = [tight(case) for case in make_golden.load()] + [least_case(seed) for seed in networks.LEAST]

    def is_small(case: Case) -> bool:
        sizes = (len(case.blob), len(case.runs[0].data), decode(case.blob).plan.arena_size)
        return max(sizes) <= SMALL_BYTES and serves_small(case.blob)

    return [case for case in cases if is_small(case)]


@lru_cache
def small_damaged() -> list[Damage]:
    """Damaged models of a few hundred bytes."""
    return [row for row in rows() if row.error and len(row.blob()) <= SMALL_BYTES]


def render_small_cases() -> str:
    """Source of the module ``small_cases``."""
    cases = "".join(f"    ({case.blob!r}, {tuple(run.data for run in case.runs[:2])!r}),\n" for case in small_cases())
    damaged = "".join(f"    {row.blob()!r},\n" for row in small_damaged())
    return f"CASES = (\n{cases})\nDAMAGED = (\n{damaged})\n"


def mnist_model() -> Path:
    """The default MNIST model's file."""
    return repo_root() / "firmware/models/mnist/model.ebnn"


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first digit of each class of scikit-learn's set in the size of MNIST: uint8 (10, 28, 28, 1), and classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    firsts = [int(np.flatnonzero(bunch.target == label)[0]) for label in range(10)]
    gray = np.kron(bunch.images[firsts], np.ones((1, 3, 3))) * 255 // 16
    return np.pad(gray, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)[..., None], np.arange(10)


@lru_cache
def native_for(built: Built) -> firmware.Firmware:
    """A board's stock MicroPython with a native module in its flash, which ``import native_files`` makes a file, and
    the model of ``frozen_case``; for the least module the default MNIST model and ``digits``."""
    root = repo_root()
    out = root / "build" / "tests" / "firmware" / str(built)
    module = native_module(load_target(built.board).mpy_arch, built.native).read_bytes()
    frozen = [
        write_atomic(out / "modules" / "ebnn_mpy.py", f"data = {module!r}\n"),
        root / "tests/device/native_files.py",
    ]
    model, samples = frozen_model(), None
    if built.is_small:
        model, samples = mnist_model(), firmware.render_samples(*digits(), tuple("0123456789"))
        frozen.append(write_atomic(out / "modules" / "small_cases.py", render_small_cases()))
        frozen.append(root / "tests/device/small_board.py")
    variant = firmware.Variant(True, built.micropython)
    return firmware.build(built.board, model, samples, frozen, out, variant)
