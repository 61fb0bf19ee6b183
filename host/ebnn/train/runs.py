"""A training run's folder: train and export into it, read it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ebnn.bundle import DEFAULT_FIT, METRICS_FILE, build_model, read_metrics, write_bundle, write_metrics
from ebnn.calibrate import DEFAULT_SURE, Sureness, find_margin, measure
from ebnn.errors import ConfigError, ExportError
from ebnn.format import Use
from ebnn.network import Network
from ebnn.plan import Fit
from ebnn.prepare import Preparation, parse
from ebnn.sim import Simulator
from ebnn.train import checkpoint, distributed, model
from ebnn.train.compat import chainer
from ebnn.train.config import Config, from_dict
from ebnn.train.data import Dataset
from ebnn.train.loop import CHECKPOINT, LOG, Report, train
from ebnn.train.lower import lower
from ebnn.train.teacher import TWIN_METRICS, train_twin


@dataclass(frozen=True)
class Wish:
    """What an export should be like.

    Args:
        fit: the device's memory for speed (``ebnn.plan.make_plan``).
        preparation: is recorded: how pictures became the images of the data set. None: as the data set says.
        sure: share of right ones that the sure answers should reach on the held-out images; 0: no margin is calibrated.
        twin: epochs of the float twin that is trained too, its accuracy then stands in the metrics, and stays there; 0:
            as many as the run has; None: no twin is trained.
    """

    fit: Fit = DEFAULT_FIT
    preparation: Preparation | None = None
    sure: float = DEFAULT_SURE
    twin: int | None = None


DEFAULT_WISH = Wish()


def train_and_export(
    data: Dataset, config: Config, folder: str | Path, report: Report = print, wish: Wish = DEFAULT_WISH
) -> dict:
    """Train ``config.arch`` on ``data`` (or go on, or find it finished) and export the best epoch into ``folder``.

    The integers have the last word: simulated, they must put as many test images into their class as the trainer.
    They also say from which margin on an answer is sure. A float network (``Config.is_binary``) has no integers: its
    metrics are all that is written.

    Returns:
        The metrics as in metrics.json; accuracies from 0 to 1.

    Raises:
        ConfigError: as ``train`` does, where the images cannot be prepared as ``wish`` says, and for a twin of floats.
        ExportError: when trainer and integers disagree.
    """
    preparation = _preparation(data, wish)
    if wish.twin is not None and not config.is_binary:
        raise ConfigError("a float network (weights float or features relu) has no float twin: leave --twin out")
    if not distributed.team().first:
        return _beside_the_first(data, config, report, wish)
    result = train(data, config, folder, report)
    if not config.is_binary:
        report("a float network (weights float or features relu): there is no model to export")
        write_metrics(result.metrics, Path(folder))
        return result.metrics
    network = lower(result.chain, data.x_test[:1], telling(data.labels))
    accuracy = float((Simulator(network).run(data.x_test).argmax(axis=1) == data.y_test).mean())
    if accuracy != result.metrics["test_accuracy"]:
        reached = f"the integers reach {accuracy}, the trainer {result.metrics['test_accuracy']}"
        raise ExportError(f"{folder}: {reached}: please report this")
    metrics = result.metrics | {"model_bytes": len(build_model(network, wish.fit))}
    metrics |= _twin_metrics(Path(folder))
    if wish.twin is not None:
        metrics |= train_twin(data, config, Path(folder), report, wish.twin)
    if preparation is not None:
        metrics |= {"prepare": str(preparation)}
    if wish.sure:
        found = calibrate(network, data, wish.sure)
        report(f"held-out images: {found or f'no margin makes {100 * wish.sure:g} % of the sure answers right'}")
        metrics |= calibration_metrics(found, wish.sure) if found else {}
    use = Use(metrics.get("margin", 0), preparation)
    write_bundle(network, folder, metrics, config.to_toml(), wish.fit, use)
    return metrics


def _beside_the_first(data: Dataset, config: Config, report: Report, wish: Wish) -> dict:
    """What another process than the first one does: its share of every training. It writes nothing."""
    result = train(data, config, None, report)
    if wish.twin is not None:
        train_twin(data, config, None, report, wish.twin)
    return result.metrics


def _twin_metrics(folder: Path) -> dict:
    """What an earlier export into the run's folder says of the float twin."""
    measured = read_metrics(folder / METRICS_FILE) or {}
    return {name: value for name, value in measured.items() if name.startswith(TWIN_METRICS)}


def _preparation(data: Dataset, wish: Wish) -> Preparation | None:
    """What the model records of its pictures: the wish, which the data set's own making must bear out."""
    wanted, made = wish.preparation, data.preparation
    if wanted is None:
        return made
    wanted.check("u8", data.shape[2])
    if made is not None and wanted.resize != made.resize:
        raise ConfigError(f"preparation {wanted}: the images of {data.name} were made by {made}")
    return wanted


def calibrate(network: Network, data: Dataset, wanted: float) -> Sureness | None:
    """The least margin with which so large a share (0 to 1) of the sure answers is right, on the held-out images.

    They have selected the epoch, but no weight; test images have no part in it. None: no margin reaches that.
    """
    _, held_out = data.split()
    classes = data.y_train[held_out]
    scores = Simulator(network).run(data.x_train[held_out])
    margin = find_margin(scores, classes, wanted)
    return None if margin is None else measure(scores, classes, margin)


def calibration_metrics(found: Sureness, wanted: float) -> dict:
    """What metrics.json says of a calibration."""
    return {
        "margin": found.margin,
        "sure_wanted": wanted,
        "held_out_coverage": found.coverage,
        "held_out_sure_accuracy": found.accuracy,
    }


def load_run(folder: str | Path) -> chainer.Chain:
    """The chain of a run's best epoch.

    Raises:
        ConfigError: the folder holds no run, or one of a person's own chain.
    """
    return _load(Path(folder))[0]


def export_run(
    folder: str | Path, out: str | Path, fit: Fit = DEFAULT_FIT, preparation: Preparation | None = None
) -> bytes:
    """Export a run's best epoch into another folder; returns the model file.

    Its margin is that of the run's metrics.json, and so is its preparation where none is given.

    Raises:
        ConfigError: as ``load_run`` does, and where metrics.json is damaged.
    """
    chain, facts = _load(Path(folder))
    network = lower(chain, np.zeros((1, *facts["shape"]), np.uint8), telling(facts["labels"]))
    path = Path(folder) / METRICS_FILE
    measured = read_metrics(path)
    use = _used(measured or {}, path)
    if preparation is not None:
        use, measured = replace(use, preparation=preparation), (measured or {}) | {"prepare": str(preparation)}
    return write_bundle(network, out, measured, from_dict(facts["run"]["config"], str(folder)).to_toml(), fit, use)


def _used(measured: dict, where: Path) -> Use:
    """What the metrics say of a model's use."""
    margin, prepare = measured.get("margin", 0), measured.get("prepare", "")
    if type(margin) is not int or type(prepare) is not str:
        raise ConfigError(f"{where}: margin {margin!r} and prepare {prepare!r} must be a whole number and a text")
    try:
        return Use(margin, parse(prepare) if prepare else None)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


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
    chain = model.build(config, tuple(facts["shape"]))
    checkpoint.restore(chain, parts["best"], path)
    return chain, facts


def telling(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, or none where they are only the numbers of the classes: those would take bytes and tell nothing."""
    return () if list(labels) == [str(index) for index in range(len(labels))] else tuple(labels)
