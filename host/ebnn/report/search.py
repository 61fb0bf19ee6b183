"""The plot of a search: held-out accuracy against bytes, a colour a rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ebnn.report.canvas import OURS, THEIRS, canvas, svg

SIZE = (8.0, 4.0)  # inches
COLOURS = (*reversed(THEIRS), OURS)


def plot(title: str, rungs: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """SVG of the (bytes, percent) of each rung, by its name, the first one first.

    Raises:
        EbnnError: matplotlib is missing.
    """
    with canvas(SIZE, "search") as figure:
        axes = figure.add_subplot()
        for place, (name, points) in enumerate(rungs.items()):
            colour = COLOURS[-min(len(rungs) - place, len(COLOURS))]  # the last rung in ours
            axes.scatter(*zip(*points, strict=True), s=14 + 10 * place, color=colour, label=name, zorder=2 + place)
        axes.set(title=title, xlabel="bytes", ylabel="held-out accuracy, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        return svg(figure)
