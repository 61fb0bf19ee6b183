"""The plot of accuracy against random faults, as a picture file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ebnn.errors import ConfigError
from ebnn.report.canvas import OURS, THEIRS, canvas, library
from ebnn.robust import KINDS, Faults

SIZE = (6.4, 4.0)  # inches
SUFFIXES = (".png", ".svg", ".pdf")


def check(path: Path) -> None:
    """Refuse what cannot be drawn before anything is computed.

    Raises:
        ConfigError: the name ends with another suffix, or the folder is missing.
        EbnnError: matplotlib is missing.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a plot's name must end with {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: its folder does not exist")
    library()


def save(found: Sequence[Faults], title: str, path: Path) -> None:
    """Draw mean and spread of both kinds over the share of flipped bits; what ``check`` refuses must not come here."""
    with canvas(SIZE, title) as figure:
        axes = figure.add_subplot()
        for kind, colour, mark in zip(KINDS, (OURS, THEIRS[0]), "os", strict=True):
            points = sorted((f.probability, f.mean, f.spread) for f in found if f.kind == kind)
            x, mean, spread = zip(*points, strict=True)
            axes.errorbar(x, [100 * m for m in mean], [100 * s for s in spread],
                          label=f"faults in {kind}", color=colour, marker=mark, capsize=3)  # fmt: skip
        least = min((faults.probability for faults in found if faults.probability > 0), default=1)
        axes.set_xscale("symlog", linthresh=least)
        axes.set(xlabel="share of bits flipped", ylabel="accuracy, %", title=title)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.legend()
        figure.savefig(path, dpi=150, facecolor="white")
