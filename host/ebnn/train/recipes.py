"""The configuration that a data set is trained with when a person says nothing; docs/experiments.md tells why."""

from __future__ import annotations

from ebnn import arch
from ebnn.errors import ConfigError
from ebnn.geometry import Pair, Shape
from ebnn.train.config import Config
from ebnn.train.data import Dataset

STEPS = 10_000  # about so many batches train a small network well
FEWEST_EPOCHS, MOST_EPOCHS = 20, 60
SMALL_SIDE = 8  # a map of at most this size is pooled no further

RECIPES = {
    "mnist": Config(arch="16c5-p2-32c3-p2-10", epochs=20, lr=0.12),
    "mnist@14x14": Config(arch="32c3-p2-32c3-10", epochs=20, lr=0.12),
    "mnist@16x16": Config(arch="32c3-p2-32c3-10", epochs=20, lr=0.12),
    "cifar10": Config(arch="32c5p2-p2-32c5p2-p2-64c5p2-p2-10", epochs=100, lr=0.1, augment="crop4-flip"),
    "digits": Config(arch="32c3p1-p2-32c3-10", epochs=40, batch=32, lr=0.06),
}


def default(data: Dataset) -> Config:
    """The recipe of a known data set, else one made from the form and the number of the images."""
    if data.name in RECIPES and _fits(RECIPES[data.name], data):
        return RECIPES[data.name]
    images = len(data.split()[0])
    batch = 128 if images >= 10_000 else 32
    epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, STEPS * batch // images))
    return Config(arch=architecture(data.shape, len(data.labels)), epochs=epochs, batch=batch, lr=0.06)


def _fits(config: Config, data: Dataset) -> bool:
    """Whether the recipe is for these images: a person's own file may have a known name, too."""
    known = arch.parse(config.arch)
    try:
        known.shapes(data.shape)
    except ConfigError:
        return False
    return known.classes == len(data.labels)


def architecture(shape: Shape, classes: int) -> str:
    """Padded convolutions of 16, then 32 filters, each with a pool, until the map is small; then the scores."""
    height, width, _ = shape
    tokens: list[str] = []
    while max(height, width) > SMALL_SIDE or not tokens:
        kernel, window = (min(3, height), min(3, width)), (min(2, height), min(2, width))
        pad = (kernel[0] // 2, kernel[1] // 2)
        tokens += [f"{32 if tokens else 16}c{_size(kernel)}p{_size(pad)}", f"p{_size(window)}"]
        height, width = height // window[0], width // window[1]
    return "-".join([*tokens, str(classes)])


def _size(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
