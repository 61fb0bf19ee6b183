"""Losses: from logits (N, classes) and classes (N,) to a scalar Variable."""

from __future__ import annotations

import numpy as np

from ebnn.train.compat import chainer
from ebnn.train.functions import Variable


def smoothed_cross_entropy(logits: Variable, classes: np.ndarray, smoothing: float) -> Variable:
    """Softmax cross entropy with targets (1 - smoothing) * one-hot + smoothing / classes.

    Source: Szegedy et al., "Rethinking the Inception Architecture" (2016).
    """
    loss = chainer.functions.softmax_cross_entropy(logits, classes)
    if not smoothing:
        return loss
    even = -chainer.functions.mean(chainer.functions.log_softmax(logits))
    return (1 - smoothing) * loss + smoothing * even
