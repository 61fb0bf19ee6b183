"""``python -m ebnn.clib``: the engine for C and C++ projects without MicroPython (docs/clib.md).

A folder with ``ebnn.h``, all of the engine in one ``ebnn.c``, a model as ``ebnn_model.h`` and an example. The same
sources give the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ebnn import ops
from ebnn.cengine import engine_sources
from ebnn.errors import EbnnError
from ebnn.files import repo_root, write_atomic
from ebnn.footprint import public_functions
from ebnn.format import read_blob
from ebnn.freeze import render_header
from ebnn.version import __version__

HEADER = "ebnn.h"
SOURCE = "ebnn.c"
MODEL_HEADER = "ebnn_model.h"
_INCLUDE = re.compile(r'^#include "(\w+\.h)"\n', re.MULTILINE)
_PROTOTYPE = re.compile(r"^(?!static )\w[\w ]*?[ *](ebnn_\w+)\([^{]*?\);$", re.MULTILINE)


def amalgamate() -> dict[str, str]:
    """Texts of ``ebnn.h`` and ``ebnn.c`` by name. In ``ebnn.c`` all functions but those of ``ebnn.h`` are static."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in engine_sources()}
    placed: set[str] = set()
    header = _with_headers(HEADER, texts, placed)
    parts = [_with_headers(name, texts, placed) for name in sorted(texts) if name.endswith(".c")]
    source = f'#include "{HEADER}"\n\n' + "\n".join(parts)
    return {HEADER: f"{_preface()}\n{header}", SOURCE: f"{_preface()}\n{_make_static(source)}"}


def _with_headers(name: str, texts: dict[str, str], placed: set[str]) -> str:
    """The text of a file with each header, for which there is no place yet, in place of its #include."""
    placed.add(name)

    def put(found: re.Match) -> str:
        return "" if found[1] in placed else _with_headers(found[1], texts, placed)

    return f"// ===== {name} =====\n{_INCLUDE.sub(put, texts[name])}"


def _make_static(source: str) -> str:
    """The text with the prototypes and definitions of the engine's inner functions static."""
    inner = set(_PROTOTYPE.findall(source)) - public_functions()
    heads = re.compile(rf"^(?=\w[\w ]*?[ *](?:{'|'.join(sorted(inner))})\()", re.MULTILINE)
    return heads.sub("static ", source)


def _preface() -> str:
    """Comment: what the file is, and the licence."""
    text = (repo_root() / "LICENSE").read_text(encoding="utf-8")
    version = f"ebnn {__version__}, model format {ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}"
    about = f"{version}: made by `make clib` of the files in usermod/ebnn/engine, where changes belong."
    return "".join(f"// {line}".rstrip() + "\n" for line in (about, "", *text.splitlines()))


def write_clib(folder: Path, blob: bytes) -> None:
    """Write engine, model and example into ``folder``.

    Raises:
        ModelError: ``blob`` is no sound model.
    """
    files = {**amalgamate(), MODEL_HEADER: render_header(blob)}
    for path in sorted((repo_root() / "firmware" / "examples" / "bare-metal").iterdir()):
        files[f"example/{path.name}"] = path.read_text(encoding="utf-8")
    for name, text in files.items():
        write_atomic(folder / name, text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    build = repo_root() / "build" / "clib"
    model = repo_root() / "firmware" / "models" / "mnist" / "model.ebnn"
    top = argparse.ArgumentParser(prog="python -m ebnn.clib", description=__doc__)
    top.add_argument("--model", type=Path, default=model, help="model.ebnn (default: the zoo's mnist)")
    top.add_argument("--out", type=Path, default=build, help="output folder (default: build/clib)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        write_clib(options.out, read_blob(options.model))
    except (EbnnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
