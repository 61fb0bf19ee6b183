"""Firmware for the tests: the golden case ``network`` as the frozen model, the agent, sample images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import make_golden
from ebnn import firmware
from ebnn.board.targets import list_targets, load_target
from ebnn.files import repo_root, write_atomic
from vectors import Case

BOARDS = tuple(name for name in list_targets() if load_target(name).kind != "real")


@lru_cache
def frozen_case() -> Case:
    """The golden case whose model the tests' firmware holds."""
    return next(case for case in make_golden.load() if case.name == "network")


@lru_cache
def firmware_for(board: str) -> firmware.Firmware:
    """The tests' firmware of a board; built where it is missing or out of date (half a minute the first time)."""
    folder = repo_root() / "build" / "tests"
    model = folder / "network.ebnn"
    if not model.exists() or model.read_bytes() != frozen_case().blob:
        write_atomic(model, frozen_case().blob)
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    samples = firmware.render_samples(pixels, np.arange(2), ("a", "b"))
    return firmware.build(board, model, samples, out=folder / "firmware" / board)


@lru_cache
def stock_for(board: str) -> firmware.Firmware:
    """A board's MicroPython without ebnn; built where it is missing or out of date."""
    return firmware.build(board, variant=firmware.Variant(stock=True))
