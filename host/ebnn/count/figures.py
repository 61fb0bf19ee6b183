"""docs/figures.toml: what other engines take, and this project's goals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ebnn.count import cases, cores, tables
from ebnn.errors import ConfigError
from ebnn.files import read_toml, repo_root

UNITS = ("instructions", "per 32 binary MACs", "per byte MAC")
THUMB2 = ("m3", "m4", "m7", "m33")


@dataclass(frozen=True)
class Peer:
    """Another engine's instructions for a network of the bench, counted apart from it."""

    who: str
    network: str
    core: str
    instructions: int


@dataclass(frozen=True)
class Published:
    """What a peer's authors say that it takes on a Cortex-M7 at 216 MHz."""

    who: str
    network: str
    milliseconds: int
    ram_kb: int


@dataclass(frozen=True)
class Goal:
    """At most so much on a core; ``scratch`` and ``arena`` are bytes that the row may take, or None."""

    case: str
    core: str
    unit: str
    at_most: float
    scratch: int | None = None
    arena: int | None = None

    @property
    def title(self) -> str:
        """The case with its limit."""
        limits = (("scratch", self.scratch), ("arena", self.arena))
        return ", ".join([self.case, *(f"{name} at most {value:,} B" for name, value in limits if value)])


@dataclass(frozen=True)
class Figures:
    """The whole file; ``notes`` says who each peer is."""

    peers: tuple[Peer, ...]
    notes: dict[str, str]
    published: tuple[Published, ...]
    goals: tuple[Goal, ...]


def load() -> Figures:
    """Read the file.

    Raises:
        ConfigError: it names a case, a core or a unit that does not exist.
    """
    path = repo_root() / "docs" / "figures.toml"
    content = read_toml(path)
    peers = tuple(peer for entry in content["peer"] for peer in _peers(entry))
    goals = tuple(goal for entry in content["goal"] for goal in _goals(entry))
    for name, known in (
        *((peer.network, cases.BY_NAME) for peer in peers),
        *((peer.core, cores.BY_NAME) for peer in peers),
        *((goal.case, cases.BY_NAME) for goal in goals),
        *((goal.core, cores.BY_NAME) for goal in goals),
        *((goal.unit, UNITS) for goal in goals),
    ):
        if name not in known:
            raise ConfigError(f"{path}: the bench has no {name}")
    notes = {entry["who"]: entry["note"] for entry in content["peer"]}
    return Figures(peers, notes, tuple(Published(**entry) for entry in content["published"]), goals)


def _peers(entry: dict) -> Iterable[Peer]:
    for network, counts in entry["instructions"].items():
        for core, instructions in counts.items():
            yield Peer(entry["who"], network, core, instructions)


def _goals(entry: dict) -> Iterable[Goal]:
    limits = {"scratch": entry.get("scratch"), "arena": entry.get("arena")}
    for name, value in entry["at_most"].items():
        for core in THUMB2 if name == "thumb2" else (name,):
            yield Goal(entry["case"], core, entry["unit"], value, **limits)


def reached(goal: Goal, rows: Sequence[dict]) -> float | None:
    """The best figure among the rows that keep the goal's limits; None where there is none."""
    found = []
    for row in rows:
        part = tables.subject(row)
        fits = all(
            limit is None or value <= limit
            for limit, value in ((goal.arena, row["arena"]), (goal.scratch, part["scratch"]))
        )
        if row["core"] == goal.core and row["case"] == goal.case and fits:
            found.append(part["instructions"] if goal.unit == "instructions" else tables.cost(row))
    return min(found, default=None)
