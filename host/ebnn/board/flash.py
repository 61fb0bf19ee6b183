"""Put a firmware image onto a board. A method is one function and its name in the board file's [flash]."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ebnn.board.session import RemoteError, connect
from ebnn.board.targets import Target
from ebnn.errors import BoardError
from ebnn.files import write_atomic


@dataclass(frozen=True)
class Flashed:
    """What is on the board now: where, its SHA-256, and the version of ``ebnn`` that answered after booting."""

    path: Path
    sha256: str
    ebnn: str


def flash(target: Target, image: str | os.PathLike) -> Flashed:
    """Install ``image`` on ``target``, verify it, boot it and ask for its ebnn version.

    Raises BoardError when the image is missing, was not taken over intact, does not boot, or has no ebnn.
    """
    image = Path(image)
    if not image.is_file():
        raise BoardError(f"{target.name}: no firmware image at {image}: ebnn firmware --board {target.name} builds it")
    if target.flash.method not in METHODS:
        raise BoardError(f"{target.name}: [flash] method is {target.flash.method!r}, known are {', '.join(METHODS)}")
    path = METHODS[target.flash.method](target, image)
    return Flashed(path, _sha256(image), boot_version(target))


def boot_version(target: Target) -> str:
    """Boot what was flashed and return the version of its ``ebnn`` module; raises BoardError."""
    with connect(target) as session:
        try:
            return session.eval("__import__('ebnn').__version__")
        except RemoteError as error:
            if "ImportError" in error.traceback:
                raise BoardError(f"{target.name}: the firmware boots but has no module ebnn") from None
            raise


def _copy(target: Target, image: Path) -> Path:
    """An emulated board boots from a file: install it there, all or nothing."""
    path = write_atomic(target.slot_image, image.read_bytes())
    path.chmod(image.stat().st_mode & 0o777)
    if _sha256(path) != _sha256(image):
        raise BoardError(f"{target.name}: {path} is not what was written: a failing disk?")
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


METHODS: dict[str, Callable[[Target, Path], Path]] = {"copy": _copy}
