"""Runs an image under QEMU with the counting plugin."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ebnn.count.cores import require
from ebnn.count.image import Image, build_plugin
from ebnn.errors import BoardError

TIMEOUT = 900  # seconds; the slowest case of the plain engine takes some ten
HEADER_BYTES = 8


@dataclass(frozen=True)
class Region:
    """What ran between two marks.

    Args:
        instructions: executed, without the bench's own.
        histogram: how often the instruction at each address ran.
        taken: how often it was followed by another than the next one in memory.
    """

    instructions: int
    histogram: dict[int, int]
    taken: dict[int, int]


@dataclass(frozen=True)
class Emulation:
    """One run of an image: the regions in order, and the printed (name, word) pairs."""

    regions: tuple[Region, ...]
    printed: tuple[tuple[str, int], ...]

    def words(self, name: str) -> list[int]:
        """Every word that was printed under ``name``, unsigned."""
        return [value for key, value in self.printed if key == name]


def case_bytes(model: bytes, image: bytes) -> bytes:
    """What the loader puts at ``bare_case``: sizes, model, input; both aligned to 8."""
    offset = HEADER_BYTES + -(-len(model) // 8) * 8
    return (struct.pack("<II", len(model), offset) + model).ljust(offset, b"\0") + image


def emulate(image: Image, case: bytes = b"") -> Emulation:
    """Run an image to its end.

    Raises:
        BoardError: the image failed, or ran out of time; the text holds what it printed.
        BuildError: QEMU is missing.
    """
    require(image.core)
    with tempfile.TemporaryDirectory(prefix="ebnn-count-") as name:
        folder = Path(name)
        counts, printed, loaded = folder / "counts", folder / "printed", folder / "case"
        loaded.write_bytes(case)
        command = _command(image, counts, printed, loaded if case else None)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise BoardError(f"{image.core.name}: no end after {TIMEOUT} s of emulation") from None
        said = printed.read_text() if printed.exists() else ""
        if done.returncode:
            raise BoardError(_failure(image, said, done.stderr))
        return Emulation(parse_counts(counts.read_text()), parse_printed(said))


def _failure(image: Image, said: str, errors: str) -> str:
    words = dict(parse_printed(said))
    if "fault" in words:
        where = words["fault"]
        return f"{image.core.name}: a fault at {where:#x}, in {image.function_at(where)}"
    return f"{image.core.name}: the image failed: {said}{errors}".strip()


def _command(image: Image, counts: Path, printed: Path, case: Path | None) -> list[str]:
    at = image.symbols
    places = {
        "begin": at["bare_begin"],
        "end": at["bare_end"],
        "skip": at["bare_harness"],
        "skip_end": at["bare_harness_end"],
    }
    plugin = ",".join([str(build_plugin(image.core.machine[0])), *(f"{key}={value}" for key, value in places.items())])
    loader = ["-device", f"loader,file={case},addr={at['bare_case']:#x},force-raw=on"] if case else []
    return [
        *image.core.machine, "-display", "none", "-monitor", "none", "-serial", "none", "-nodefaults",
        "-chardev", f"file,id=out,path={printed}", "-semihosting-config", "enable=on,target=native,chardev=out",
        "-kernel", str(image.path), *loader, "-plugin", f"{plugin},out={counts}",
    ]  # fmt: skip


def parse_counts(text: str) -> tuple[Region, ...]:
    """The plugin's lines: ``count N`` opens a region, ``at ADDRESS N`` and ``taken ADDRESS N`` belong to it."""
    regions: list[Region] = []
    for line in text.splitlines():
        kind, *numbers = line.split()
        if kind == "count":
            regions.append(Region(int(numbers[0]), {}, {}))
            continue
        counts = regions[-1].histogram if kind == "at" else regions[-1].taken
        address = int(numbers[0], 16)
        counts[address] = counts.get(address, 0) + int(numbers[1])
    return tuple(regions)


def parse_printed(text: str) -> tuple[tuple[str, int], ...]:
    """The image's lines: NAME HEX."""
    return tuple((name, int(word, 16)) for name, word in (line.split() for line in text.splitlines()))
