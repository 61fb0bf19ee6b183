"""``python -m ebnn.train.worker``: a process that performs one task after another for ``ebnn.train.pool``.

It reads pickled tasks and answers with lines of JSON: ``{"epoch": N}`` when N epochs are trained (0 or more at the
begin), ``{"done": metrics}`` or ``{"failed": sentence}`` at the end. It ends with its input. The test images are gone
before anything is trained, but where the task has a wish.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ebnn.bundle import MODEL_FILE, build_model, write_metrics
from ebnn.errors import EbnnError, ExportError
from ebnn.files import write_atomic
from ebnn.sim import Simulator
from ebnn.train import data
from ebnn.train.loop import LOG, Result, train
from ebnn.train.lower import lower, predict_scores
from ebnn.train.pool import Source, Task
from ebnn.train.runs import read_log, train_and_export

COMPARED = 256  # held-out images that the integers classify, too


@dataclass(frozen=True, eq=False)
class Visible(data.Dataset):
    """What selection may see of a data set: images to train on, then ``held_out`` images; a blank test image."""

    held_out: int = 0

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """As ``Dataset.split``."""
        order = np.arange(len(self.x_train))
        return order[: -self.held_out], order[-self.held_out :]


def without_test(whole: data.Dataset, images: int) -> Visible:
    """The first ``images`` of a data set's training part (0: all), and the same held-out images as in any other run."""
    training, held_out = whole.split()
    chosen = np.concatenate([training[: images or None], held_out])
    values = {part.name: getattr(whole, part.name) for part in dataclasses.fields(data.Dataset)}
    seen = {"x_train": whole.x_train[chosen], "y_train": whole.y_train[chosen]}
    blank = {"x_test": np.zeros_like(whole.x_test[:1]), "y_test": np.zeros_like(whole.y_test[:1])}
    return Visible(**{**values, **seen, **blank, "held_out": len(held_out)})


@lru_cache(maxsize=1)
def _load(source: Source, whole: bool) -> data.Dataset:
    found = data.load(source.data, source.data_dir)
    return found if whole else without_test(found, source.images)


def perform(task: Task, say: Callable[[dict], None]) -> dict:
    """Train a task's run, or go on with it, and write model and metrics into its folder; returns the metrics.

    Args:
        task: what to do.
        say: is called with ``{"epoch": N}``.

    Raises:
        EbnnError: what training and export raise.
    """
    folder, config, dataset = task.folder, task.config, _load(task.source, task.wish is not None)

    def report(_: str) -> None:
        say({"epoch": len(read_log(folder)) if (folder / LOG).exists() else 0})

    if task.wish:
        return train_and_export(dataset, config, folder, report, task.wish)
    result = train(dataset, config, folder, report)
    metrics = {name: value for name, value in result.metrics.items() if "test" not in name}
    if config.is_binary:
        metrics |= _export(result, dataset, folder)
    write_metrics(metrics, folder)
    return metrics


def _export(result: Result, dataset: Visible, folder: Path) -> dict:
    """Write the model; says what it takes. Its integers must give the trainer's scores on some held-out images."""
    _, held_out = dataset.split()
    images = dataset.x_train[held_out[:COMPARED]]
    network = lower(result.chain, images[:1])
    if (Simulator(network).run(images) != predict_scores(result.chain, images)).any():
        raise ExportError(f"{folder}: integers and trainer give different scores: please report this")
    blob = build_model(network)
    write_atomic(folder / MODEL_FILE, blob)
    return {"model_bytes": len(blob)}


def main() -> int:
    """Perform tasks until the input ends; a task that fails does not end it."""
    say = _answer()
    try:
        while True:
            task = pickle.load(sys.stdin.buffer)
            try:
                say({"done": perform(task, say)})
            except EbnnError as error:
                say({"failed": str(error)})
    except EOFError:
        return 0
    except (KeyboardInterrupt, BrokenPipeError):  # the pool tells the person, or is gone
        return 130


def _answer() -> Callable[[dict], None]:
    """What writes answers to the output that the pool reads; prints of others go to the errors' file."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer: dict) -> None:
        pipe.write(json.dumps(answer) + "\n")
        pipe.flush()

    return say


if __name__ == "__main__":
    sys.exit(main())
