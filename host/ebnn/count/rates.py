"""Fits the rates of ``ebnn.estimate`` to the bench's counts: host/ebnn/rates.json.

Least squares of relative errors, layer by layer; a rate that would be negative is 0 and the others are fitted again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ebnn.count import cases
from ebnn.estimate import RATES_FILE, features
from ebnn.files import write_atomic

DIGITS = 4


def write(rows: Sequence[dict]) -> Path:
    """Write the rates of a whole bench's rows."""
    return write_atomic(RATES_FILE, json.dumps(fit(rows), indent=1) + "\n")


def fit(rows: Sequence[dict]) -> dict:
    """The content of the file."""
    cores = dict.fromkeys(row["core"] for row in rows)
    return {
        "about": "Rates of ebnn.estimate, fitted by ebnn.count.rates to the counts of make bench",
        "engine": rows[0]["engine"],
        "flags": rows[0]["flags"],
        "cores": {core: _core([row for row in rows if row["core"] == core]) for core in cores},
    }


def _core(rows: Sequence[dict]) -> dict:
    return {"text": rows[0]["text"], "instructions": _rates(rows, "instructions"), "cycles": _rates(rows, "cycles")}


def _rates(rows: Sequence[dict], what: str) -> dict[str, list[float]]:
    """By kernel; empty where the core has no cycles."""
    samples: dict[str, list[tuple[list[int], int]]] = {}
    for row in rows:
        for layer, node in zip(_layers(row["case"], row["fit"]), row["nodes"], strict=True):
            if node[what] is not None:
                name, found = features(layer, row["core"])
                samples.setdefault(name, []).append((found, node[what]))
    return {name: _fitted(*map(np.array, zip(*pairs, strict=True))) for name, pairs in sorted(samples.items())}


@cache
def _layers(case: str, fit: str) -> list[dict]:
    return cases.prepare(cases.BY_NAME[case], fit).facts["layers"]


def _fitted(table: np.ndarray, counts: np.ndarray) -> list[float]:
    """Rates (columns,), 0 or more, of a table (samples, columns) for counts (samples,)."""
    relative, kept = table / counts[:, None], list(range(table.shape[1]))
    while True:
        scale = np.maximum(relative[:, kept].max(axis=0), np.finfo(float).tiny)
        found = np.linalg.lstsq(relative[:, kept] / scale, np.ones(len(counts)), rcond=None)[0] / scale
        if (found >= 0).all():
            break
        del kept[int(found.argmin())]
    rates = np.zeros(table.shape[1])
    rates[kept] = found
    return [float(f"{rate:.{DIGITS}g}") for rate in rates]
