"""Plots of a training: loss and rate, flips of weights, and where the latent weights lie."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from ebnn.report.plots import COLOURS, drawn
from ebnn.tables import plain

LAYERS = ("accent", "thresholds", "flips", "bad", "records", "padding", "ink")
HEIGHT = 3.2  # inches


def loss(report: Mapping) -> str:
    """Loss of the training images, and the learning rate, over the epochs."""
    history = report["training"]["history"]
    epochs = [line["epoch"] for line in history]

    def draw(axes: Any) -> None:
        mark = "o" if len(epochs) == 1 else None
        values = [line["loss"] for line in history]
        (left,) = axes.plot(epochs, values, color=COLOURS["accent"], linewidth=2, marker=mark)
        axes.set(xlabel="epoch", ylabel="loss")
        _prepare(axes)
        rate = axes.twinx()
        values = [line["lr"] for line in history]
        (right,) = rate.plot(epochs, values, "--", color=COLOURS["records"], linewidth=1.5, marker=mark)
        rate.set_ylabel("learning rate")
        names = ["loss", "learning rate at the epoch's start"]
        axes.figure.legend([left, right], names, loc="outside upper center", ncols=2)

    return drawn("loss over the epochs", HEIGHT, draw)


def flips(report: Mapping) -> str:
    """Share of each layer's weights with another sign than an epoch before."""
    records = report["training"]["weights"]
    epochs = [record["epoch"] for record in records]

    def draw(axes: Any) -> None:
        for name, colour in zip(records[0]["layers"], cycle(LAYERS), strict=False):
            layers = [record["layers"][name] for record in records]
            values = [100 * layer["flips"] / layer["weights"] for layer in layers]
            mark = "o" if len(epochs) == 1 else None
            axes.plot(epochs, values, color=COLOURS[colour], label=plain(name), linewidth=2, marker=mark)
        axes.set(xlabel="epoch", ylabel="weights flipped, %", ylim=(0, None))
        _prepare(axes)
        axes.figure.legend(loc="outside upper center", ncols=4)

    return drawn("flips over the epochs", HEIGHT, draw)


def latents(report: Mapping) -> str:
    """Histograms of each layer's latent weights, after the first epoch (dashed) and the selected one."""
    facts = report["training"]
    records, clip = facts["weights"], facts["latent_clip"]
    chosen = next((r for r in records if r["epoch"] == facts["selected_epoch"]), records[-1])

    def draw(axes: Any) -> None:
        for name, colour in zip(chosen["layers"], cycle(LAYERS), strict=False):
            for record, style, label in ((records[0], "--", None), (chosen, "-", plain(name))):
                layer = record["layers"][name]
                step = 2 * clip / len(layer["histogram"])
                middles = [-clip + step * (index + 0.5) for index in range(len(layer["histogram"]))]
                shares = [100 * count / layer["weights"] for count in layer["histogram"]]
                axes.plot(middles, shares, style, color=COLOURS[colour], label=label, drawstyle="steps-mid")
        axes.set(xlabel=f"latent weight; dashed: after epoch {records[0]['epoch']}, solid: {chosen['epoch']}",
                 ylabel="weights, %", ylim=(0, None))  # fmt: skip
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
        axes.figure.legend(loc="outside upper center", ncols=4)

    return drawn("latent weights", HEIGHT, draw)


def _prepare(axes: Any) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
