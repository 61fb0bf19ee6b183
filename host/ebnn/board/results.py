"""A file of results as JSON lines, written as they come: a header, then one record an image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ebnn.errors import BoardError

INFORMATIVE = ("started",)  # header keys that may differ when a run goes on


class ResultFile:
    """Appends records to ``path``; a context manager. ``records`` holds what is there, by image index.

    A file that exists is gone on with if its header says the same as ``header``, else BoardError names the
    key that differs. A torn last line (the writer was killed) is dropped. ``fresh`` starts anew instead.
    """

    def __init__(self, path: str | os.PathLike, header: dict[str, Any], fresh: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.records: dict[int, dict[str, Any]] = {}
        lines = [] if fresh else self._whole_lines()
        if lines:
            self._check_header(self._parse(1, lines[0]), header)
            for number, line in enumerate(lines[1:], 2):
                record = self._parse(number, line)
                self.records[record["image"]] = record
        self._file = open(self.path, "ab" if lines else "wb")  # noqa: SIM115 (closed by __exit__)
        if not lines:
            self._write(header)

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: dict[str, Any]) -> None:
        """Write one record (with its ``image`` index) so that it is on its way to the disk when this returns."""
        self._write(record)
        self.records[record["image"]] = record

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise BoardError(f"{self.path}: cannot write a result: {error.strerror}") from None

    def _whole_lines(self) -> list[bytes]:
        """The lines that were written to their end; what follows them is cut off the file."""
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            os.truncate(self.path, end)
        return data[:end].splitlines()

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or (number > 1 and not isinstance(entry.get("image"), int)):
            raise BoardError(f"{self.path}, line {number}: not a result; remove the file to start anew")
        return entry

    def _check_header(self, there: dict[str, Any], wanted: dict[str, Any]) -> None:
        for key in sorted({*there, *wanted} - set(INFORMATIVE)):
            if there.get(key) != wanted.get(key):
                raise BoardError(
                    f"{self.path} belongs to another run: {key} was {there.get(key)!r}, it is {wanted.get(key)!r} now;"
                    " start anew (--fresh) or write to another file"
                )
