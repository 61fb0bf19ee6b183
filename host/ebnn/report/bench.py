"""The report of a bench on a board, from what the harness measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def bench_report(
    measured: Mapping[str, Any],
    board: Mapping[str, Any],
    network: Mapping[str, Any],
    dataset: Mapping[str, Any],
    classes: np.ndarray,
    traced: int = 0,
) -> dict:
    """A report of the keys that a bench knows.

    Args:
        measured: ``Measurement.to_json()`` of the harness, as plain data.
        board: the report's ``board``.
        network: what ``cost.describe`` returns; its labels are the report's.
        dataset: the report's ``dataset``.
        classes: integers (N,), the classes of the images that were measured.
        traced: how many of them had every node compared.
    """
    totals = network["totals"]
    answers = np.array(measured["predictions"], int)
    size = network["layers"][-1]["output"]["shape"][2]
    confusion = np.zeros((size, size), int)
    np.add.at(confusion, (np.asarray(classes, int), answers), 1)
    part = {"count": measured["images"], "correct": measured["correct"], "percent": 100 * measured["accuracy"]}
    mismatches = {
        "device_vs_simulator": {"compared": measured["images"], "different": measured["mismatches"]},
        "traces": {"compared": traced, "different": measured["node_mismatches"]},
    }
    return {
        "title": f"ebnn bench: {board.get('title', board['name'])}",
        "date": measured["header"]["started"],
        "board": dict(board),
        "dataset": dict(dataset),
        "labels": _names(network["labels"], size),
        "accuracy": {"device": part},
        "mismatches": mismatches,
        **speed(measured, board.get("clock_hz")),
        "bytes": {"model": totals["model_bytes"], "arena": totals["arena_bytes"], "input": totals["input_bytes"]},
        "network": dict(network),
        "confusion": confusion.tolist(),
    }


def _names(labels: Sequence[str], size: int) -> list[str]:
    return list(labels) or [str(index) for index in range(size)]


def speed(measured: Mapping[str, Any], clock_hz: float | None) -> dict:
    """``instructions`` and what follows from the clock, or ``timed_us``: one of them, by what the board could tell."""
    counted, timed = measured["instructions"], measured["microseconds"]
    if not counted:
        return {"timed_us": dict(timed) if timed else None}
    estimate = 1e3 * counted["median"] / clock_hz if clock_hz else None
    return {
        "instructions": {**counted, "count": measured["images"]},
        "node_instructions": list(measured.get("node_instructions") or ()),
        "estimated_ms": estimate,
    }
