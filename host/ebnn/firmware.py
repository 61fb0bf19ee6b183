"""Ask firmware/build.py for a MicroPython with ebnn, a model, the test agent and sample images frozen in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ebnn.board.targets import load_target
from ebnn.errors import BuildError
from ebnn.files import repo_root, write_atomic

AGENT = "host/ebnn/board/agent.py"

_SAMPLES = '''\
# Test images, the first of each class, to try a model at the prompt.
shape = {shape}
classes = {classes}
images = (
{images}
)


def show(image):
    """Draw an image with characters."""
    height, width, channels = shape
    for y in range(height):
        row = image[y * width * channels : (y + 1) * width * channels : channels]
        print("".join(" .:-=+*#%@"[value * 10 // 256] for value in row).rstrip())
'''


@dataclass(frozen=True)
class Firmware:
    """A built image and what firmware.json says of it."""

    image: Path
    report: dict


@dataclass(frozen=True)
class Variant:
    """Which MicroPython: ``stock`` is the board's alone, without ebnn and its agent, to load native modules;
    ``micropython`` another release of firmware/versions.toml than the first."""

    stock: bool = False
    micropython: str | None = None

    def folder(self, board: str) -> Path:
        """Where the driver puts it."""
        words = [board, *(["stock"] if self.stock else []), *([self.micropython] if self.micropython else [])]
        return repo_root() / "build" / "firmware" / "-".join(words)

    def options(self) -> list[str]:
        """What tells the driver."""
        stock = ["--stock"] if self.stock else []
        return stock + (["--micropython", self.micropython] if self.micropython else [])


DEFAULT = Variant()


def render_samples(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """Source of the module ``ebnn_samples``: the first image, uint8 (h, w, c), of each class, and ``show``."""
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(len(classes)) if (labels == label).any()]
    return _SAMPLES.format(
        shape=images.shape[1:],
        classes=tuple(classes[int(labels[index])] for index in firsts),
        images="\n".join(f"    {images[index].tobytes()!r}," for index in firsts),
    )


def build(
    board: str,
    model: Path | None = None,
    samples: str | None = None,
    more: Sequence[Path] = (),
    out: Path | None = None,
    variant: Variant = DEFAULT,
) -> Firmware:
    """Build for a board; quick when nothing changed. What the driver says goes to stderr as it comes.

    Args:
        board: a name from boards/.
        model: model file to freeze as ``ebnn_model``.
        samples: source of ``ebnn_samples`` (``render_samples``).
        more: further Python files to freeze.
        out: output folder instead of the variant's.
        variant: which MicroPython.

    Raises:
        BuildError: the build failed; the driver has said why.
    """
    load_target(board)  # names the boards that there are, before anything is written
    root = repo_root()
    out = out or variant.folder(board)
    frozen = []
    if not variant.stock:
        frozen.append(write_atomic(out / "modules" / "ebnn_agent.py", (root / AGENT).read_bytes()))
    if samples is not None:
        frozen.append(write_atomic(out / "modules" / "ebnn_samples.py", samples))
    command = [sys.executable, str(root / "firmware" / "build.py"), "--board", board, "--out", str(out)]
    command += ["--model", str(model)] if model else []
    command += ["--frozen", *map(str, [*frozen, *more]), *variant.options()]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
        raise BuildError(f"the firmware for {board} was not built: see above, and {out / 'make.log'}")
    report = json.loads((out / "firmware.json").read_text(encoding="utf-8"))
    return Firmware(out / report["image"], report)
