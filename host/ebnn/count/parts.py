"""``python -m ebnn.count.parts``: what each part of the engine that can be left out takes, in bytes: docs/size.md."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ebnn.cengine import engine_sources
from ebnn.count import cores, image
from ebnn.count.cores import Core
from ebnn.errors import EbnnError
from ebnn.files import repo_root, write_atomic
from ebnn.footprint import run_tool
from ebnn.tables import Table

CORES = ("m0", "m4")
FAST = ("LANES", "BYTES")
BUILDS = {"-Os": "-Os", "firmware": image.DEFAULT_OPTIMIZATION}  # title: flags of what is not image.FOR_SIZE
INTRODUCTION = """# What the engine takes

Written by `make parts`: bytes of code and constants of the engine's object files, linked with nothing, and in brackets
what leaving a part out changes. `-Os` is all of it for size; firmware compiles the kernels with `-O2`
(`usermod/ebnn/micropython.mk`). One file, as `make clib` makes it, is smaller: [clib.md](clib.md). `make size` has
every function, beside the record in [size.json](size.json).
"""


def switches() -> tuple[str, ...]:
    """What follows EBNN_WITHOUT_ in ebnn_port.h, in its order."""
    (header,) = (path for path in engine_sources() if path.name == "ebnn_port.h")
    return tuple(dict.fromkeys(re.findall(r"EBNN_WITHOUT_(\w+)", header.read_text(encoding="utf-8"))))


def variants() -> dict[str, tuple[str, ...]]:
    """What is left out, by the name of the row."""
    found = switches()
    each = {f"EBNN_WITHOUT_{name}": (name,) for name in found}
    return {"everything": (), **each, "EBNN_WITHOUT_LANES and _BYTES": FAST, "all of these": found}


def text(core: Core, left_out: Sequence[str], optimization: str) -> int:
    """Bytes of the engine without some parts.

    Raises:
        BuildError: the compiler is missing or fails.
    """
    defines = [f"-DEBNN_WITHOUT_{name}" for name in left_out]
    total = 0
    with tempfile.TemporaryDirectory(prefix="ebnn-parts-") as folder:
        for source in (path for path in engine_sources() if path.suffix == ".c"):
            target = Path(folder) / f"{source.stem}.o"
            flag = "-Os" if source.stem in image.FOR_SIZE else optimization
            run_tool(
                [f"{core.prefix}gcc", *image.CFLAGS, flag, *core.flags, *defines, "-c", str(source), "-o", str(target)]
            )
            total += int(run_tool([f"{core.prefix}size", str(target)]).splitlines()[1].split()[0])
    return total


def table() -> Table:
    """A line a variant, a column a core and build."""
    columns = [(cores.BY_NAME[name], title) for name in CORES for title in BUILDS]
    lines = []
    whole: list[int] = []
    for name, left_out in variants().items():
        found = [text(core, left_out, BUILDS[title]) for core, title in columns]
        whole = whole or found
        saved = [
            f"{now:,}" if now == all_ else f"{now:,} ({now - all_:+,})" for now, all_ in zip(found, whole, strict=True)
        ]
        lines.append((name, *saved))
    head = ("engine", *(f"{core.title}, {title}" for core, title in columns))
    return Table("Parts of the engine", head, tuple(lines))


def main() -> int:
    """Write docs/size.md; returns the exit status."""
    path = repo_root() / "docs" / "size.md"
    try:
        for name in CORES:
            cores.require(cores.BY_NAME[name])
        found = table()
        compiler = image.compiler_version(cores.BY_NAME[CORES[0]])
        write_atomic(path, f"{INTRODUCTION}\n{found.markdown()}\n\n{compiler}.\n")
    except (EbnnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{found.text()}\nwritten: {path.relative_to(repo_root())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
