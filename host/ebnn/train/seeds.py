"""The same training with several seeds: the best on the held-out images comes out, with the spread of all.

The test images of each seed are classified once, and choose nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ebnn.bundle import write_metrics
from ebnn.errors import ConfigError
from ebnn.files import write_atomic
from ebnn.intervals import interval
from ebnn.tables import Table
from ebnn.train.config import Config
from ebnn.train.loop import CHECKPOINT, CONFIG, prepare
from ebnn.train.pool import Pool, Source, Task
from ebnn.train.runs import Wish, export_run

FEWEST = 3  # values that an interval is told of
SPREAD = {"": "test_accuracy", "held_out_": "held_out_accuracy"}  # prefixes of the keys in a spread
SHOWN = ("held_out_accuracy", "last_epoch_held_out_accuracy", "test_accuracy", "last_epoch_test_accuracy")


@dataclass(frozen=True)
class Seeds:
    """Trainings that differ in their seed only.

    Args:
        source, wish: as in ``pool.Task``.
        config: the first one.
        count: how many, with the seeds from the first one's on.
        folder: each trains in ``seed-N`` in it; the selected one is exported into it.
    """

    source: Source
    config: Config
    count: int
    folder: Path
    wish: Wish

    @property
    def tasks(self) -> list[Task]:
        """One a seed."""
        configs = [self.config.replace(seed=self.config.seed + step) for step in range(self.count)]
        return [Task(self.folder_of(config.seed), self.source, config, self.wish) for config in configs]

    def folder_of(self, seed: int) -> Path:
        """The folder of a seed's run."""
        return self.folder / f"seed-{seed}"


def train_seeds(seeds: Seeds, pool: Pool) -> tuple[dict, Table]:
    """Train all seeds, and export the one that is best on the held-out images; of equal ones the first.

    Returns:
        metrics.json of the selected one with ``seed`` and ``seeds`` (``spread``), and a table of all.

    Raises:
        ConfigError: a seed failed, or its folder holds another run; the others are kept. The folder of all belongs to
            others, or to a run of one seed.
    """
    prepare(seeds.folder)
    if (seeds.folder / CHECKPOINT).exists():
        raise ConfigError(f"{seeds.folder}: holds a run of one seed: name another folder for several")
    tasks = seeds.tasks
    pool.perform("seeds", tasks)
    if pool.failed:
        raise ConfigError(f"{len(pool.failed)} of {len(tasks)} seeds failed: {next(iter(pool.failed.values()))}")
    all_metrics = [task.metrics for task in tasks]
    numbers = [task.config.seed for task in tasks]
    best = max(range(len(tasks)), key=lambda index: all_metrics[index]["held_out_accuracy"])
    found = all_metrics[best] | {"seed": numbers[best], "seeds": spread(numbers, all_metrics)}
    _export(tasks[best], seeds, found)
    return found, table(numbers, all_metrics)


def _export(task: Task, seeds: Seeds, metrics: dict) -> None:
    """Write the selected run's bundle, and the metrics of all beside it."""
    if task.config.is_binary:
        export_run(task.folder, seeds.folder, seeds.wish.fit)
    else:
        write_atomic(seeds.folder / CONFIG, task.config.to_toml())
    write_metrics(metrics, seeds.folder)


def spread(numbers: Sequence[int], all_metrics: Sequence[dict]) -> dict:
    """What metrics.json says of several seeds.

    Returns:
        ``numbers``; ``mean``, ``least`` and ``most`` of the test accuracy, 0 to 1, and, from ``FEWEST`` seeds on,
        ``half``, half the width of the mean's 95 % interval; the same of the held-out images with ``held_out_``
        before.
    """
    found: dict = {"numbers": list(numbers)}
    for prefix, key in SPREAD.items():
        values = [metrics[key] for metrics in all_metrics]
        figures = {"mean": statistics.fmean(values), "least": min(values), "most": max(values)}
        figures |= {"half": interval(values).half} if len(values) >= FEWEST else {}
        found |= {f"{prefix}{name}": value for name, value in figures.items()}
    return found


def table(numbers: Sequence[int], all_metrics: Sequence[dict]) -> Table:
    """A line a seed, and a line each for mean, least and most."""
    columns = [[metrics[key] for metrics in all_metrics] for key in SHOWN]
    rows = [
        (str(number), *(_percent(metrics[key]) for key in SHOWN))
        for number, metrics in zip(numbers, all_metrics, strict=True)
    ]
    rows += [(name, *(_percent(of(values)) for values in columns)) for name, of in _SUMMARY.items()]
    if len(numbers) >= FEWEST:
        rows.append(("95 % interval", *(f"± {_percent(interval(values).half)}" for values in columns)))
    head = ("seed", "held-out %", "last epoch", "test %", "last epoch")
    note = "Selected by the held-out images, epoch and seed. The interval is Student's, of the mean."
    return Table("Seeds", head, tuple(rows), note)


_SUMMARY = {"mean": statistics.fmean, "least": min, "most": max}


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
