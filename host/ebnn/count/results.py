"""build/bench.json: the rows of the bench, written after every case, so that a run can go on where it ended.

A row is an object of ``FIELDS``; ``nodes`` holds objects of ``NODE_FIELDS``. ``instructions`` are counted, ``cycles``
estimated (or null); nothing is timed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ebnn.errors import DataError
from ebnn.files import repo_root, write_atomic

SCHEMA = 1
# What a row is about: rows that agree in KEY replace each other, and a row counts as done where it also agrees in
# PROOF, that is, where nothing that the count depends on has changed.
KEY = ("core", "case", "fit", "flags")
PROOF = ("engine", "model", "image")
FIELDS = {
    "core": str,
    "case": str,
    "fit": str,
    "flags": str,
    "engine": str,  # hash of the sources
    "model": str,  # hash of model file and input
    "image": str,  # hash of the bench itself, compiler and emulator
    "compiler": str,
    "instructions": int,  # of ebnn_run, untraced
    "open": int,  # of ebnn_open
    "nodes": list,
    "macs_binary": int,
    "macs_byte": int,
    "cycles": (int, type(None)),
    "arena": int,  # bytes
    "scratch": int,  # bytes; part of the arena
    "stack": int,  # bytes, measured
    "text": int,  # bytes of the whole engine
    "model_bytes": int,
    "date": str,  # UTC
}
NODE_FIELDS = {
    "op": str,
    "name": str,
    "instructions": int,
    "macs_binary": int,
    "macs_byte": int,
    "cycles": (int, type(None)),
    "scratch": int,
}


def results_path() -> Path:
    """build/bench.json of the checkout."""
    return repo_root() / "build" / "bench.json"


def row_fault(row: object) -> str | None:
    """Why something is no row, or None."""
    if not isinstance(row, dict):
        return "a row must be an object"
    return _fields_fault(row, FIELDS) or next(filter(None, (_node_fault(node) for node in row["nodes"])), None)


def _node_fault(node: object) -> str | None:
    return _fields_fault(node, NODE_FIELDS) if isinstance(node, dict) else "a node must be an object"


def _fields_fault(found: dict, fields: dict) -> str | None:
    if set(found) != set(fields):
        return f"keys {', '.join(sorted(set(found) ^ set(fields)))} are missing or unknown"
    for name, kind in fields.items():
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            return f"{name} must not be {found[name]!r}"
    return None


class Results:
    """The rows of a file, by what they are about.

    Args:
        path: is read where it exists and written by ``add``.
        fresh: forget what is there.

    Raises:
        DataError: the file holds something else.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self.path = path
        rows = [] if fresh or not path.exists() else _read(path)
        self._rows = {_key(row): row for row in rows}

    @property
    def rows(self) -> list[dict]:
        """Every row, in the order of their first measurement."""
        return list(self._rows.values())

    def last(self, wanted: dict) -> dict | None:
        """The row with ``wanted``'s KEY, whatever it was counted with."""
        return self._rows.get(_key(wanted))

    def done(self, wanted: dict) -> dict | None:
        """The row with ``wanted``'s KEY and PROOF, if there is one."""
        row = self.last(wanted)
        return row if row and all(row[name] == wanted[name] for name in PROOF) else None

    def add(self, row: dict) -> None:
        """Add a row, or replace the one with the same KEY, and write the file."""
        fault = row_fault(row)
        if fault:
            raise DataError(f"{self.path}: {fault}")
        self._rows[_key(row)] = row
        write_atomic(self.path, render(self.rows))


def render(rows: Iterable[dict]) -> str:
    """The file's text: one row a line."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f'{{"schema": {SCHEMA}, "rows": [\n{lines}\n]}}\n'


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in KEY)


def _read(path: Path) -> list[dict]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content["rows"] if content["schema"] == SCHEMA else []
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not a bench's results; remove it to start anew") from None
    for number, row in enumerate(rows, 1):
        fault = row_fault(row)
        if fault:
            raise DataError(f"{path}, row {number}: {fault}; remove the file to start anew")
    return rows
