"""What a search found, for a person: a table, a plot, and the configuration of the best."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ebnn import estimate
from ebnn.files import write_atomic
from ebnn.search.halving import FACTOR, Search, Standing
from ebnn.search.limits import Candidate
from ebnn.tables import Table

BEST_FILE = "best.toml"
PAGE_FILE = "search.md"
PLOT_FILE = "search.svg"
NOTE = "Bytes are the most that training can make of a model; cycles or instructions are estimated."


def table(search: Search, standings: Sequence[Standing], most: int | None = None) -> Table:
    """A line an architecture, the best first; at most ``most``."""
    rows = [(*_costs(standing.candidate), *_reached(standing, len(search.rungs))) for standing in standings[:most]]
    head = (*_head(search), *(f"{epochs} epochs" for epochs in search.rungs))
    note = f"The best {len(rows)} of {len(standings)} that were trained: held-out accuracy in percent. {NOTE}"
    return Table("Architectures", head, tuple(rows), note)


def candidate_table(search: Search, candidates: Sequence[Candidate]) -> Table:
    """A line an architecture that is to be tried."""
    return Table("Architectures", _head(search), tuple(map(_costs, candidates)), NOTE)


def _head(search: Search) -> tuple[str, ...]:
    core = search.limits.core
    work = "cycles" if estimate.rates()["cores"][core]["cycles"] else "instructions"
    return ("architecture", "bytes", "arena", "MACs", f"{work}, {core}")


def _costs(found: Candidate) -> tuple[str, ...]:
    return (found.arch, *(f"{figure:,}" for figure in (found.bytes, found.arena, found.macs, found.cycles)))


def _reached(standing: Standing, rungs: int) -> list[str]:
    shown = [f"{100 * accuracy:.2f}" for accuracy in standing.accuracies]
    return shown + [""] * (rungs - len(shown))


def write(search: Search, standings: Sequence[Standing]) -> Path:
    """Write table, plot and the best configuration into the search's folder; returns the latter's path.

    Raises:
        EbnnError: matplotlib is missing.
    """
    from ebnn.report.search import plot

    best = search.task(standings[0].candidate, search.rungs[-1]).config
    path = write_atomic(search.folder / BEST_FILE, best.to_toml())
    write_atomic(search.folder / PAGE_FILE, _page(search, standings))
    rungs = {
        f"{epochs} epochs": [(s.candidate.bytes, 100 * s.accuracies[k]) for s in standings if len(s.accuracies) > k]
        for k, epochs in enumerate(search.rungs)
    }
    write_atomic(search.folder / PLOT_FILE, plot(f"{search.source.data}: {search.limits}", rungs))
    return path


def _page(search: Search, standings: Sequence[Standing]) -> str:
    shown = table(search, standings)
    intro = f"Data {search.source.data}; {search.limits}; seed {search.base.seed}."
    return f"# {shown.title}\n\n{intro}\n\n![held-out accuracy against bytes]({PLOT_FILE})\n\n{shown.markdown()}\n"


def next_command(search: Search, jobs: int) -> str:
    """What a person types to train the best architecture for longer."""
    place = ["--data-dir", search.source.data_dir] if search.source.data_dir else []
    words = ["ebnn", "train", "--config", str(search.folder / BEST_FILE), *place,
             "--epochs", str(FACTOR * search.rungs[-1]), "--seeds", "3", "--jobs", str(jobs),
             "--fit", search.limits.fit, "--out", str(search.folder / "best")]  # fmt: skip
    return shlex.join(words)
