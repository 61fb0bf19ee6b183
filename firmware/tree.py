"""A MicroPython source tree on disk: its version, its content identity, and getting one out of a tarball."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ebnn.errors import BuildError
from versions import Pins

VERSION_HEADER = "py/mpconfig.h"
_GENERATED = re.compile(r"^(build(-.*)?|__pycache__|\..*)$")


def source_files(root: Path, folders: tuple[str, ...]) -> Iterator[str]:
    """Relative paths (with /) of the files that identify a tree, sorted; what builds leave behind is skipped."""
    names = []
    for folder in folders:
        for place, subfolders, files in os.walk(root / folder):
            subfolders[:] = [name for name in subfolders if not _GENERATED.match(name)]
            relative = Path(place).relative_to(root)
            names += [(relative / name).as_posix() for name in files if not name.startswith(".")]
    return iter(sorted(names))


def identity(root: Path, folders: tuple[str, ...]) -> str:
    """Hex sha256 over (path, length, content) of every source file below ``folders``."""
    digest = hashlib.sha256()
    for name in source_files(root, folders):
        content = (root / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def version_of(root: Path) -> str:
    """The version in ``py/mpconfig.h``, such as "1.25.0"; raises BuildError where this is not MicroPython."""
    try:
        text = (root / VERSION_HEADER).read_text(encoding="utf-8")
    except OSError:
        raise BuildError(f"{root}: not a MicroPython source tree (it has no {VERSION_HEADER})") from None
    fields = dict(re.findall(r"^#define MICROPY_VERSION_(\w+) (\d+)$", text, re.MULTILINE))
    try:
        version = "{MAJOR}.{MINOR}.{MICRO}".format(**fields)
    except KeyError:
        raise BuildError(f"{root}: {VERSION_HEADER} names no version of MicroPython") from None
    return version + ("-preview" if fields.get("PRERELEASE") == "1" else "")


def extract(tarball: Path, destination: Path, pins: Pins) -> None:
    """Unpack what identifies a tree (``pins.folders``) from a release tarball, without its top folder.

    Raises BuildError, naming the file, for one that is truncated, no tarball, or not MicroPython's.
    """
    try:
        with tarfile.open(tarball) as archive:
            for member in archive:
                _extract_member(archive, member, destination, pins.folders)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise BuildError(f"{tarball}: truncated or not a tarball ({error}): get it again") from None
    if not (destination / VERSION_HEADER).is_file():
        raise BuildError(f"{tarball}: no MicroPython source in it (no TOP/{VERSION_HEADER})")


def _extract_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, destination: Path, folders: tuple[str, ...]
) -> None:
    parts = PurePosixPath(member.name).parts
    parts = parts[1:] if parts and parts[0] == "." else parts
    name = "/".join(parts[1:])
    if not member.isfile() or ".." in parts or not name.startswith(tuple(f"{f}/" for f in folders)):
        return
    target = destination / name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    with source, open(target, "wb") as file:
        while block := source.read(1 << 20):
            file.write(block)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
