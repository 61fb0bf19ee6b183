"""Figures that stand alone, for Markdown pages and files: one look, and what is said where matplotlib is missing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ebnn.errors import EbnnError

STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "legend.frameon": False,
}
OURS = "#0b6e4f"
THEIRS = ("#c0392b", "#b8860b", "#5b5ea6", "#666666")


def library(what: str = "the plot") -> Any:
    """matplotlib with its figures; raises EbnnError, saying ``what`` needs it, where it is missing."""
    try:
        import matplotlib.figure
    except ModuleNotFoundError:
        raise EbnnError(f"{what} needs matplotlib: pip install 'ebnn[report]'") from None
    return matplotlib


@contextmanager
def canvas(size: tuple[float, float], salt: str) -> Iterator[Any]:
    """An empty figure of that size in inches; it has its look while the context lasts, so it is saved there.

    Args:
        size: width and height.
        salt: names within an SVG derive from it, so that the same figure is the same file.

    Raises:
        EbnnError: matplotlib is missing.
    """
    matplotlib = library()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        yield matplotlib.figure.Figure(figsize=size, layout="constrained")


def svg(figure: Any) -> str:
    """The SVG of a figure, without a date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
