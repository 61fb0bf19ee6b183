"""The zoo as tables: for the terminal, and docs/zoo.md with its goals, its peers and the plot's points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ebnn.files import read_toml, repo_root
from ebnn.tables import Table
from ebnn.zoo.models import Entry, commands

CORES = ("m0", "m4")
GOALS_FILE = "docs/zoo.toml"


@dataclass(frozen=True)
class Goal:
    """A test accuracy in percent to reach on a data set.

    Args:
        bytes, arena: what model (without labels) and arena may take; None: anything.
        arch: the network's own shape; empty: any.
        cpu, moonshot: within six hours on the CPU, and beyond; None: no such goal.
    """

    title: str
    dataset: str
    bytes: int | None = None
    arena: int | None = None
    arch: str = ""
    cpu: float | None = None
    moonshot: float | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether a model keeps the goal's limits."""
        found = entry.metrics
        return (
            entry.task == self.dataset
            and self.arch in ("", entry.config.get("arch"))
            and (self.bytes is None or found["model_bytes_without_labels"] <= self.bytes)
            and (self.arena is None or found["arena_bytes"] <= self.arena)
        )


@dataclass(frozen=True)
class Peer:
    """Others' models: (bytes of the weights, test accuracy in percent) each, and where the figures are from."""

    who: str
    dataset: str
    source: str
    points: tuple[tuple[int, float], ...]


def goals() -> tuple[Goal, ...]:
    """What the models are to reach."""
    return tuple(Goal(**entry) for entry in read_toml(repo_root() / GOALS_FILE)["goal"])


def peers() -> tuple[Peer, ...]:
    """What others reach."""
    listed = read_toml(repo_root() / GOALS_FILE)["peer"]
    return tuple(Peer(**{**entry, "points": tuple(map(tuple, entry["points"]))}) for entry in listed)


def table(found: Sequence[Entry]) -> Table:
    """A line a model."""
    head = (
        "model", "data", "architecture", "test %", "seeds: mean", "least", "most", "float twin %", "bytes", "arena",
        *(f"instructions {core.upper()}" for core in CORES),
    )  # fmt: skip
    note = "Bytes of the file without labels; arena beside the input; instructions of one inference, counted."
    return Table("Models", head, tuple(map(_row, found)), note, left=3)


