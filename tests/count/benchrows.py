"""Rows as the bench writes them."""

from __future__ import annotations


def row(**changes: object) -> dict:
    """A whole network's row with round figures."""
    node = {"op": "conv u8 -> bits", "name": "", "instructions": 900, "macs_binary": 0, "macs_byte": 100,
            "cycles": None, "scratch": 8}  # fmt: skip
    head = {**node, "op": "dense bits -> i32", "instructions": 100, "macs_binary": 640, "macs_byte": 0, "cycles": 120}
    made = {
        "core": "m3",
        "case": "n1",
        "fit": "small",
        "flags": "-O2",
        "engine": "e1",
        "model": "a1",
        "image": "i1",
        "compiler": "gcc 1",
        "instructions": 1004,
        "open": 50,
        "nodes": [node, head],
        "macs_binary": 640,
        "macs_byte": 100,
        "cycles": 1200,
        "arena": 112,
        "scratch": 8,
        "stack": 200,
        "text": 5000,
        "model_bytes": 900,
        "date": "2026-01-01 00:00:00",
    }
    return {**made, **changes}
