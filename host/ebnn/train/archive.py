"""npz archives, read without ever unpickling, and with errors in words of our own."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

MAGIC = b"PK\x03\x04"
ENDING = ".npy"
DAMAGES = (
    OSError, ValueError, EOFError, RuntimeError, MemoryError, SyntaxError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an npz archive, by name; of ``names`` only those that are in it.

    Raises:
        ValueError: a sentence without the path: it is no such archive, or which of its arrays is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("not an npz archive as numpy.savez writes it")
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGES:
        raise ValueError("a truncated or damaged npz archive") from None
    with archive:
        found = [name.removesuffix(ENDING) for name in archive.namelist() if name.endswith(ENDING)]
        return {name: _array(archive, name) for name in found if names is None or name in names}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    try:
        with archive.open(name + ENDING) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except DAMAGES:
        raise ValueError(f"its array {name} is damaged, or holds other things than numbers or text") from None
