"""Successive halving by thirds: all candidates train for a few epochs, the better third of them anew for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebnn.errors import ConfigError
from ebnn.search.limits import Candidate, Limits
from ebnn.train.config import Config
from ebnn.train.pool import Pool, Source, Task, changes, run_key

FACTOR = 3  # one in so many goes on


@dataclass(frozen=True)
class Standing:
    """A candidate and its held-out accuracies (0 to 1), one a rung that it has ended."""

    candidate: Candidate
    accuracies: tuple[float, ...]

    @property
    def rank(self) -> tuple:
        """The larger the better."""
        return len(self.accuracies), self.accuracies[-1:]


@dataclass(frozen=True)
class Search:
    """What is searched, and where its runs lie.

    Args:
        source: of the images.
        base: the configuration but for architecture and epochs.
        limits: what a model may take.
        rungs: epochs of each rung, rising.
        folder: each run is a folder in its ``runs``, named by what decides the run: a search with other limits or
            rungs finds there what it has in common with an earlier one.

    Raises:
        ConfigError: the rungs do not rise, or a float network is asked for.
    """

    source: Source
    base: Config
    limits: Limits
    rungs: tuple[int, ...]
    folder: Path

    def __post_init__(self) -> None:
        if list(self.rungs) != sorted({*self.rungs}) or self.rungs[0] < 1:
            raise ConfigError(f"epochs must rise from rung to rung, got {', '.join(map(str, self.rungs))}")
        if not self.base.is_binary:
            raise ConfigError("a float network (weights float or features relu) takes no bytes that could be limited")

    def task(self, candidate: Candidate, epochs: int) -> Task:
        """The run of a candidate in a rung."""
        config = self.base.replace(arch=candidate.arch, epochs=epochs)
        key = run_key(self.source.data, self.source.images, changes(config))
        return Task(self.folder / "runs" / f"{candidate.arch}_{epochs}_{key}", self.source, config)

    def accuracy(self, candidate: Candidate, epochs: int) -> float | None:
        """Held-out accuracy after a rung; None where it has not ended, or training made too large a model."""
        metrics = self.task(candidate, epochs).metrics
        return None if metrics is None or metrics["model_bytes"] > self.limits.bytes else metrics["held_out_accuracy"]

    def standings(self, candidates: Sequence[Candidate]) -> list[Standing]:
        """Those that have ended the first rung, the best first."""
        found = []
        for candidate in candidates:
            reached = [self.accuracy(candidate, epochs) for epochs in self.rungs]
            ended = reached.index(None) if None in reached else len(reached)
            if ended:
                found.append(Standing(candidate, tuple(reached[:ended])))
        return sorted(found, key=lambda standing: standing.rank, reverse=True)


def conduct(
    search: Search,
    candidates: Sequence[Candidate],
    pool: Pool,
    show: Callable[[list[Standing]], None] = lambda found: None,
) -> list[Standing]:
    """Train what is missing; returns the standings.

    Args:
        search: what to do.
        candidates: of the first rung.
        pool: trains.
        show: is called with the standings whenever a run has ended.

    Raises:
        ConfigError: every run of a rung failed, or a process died.
        KeyboardInterrupt: passed on; what was trained is kept.
    """
    going = list(candidates)
    for epochs in search.rungs:
        tasks = [search.task(candidate, epochs) for candidate in going]
        pool.perform(f"{epochs} epochs", tasks, lambda _: show(search.standings(candidates)))
        reached = {candidate: search.accuracy(candidate, epochs) for candidate in going}
        ended = [candidate for candidate in going if reached[candidate] is not None]
        if not ended:
            raise ConfigError(f"none of {len(going)} candidates ended {epochs} epochs within the limits")
        going = sorted(ended, key=lambda candidate: -reached[candidate])[: max(1, len(ended) // FACTOR)]
    return search.standings(candidates)
