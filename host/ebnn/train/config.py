"""Everything that decides a training run, as one record that is saved as ``config.toml`` and read back."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ebnn import arch
from ebnn.errors import ConfigError
from ebnn.files import read_toml
from ebnn.train import augment, estimators, weights
from ebnn.train.schedule import SCHEDULES

SEEDS = 1 << 32  # NumPy's generators take no more
INFINITE = float("inf")

FEATURES = ("sign", "relu")
ORDERS = ("pool-norm-sign", "norm-pool-sign", "norm-sign-pool")
MAPS = ("i16", "i8")
SHORTCUTS = ("zeros", "repeat")
ACTIVATIONS = ("none", "prelu", "rprelu")
OPTIMIZERS = ("adam", "sgd", "bop")


@dataclass(frozen=True)
class Config:
    """A training run.

    Args:
        dataset: what is trained on (``ebnn.train.data``), a path as seen from the working directory; empty: not said.
        arch: architecture (``ebnn.arch``); empty for a chain of the person's own.
        epochs: passes over the training images.
        batch: images a step.
        lr: highest learning rate.
        warmup: epochs in which the rate rises to ``lr``; then it follows ``schedule``.
        seed: of the weights, the order of the images and their augmentation.
        estimator: of sign's gradient, a name of ``ebnn.train.estimators``.
        ste_clip: half the width of the band of estimator ste.
        smoothing: label smoothing, 0 to 1.
        latent_clip: latent weights stay within plus and minus this.
        weights: how weights become -1 and +1, a name of ``ebnn.train.weights``; float: not at all.
        features: sign, or relu for float maps; with weights=float that is the float twin or a teacher.
        order: what stands after a convolution that has a pool: pool-norm-sign, norm-pool-sign or norm-sign-pool.
        learnable_shift: a learnable shift of each channel before sign (``links.Shift``).
        gain: each filter's sums times the mean magnitude of its latent weights (``links.Gain``).
        activation: none, prelu or rprelu, before batch norm (``links.PReLU``, ``links.RPReLU``).
        maps: of the integers that layers with ``+`` add to: i16 or i8 (``maps.Grid``).
        shortcut: what more channels of such a map begin with: zeros, or repeat, the channels before.
        negative_slopes: whether slopes of the activation may be below 0: two thresholds a filter on the device.
        border: what padding of bits holds: -1, +1, or 0: it does not count. Padding of bytes holds -1 with 0.
        two_stage: share of the epochs with float weights and binary features, before both are binary; 0: none.
        bnn_plus: strength of the pull of latent weights towards -1 and +1; 0: none.
        optimizer: adam, sgd or bop (``ebnn.train.optimizers``).
        bop_rate: how fast Bop's average of the gradients follows, at the highest learning rate; 0 to 1.
        bop_threshold: a weight flips when that average opposes it and is larger than this.
        schedule: of the learning rate: cosine, linear, geometric, step or constant (``ebnn.train.schedule``).
        augment: changes of the training images, a text of ``ebnn.train.augment``; empty: none.
        copies: augmented copies of the training images that are cycled through; 0: fresh ones every epoch.
        teacher: empty, the folder of a run, or the architecture of a float teacher that is trained first.
        distill: weight of the teacher's answers in the loss, 0 to 1.
        temperature: that both answers are softened with.
        reestimate: whether the statistics of batch norm are estimated anew after each epoch.
        polish: epochs of greedy flips after the others (``ebnn.train.polish``).
        freeze: flips a step above which a weight is frozen at the end, up to 0.5 (``ebnn.train.freeze``); 0: none is.

    Raises:
        ConfigError: naming the field that is out of range, or two that contradict each other.
    """

    dataset: str = ""
    arch: str = ""
    epochs: int = 20
    batch: int = 128
    lr: float = 1e-2
    warmup: float = 1.0
    seed: int = 0
    estimator: str = "ste"
    ste_clip: float = 1.25
    smoothing: float = 0.0
    latent_clip: float = 1.0
    weights: str = "clip"
    features: str = "sign"
    order: str = "pool-norm-sign"
    learnable_shift: bool = False
    gain: bool = False
    activation: str = "none"
    maps: str = "i16"
    shortcut: str = "zeros"
    negative_slopes: bool = False
    border: int = -1
    two_stage: float = 0.0
    bnn_plus: float = 0.0
    optimizer: str = "adam"
    bop_rate: float = 1e-3
    bop_threshold: float = 1e-6
    schedule: str = "cosine"
    augment: str = ""
    copies: int = 0
    teacher: str = ""
    distill: float = 0.0
    temperature: float = 4.0
    reestimate: bool = True
    polish: int = 0
    freeze: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), type(field.default))
        for name, (holds, rule) in (_numbers(self) | _choices(self) | _pairs(self)).items():
            if not holds:
                raise ConfigError(f"{name} must be {rule}, got {getattr(self, name)}")
        estimators.find(self.estimator)
        weights.find(self.weights)
        augment.parse(self.augment)
        if self.arch:
            arch.parse(self.arch)

    @property
    def is_binary(self) -> bool:
        """Whether the network ends up with weights and features of -1 and +1, so that it can be exported."""
        return self.weights != "float" and self.features == "sign"

    @property
    def all_epochs(self) -> int:
        """Epochs of training, then those of polishing."""
        return self.epochs + self.polish

    @property
    def first_binary_epoch(self) -> int:
        """Epochs before it, counted from 0, have float weights (``two_stage``)."""
        return round(self.two_stage * self.epochs)

    def replace(self, **changes: object) -> Config:
        """The same run with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_toml(self) -> str:
        """The text of ``config.toml``."""
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in dataclasses.asdict(self).items())


