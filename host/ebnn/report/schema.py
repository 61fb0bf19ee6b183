"""The shape of a report (the meaning of its keys is the package's docstring), and the check of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ebnn.errors import DataError

REQUIRED = ("title", "date")
NUMBER = (int, float)


@dataclass(frozen=True)
class Maybe:
    """The shape, or null."""

    shape: Any


ACCURACY = Maybe({"count": int, "correct": int, "percent": NUMBER})
COMPARED = Maybe({"compared": int, "different": Maybe(int)})
SPREAD = {"median": NUMBER, "min": NUMBER, "max": NUMBER}

EPOCH = {
    "epoch": int,
    "loss": NUMBER,
    "train_acc": NUMBER,
    "val_acc": NUMBER,
    "lr": NUMBER,
    "flip_rate?": Maybe(NUMBER),
}

# A key that ends with "?" may be missing; [shape] is a list of such.
SCHEMA: dict[str, Any] = {
    "title": str,
    "date": str,
    "commit": Maybe(str),
    "board": {"name": str, "title?": str, "cpu?": str, "clock_hz?": Maybe(NUMBER)},
    "dataset": {"name": str, "test_count": int, "note?": str},
    "arch": Maybe(str),
    "labels": [str],
    "transcript": [str],
    "accuracy": {"trainer?": ACCURACY, "simulator?": ACCURACY, "c_engine?": ACCURACY, "device?": ACCURACY},
    "mismatches": {
        "simulator_vs_trainer?": COMPARED,
        "c_vs_simulator?": COMPARED,
        "device_vs_simulator?": COMPARED,
        "traces?": COMPARED,
        "trainer_nodes?": COMPARED,
    },
    "instructions": Maybe({**SPREAD, "count": int}),
    "node_instructions": [NUMBER],
    "estimated_ms": Maybe(NUMBER),
    "timed_us": Maybe(SPREAD),
    "bytes": {f"{name}?": Maybe(int) for name in ("model", "code", "arena", "input", "stack", "heap_free")},
    "network": {"format": str, "input": dict, "labels": [str], "selftest": dict, "layers": [dict], "totals": dict},
    "summary": Maybe(str),
    "confusion": [[int]],
    "samples": [{"index": int, "image": (list, dict), "label": int, "answer": int, "scores?": [NUMBER]}],
    "training": Maybe(
        {
            "epochs": int,
            "seconds": NUMBER,
            "selected_epoch": int,
            "history": [EPOCH],
            "weights?": [{"epoch": int, "layers": dict}],
            "latent_clip?": NUMBER,
        }
    ),
    "stages": [{"name": str, "seconds": NUMBER, "note?": str}],
    "comparison": [{"who": str, "accuracy": str, "memory": str, "time": str, "data?": str}],
    "next_steps": [{"text": str, "command": str}],
}


def validate(report: Mapping, complete: bool = False) -> None:
    """Check a report's shape; ``complete`` demands every key instead of title and date alone.

    Raises:
        DataError: naming everything that is missing or of another kind, and what would be right.
    """
    if not isinstance(report, Mapping):
        raise DataError(f"report: must be a dict, got {type(report).__name__}")
    wanted = {key if complete or key in REQUIRED else f"{key}?": shape for key, shape in SCHEMA.items()}
    faults = list(_faults("report", report, wanted)) or list(_contradictions(report))
    if faults:
        raise DataError("; ".join(faults))


def _faults(where: str, value: Any, shape: Any) -> Iterator[str]:
    """What is wrong with a value at a place."""
    if isinstance(shape, Maybe):
        if value is not None:
            yield from _faults(where, value, shape.shape)
    elif isinstance(shape, dict):
        yield from _dict_faults(where, value, shape)
    elif isinstance(shape, list):
        if not isinstance(value, (list, tuple)):
            yield f"{where} must be a list, got {value!r:.40}"
            return
        for index, item in enumerate(value):
            yield from _faults(f"{where}[{index}]", item, shape[0])
    elif not isinstance(value, shape) or isinstance(value, bool):
        yield f"{where} must be {_kind(shape)}, got {value!r:.40}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where} must be finite, got {value}"


def _dict_faults(where: str, value: Any, shape: dict) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where} must be a dict, got {value!r:.40}"
        return
    for name, inner in shape.items():
        key = name.rstrip("?")
        if key in value:
            yield from _faults(f"{where}.{key}", value[key], inner)
        elif key == name:
            yield f"{where}.{key} is missing"


def _kind(shape: type | tuple[type, ...]) -> str:
    names = {str: "text", int: "a whole number", NUMBER: "a number", dict: "a dict"}
    return names.get(shape, "a list or a dict")


def _contradictions(report: Mapping) -> Iterator[str]:
    """Parts that have the right shape but do not fit together."""
    labels, confusion = report.get("labels", ()), report.get("confusion", ())
    if any(len(row) != len(confusion) for row in confusion):
        yield f"report.confusion must have {len(confusion)} columns, as it has rows"
    if labels and confusion and len(labels) != len(confusion):
        yield f"report.confusion has {len(confusion)} classes, report.labels {len(labels)}"
    nodes, layers = report.get("node_instructions", ()), report.get("network", {}).get("layers", ())
    if nodes and layers and len(nodes) != len(layers):
        yield f"report.node_instructions has {len(nodes)} entries, report.network {len(layers)} layers"
    for index, sample in enumerate(report.get("samples", ())):
        for key in ("label", "answer"):
            if labels and not 0 <= sample[key] < len(labels):
                yield f"report.samples[{index}].{key} must be 0 to {len(labels) - 1}, got {sample[key]}"
