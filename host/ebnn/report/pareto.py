"""The plot of test accuracy against bytes, as an SVG of its own for Markdown pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebnn.report.canvas import OURS, THEIRS, canvas, svg

WIDTH, HEIGHT = 8.0, 3.4  # inches, of a panel
MARKERS = "osv^P"

Points = Sequence[tuple[str, int, float]]


def plot(panels: Mapping[str, Mapping[str, Points]]) -> str:
    """SVG with a panel a data set.

    Args:
        panels: by title, the (label, bytes, percent) of ``ebnn``, of the ``front`` among them, and of others by name.

    Raises:
        EbnnError: matplotlib is missing.
    """
    with canvas((WIDTH, HEIGHT * len(panels)), "zoo") as figure:
        for axes, (title, series) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True
        ):
            _draw(axes, title, series)
        return svg(figure)


# Where the axis has ticks. It is logarithmic in the errors: 99.0 and 99.5 are as far apart as 90 and 95.
TICKS = (30, 50, 60, 70, 80, 85, 90, 95, 97, 98, 98.5, 99, 99.3, 99.5, 99.7)


def _draw(axes: Any, title: str, series: Mapping[str, Points]) -> None:
    others = [name for name in series if name not in ("ebnn", "front")]
    for index, name in enumerate(others):
        look = {"color": THEIRS[index % len(THEIRS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.scatter(*_places(series[name]), s=22, label=name, **look)
    axes.plot(*_places(series["front"]), color=OURS, linewidth=1.2)
    axes.scatter(*_places(series["ebnn"]), color=OURS, marker="D", s=24, label="ebnn", zorder=3)
    for label, size, accuracy in series["ebnn"]:
        axes.annotate(label, (size, 100 - accuracy), (5, -9), textcoords="offset points", fontsize=7)
    axes.set_xscale("log", subs=(2, 5))
    for place in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        place(lambda value, _: f"{value:,.0f}")
    axes.set(title=title, xlabel="bytes (ours: the whole file; others: the weights)", ylabel="test accuracy, %")
    _scale(axes)
    axes.grid(which="both", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


def _places(points: Points) -> tuple[list[int], list[float]]:
    """Bytes, and percent of wrong answers."""
    return [size for _, size, _ in points], [100 - accuracy for _, _, accuracy in points]


def _scale(axes: Any) -> None:
    """Fewer errors are higher up; the ticks are those that lie in the plot, and one beyond each end."""
    low, high = axes.dataLim.intervaly
    inside = [index for index, tick in enumerate(TICKS) if low <= 100 - tick <= high] or [0]
    shown = TICKS[max(0, inside[0] - 1) : inside[-1] + 2]
    axes.set_yscale("log")
    axes.yaxis.minorticks_off()
    axes.set_yticks([100 - tick for tick in shown], [f"{tick:g}" for tick in shown])
    axes.set_ylim(100 - shown[0], 100 - shown[-1])
