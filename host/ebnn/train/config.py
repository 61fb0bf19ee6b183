"""Everything that decides a training run, as one record that is saved as ``config.toml`` and read back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ebnn import arch
from ebnn.errors import ConfigError
from ebnn.files import read_toml
from ebnn.train import estimators

SEEDS = 1 << 32  # NumPy's generators take no more


@dataclass(frozen=True)
class Config:
    """A training run.

    Args:
        arch: architecture (``ebnn.arch``); empty for a chain of the person's own.
        epochs: passes over the training images.
        batch: images a step.
        lr: highest learning rate of Adam.
        warmup: epochs in which the rate rises to ``lr``; then it falls to 0 along a cosine.
        seed: of the weights, the order of the images and their augmentation.
        estimator: of sign's gradient, a name of ``ebnn.train.estimators``.
        shift: images are moved by up to so many pixels in each direction.
        smoothing: label smoothing, 0 to 1.
        latent_clip: latent weights stay within plus and minus this.

    Raises:
        ConfigError: naming the field that is out of range.
    """

    arch: str = ""
    epochs: int = 20
    batch: int = 128
    lr: float = 1e-2
    warmup: float = 1.0
    seed: int = 0
    estimator: str = "ste"
    shift: int = 0
    smoothing: float = 0.0
    latent_clip: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), type(field.default))
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch": (self.batch >= 2, "2 or more: batch norm needs them"),
            "lr": (0 < self.lr < float("inf"), "above 0"),
            "warmup": (0 <= self.warmup < float("inf"), "0 or more"),
            "seed": (0 <= self.seed < SEEDS, f"0 to {SEEDS - 1}"),
            "shift": (self.shift >= 0, "0 or more"),
            "smoothing": (0 <= self.smoothing < 1, "at least 0 and below 1"),
            "latent_clip": (0 < self.latent_clip < float("inf"), "above 0"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ConfigError(f"{name} must be {rule}, got {getattr(self, name)}")
        estimators.find(self.estimator)
        if self.arch:
            arch.parse(self.arch)

    def replace(self, **changes: object) -> Config:
        """The same run with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_toml(self) -> str:
        """The text of ``config.toml``."""
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in dataclasses.asdict(self).items())


def _check_type(name: str, value: object, kind: type) -> None:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise ConfigError(f"{name} must be of type {kind.__name__}, got {value!r}")


def from_dict(values: dict, where: str) -> Config:
    """A Config from named values; raises ConfigError naming ``where`` and what is unknown or out of range."""
    known = [field.name for field in dataclasses.fields(Config)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def read(path: str | Path) -> Config:
    """Read a ``config.toml``; raises ConfigError naming the file and the field."""
    return from_dict(read_toml(path), str(path))
