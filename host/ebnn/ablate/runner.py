"""Trains the runs of a study in processes side by side; what has ended is kept, what was stopped goes on.

Each run is a folder of its own (``Run.key``) with the checkpoint of ``ebnn.train.loop``. A process that dies loses at
most an epoch.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebnn.ablate.study import Run, Study
from ebnn.bundle import METRICS_FILE, read_metrics
from ebnn.errors import ConfigError

Report = Callable[[str], None]


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

    def task(self, run: Run, study: Study) -> dict:
        """What ``ebnn.ablate.worker`` performs."""
        values = run.values | ({"teacher": str(self.of(study.teacher_run()))} if run.needs_teacher else {})
        return {
            "data": run.data,
            "data_dir": self.data_dir,
            "images": run.images,
            "folder": str(self.of(run)),
            "values": values,
        }


class Worker:
    """One process that trains; its answers arrive in ``inbox`` as (worker, answer), None when it has died.

    Args:
        log: a file for what it prints besides.
        threads: that it may use; None: as many as ``ebnn.train.parallel`` takes.
    """

    def __init__(self, inbox: queue.Queue, log: Path, threads: int | None) -> None:
        self.log, self.run = log, None
        environment = {**os.environ, **({"EBNN_THREADS": str(threads)} if threads else {})}
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ebnn.ablate.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: queue.Queue) -> None:
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def give(self, run: Run, task: dict) -> None:
        """Hand it the next task."""
        self.run = run
        with contextlib.suppress(BrokenPipeError):  # it has died: its inbox says so
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Stop it at once; its checkpoint stays."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it did not read any more
            self.process.stdin.close()


class Runner:
    """Performs runs in processes that end with the context.

    Args:
        study: whose runs they are.
        place: where they lie.
        jobs: processes; more than one take one thread each.
        report: is called with each line for the person.
        status: is called with a line that the next one may replace.
    """

    def __init__(
        self, study: Study, place: Place, jobs: int = 1, report: Report = print, status: Report = lambda line: None
    ) -> None:
        self.study, self.place, self.jobs, self.report, self.status = study, place, jobs, report, status
        self.failed: dict[str, str] = {}  # sentences by keys of runs
        self.inbox: queue.Queue = queue.Queue()
        self.workers: list[Worker] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        for worker in self.workers:
            worker.end()

    def worker(self, number: int) -> Worker:
        """A process, started when it is first asked for."""
        while number >= len(self.workers):
            self.place.folder.mkdir(parents=True, exist_ok=True)
            log = self.place.folder / f"worker-{len(self.workers)}.log"
            self.workers.append(Worker(self.inbox, log, 1 if self.jobs > 1 else None))
        return self.workers[number]

    def perform(self, title: str, runs: Sequence[Run]) -> None:
        """Train what has not ended of ``runs``, and the teacher before it where one is asked for.

        A run that fails (its loss may be no longer finite) is told and left out; the next call tries it again.

        Raises:
            ConfigError: a process died, or the teacher failed.
            KeyboardInterrupt: passed on; what was trained is kept.
        """
        if any(run.needs_teacher for run in runs):
            teacher = self.study.teacher_run()
            self._all("teacher", [teacher])
            if teacher.key in self.failed:
                raise ConfigError(f"the teacher failed: {self.failed[teacher.key]}")
        self._all(title, runs)

    def _all(self, title: str, runs: Sequence[Run]) -> None:
        different = {run.key: run for run in runs}
        missing = [run for run in different.values() if self.place.metrics(run) is None]
        self.report(f"{title}: {len(different)} runs, {len(missing)} to train")
        if missing:
            _Pass(self, title, missing).complete()


class _Pass:
    """Some runs."""

    def __init__(self, runner: Runner, title: str, runs: Sequence[Run]) -> None:
        self.runner, self.title, self.waiting, self.all = runner, title, list(reversed(runs)), len(runs)
        self.left = {run.key: run.epochs for run in runs}  # epochs to train of every run that has not ended
        self.begun: set[str] = set()
        self.trained, self.start = 0, time.monotonic()

    def complete(self) -> None:
        """Train them all."""
        for number in range(min(self.runner.jobs, self.all)):
            self._next(self.runner.worker(number))
        while self.left:
            self._take(*self.runner.inbox.get())

    def _next(self, worker: Worker) -> None:
        if self.waiting:
            run = self.waiting.pop()
            worker.give(run, self.runner.place.task(run, self.runner.study))

    def _take(self, worker: Worker, answer: dict | None) -> None:
        if answer is None:
            raise ConfigError(f"a training process died: {worker.log} holds what it said; the same command goes on")
        if "epoch" in answer:
            self._count(worker.run, answer["epoch"])
            return
        if "failed" in answer:
            self.runner.failed[worker.run.key] = answer["failed"]
        self.left.pop(worker.run.key)
        self.runner.report(self._line(worker.run, answer))
        self._next(worker)

    def _count(self, run: Run, epoch: int) -> None:
        """So many epochs of a run are trained; the first time it tells what was trained before."""
        left = run.epochs - epoch
        if run.key in self.begun:
            self.trained += self.left[run.key] - left
        self.begun.add(run.key)
        self.left[run.key] = left
        self.runner.status(f"{self.title} {self.all - len(self.left)} of {self.all}, {self._time_left()}")

    def _line(self, run: Run, answer: dict) -> str:
        what = answer.get("failed") or f"held-out {100 * answer['done']['held_out_accuracy']:.2f} %"
        return f"{self.title} {self.all - len(self.left)} of {self.all}: {run.key} {what}, {self._time_left()}"

    def _time_left(self) -> str:
        if not self.trained:
            return "time left unknown"
        minutes = (time.monotonic() - self.start) / self.trained * sum(self.left.values()) / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
