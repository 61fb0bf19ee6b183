"""A small tree that stands for MicroPython's source, and its tarball."""

from __future__ import annotations

import tarfile
from pathlib import Path

HEADER = """\
#define MICROPY_VERSION_MAJOR {0}
#define MICROPY_VERSION_MINOR {1}
#define MICROPY_VERSION_MICRO {2}
#define MICROPY_VERSION_PRERELEASE {3}
"""
FOLDERS = ("py", "ports/qemu")


def write_tree(root: Path, version: tuple[int, ...] = (1, 25, 0, 0)) -> Path:
    """A source tree of a few files that says it is MicroPython ``version`` (with the prerelease mark)."""
    for name, text in (
        ("py/mpconfig.h", HEADER.format(*version)),
        ("py/vm.c", "int vm;\n"),
        ("ports/qemu/main.c", "int main(void) { return 0; }\n"),
        ("docs/index.rst", "not compiled\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def write_tarball(path: Path, root: Path) -> Path:
    """The tarball of a tree, with a top folder as releases have one."""
    with tarfile.open(path, "w:xz") as archive:
        archive.add(root, "micropython-1.25.0")
    return path
