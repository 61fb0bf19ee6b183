"""The plot of counted instructions beside other engines', as an SVG of its own for Markdown pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ebnn.report.canvas import OURS, THEIRS, canvas, svg

WIDTH = 8.0  # inches


def plot(dots: Sequence[tuple[str, str, int, int]], title: str) -> str:
    """SVG with a line a (label, peer, our instructions, the peer's) on a logarithmic scale.

    Raises:
        EbnnError: matplotlib is missing.
    """
    with canvas((WIDTH, 1.2 + 0.24 * len(dots)), title) as figure:
        _draw(figure.add_subplot(), dots, title)
        return svg(figure)


def _draw(axes: Any, dots: Sequence[tuple[str, str, int, int]], title: str) -> None:
    colours = dict(zip(dict.fromkeys(dot[1] for dot in dots), THEIRS, strict=False))
    for place, (_, peer, ours, theirs) in enumerate(dots):
        axes.plot((ours, theirs), (place, place), color="#bbbbbb", linewidth=1.5, zorder=1)
        axes.annotate(f"{theirs / ours:.1f}x", (max(ours, theirs), place), (6, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
        axes.scatter([theirs], [place], color=colours.get(peer, THEIRS[-1]), zorder=2)
        axes.scatter([ours], [place], color=OURS, marker="D", zorder=3)
    axes.scatter([], [], color=OURS, marker="D", label="ebnn, counted by this bench")
    for peer, colour in colours.items():
        axes.scatter([], [], color=colour, label=f"{peer}, counted apart")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(ylim=(len(dots) - 0.4, -0.6), xlabel=title)
    axes.set_yticks(range(len(dots)), [dot[0] for dot in dots])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside upper center", ncols=2)
