"""The plot of test accuracy against bytes, as an SVG of its own for Markdown pages."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ebnn.errors import EbnnError
from ebnn.report.counts import OURS, STYLE, THEIRS

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
    try:
        import matplotlib.figure
    except ModuleNotFoundError:
        raise EbnnError("the plot needs matplotlib: pip install 'ebnn[report]'") from None
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "zoo"}):
        figure = matplotlib.figure.Figure(figsize=(WIDTH, HEIGHT * len(panels)), layout="constrained")
        for axes, (title, series) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True
        ):
            _draw(axes, title, series)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _draw(axes: Any, title: str, series: Mapping[str, Points]) -> None:
    others = [name for name in series if name not in ("ebnn", "front")]
    for index, name in enumerate(others):
        sizes, accuracies = zip(*(point[1:] for point in series[name]), strict=True)
        axes.scatter(sizes, accuracies, s=22, color=THEIRS[index % len(THEIRS)], marker=MARKERS[index % len(MARKERS)],
                     label=name)  # fmt: skip
    if series["front"]:
        axes.plot(*zip(*(point[1:] for point in series["front"]), strict=True), color=OURS, linewidth=1.2)
    for label, size, accuracy in series["ebnn"]:
        axes.annotate(label, (size, accuracy), (5, -9), textcoords="offset points", fontsize=7)
    axes.scatter(*(zip(*(point[1:] for point in series["ebnn"]), strict=True)), color=OURS, marker="D", label="ebnn",
                 zorder=3)  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(title=title, xlabel="bytes (ours: the whole file; others: the weights)", ylabel="test accuracy, %")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