Rules = dict[str, tuple[bool, str]]  # by field: whether its rule holds, and the rule


def _numbers(config: Config) -> Rules:
    """The rules of the fields that are numbers."""
    positive = ("lr", "ste_clip", "latent_clip", "temperature", "bop_threshold")
    not_negative = ("warmup", "bnn_plus", "copies", "polish")
    return {
        "epochs": (config.epochs >= 1, "1 or more"),
        "freeze": (0 <= config.freeze <= 0.5, "0 to 0.5"),
        "batch": (config.batch >= 2, "2 or more: batch norm needs them"),
        "seed": (0 <= config.seed < SEEDS, f"0 to {SEEDS - 1}"),
        "smoothing": (0 <= config.smoothing < 1, "at least 0 and below 1"),
        "distill": (0 <= config.distill <= 1, "0 to 1"),
        "two_stage": (0 <= config.two_stage < 1, "at least 0 and below 1"),
        "border": (config.border in (-1, 0, 1), "-1, 0 or 1"),
        "bop_rate": (0 < config.bop_rate <= 1, "above 0 and at most 1"),
        **{name: (0 < getattr(config, name) < INFINITE, "above 0") for name in positive},
        **{name: (0 <= getattr(config, name) < INFINITE, "0 or more") for name in not_negative},
    }


def _choices(config: Config) -> Rules:
    """The rules of the fields that are one of some names."""
    known = {
        "features": FEATURES,
        "order": ORDERS,
        "activation": ACTIVATIONS,
        "maps": MAPS,
        "shortcut": SHORTCUTS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }
    return {name: (getattr(config, name) in names, f"one of {', '.join(names)}") for name, names in known.items()}


def _pairs(config: Config) -> Rules:
    """The rules that two fields have to fulfil together, where the fields' own rules hold."""
    no_latents = config.optimizer == "bop" and "which keeps no latent weights"
    rules = {
        "weights": (not no_latents or config.weights == "clip", f"clip with optimizer bop, {no_latents}"),
    }
    if 0 < config.two_stage < 1:
        both = 0 < config.first_binary_epoch < config.epochs
        rules["two_stage"] = (both and not no_latents, f"0 with {'optimizer bop' if no_latents else 'so few epochs'}")
    if config.arch and arch.parse(config.arch).has_maps:
        alone = "where layers add to a map (+, m): only batch norm can stand between sums and the map"
        rules["activation"] = (config.activation == "none", f"none {alone}")
        rules["gain"] = (not config.gain, f"false {alone}")
    if config.negative_slopes:
        fits = config.activation != "none" and config.order == "pool-norm-sign"
        fits = fits and not (config.arch and arch.parse(config.arch).has_levels)
        rule = "false without an activation, with levels, or in another order than pool-norm-sign"
        rules["negative_slopes"] = (fits, rule)
    if config.bnn_plus > 0:
        rules["bnn_plus"] = (not no_latents, f"0 with optimizer bop, {no_latents}")
    if config.copies > 0:
        rules["copies"] = (bool(config.augment), "0 without augment")
    signs = config.is_binary and config.weights != "standard"
    unsigned = "0 where weights are not the signs of latent ones (float, standard) or features=relu"
    if config.polish > 0:
        rules["polish"] = (signs, unsigned)
    if 0 < config.freeze <= 0.5:
        rules["freeze"] = (signs, unsigned)
    if config.distill > 0:
        rules["distill"] = (bool(config.teacher), "0 without a teacher")
    return rules


def _check_type(name: str, value: object, kind: type) -> None:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name} must be of type {kind.__name__}, got {value!r}")


def from_dict(values: dict, where: str) -> Config:
    """A Config from named values; raises ConfigError naming ``where`` and what is unknown or out of range."""
    known = [field.name for field in dataclasses.fields(Config)]
    values = _renamed(values, where)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _renamed(values: dict, where: str) -> dict:
    """Values of an earlier version: ``shift = N`` is ``augment = "shiftN"`` today."""
    values = dict(values)
    shift = values.pop("shift", 0)
    if shift and values.get("augment"):
        raise ConfigError(f"{where}: shift = {shift} belongs into augment now, which is {values['augment']!r}")
    return values | ({"augment": f"shift{shift}"} if shift else {})


def read(path: str | Path) -> Config:
    """Read a ``config.toml``; raises ConfigError naming the file and the field."""
    return from_dict(read_toml(path), str(path))
