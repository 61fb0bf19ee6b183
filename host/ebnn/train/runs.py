"""A training run's folder: train and export into it, read it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ebnn.bundle import CONFIG_FILE, METRICS_FILE, write_bundle
from ebnn.errors import ConfigError
from ebnn.sim import Simulator
from ebnn.train import checkpoint, config, loop, model
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.lower import lower


def train_and_export(data: Dataset, how: Config, folder: Path, report: Callable[[str], None] = print) -> dict:
    """Train into ``folder`` (or go on, or find it finished), export the best epoch there, return the metrics.

    The integers have the last word: the exported file, read back and simulated, must put every test image into the
    same class as the trainer.

    Raises:
        ConfigError: the folder holds another run, the loss is not finite, or trainer and integers disagree.
    """
    result = loop.train(data, how, folder, report)
    network = lower(result.chain, data.x_test[:1], data.labels)
    metrics = {**result.metrics, "input_shape": list(data.shape), "labels": list(data.labels)}
    accuracy = float((Simulator(network).run(data.x_test).argmax(axis=1) == data.y_test).mean())
    if accuracy != metrics["test_accuracy"]:
        raise ConfigError(f"integers reach {accuracy}, the trainer {metrics['test_accuracy']}: please report this")
    metrics["model_bytes"] = len(write_bundle(network, folder, metrics, how.to_toml()))
    return metrics


def load_run(folder: Path) -> chainer.Chain:
    """The chain of a finished run's best epoch.

    Raises:
        ConfigError: the folder holds no finished run.
    """
    metrics = _metrics(folder)
    how = config.read(folder / CONFIG_FILE)
    chain = model.build(how.arch, tuple(metrics["input_shape"]), how.estimator, how.seed)
    parts, _ = checkpoint.load(folder / loop.CHECKPOINT)
    checkpoint.restore(chain, parts["best"])
    return chain


def export_run(folder: Path, out: Path) -> bytes:
    """Export a finished run's best epoch into another folder; returns the model file."""
    metrics = _metrics(folder)
    sample = np.zeros((1, *metrics["input_shape"]), np.uint8)
    network = lower(load_run(folder), sample, metrics["labels"])
    return write_bundle(network, out, metrics, (folder / CONFIG_FILE).read_text(encoding="utf-8"))


def read_log(folder: Path) -> list[dict]:
    """The epochs of a run, a dict each (see loop.Epoch)."""
    lines = (folder / loop.LOG).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _metrics(folder: Path) -> dict:
    for name in (METRICS_FILE, CONFIG_FILE, loop.CHECKPOINT):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} holds no finished training run: {name} is missing; ebnn train makes one")
    return json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
