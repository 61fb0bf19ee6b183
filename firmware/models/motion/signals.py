"""Synthesized signals of an accelerometer, to train the model beside this file with:

    python firmware/models/motion/signals.py build/motion.npz
    ebnn train --dataset build/motion.npz --config firmware/models/motion/config.toml --out build/train/motion

A window is 64 samples at 50 Hz of the magnitude of the acceleration, a byte each: 64 is 1 g, 255 almost 4 g.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SAMPLES, HZ = 64, 50
BYTES_PER_G = 64
LABELS = ("still", "walk", "shake")
TRAIN, TEST = 2000, 1000  # windows of each class


def window(label: str, generator: np.random.Generator) -> np.ndarray:
    """A window of a class, float (64,) in g, with what differs from sensor to sensor and from person to person."""
    time = np.arange(SAMPLES) / HZ

    def wave(hertz: float, height: float) -> np.ndarray:
        return height * np.sin(2 * np.pi * (hertz * time + generator.random()))

    draw = generator.uniform
    if label == "still":
        moved = wave(draw(0.1, 1.0), draw(0, 0.05))
    elif label == "walk":  # the steps, and the heels
        hertz, height = draw(1.4, 2.4), draw(0.15, 0.5)
        moved = wave(hertz, height) + wave(2 * hertz, height * draw(0.2, 0.6))
    else:
        moved = wave(draw(3.0, 7.0), draw(0.4, 1.8))
    return np.abs(draw(0.95, 1.05) + moved + generator.normal(0, draw(0.01, 0.06), SAMPLES))


def to_bytes(signal: np.ndarray) -> np.ndarray:
    """uint8, of a signal in g."""
    return np.clip(np.rint(signal * BYTES_PER_G), 0, 255).astype(np.uint8)


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So many windows of each class: uint8 (N, 1, 64), and their classes, int32 (N,)."""
    generator = np.random.default_rng(seed)
    windows = [to_bytes(window(label, generator)) for label in LABELS for _ in range(count)]
    return np.stack(windows)[:, None], np.repeat(np.arange(len(LABELS), dtype=np.int32), count)


def main(path: Path) -> None:
    """Write the data set; the same bytes in every run."""
    (x_train, y_train), (x_test, y_test) = draw(TRAIN, 0), draw(TEST, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, labels=np.array(LABELS))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
