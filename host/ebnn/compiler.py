"""The C compiler of this computer, and shared libraries made with it: each compiled once, kept under a hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ebnn.errors import BuildError


def find(purpose: str) -> str:
    """The compiler: ``CC``, else cc or gcc; raises BuildError, saying what it is needed for, where there is none."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise BuildError(f"no C compiler: install gcc (or set CC) {purpose}")
    return compiler


def ask(compiler: str, *arguments: str) -> str:
    """What the compiler prints; empty where it refuses the arguments."""
    try:
        done = subprocess.run(
            [compiler, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise BuildError(f"{compiler}: {error.strerror}") from None
    return "" if done.returncode else done.stdout


def shared_library(compiler: str, sources: Sequence[Path], flags: Sequence[str], stem: Path, more: str = "") -> Path:
    """Compile C sources (headers among them only count for the hash) into ``stem``-HASH.so, unless it is there.

    Args:
        more: C text that is compiled with them.

    Raises:
        BuildError: with what the compiler said.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    digest.update("\n".join([compiler, ask(compiler, "--version"), more, *flags]).encode())
    library = stem.with_name(f"{stem.name}-{digest.hexdigest()[:16]}.so")
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    partial = library.with_suffix(f".{os.getpid()}")
    files = [str(path) for path in sources if path.suffix == ".c"]
    command = [compiler, *flags, *files, "-x", "c", "-", "-o", str(partial)]
    done = subprocess.run(command, input=more, capture_output=True, text=True, check=False)
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise BuildError(f"{compiler} could not compile {stem.name}:\n{done.stderr}")
    os.replace(partial, library)
    return library
