"""Images and parameters that put as many sums as possible where an exact export could go wrong."""

from __future__ import annotations

import numpy as np

from ebnn.train import BatchNorm, PReLU, RPReLU, Scores, Shift, chainer
from ebnn.train.links import BinaryLink, Levels


def images(shape: tuple[int, int, int], count: int = 40) -> np.ndarray:
    """Random images, then the extreme ones."""
    x = np.random.default_rng(5).integers(0, 256, (count, *shape), dtype=np.uint8)
    x[0], x[1] = 0, 255
    return x


def make_adversarial(chain: chainer.Chain, x: np.ndarray, seed: int) -> None:
    """Every sign of gamma, ties, tiny and huge variances, far offsets, slopes of 0 and below, filters of zeros."""
    generator = np.random.default_rng(seed)
    for _ in range(3):
        chain(x)
    for link in chain.links():
        for kind, change in CHANGES.items():
            if isinstance(link, kind):
                change(link, generator)


def _norm(link: BatchNorm, generator: np.random.Generator) -> None:
    count = len(link.mean)
    link.gamma.array[...] = generator.choice(np.float32([-1, -1e-6, 0, 1e-6, 1, 7]), count)
    link.beta.array[...] = generator.choice(np.float32([-1e3, -1, -0.0, 0, 1, 1e3]), count)
    # Means that are reachable sums put many sums on the switch itself; tiny variances make it steep.
    link.mean[...] = np.rint(link.mean / 2) * 2 + generator.integers(-1, 2, count)
    link.variance[...] *= generator.choice(np.float32([0, 1e-12, 1, 1e12]), count)


def _scores(link: Scores, generator: np.random.Generator) -> None:
    link.bias.array[...] = generator.standard_normal(len(link.bias)) * 5


def _shift(link: Shift, generator: np.random.Generator) -> None:
    link.shift.array[...] = generator.choice(np.float32([-1, -1e-6, 0, 1, 2]), len(link.shift))


def _levels(link: Levels, generator: np.random.Generator) -> None:
    link.shift.array[...] = generator.choice(np.float32([-1e6, -1, -0.0, 0.5, 0.5, 1e6]), link.shift.shape)


def _slope(link: PReLU, generator: np.random.Generator) -> None:
    link.slope.array[...] = generator.choice(np.float32([-1, -0.0, 0, 1e-6, 0.25, 1, 3]), len(link.slope))


def _shifts(link: RPReLU, generator: np.random.Generator) -> None:
    for shift in (link.before, link.after):
        shift.array[...] = np.rint(generator.standard_normal(len(shift)) * 3) / link.unit


def _latents(link: BinaryLink, generator: np.random.Generator) -> None:
    link.W.array[...] *= generator.choice(np.float32([0, 1e-6, 1]), len(link.W)).reshape(-1, *[1] * (link.W.ndim - 1))
    link.W.array.reshape(len(link.W), -1)[:, 0] = 0


CHANGES = {
    BatchNorm: _norm,
    Scores: _scores,
    Shift: _shift,
    Levels: _levels,
    PReLU: _slope,
    RPReLU: _shifts,
    BinaryLink: _latents,
}
