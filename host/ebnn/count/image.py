"""Builds the bare-metal images and the QEMU plugin; what was built from the same sources is kept."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ebnn.cengine import engine_sources
from ebnn.compiler import find as find_compiler
from ebnn.count.cores import Core
from ebnn.errors import BuildError
from ebnn.files import repo_root, write_atomic
from ebnn.footprint import run_tool

CFLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections")
DEFAULT_OPTIMIZATION = "-O2"
FOR_SIZE = ("ebnn_open", "ebnn_run", "ebnn_values")  # keep the port's -Os in firmware (micropython.mk)
HARNESS_FLAGS = ("-std=c11", "-Os", "-Wall", "-Wextra", "-fno-builtin")


@dataclass(frozen=True)
class Engine:
    """A copy of the engine's sources that cannot change while it is measured.

    Args:
        folder: where the copy lies.
        digest: SHA-256 of its files, 16 digits.
    """

    folder: Path
    digest: str

    @property
    def sources(self) -> list[Path]:
        """The files to compile."""
        return sorted(self.folder.glob("*.c"))


@dataclass(frozen=True)
class Image:
    """A linked image.

    Args:
        core: what it runs on.
        path: the ELF file.
        symbols: address of every symbol.
        text: bytes of code and constants of the engine's own files.
    """

    core: Core
    path: Path
    symbols: dict[str, int]
    text: int

    def function_at(self, address: int) -> str:
        """The symbol that an address belongs to."""
        return max((place, name) for name, place in self.symbols.items() if place <= address)[1]


def build_folder() -> Path:
    """build/count of the checkout."""
    return repo_root() / "build" / "count"


def _bare(*names: str) -> list[Path]:
    return [repo_root() / "firmware" / "bare" / name for name in names]


def snapshot() -> Engine:
    """Copy the engine's sources to build/count."""
    files = {path.name: path.read_bytes() for path in engine_sources()}
    digest = _digest([name.encode() + b"\0" + data for name, data in sorted(files.items())])
    folder = build_folder() / f"engine-{digest}"
    for name, data in files.items():
        if not (folder / name).exists():
            write_atomic(folder / name, data)
    return Engine(folder, digest)


def _digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


@lru_cache
def compiler_version(core: Core) -> str:
    """The first line of the compiler's --version."""
    return run_tool([f"{core.prefix}gcc", "--version"]).splitlines()[0]


def build_image(core: Core, engine: Engine, optimization: str = DEFAULT_OPTIMIZATION) -> Image:
    """The bench with an engine, compiled with ``optimization`` (flags, separated by spaces), part of it for size.

    Raises:
        BuildError: a program is missing or fails.
    """
    flags = [*CFLAGS, *core.flags, f"-I{engine.folder}", *optimization.split()]
    folder = _image_folder(core, [*flags, engine.digest, *FOR_SIZE], _bare("bench.c"))
    objects = [
        _compile(core, source, folder, [*flags, "-Os"] if source.stem in FOR_SIZE else flags)
        for source in engine.sources
    ]
    path = _link(core, folder, _bare("bench.c")[0], objects, [f"-I{engine.folder}"])
    text = sum(int(run_tool([f"{core.prefix}size", str(item)]).splitlines()[1].split()[0]) for item in objects)
    return Image(core, path, symbols(core, path), text)


def build_program(core: Core, source: Path) -> Image:
    """An image of one C file beside the start-up code, without the engine."""
    folder = _image_folder(core, list(core.flags), [source])
    path = _link(core, folder, source, [], [])
    return Image(core, path, symbols(core, path), 0)


@lru_cache
def bench_digest(core: Core) -> str:
    """A hash of what a count depends on besides engine, flags and case: the bench, the compiler, the emulator."""
    files = _bare("bench.c", "start.c", "bare.h", "bare.ld", "plugin.c")
    programs = (
        f"{core}{compiler_version(core)}{run_tool([core.machine[0], '--version'])}{CFLAGS}{FOR_SIZE}{HARNESS_FLAGS}"
    )
    return _digest([programs.encode(), *(path.read_bytes() for path in files)])


def _image_folder(core: Core, flags: list[str], sources: list[Path]) -> Path:
    common = _bare("start.c", "bare.h", "bare.ld")
    parts = [path.read_bytes() for path in (*sources, *common)]
    facts = f"{core}{flags}{compiler_version(core)}{HARNESS_FLAGS}".encode()
    return build_folder() / f"{core.name}-{_digest([facts, *parts])}"


def _compile(core: Core, source: Path, folder: Path, flags: list[str]) -> Path:
    target = folder / f"{source.stem}.o"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}.o")
        run_tool([f"{core.prefix}gcc", *flags, "-c", str(source), "-o", str(partial)])
        os.replace(partial, target)
    return target


def _link(core: Core, folder: Path, program: Path, objects: list[Path], flags: list[str]) -> Path:
    target = folder / "image.elf"
    if target.exists():
        return target
    (start, script), (ram, size) = _bare("start.c", "bare.ld"), core.ram
    harness = [*HARNESS_FLAGS, *core.flags, *flags, f"-I{start.parent}"]
    objects = [*objects, *(_compile(core, source, folder, harness) for source in (start, program))]
    places = {"bare_flash": core.flash, "bare_ram": ram, "bare_ram_size": size}
    partial = target.with_suffix(f".{os.getpid()}.elf")
    run_tool(
        [
            f"{core.prefix}gcc", *core.link, "-nostartfiles", "-T", str(script), "-Wl,--gc-sections",
            "-Wl,--no-warn-rwx-segments", *(f"-Wl,--defsym={name}={value:#x}" for name, value in places.items()),
            *map(str, objects), "-o", str(partial),
        ]
    )  # fmt: skip
    os.replace(partial, target)
    return target


def symbols(core: Core, path: Path) -> dict[str, int]:
    """Addresses of an image's symbols; a Thumb function's is even."""
    lines = run_tool([f"{core.prefix}nm", str(path)]).splitlines()
    return {name: int(value, 16) & ~1 for value, _, name in (line.split() for line in lines if line[0] != " ")}


@lru_cache
def build_plugin(qemu: str) -> Path:
    """The plugin for one of QEMU's programs, compiled for this computer.

    Raises:
        BuildError: no compiler, or no such program.
    """
    version = re.search(r"version (\d+)\.", run_tool([qemu, "--version"]))
    if version is None:
        raise BuildError(f"{qemu} --version names no version")
    # QEMU 9 refuses plugins of the API's first version; the calls that the plugin makes are the same in both.
    api = 1 if int(version[1]) < 9 else 2
    compiler = find_compiler("for QEMU's plugin")
    source = _bare("plugin.c")[0]
    target = build_folder() / f"plugin-{_digest([source.read_bytes(), f'{compiler}{api}'.encode()])}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}.so")
        flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"]
        if sys.platform == "darwin":  # QEMU's calls are found when it loads the plugin
            flags += ["-undefined", "dynamic_lookup"]
        run_tool([compiler, *flags, f"-DAPI_VERSION={api}", str(source), "-o", str(partial)])
        os.replace(partial, target)
    return target
