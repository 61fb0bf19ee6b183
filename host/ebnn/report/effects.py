"""The plot of a study: effects of the screening against chance, and intervals of the methods that were confirmed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ebnn.report.canvas import OURS, THEIRS, canvas

WIDTH, HEIGHT = 11.0, 1.6  # inches
DOTS_PER_INCH = 90


@dataclass(frozen=True)
class EffectPlot:
    """What is drawn.

    Args:
        title: above it.
        effects: of the screening by name; "" is no method's.
        quantiles: where sizes of as many effects, sorted, would lie if they were chance.
        margin: beyond which a single effect is no chance.
        confirmed: (name, (mean, half width) alone or None, (mean, half width) left out or None).
    """

    title: str
    effects: Sequence[tuple[str, float]]
    quantiles: Sequence[float]
    margin: float
    confirmed: Sequence[tuple[str, tuple[float, float] | None, tuple[float, float] | None]]


def plot(what: EffectPlot) -> bytes:
    """A PNG of two parts side by side.

    Raises:
        EbnnError: matplotlib is missing.
    """
    lines = max(len(what.effects), len(what.confirmed))
    with canvas((WIDTH, HEIGHT + 0.22 * lines), "effects") as figure:
        left, right = figure.subplots(1, 2)
        figure.suptitle(what.title)
        _half_normal(left, what)
        _intervals(right, what.confirmed)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _half_normal(axes: Any, what: EffectPlot) -> None:
    """Sizes of effects over quantiles: chance lies on a line through 0."""
    ordered = sorted(what.effects, key=lambda effect: abs(effect[1]))
    for (name, effect), place in zip(ordered, what.quantiles, strict=True):
        colour = "#bbbbbb" if not name else OURS if effect > 0 else THEIRS[0]
        axes.scatter([abs(effect)], [place], color=colour, zorder=2)
        axes.annotate(f"{name} {effect:+.2f}" if name else "", (abs(effect), place), (7, 0),
                      textcoords="offset points", va="center", fontsize=7)  # fmt: skip
    axes.axvline(what.margin, color="#666666", linewidth=1, linestyle=":", label="a single effect: no chance beyond it")
    for label, colour in (("helps", OURS), ("harms", THEIRS[0]), ("no method's column", "#bbbbbb")):
        axes.scatter([], [], color=colour, label=label)
    most = max([what.margin, *(abs(effect) for _, effect in what.effects)])
    axes.set(xlabel="size of the effect in the screening, points", ylabel="half-normal quantile", xlim=(0, 1.5 * most))
    axes.legend(loc="lower right", fontsize=7)


def _intervals(axes: Any, confirmed: Sequence[tuple]) -> None:
    """Means with their intervals, a line a method."""
    for shift, index, colour, mark, label in (
        (-0.16, 1, OURS, "o", "alone on the base"),
        (0.16, 2, THEIRS[2], "D", "what leaving it out of the best costs"),
    ):
        known = [(place + shift, entry[index]) for place, entry in enumerate(confirmed) if entry[index]]
        if known:
            axes.errorbar([mean for _, (mean, _) in known], [place for place, _ in known], fmt=mark, color=colour,
                          xerr=[half for _, (_, half) in known], markersize=4, linewidth=1.2, label=label)  # fmt: skip
    axes.axvline(0, color="#666666", linewidth=1)
    axes.set_yticks(range(len(confirmed)), [entry[0] for entry in confirmed])
    axes.set(ylim=(len(confirmed) - 0.4, -0.6), xlabel="points of held-out accuracy, 95 % t intervals")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    if confirmed:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=7)
