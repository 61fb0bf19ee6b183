"""Clear stops: what is checked before the first step, and what must not happen while training."""

from __future__ import annotations

import numpy as np

from ebnn.errors import ConfigError
from ebnn.train import arrays
from ebnn.train.compat import chainer
from ebnn.train.data import Dataset

EXPLODED = 1e4  # a loss so many times the first one does not come back
LARGEST = 1e6  # a parameter beyond is one that exploded


def check_classes(data: Dataset, rows: np.ndarray) -> None:
    """Raise ConfigError naming the classes of which no image is among the ``rows`` that are trained on."""
    missing = sorted(set(range(len(data.labels))) - set(data.y_train[rows].tolist()))
    if missing:
        names = ", ".join(data.labels[index] for index in missing)
        raise ConfigError(f"{data.name}: all images of class {names} are held out, none is left to train on")


def check_logits(chain: chainer.Chain, data: Dataset) -> None:
    """Raise ConfigError where the chain does not give one logit a class for each image."""
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        y = chain(chain.device.send(data.x_train[:1]))
    found = getattr(y, "shape", type(y).__name__)
    if found != (1, len(data.labels)):
        raise ConfigError(
            f"{type(chain).__name__}: gives {found} for one image of {data.name}, "
            f"which has {len(data.labels)} classes: (1, {len(data.labels)}) is needed"
        )


def check_parameters(chain: chainer.Chain, where: str) -> None:
    """Raise ConfigError naming a parameter that is not finite or has grown out of all bounds; ``where`` is told."""
    for name, param in chain.namedparams():
        largest = float(arrays.module(param.array).abs(param.array).max())
        if not largest < LARGEST:  # true for NaN too
            raise ConfigError(f"{name} reached {largest:.4g} {where}: take a lower lr")
