"""A training run's folder: train and export into it, read it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebnn.bundle import DEFAULT_FIT, METRICS_FILE, build_model, write_bundle
from ebnn.errors import ConfigError, ExportError
from ebnn.plan import Fit
from ebnn.sim import Simulator
from ebnn.train import checkpoint, model
from ebnn.train.compat import chainer
from ebnn.train.config import Config, from_dict
from ebnn.train.data import Dataset
from ebnn.train.loop import CHECKPOINT, LOG, Report, train
from ebnn.train.lower import lower


def train_and_export(
    data: Dataset, config: Config, folder: str | Path, report: Report = print, fit: Fit = DEFAULT_FIT
) -> dict:
    """Train ``config.arch`` on ``data`` (or go on, or find it finished) and export the best epoch into ``folder``.

    ``fit`` trades the device's memory for speed (``ebnn.plan.make_plan``). The integers have the last word:
    simulated, they must put as many test images into their class as the trainer.

    Returns:
        The metrics as in metrics.json; accuracies from 0 to 1.

    Raises:
        ConfigError: as ``train`` does.
        ExportError: when trainer and integers disagree.
    """
    result = train(data, config, folder, report)
    network = lower(result.chain, data.x_test[:1], _telling(data.labels))
    accuracy = float((Simulator(network).run(data.x_test).argmax(axis=1) == data.y_test).mean())
    if accuracy != result.metrics["test_accuracy"]:
        reached = f"the integers reach {accuracy}, the trainer {result.metrics['test_accuracy']}"
        raise ExportError(f"{folder}: {reached}: please report this")
    metrics = result.metrics | {"model_bytes": len(build_model(network, fit))}
    write_bundle(network, folder, metrics, config.to_toml(), fit)
    return metrics


def load_run(folder: str | Path) -> chainer.Chain:
    """The chain of a run's best epoch.

    Raises:
        ConfigError: the folder holds no run, or one of a person's own chain.
    """
    return _load(Path(folder))[0]


def export_run(folder: str | Path, out: str | Path, fit: Fit = DEFAULT_FIT) -> bytes:
    """Export a run's best epoch into another folder; returns the model file.

    Raises:
        ConfigError: as ``load_run`` does, and where metrics.json is damaged.
    """
    chain, facts = _load(Path(folder))
    network = lower(chain, np.zeros((1, *facts["shape"]), np.uint8), _telling(facts["labels"]))
    measured = _measured(Path(folder) / METRICS_FILE)
    return write_bundle(network, out, measured, from_dict(facts["run"]["config"], str(folder)).to_toml(), fit)


def _measured(path: Path) -> dict | None:
    if not path.exists():
        return None
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: is damaged ({error}): remove it to export without figures") from None
    if not isinstance(measured, dict):
        raise ConfigError(f"{path}: is not a JSON object: remove it to export without figures")
    return measured


def read_log(folder: str | Path) -> list[dict]:
    """The epochs of a run, a dict each (see ``loop.Epoch``)."""
    lines = (Path(folder) / LOG).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _load(folder: Path) -> tuple[chainer.Chain, dict]:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ConfigError(f"{folder}: holds no training run ({CHECKPOINT} is missing); ebnn train makes one")
    parts, facts = checkpoint.load(path)
    config = from_dict(facts["run"]["config"], str(path))
    if not config.arch:
        raise ConfigError(f"{path}: is of a chain of your own: export it where it is defined, with ebnn.export")
    chain = model.build(config.arch, tuple(facts["shape"]), config.estimator, config.seed)
    checkpoint.restore(chain, parts["best"], path)
    return chain, facts


def _telling(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, or none where they are only the numbers of the classes: those would take bytes and tell nothing."""
    return () if list(labels) == [str(index) for index in range(len(labels))] else tuple(labels)