def _row(entry: Entry) -> tuple[str, ...]:
    figures, seeds = entry.metrics, entry.metrics.get("seeds") or {}
    return (
        entry.name,
        str(figures.get("dataset", "")),
        entry.config.get("arch", ""),
        _percent(figures.get("test_accuracy")),
        *(_percent(seeds.get(key)) for key in ("mean", "least", "most")),
        _percent(figures.get("float_twin_test_accuracy")),
        _count(figures.get("model_bytes_without_labels")),
        _count(figures.get("arena_bytes")),
        *(_count((figures.get("instructions") or {}).get(core)) for core in CORES),
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def details(entry: Entry) -> str:
    """One model for the terminal: its figures, a line each, and its commands."""
    shown, figures = table([entry]), entry.metrics
    facts = {
        **dict(zip(shown.head, shown.rows[0], strict=True)),
        "held-out %": f"{_percent(figures['held_out_accuracy'])} after epoch {figures['selected_epoch']}, "
        f"{_percent(figures['last_epoch_held_out_accuracy'])} after the last",
        "seed": figures["seed"],
        "shapes": ", ".join(figures["shapes"]),
        "sha256 of the data": figures["dataset_sha256"],
        "sha256 of the model": figures["model_sha256"],
    }
    width = max(map(len, facts))
    lines = [f"{name:{width}}  {value}" for name, value in facts.items() if value != ""]
    return "\n".join([*lines, f"\n{shown.note}\n", *commands(entry)])


def reached(goal: Goal, found: Sequence[Entry]) -> Entry | None:
    """Of the models that keep a goal's limits, the one that is best on its held-out images."""
    return max(filter(goal.holds, found), key=lambda entry: entry.metrics["held_out_accuracy"], default=None)


def goal_table(found: Sequence[Entry]) -> Table:
    """Goals and what is reached, side by side."""
    lines = []
    for goal in goals():
        best = reached(goal, found)
        accuracy = None if best is None else best.metrics["test_accuracy"]
        lines.append(
            (goal.title, best.name if best else "", _percent(accuracy),
             *(_beside(limit, accuracy) for limit in (goal.cpu, goal.moonshot)))
        )  # fmt: skip
    head = ("goal", "model", "test %", "on the CPU", "moonshot")
    note = "Test accuracy in percent. Of the models within the limits: the best on held-out images."
    return Table("Goals", head, tuple(lines), note, left=2)


def _beside(goal: float | None, accuracy: float | None) -> str:
    if goal is None:
        return ""
    if accuracy is None:
        return f"{goal:.1f}"
    return f"{goal:.1f} {'reached' if 100 * accuracy >= goal else 'missed'}"


def peer_table() -> Table:
    """What others reach, with the sources."""
    lines = [
        (
            peer.who,
            peer.dataset,
            ", ".join(f"{accuracy:.2f} with {size:,}" for size, accuracy in peer.points),
            peer.source,
        )
        for peer in peers()
    ]
    note = "Bytes of the weights alone, where ours are of the whole file; a published KB counts as 1,024 bytes."
    return Table("Others", ("who", "data", "test % with bytes", "source"), tuple(lines), note, left=4)


def front(found: Sequence[Entry]) -> tuple[Entry, ...]:
    """The models that no other of the same data set beats: smaller and as accurate, or as small and more accurate."""

    def worse(one: Entry, other: Entry) -> bool:
        if one.task != other.task:
            return False
        (size, accuracy), (less, more) = _point(one), _point(other)
        return less <= size and more >= accuracy and (less, more) != (size, accuracy)

    return tuple(entry for entry in found if not any(worse(entry, other) for other in found))


def _point(entry: Entry) -> tuple[int, float]:
    return entry.metrics["model_bytes_without_labels"], 100 * entry.metrics["test_accuracy"]


def panels(found: Sequence[Entry]) -> dict[str, dict[str, list[tuple[str, int, float]]]]:
    """By task that others have, too: the (label, bytes, percent) of the models, of their front, and of each peer."""
    known = {peer.dataset for peer in peers()}
    return {task: _series(found, task) for task in dict.fromkeys(entry.task for entry in found) if task in known}


def _series(found: Sequence[Entry], task: str) -> dict[str, list[tuple[str, int, float]]]:
    mine = [entry for entry in found if entry.task == task]
    shown = {
        "ebnn": [(entry.name, *_point(entry)) for entry in mine],
        "front": sorted(((entry.name, *_point(entry)) for entry in front(mine)), key=lambda point: point[1]),
    }
    theirs = {peer.who: [("", *point) for point in peer.points] for peer in peers() if peer.dataset == task}
    return shown | theirs


INTRODUCTION = """# The zoo

Written by `ebnn zoo --add` and `ebnn zoo --refresh`; every figure is checked against the files by
`tests/host/test_zoo.py`. Each model in `firmware/models/` was chosen on held-out training images, among its epochs
and its seeds; its test images were classified once, by the C engine and the simulator, which gave the same scores.
"""


def markdown(found: Sequence[Entry]) -> str:
    """docs/zoo.md."""
    parts = [INTRODUCTION]
    for shown in (goal_table(found), table(found), peer_table()):
        parts.append(f"## {shown.title}\n\n{shown.markdown()}\n")
    parts.append("![test accuracy against bytes](zoo.svg)\n")
    parts.append("## Each again\n")
    for entry in found:
        listed = "\n".join(commands(entry))
        parts.append(f"### {entry.name}\n\n```\n{listed}\n```\n")
    return "\n".join(parts)
