"""Trains the runs of a study in processes side by side (``ebnn.train.pool``); each is a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ebnn.ablate.study import Run, Study
from ebnn.bundle import METRICS_FILE, read_metrics
from ebnn.errors import ConfigError
from ebnn.train.config import from_dict
from ebnn.train.pool import Pool, Report, Source, Task


@dataclass(frozen=True)
class Place:
    """Where runs lie, and where data come from.

    Args:
        folder: of the study.
        data_dir: as ``ebnn.train.data.load`` takes it.
    """

    folder: Path
    data_dir: str | None = None

    def of(self, run: Run) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run.key

    def metrics(self, run: Run) -> dict | None:
        """What a run came to, or None where it has not ended."""
        return read_metrics(self.of(run) / METRICS_FILE)

    def task(self, run: Run, study: Study) -> Task:
        """What a process performs; the study's teacher is a folder there."""
        folder = self.of(run)
        values = run.values | ({"teacher": str(self.of(study.teacher_run()))} if run.needs_teacher else {})
        return Task(folder, Source(run.data, self.data_dir, run.images), from_dict(values, str(folder)))


class Runner(Pool):
    """The processes of a study; they end with the context.

    Args:
        study: whose runs they train.
        place: where these lie.
        jobs, report, status: as in ``Pool``.
    """

    def __init__(
        self, study: Study, place: Place, jobs: int = 1, report: Report = print, status: Report = lambda line: None
    ) -> None:
        super().__init__(place.folder, jobs, report, status)
        self.study, self.place = study, place

    def train(self, title: str, runs: Sequence[Run]) -> None:
        """Train what has not ended of ``runs``, and the teacher before it where one is asked for.

        Raises:
            ConfigError: the teacher failed, and as ``perform``.
            KeyboardInterrupt: passed on; what was trained is kept.
        """
        if any(run.needs_teacher for run in runs):
            teacher = self.place.task(self.study.teacher_run(), self.study)
            self.perform("teacher", [teacher])
            if teacher.folder in self.failed:
                raise ConfigError(f"the teacher failed: {self.failed[teacher.folder]}")
        self.perform(title, [self.place.task(run, self.study) for run in runs])
