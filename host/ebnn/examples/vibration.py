"""Synthesized 16-bit windows of a machine's vibration, for docs/signals.md:

    python -m ebnn.examples.vibration build/vibration.npz build/windows.py

The second file, which may be left out, holds a test window of each class for a board to be tried with.

A window is 256 samples at 3,200 Hz, as an accelerometer of +-16 g gives them: int16, 2048 is 1 g. The machine turns
20 to 35 times a second. Speed, load, gain of the mounting, phases and noise differ from window to window.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SAMPLES, HZ, PER_G = 256, 3200, 2048
LABELS = ("sound", "unbalanced", "loose", "bearing")
TRAIN, TEST = 3000, 750  # windows of each class


def window(label: str, generator: np.random.Generator) -> np.ndarray:
    """A window of a class, int16 (256,)."""
    time, draw = np.arange(SAMPLES) / HZ, generator.uniform
    turns = draw(20, 35)  # a second

    def wave(hertz: float, height: float) -> np.ndarray:
        return height * np.sin(2 * np.pi * (hertz * time + draw(0, 1)))

    # What every machine has: a little unbalance, its gears, the hum of the mains and noise.
    g = wave(turns, draw(0.05, 0.25)) + wave(turns * 17, draw(0.05, 0.3)) + wave(100, draw(0, 0.1))
    if label == "unbalanced":
        g += wave(turns, draw(0.3, 1.0)) + wave(2 * turns, draw(0, 0.1))
    elif label == "loose":  # halves and multiples of its turns
        g += sum(wave(turns * order, draw(0.1, 0.5) / order**0.5) for order in (0.5, 1.5, 2, 2.5, 3, 4))
    elif label == "bearing":  # a ball runs over a crack: a struck bell, some four times a turn
        g += bell(time, turns * draw(3.4, 4.6), draw(0.25, 1.2), generator)
    g += generator.normal(0, draw(0.03, 0.2), SAMPLES)
    return np.clip(np.rint(draw(0.6, 1.4) * g * PER_G), -32768, 32767).astype(np.int16)


def bell(time: np.ndarray, strokes: float, height: float, generator: np.random.Generator) -> np.ndarray:
    """So many strokes a second of a bell of 700 to 1,300 Hz that fades within some milliseconds."""
    hertz, fading, start = generator.uniform(700, 1300), generator.uniform(250, 600), generator.random()
    since = (time * strokes + start) % 1 / strokes
    return height * np.exp(-fading * since) * np.sin(2 * np.pi * hertz * since)


def draw_windows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So many windows of each class: int16 (N, 256), and their classes, int32 (N,)."""
    generator = np.random.default_rng(seed)
    windows = [window(label, generator) for label in LABELS for _ in range(count)]
    return np.stack(windows), np.repeat(np.arange(len(LABELS), dtype=np.int32), count)


def main(path: Path, module: Path | None = None) -> None:
    """Write the data set, and a Python module with some test windows; the same bytes in every run."""
    (x_train, y_train), (x_test, y_test) = draw_windows(TRAIN, 0), draw_windows(TEST, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, labels=np.array(LABELS))
    if module:
        parts = {label: x_test[index * TEST].astype("<i2").tobytes() for index, label in enumerate(LABELS)}
        lines = [f"    {label!r}: {samples!r},\n" for label, samples in parts.items()]
        module.write_text(f"samples = {{  # int16, little-endian\n{''.join(lines)}}}\n", encoding="ascii")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
