"""Runs test vectors through the simulator and the C engine, in the form that a case holds."""

from __future__ import annotations

import ctypes

import numpy as np

from ebnn import bits, small
from ebnn.cengine import CEngine
from ebnn.format import decode, encode
from ebnn.geometry import Value
from ebnn.plan import Fit, make_plan
from ebnn.sim import ELEMENTS, Simulator, margins
from vectors import Case, Run, show


def simulate(case: Case) -> list[Run]:
    """A case's runs as the NumPy simulator sees them."""
    simulator = Simulator(decode(case.blob).network)
    runs = []
    for run in case.runs:
        outputs = [show(output) for output in simulator.trace(run.data)]
        scores = simulator.scores(run.data)
        runs.append(Run(run.data, outputs, scores.tolist(), simulator.infer(run.data), int(margins(scores))))
    return runs


def elements(case: Case) -> np.ndarray:
    """The inputs of a case as an array (N, h, w, c): integers of the input's dtype, or booleans for bits."""
    value = decode(case.blob).network.input
    data = np.stack([np.frombuffer(run.data, np.uint8) for run in case.runs])
    if value.dtype == "bits":
        return bits.unpack_maps(data, value.shape)
    return data.view(ELEMENTS[value.dtype]).reshape(-1, *value.shape)


def run_engine(case: Case) -> list[Run]:
    """A case's runs as the C engine sees them."""
    engine = CEngine(case.blob)
    runs = []
    for run in case.runs:
        outputs = [show(output) for output in engine.trace(run.data)]
        scores = engine.scores(run.data)
        runs.append(Run(run.data, outputs, scores.tolist(), engine_argmax(engine), engine.margin()))
    return runs


def rows_of(value: Value, data: bytes) -> list[bytes]:
    """The rows of an input in the device's format, each as ``feed`` takes it: filled up to whole bytes."""
    height, width, channels = value.shape
    if value.dtype != "bits":
        size = len(data) // height
        return [data[start : start + size] for start in range(0, len(data), size)]
    row = width * bits.pixel_stride(channels)
    lines = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: height * row].reshape(height, row)
    return [line.tobytes() for line in np.packbits(lines, axis=1, bitorder="little")]


def feed_engine(case: Case, fit: Fit | None = None) -> list[list[int]]:
    """A case's scores from the C engine, to which its inputs come row by row; laid out anew where a fit is given."""
    model = decode(case.blob)
    plan = model.plan if fit is None else make_plan(model.network, fit)
    engine = CEngine(encode(model.network, model.selftest, plan))
    return [engine.feed(rows_of(model.network.input, run.data)).tolist() for run in case.runs]


def serves_small(blob: bytes) -> bool:
    """Whether the engine for the least memory runs a model."""
    return not small.lacks(decode(blob).network)


def engine_argmax(engine: CEngine) -> int:
    """The prediction of the engine's last run."""
    return engine._lib.ebnn_argmax(ctypes.byref(engine.net), engine._arena.ctypes.data)
