"""Losses: from logits (N, classes) and classes (N,) to a scalar Variable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.functions import Variable

if TYPE_CHECKING:
    from ebnn.train.teacher import Teacher

FRESH = -1  # no cached copy: the images were augmented for this step alone
Index = tuple[np.ndarray, int]  # rows of the training images, and the number of their augmented copy, or FRESH


class Objective:
    """The loss of a run: cross entropy with smoothed labels.

    Args:
        smoothing: of ``smoothed_cross_entropy``.
    """

    def __init__(self, smoothing: float) -> None:
        self.smoothing = smoothing

    def __call__(self, logits: Variable, images: np.ndarray, classes: np.ndarray, index: Index) -> Variable:
        """The loss of a batch: ``images`` are uint8 as the network got them, ``index`` tells where they came from."""
        return smoothed_cross_entropy(logits, classes, self.smoothing)

    def metrics(self) -> dict:
        """Figures for metrics.json, besides the network's own."""
        return {}


class Distilled(Objective):
    """(1 - distill) * cross entropy + distill * ``divergence`` from the teacher's answers.

    Args:
        config: smoothing, distill, temperature.
        teacher: gives the answers.
    """

    def __init__(self, config: Config, teacher: Teacher) -> None:
        super().__init__(config.smoothing)
        self.share, self.temperature, self.teacher = config.distill, config.temperature, teacher

    def __call__(self, logits: Variable, images: np.ndarray, classes: np.ndarray, index: Index) -> Variable:
        labelled = super().__call__(logits, images, classes, index)
        taught = divergence(logits, self.teacher.logits(images, index), self.temperature)
        return (1 - self.share) * labelled + self.share * taught

    def metrics(self) -> dict:
        """What the teacher itself reaches."""
        return self.teacher.metrics()


def objective(config: Config, data: Dataset, folder: Path | None, report: Callable[[str], None]) -> Objective:
    """The loss of a run.

    Args:
        config: smoothing, distill, temperature, teacher.
        data: what is trained on.
        folder: of the run; a teacher that must be trained first is trained beside it, and its answers are kept there.
        report: is called with each line that a teacher's training prints.

    Raises:
        ConfigError: a teacher that cannot be had, or does not fit the data.
    """
    if not config.distill:
        return Objective(config.smoothing)
    from ebnn.train import teacher

    return Distilled(config, teacher.find(config, data, folder, report))


def smoothed_cross_entropy(logits: Variable, classes: np.ndarray, smoothing: float) -> Variable:
    """Softmax cross entropy with targets (1 - smoothing) * one-hot + smoothing / classes.

    Source: Szegedy et al., "Rethinking the Inception Architecture" (2016).
    """
    loss = chainer.functions.softmax_cross_entropy(logits, classes)
    if not smoothing:
        return loss
    even = -chainer.functions.mean(chainer.functions.log_softmax(logits))
    return (1 - smoothing) * loss + smoothing * even


def divergence(logits: Variable, answers: np.ndarray, temperature: float) -> Variable:
    """T^2 * KL(p || q), mean over the batch, of p = softmax(answers / T) and q = softmax(logits / T).

    Its gradient with respect to the logits is T * (q - p) / N; the factor T^2 keeps it as large as that of the cross
    entropy while T grows.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).

    Args:
        logits: float32 (N, classes), of the network that learns.
        answers: float32 (N, classes), the teacher's logits.
        temperature: T, above 0; the larger, the more the wrong classes tell.
    """
    functions, xp = chainer.functions, chainer.backend.get_array_module(logits.array)
    answers = xp.asarray(answers) / np.float32(temperature)
    known = functions.log_softmax(chainer.Variable(answers)).array
    learned = functions.log_softmax(logits / temperature)
    return (temperature**2 / len(known)) * functions.sum(xp.exp(known) * (known - learned))
