"""The trainer: Chainer functions and links, data, training loop, export. Needs ``pip install 'ebnn[train]'``.

Importing this package makes ``import chainer`` work; Chainer itself is imported with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import Any

from ebnn.train import compat

compat.prepare()

_HOMES = {
    "BatchNorm": "links",
    "BinaryConv2D": "links",
    "BinaryDense": "links",
    "BinaryDepthwise2D": "links",
    "Config": "config",
    "Dataset": "data",
    "Levels": "links",
    "MapNorm": "maps",
    "PReLU": "links",
    "RPReLU": "links",
    "Scores": "links",
    "Shift": "links",
    "average": "maps",
    "build": "model",
    "chainer": "compat",
    "fit": "loop",
    "load": "data",
    "max_pool": "functions",
    "predict_scores": "lower",
    "sign": "functions",
    "thermometer": "functions",
    "train": "loop",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
