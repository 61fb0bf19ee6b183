"""Float networks beside a binarized one: the teacher that it learns from, and the twin that it is compared with.

Both have float weights and float maps behind relu, and cannot be exported. They are runs like any other, in folders of
their own below the run's: a training that is stopped goes on there.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ebnn import arch
from ebnn.errors import ConfigError, NetworkError
from ebnn.files import write_atomic
from ebnn.train import archive, augment, checkpoint, stage
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.evaluate import accuracy, batches
from ebnn.train.losses import FRESH, Index

TEACHER, TWIN, ANSWERS = "teacher", "twin", "answers"  # folders below the run's
TWIN_METRICS = "float_twin_"  # how their names begin in metrics.json
TEACHER_EPOCHS = 30  # at most: float networks need fewer than binarized ones
FLOAT_LR = 0.1  # highest rate of Adam for float weights

Report = Callable[[str], None]


def floating(config: Config, **changes: object) -> Config:
    """The same run with float weights and maps and without what only binarized networks have; with some changes."""
    kept = {name: getattr(config, name) for name in ("dataset", "arch", "epochs", "batch", "warmup", "seed")}
    shared = {
        name: getattr(config, name) for name in ("smoothing", "order", "schedule", "augment", "copies", "reestimate")
    }
    return Config(**(kept | shared | {"weights": "float", "features": "relu", "lr": FLOAT_LR} | changes))


def train_twin(data: Dataset, config: Config, folder: Path | None, report: Report, epochs: int = 0) -> dict:
    """Train the float twin of a run: the same architecture, images and seed.

    Args:
        data: the run's.
        config: the run's.
        folder: the run's; the twin lies in its folder ``twin``, and goes on from there. None: nothing is written.
        report: is called with each line.
        epochs: of the twin; 0: as many as the run's.

    Returns:
        Figures for metrics.json, accuracies from 0 to 1.

    Raises:
        ConfigError: as ``loop.train`` does.
    """
    from ebnn.train import loop

    twin = floating(config, epochs=epochs or config.epochs)
    result = loop.train(data, twin, folder and folder / TWIN, _named("twin", report))
    figures = {name: result.metrics[name] for name in ("held_out_accuracy", "test_accuracy")}
    return {TWIN_METRICS + name: value for name, value in (figures | {"epochs": twin.epochs}).items()}


def find(config: Config, data: Dataset, folder: Path | None, report: Report) -> Teacher:
    """The teacher that a configuration names: a run's folder, or an architecture, which is then trained.

    Args:
        config: the student's; a teacher that is trained first has its batch, seed and augmentation.
        data: what both learn.
        folder: the student's; the teacher is trained in its folder ``teacher``. None: nothing is written.
        report: is called with each line of the teacher's training.

    Raises:
        ConfigError: a text that is neither, a teacher for other images or classes, and what its training raises.
    """
    from ebnn.train import loop, runs

    named = Path(config.teacher)
    if (named / loop.CHECKPOINT).is_file():
        chain = runs.load_run(named)
    else:
        wanted = _architecture(config.teacher, config)
        chain = loop.train(data, wanted, folder and folder / TEACHER, _named("teacher", report)).chain
    teacher = Teacher(chain, data, config, folder)
    teacher.check()
    return teacher


def _architecture(text: str, config: Config) -> Config:
    try:
        arch.parse(text)
    except ConfigError as error:
        raise ConfigError(
            f"teacher {text!r}: neither the folder of a training run nor an architecture ({error})"
        ) from None
    return floating(config, arch=text, epochs=min(config.epochs, TEACHER_EPOCHS), order="pool-norm-sign")


def _named(who: str, report: Report) -> Report:
    return lambda line: report(f"{who}: {line}")


class Teacher:
    """A trained chain and its answers to the training images, which are kept on the disk where images come again.

    Args:
        chain: of any kind; it is not changed.
        data: the images that the student learns.
        config: the student's: seed and augmentation decide what an augmented copy is.
        folder: the student's, or None.
    """

    def __init__(self, chain: chainer.Chain, data: Dataset, config: Config, folder: Path | None) -> None:
        self.chain, self.data, self.config, self.folder = chain, data, config, folder
        self._copy, self._answers = FRESH, np.zeros((0, 0), np.float32)

    def check(self) -> None:
        """Raise ConfigError where the chain takes other images, or knows another number of classes."""
        try:
            classes = self._predict(self.data.x_train[:1]).shape[1]
        except NetworkError as error:
            raise ConfigError(f"teacher {self.config.teacher}: is for other images ({error})") from None
        if classes != len(self.data.labels):
            known = f"knows {classes} classes, {self.data.name} has {len(self.data.labels)}"
            raise ConfigError(f"teacher {self.config.teacher}: {known}")

    def logits(self, images: np.ndarray, index: Index) -> np.ndarray:
        """The teacher's logits of a batch, float32 (N, classes); images that come again are answered once."""
        rows, copy = index
        if copy == FRESH and self.config.augment:
            return self._predict(images)
        copy = max(copy, 0)  # without augmentation every epoch has the same images
        if copy != self._copy:
            self._copy, self._answers = copy, self._answers_to(copy)
        return self._answers[rows]

    def metrics(self) -> dict:
        """The teacher's own accuracy, 0 to 1."""
        data, (_, held_out) = self.data, self.data.split()
        with stage.at(1.0):
            return {
                "teacher_held_out_accuracy": accuracy(self.chain, data.x_train[held_out], data.y_train[held_out]),
                "teacher_test_accuracy": accuracy(self.chain, data.x_test, data.y_test),
            }

    def _predict(self, images: np.ndarray) -> np.ndarray:
        # The student may be in its first stage, which says of every chain that its weights are floats.
        with stage.at(1.0), chainer.using_config("train", False), chainer.no_backprop_mode():
            parts = [chainer.backends.cuda.to_cpu(self.chain(part).array) for part in batches(images)]
        return np.concatenate(parts)

    def _answers_to(self, copy: int) -> np.ndarray:
        """Logits of a whole augmented copy of the training images, float32, from the disk if they are there."""
        path, identity = self.folder and self.folder / ANSWERS / f"{copy}.npz", self._identity()
        kept = _kept(path, identity)
        if kept is not None:
            return kept
        config = self.config
        answers = self._predict(augment.copy_of(self.data.x_train, config.augment, config.seed, copy))
        if path is not None:
            content = io.BytesIO()
            np.savez(content, answers=answers, identity=np.array(identity))
            write_atomic(path, content.getvalue())
        return answers

    def _identity(self) -> str:
        """Hash of all that answers depend on but the copy's number."""
        digest = hashlib.sha256(f"{self.data.sha256} {self.config.augment} {self.config.seed}".encode())
        for name, array in sorted(checkpoint.state_of(self.chain).items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _kept(path: Path | None, identity: str) -> np.ndarray | None:
    """Answers in a file, where it is there, whole, and of this identity."""
    try:
        arrays = archive.read(path) if path else {}
    except (OSError, ValueError):
        return None
    return arrays["answers"] if str(arrays.get("identity")) == identity else None
