"""The plot of a search: held-out accuracy against bytes, a colour a rung."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from ebnn.errors import EbnnError
from ebnn.report.counts import OURS, STYLE, THEIRS

SIZE = (8.0, 4.0)  # inches
COLOURS = (*reversed(THEIRS), OURS)


def plot(title: str, rungs: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """SVG of the (bytes, percent) of each rung, by its name, the first one first.

    Raises:
        EbnnError: matplotlib is missing.
    """
    try:
        import matplotlib.figure
    except ModuleNotFoundError:
        raise EbnnError("the plot needs matplotlib: pip install 'ebnn[report]'") from None
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "search"}):
        figure = matplotlib.figure.Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        for place, (name, points) in enumerate(rungs.items()):
            colour = COLOURS[-min(len(rungs) - place, len(COLOURS))]  # the last rung in ours
            axes.scatter(*zip(*points, strict=True), s=14 + 10 * place, color=colour, label=name, zorder=2 + place)
        axes.set(title=title, xlabel="bytes", ylabel="held-out accuracy, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
