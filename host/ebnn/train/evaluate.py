"""A chain outside of training: its accuracy, and the batch norm statistics that it is used with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ebnn.train.compat import chainer
from ebnn.train.links import BatchNorm

BATCH = 250


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Slices of ``BATCH`` images."""
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def accuracy(chain: chainer.Chain, images: np.ndarray, classes: np.ndarray) -> float:
    """Share of the images that the chain, outside of training, puts into their class."""
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        found = [chain(chain.device.send(part)).array.argmax(axis=1) for part in batches(images)]
    return float((np.concatenate([chainer.backends.cuda.to_cpu(part) for part in found]) == classes).mean())


def estimate_statistics(chain: chainer.Chain, images: np.ndarray) -> None:
    """Set every batch norm's mean and variance to the average over batches of ``images`` with the present weights.

    The running averages of training lag behind weights that flip.
    """
    norms = [link for link in chain.links() if isinstance(link, BatchNorm)]
    decays = [link.decay for link in norms]
    with chainer.using_config("train", True), chainer.no_backprop_mode():
        for index, part in enumerate(batches(images)):
            for link in norms:
                link.decay = index / (index + 1)
            chain(chain.device.send(part))
    for link, decay in zip(norms, decays, strict=True):
        link.decay = decay
