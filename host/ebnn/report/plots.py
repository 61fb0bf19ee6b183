"""Plots as SVG to stand inside of a page: their colours are the page's CSS variables, so they follow its theme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ebnn import cost
from ebnn.report.canvas import library
from ebnn.report.sections import label_name
from ebnn.tables import plain

# matplotlib draws with stand-ins that occur nowhere else; each becomes a CSS variable.
VARIABLES = ("ink", "line", "accent", "weights", "thresholds", "flips", "records", "padding", "bad")
COLOURS = {name: f"#0a0b{index:02x}" for index, name in enumerate(VARIABLES)}
WIDTH = 5.6  # inches: text stays readable where a phone shows the plot smaller
NUMBERS_SHOWN = 12  # classes up to which the confusion matrix has its numbers
NAMES_SHOWN = 24
NAME_LENGTH = 14  # letters beside the matrix

STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **{key: COLOURS["ink"] for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")},
    "axes.edgecolor": COLOURS["line"],
    "legend.frameon": False,
}


def drawn(title: str, height: float, draw: Callable[[Any], None]) -> str:
    """SVG of one plot, for the inside of an HTML page; ``title`` is what a screen reader says."""
    matplotlib = library("the HTML report")
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": title}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # glyphs that matplotlib lacks: the page has its own fonts
        figure = matplotlib.figure.Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Without prolog, sizes, namespaces, fonts and the groups' ids, which repeat; with the page's colours."""
    svg = svg[svg.index("<svg") :]
    head, body = svg.split(">", 1)
    (box,) = re.findall(r'viewBox="([^"]*)"', head)
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)
    return f'<svg viewBox="{box}" role="img" aria-label="{title}">{body}'


def confusion(report: Mapping) -> str:
    """The confusion matrix; darker is more of a row."""
    counts = report["confusion"]
    size = len(counts)

    def draw(axes: Any) -> None:
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                _cell(axes, (row, column), count, sum(line), size)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal", xlabel="answer", ylabel="image is")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        names = [_short(label_name(report, index)) for index in range(size)] if size <= NAMES_SHOWN else []
        axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names), default=0) > 3 else 0)
        axes.set_yticks(range(len(names)), names)

    return drawn("confusion matrix", WIDTH * 0.9, draw)


def _short(name: str) -> str:
    shown = plain(name)
    return shown if len(shown) <= NAME_LENGTH else shown[: NAME_LENGTH - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _cell(axes: Any, place: tuple[int, int], count: int, total: int, size: int) -> None:
    from matplotlib.patches import Rectangle

    row, column = place
    right = row == column
    # Wrong answers are few: without a floor nobody would see them.
    alpha = 0.55 * count / total if right and total else 0.15 + 0.6 * count / total if count else 0.04
    corner = (column - 0.48, row - 0.48)
    colour = COLOURS["accent" if right or not count else "bad"]
    axes.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=colour, alpha=alpha, linewidth=0))
    if size <= NUMBERS_SHOWN and count:
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8)


def training(report: Mapping) -> str:
    """Accuracy over the epochs, on training and held-out images; the selected epoch marked."""
    facts = report["training"]
    history = facts["history"]
    epochs = [line["epoch"] for line in history]

    def draw(axes: Any) -> None:
        for key, name, colour, style in (
            ("train_acc", "training images", "records", "--"),
            ("val_acc", "held-out images", "accent", "-"),
        ):
            values = [100 * line[key] for line in history]
            mark = "o" if len(history) == 1 else None
            axes.plot(epochs, values, style, label=name, color=COLOURS[colour], linewidth=2, marker=mark)
        axes.axvline(facts["selected_epoch"], color=COLOURS["ink"], linewidth=1, linestyle=":", label="selected")
        axes.set(xlabel="epoch", ylabel="accuracy, %")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.8)
        axes.figure.legend(loc="outside upper center", ncols=3)

    return drawn("accuracy over the epochs", 3.2, draw)


def byte_plot(report: Mapping) -> str:
    """Bytes of the file: a bar a layer, the padding apart."""
    facts = report["network"]
    totals = facts["totals"]
    parts = {"weights": ("weights",), "thresholds": ("thresholds", "gains"), "flips": ("flips",)}
    rest = [("header", totals["header_bytes"]), ("labels", totals["label_bytes"])]
    names = [cost.layer_name(layer) for layer in facts["layers"]] + [name for name, _ in rest]
    none = [0.0] * len(rest)
    series = {
        name: [
            sum(layer["bytes"][part] - layer["padding_bits"][part] / 8 for part in found) for layer in facts["layers"]
        ]
        + none
        for name, found in parts.items()
    }
    series["padding"] = [sum(layer["padding_bits"].values()) / 8 for layer in facts["layers"]] + none
    series["records"] = [layer["bytes"]["record"] for layer in facts["layers"]] + [size for _, size in rest]
    legend = {"thresholds": "thresholds, offsets, gains", "records": "records, header, labels"}
    return _bars("bytes of the model file", names, series, legend)


def mac_plot(report: Mapping) -> str:
    """Multiply-accumulates of an inference: a bar a layer."""
    layers = report["network"]["layers"]
    series = {
        "thresholds": [layer["macs_byte"] for layer in layers],
        "accent": [layer["macs_binary"] for layer in layers],
    }
    legend = {"thresholds": "wider", "accent": "1 bit x 1 bit"}
    return _bars("multiply-accumulates of an inference", [cost.layer_name(layer) for layer in layers], series, legend)


def instruction_plot(report: Mapping) -> str:
    """Counted instructions of an inference: a bar a layer."""
    names = [cost.layer_name(layer) for layer in report["network"]["layers"]]
    series = {"accent": list(report["node_instructions"])}
    return _bars("instructions of an inference", names, series, {"accent": "counted on the board"})


def _bars(title: str, names: list[str], series: dict[str, list[float]], legend: dict[str, str]) -> str:
    """Stacked bars across; a series is called by its colour, or by what ``legend`` says."""
    places = range(len(names))

    def draw(axes: Any) -> None:
        left = [0.0] * len(names)
        for name, values in series.items():
            if any(values):
                axes.barh(places, values, left=left, color=COLOURS[name], label=legend.get(name, name), height=0.62)
            left = [a + b for a, b in zip(left, values, strict=True)]
        for place, value in zip(places, left, strict=True):
            axes.annotate(f"{value:,.0f}", (value, place), (4, 0), textcoords="offset points", va="center")
        axes.set_yticks(places, map(plain, names))
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=title, xlim=(0, 1.12 * max(left) or 1))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.xaxis.get_major_locator().set_params(nbins=5)
        axes.tick_params(axis="y", length=0)
        axes.figure.legend(loc="outside upper center", ncols=3)

    return drawn(title, 1.3 + 0.36 * len(names), draw)
