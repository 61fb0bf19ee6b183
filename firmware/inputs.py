"""What a firmware is made from, as hashes: to skip a build, to start one from scratch, to tell two apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_hash(path: Path) -> str:
    """Hex sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree_hash(folder: Path, patterns: Iterable[str] = ("**/*",)) -> str:
    """Hex sha256 over names and contents of the files below ``folder`` that match; "" for a missing folder."""
    if not folder.is_dir():
        return ""
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return digest.hexdigest()


def combine(parts: Iterable[object]) -> str:
    """Hex sha256 over the texts of ``parts``, in order."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()
