"""From a trained chain, or the folder of a training run, to the output folder of an export."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ebnn.bundle import build_model, write_bundle
from ebnn.errors import ConfigError
from ebnn.network import Network
from ebnn.train import checkpoint, model
from ebnn.train.compat import chainer
from ebnn.train.config import Config, from_dict
from ebnn.train.data import Dataset
from ebnn.train.loop import CHECKPOINT, LOG, Report, train
from ebnn.train.lower import lower, predict_scores

__all__ = ["export", "export_run", "load_run", "predict_scores", "read_log", "train_and_export"]


def export(
    chain: chainer.Chain,
    x: np.ndarray,
    folder: str | Path,
    labels: Sequence[str] = (),
    metrics: Mapping | None = None,
    config: str | None = None,
) -> Network:
    """Fold a trained chain into integers and write model.ebnn, the frozen module, C header and the rest.

    Args:
        chain: maps images to the logits of ``Scores``; see ``ebnn.train.lower`` for what it may consist of.
        x: one image or more as the chain takes them, (N, H, W, C) uint8.
        folder: made where it is missing.
        labels: names of the classes.
        metrics: figures of the training, for metrics.json.
        config: the training's configuration as TOML text, for config.toml.

    Returns:
        The network that was written.

    Raises:
        ExportError: naming the link or the function that cannot be exported.
    """
    network = lower(chain, x, labels)
    write_bundle(network, folder, metrics, config)
    return network


def train_and_export(data: Dataset, config: Config, folder: str | Path, report: Report = print) -> dict:
    """Train ``config.arch`` on ``data``, or finish the run that ``folder`` holds, and export into ``folder``.

    Returns:
        The metrics that stand in metrics.json, accuracies from 0 to 1; ``model_bytes`` is the model file.

    Raises:
        ConfigError, ExportError: as ``train`` and ``export`` do.
    """
    result = train(data, config, folder, report)
    network = lower(result.chain, data.x_test[:1], _telling(data.labels))
    metrics = result.metrics | {"model_bytes": len(build_model(network))}
    write_bundle(network, folder, metrics, config.to_toml())
    return metrics


def load_run(folder: str | Path) -> chainer.Chain:
    """The selected chain of a training run.

    Raises:
        ConfigError: when the folder holds no run, or one of a person's own chain.
    """
    return _load(Path(folder))[0]


def export_run(source: str | Path, folder: str | Path) -> bytes:
    """Export the selected chain of the training run in ``source``; returns the model file.

    Raises:
        ConfigError: as ``load_run`` does.
    """
    chain, facts = _load(Path(source))
    sample = np.zeros((1, *facts["shape"]), np.uint8)
    config = from_dict(facts["run"]["config"], str(source))
    return write_bundle(lower(chain, sample, _telling(facts["labels"])), folder, None, config.to_toml())


def _telling(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, or none where they are only the numbers of the classes: they would take bytes and tell nothing."""
    return () if list(labels) == [str(index) for index in range(len(labels))] else tuple(labels)


def _load(folder: Path) -> tuple[chainer.Chain, dict]:
    path = folder / CHECKPOINT
    if not path.exists():
        raise ConfigError(f"{folder}: holds no training run ({CHECKPOINT} is missing)")
    parts, facts = checkpoint.load(path)
    config = from_dict(facts["run"]["config"], str(path))
    if not config.arch:
        raise ConfigError(f"{path}: is of a chain of your own: export it where it is defined, with ebnn.export")
    chain = model.build(config.arch, tuple(facts["shape"]), config.estimator, config.seed)
    checkpoint.restore(chain, parts["best"])
    return chain, facts


def read_log(folder: str | Path) -> list[dict]:
    """One record an epoch: epoch, lr, loss, train_accuracy, held_out_accuracy, best_accuracy, seconds."""
    lines = (Path(folder) / LOG).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
