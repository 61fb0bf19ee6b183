"""Runs test vectors through the simulator and the C engine, in the form that a case holds."""

from __future__ import annotations

import ctypes

import numpy as np

from ebnn import bits
from ebnn.cengine import CEngine
from ebnn.format import decode
from ebnn.sim import Simulator
from vectors import Case, Run, show


def simulate(case: Case) -> list[Run]:
    """A case's runs as the NumPy simulator sees them."""
    simulator = Simulator(decode(case.blob).network)
    runs = []
    for run in case.runs:
        outputs = [show(output) for output in simulator.trace(run.data)]
        runs.append(Run(run.data, outputs, simulator.scores(run.data).tolist(), simulator.infer(run.data)))
    return runs


def elements(case: Case) -> np.ndarray:
    """The inputs of a case as an array (N, h, w, c): uint8, or booleans for bits."""
    value = decode(case.blob).network.input
    data = np.stack([np.frombuffer(run.data, np.uint8) for run in case.runs])
    return data.reshape(-1, *value.shape) if value.dtype == "u8" else bits.unpack_maps(data, value.shape)


def run_engine(case: Case) -> list[Run]:
    """A case's runs as the C engine sees them."""
    engine = CEngine(case.blob)
    runs = []
    for run in case.runs:
        outputs = [show(output) for output in engine.trace(run.data)]
        scores = engine.scores(run.data)
        runs.append(Run(run.data, outputs, scores.tolist(), engine_argmax(engine)))
    return runs


def engine_argmax(engine: CEngine) -> int:
    """The prediction of the engine's last run."""
    return engine._lib.ebnn_argmax(ctypes.byref(engine.net), engine._arena.ctypes.data)
