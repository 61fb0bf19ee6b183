"""Losses: from logits (N, classes) and classes (N,) to a scalar Variable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.functions import Variable

FRESH = -1  # no cached copy: the images were augmented for this step alone
Index = tuple[np.ndarray, int]  # rows of the training images, and the number of their augmented copy, or FRESH
Objective = Callable[[Variable, np.ndarray, np.ndarray, Index], Variable]


def objective(config: Config, data: Dataset, folder: Path | None, report: Callable[[str], None]) -> Objective:
    """The loss of a run: from logits, images uint8, classes and their index to a scalar Variable."""
    return lambda logits, images, classes, index: smoothed_cross_entropy(logits, classes, config.smoothing)


def smoothed_cross_entropy(logits: Variable, classes: np.ndarray, smoothing: float) -> Variable:
    """Softmax cross entropy with targets (1 - smoothing) * one-hot + smoothing / classes.

    Source: Szegedy et al., "Rethinking the Inception Architecture" (2016).
    """
    loss = chainer.functions.softmax_cross_entropy(logits, classes)
    if not smoothing:
        return loss
    even = -chainer.functions.mean(chainer.functions.log_softmax(logits))
    return (1 - smoothing) * loss + smoothing * even
