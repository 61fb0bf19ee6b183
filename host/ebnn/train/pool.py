"""Processes that train side by side: what has ended is kept, what was stopped goes on.

Each task trains into a folder of its own with the checkpoint of ``ebnn.train.loop``; a process that dies loses at
most an epoch. The processes are of ``ebnn.train.worker``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebnn.bundle import METRICS_FILE, read_metrics
from ebnn.errors import ConfigError
from ebnn.train.config import Config
from ebnn.train.loop import Report
from ebnn.train.runs import Wish


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Args:
        data, data_dir: as ``ebnn.train.data.load`` takes them.
        images: train on so many; 0: on all but the held-out ones.
    """

    data: str
    data_dir: str | None = None
    images: int = 0


@dataclass(frozen=True)
class Task:
    """One training for a process.

    Args:
        folder: of its run; its name tells the person which one it is.
        source: of the images.
        config: what is trained.
        wish: what the whole run's export should be like. None: no test image is ever looked at, and only the model
            file is written (``ebnn.train.worker``).
    """

    folder: Path
    source: Source
    config: Config
    wish: Wish | None = None

    @property
    def metrics(self) -> dict | None:
        """What it came to; None where it has not ended."""
        return read_metrics(self.folder / METRICS_FILE)


def changes(config: Config) -> dict:
    """The fields that are not the default."""
    usual = dataclasses.asdict(Config())
    return {name: value for name, value in dataclasses.asdict(config).items() if value != usual[name]}


def run_key(data: str, images: int, values: dict) -> str:
    """What tells a run from all others, 12 hexadecimal digits: a name for its folder.

    Args:
        data, images: as in ``Source``.
        values: ``changes`` of the configuration.
    """
    text = json.dumps([data, images, sorted(values.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Worker:
    """One process that trains; its answers arrive in ``inbox`` as (worker, answer), None when it has died.

    Args:
        log: a file for what it prints besides.
        threads: that it may use; None: as many as ``ebnn.train.parallel`` takes.
    """

    def __init__(self, inbox: queue.Queue, log: Path, threads: int | None) -> None:
        self.log, self.task = log, None
        environment = {**os.environ, **({"EBNN_THREADS": str(threads)} if threads else {})}
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ebnn.train.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment,
            )  # fmt: skip
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: queue.Queue) -> None:
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def give(self, task: Task) -> None:
        """Hand it the next task."""
        self.task = task
        with contextlib.suppress(BrokenPipeError):  # it has died: its inbox says so
            pickle.dump(task, self.process.stdin)
            self.process.stdin.flush()

    def end(self) -> None:
        """Stop it at once; its checkpoint stays."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it did not read any more
            self.process.stdin.close()


class Pool:
    """Processes that end with the context.

    Args:
        folder: for what they print besides.
        jobs: processes; more than one take one thread each.
        report: is called with each line for the person.
        status: is called with a line that the next one may replace.
        data: hash of the data set without its test images (``worker.without_test``): what has ended on other data is
            not taken for what is asked for. Empty: it is not compared.
    """

    def __init__(
        self,
        folder: Path,
        jobs: int = 1,
        report: Report = print,
        status: Report = lambda line: None,
        data: str = "",
    ) -> None:
        self.folder, self.jobs, self.report, self.status, self.data = folder, jobs, report, status, data
        self.failed: dict[Path, str] = {}  # sentences by folders of tasks
        self.inbox: queue.Queue = queue.Queue()
        self.workers: list[Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the processes."""
        for worker in self.workers:
            worker.end()

    def worker(self, number: int) -> Worker:
        """A process, started when it is first asked for."""
        while number >= len(self.workers):
            self.folder.mkdir(parents=True, exist_ok=True)
            log = self.folder / f"worker-{len(self.workers)}.log"
            self.workers.append(Worker(self.inbox, log, 1 if self.jobs > 1 else None))
        return self.workers[number]

    def perform(self, title: str, tasks: Sequence[Task], ended: Callable[[Task], None] = lambda task: None) -> None:
        """Train what has not ended of ``tasks``.

        A task that fails (its loss may be no longer finite) is told and left out; the next call tries it again. A
        task with a wish is performed in any case: it compares what lies in its folder with itself.

        Args:
            title: what they are.
            tasks: those with the same folder are one.
            ended: is called with each that was trained, or failed.

        Raises:
            ConfigError: a process died, or a task has ended on other data.
            KeyboardInterrupt: passed on; what was trained is kept.
        """
        different = {task.folder: task for task in tasks}
        for task in different.values() if self.data else ():
            _check_data(task, self.data)
        missing = [task for task in different.values() if task.wish or task.metrics is None]
        self.report(f"{title}: {len(different)} runs, {len(missing)} to train")
        if missing:
            _Pass(self, title, missing, ended).complete()


def _check_data(task: Task, data: str) -> None:
    ended = task.metrics
    if ended is not None and ended.get("dataset_sha256") != data:
        raise ConfigError(f"{task.folder}: was trained when {task.source.data} held other data: name another folder")


class _Pass:
    """Some tasks."""

    def __init__(self, pool: Pool, title: str, tasks: Sequence[Task], ended: Callable[[Task], None]) -> None:
        self.pool, self.title, self.waiting, self.all = pool, title, list(reversed(tasks)), len(tasks)
        # Epochs to train of all that have not ended.
        self.left = {task.folder: task.config.all_epochs for task in tasks}
        self.begun: set[Path] = set()
        self.ended = ended
        self.trained, self.start = 0, time.monotonic()

    def complete(self) -> None:
        """Train them all."""
        for number in range(min(self.pool.jobs, self.all)):
            self._next(self.pool.worker(number))
        while self.left:
            self._take(*self.pool.inbox.get())

    def _next(self, worker: Worker) -> None:
        if self.waiting:
            worker.give(self.waiting.pop())

    def _take(self, worker: Worker, answer: dict | None) -> None:
        if answer is None:
            raise ConfigError(f"a training process died: {worker.log} holds what it said; the same command goes on")
        if "epoch" in answer:
            self._count(worker.task, answer["epoch"])
            return
        task = worker.task
        self.pool.failed.pop(task.folder, None)
        if "failed" in answer:
            self.pool.failed[task.folder] = answer["failed"]
        self.left.pop(task.folder)
        self._next(worker)
        self.pool.report(self._line(task, answer))
        self.ended(task)

    def _count(self, task: Task, epoch: int) -> None:
        """So many epochs of a task are trained; the first time it tells what was trained before."""
        left = task.config.all_epochs - epoch
        if task.folder in self.begun:
            self.trained += self.left[task.folder] - left
        self.begun.add(task.folder)
        self.left[task.folder] = left
        self.pool.status(f"{self.title} {self.all - len(self.left)} of {self.all}, {self._time_left()}")

    def _line(self, task: Task, answer: dict) -> str:
        what = answer.get("failed") or f"held-out {100 * answer['done']['held_out_accuracy']:.2f} %"
        return f"{self.title} {self.all - len(self.left)} of {self.all}: {task.folder.name} {what}, {self._time_left()}"

    def _time_left(self) -> str:
        if not self.trained:
            return "time left unknown"
        minutes = (time.monotonic() - self.start) / self.trained * sum(self.left.values()) / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
