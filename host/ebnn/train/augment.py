"""Augmentation: what happens to uint8 images (N, H, W, C) before a network is trained with them.

A text names the steps in their order, joined by '-', for example ``affine-shift1`` or ``crop4-flip``:

| step | what it does to each image |
|---|---|
| ``shiftN`` | moves it by -N to +N rows and columns; what comes in is 0 |
| ``cropN`` | the same, but what comes in mirrors what is there: for photos, which have no background |
| ``flip`` | mirrors half of the images left and right |
| ``affine``, ``affineN`` | turns, scales, shears and moves it a little; N percent of the usual strength; outside is 0 |
| ``timeN`` | moves a window by -N to +N samples; what comes in repeats the first or last sample |
| ``scale``, ``scaleN`` | its deviations from its own mean grow or shrink by up to N percent (20) |
| ``noise``, ``noiseN`` | adds normal noise of N bytes (4) standard deviation |

All draw from the generator that they are given, and from nothing else: the same generator, the same images.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ebnn.errors import ConfigError

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]

CHUNK = 64  # images that are made at once, so that what they need stays in the processor's cache
TURN, STRETCH, SHEAR, MOVE = 0.21, 0.12, 0.15, 0.06  # of affine: rad, shares, and shares of the image's side
COPY_CHUNK = 1000  # images of a copy of the training set that are drawn from one generator
TOKEN = re.compile(r"([a-z]+)([0-9]*)")


def parse(text: str) -> Augmentation:
    """The function (images uint8 (N, H, W, C), generator) -> images that a text stands for; the empty text: none.

    Raises:
        ConfigError: naming the step that is unknown or lacks its number.
    """
    steps = [_step(token, text) for token in text.split("-")] if text else []

    def augmentation(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        for step in steps:
            images = step(images, generator)
        return images

    return augmentation


def copy_of(images: np.ndarray, text: str, seed: int, number: int) -> np.ndarray:
    """Augmented copy ``number`` of all training images: whoever asks, and in whatever order, gets the same bytes."""
    augmentation, made = parse(text), np.empty_like(images)
    for start in range(0, len(images), COPY_CHUNK):
        part = slice(start, start + COPY_CHUNK)
        made[part] = augmentation(images[part], np.random.default_rng([seed, number, start]))
    return made


def _step(token: str, text: str) -> Augmentation:
    parts = TOKEN.fullmatch(token)
    if parts is None or parts[1] not in STEPS:
        raise ConfigError(f"augment {text!r}: unknown step {token!r}; there are {', '.join(STEPS)}")
    function, usual = STEPS[parts[1]]
    if parts[2] and usual == 0:
        raise ConfigError(f"augment {text!r}: step {token!r} takes no number")
    if not parts[2] and usual is None:
        raise ConfigError(f"augment {text!r}: step {token!r} needs a number, for example {token}2")
    amount = int(parts[2] or usual)
    if parts[2] and not 1 <= amount <= MOST:
        raise ConfigError(f"augment {text!r}: the number of step {token!r} must be 1 to {MOST}")
    return lambda images, generator: function(images, amount, generator)


# --- moving ---


def shifted(images: np.ndarray, pixels: int, generator: np.random.Generator) -> np.ndarray:
    """Each image moved by -pixels to +pixels rows and columns, drawn evenly; what comes in is 0.

    An axis of size 1 is not moved.
    """
    return _moved(images, pixels, generator, "constant")


def cropped(images: np.ndarray, pixels: int, generator: np.random.Generator) -> np.ndarray:
    """As ``shifted``, but what comes in mirrors what is there."""
    return _moved(images, pixels, generator, "symmetric")


def delayed(images: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """Each image or window moved by -samples to +samples columns; what comes in repeats its edge."""
    return _moved(images, samples, generator, "edge", rows=False)


def _moved(images: np.ndarray, most: int, generator: np.random.Generator, border: str, rows: bool = True) -> np.ndarray:
    height, width = images.shape[1:3]
    reach = np.array([most if rows and height > 1 else 0, most if width > 1 else 0])
    padded = np.pad(images, ((0, 0), (reach[0],) * 2, (reach[1],) * 2, (0, 0)), border)
    windows = sliding_window_view(padded, (height, width), axis=(1, 2))
    top, left = generator.integers(0, 2 * reach + 1, (len(images), 2)).T
    return np.ascontiguousarray(np.moveaxis(windows[np.arange(len(images)), top, left], 1, -1))


def flipped(images: np.ndarray, _: int, generator: np.random.Generator) -> np.ndarray:
    """Half of the images, drawn one by one, mirrored left and right."""
    chosen = generator.random(len(images)) < 0.5
    return np.where(chosen[:, None, None, None], images[:, :, ::-1], images)


# --- bending ---


def bent(images: np.ndarray, percent: int, generator: np.random.Generator) -> np.ndarray:
    """Each image under a small affine map around its middle, by bilinear interpolation in float32; outside is 0.

    Evenly drawn, at 100 percent: a turn of up to 0.21 rad (12 degrees), each axis 12 percent longer or shorter, a shear
    of up to 0.15, and moves of up to 6 percent of the height and width.

    Raises:
        ConfigError: windows of height or width 1, which have no room to turn in.
    """
    if min(images.shape[1:3]) < 2:
        raise ConfigError(f"augment: step 'affine' is for images, these are {images.shape[1]}x{images.shape[2]}")
    draws = generator.uniform(-percent / 100, percent / 100, (len(images), 6)).astype(np.float32)
    bent_images = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        bent_images[part] = _bilinear(images[part], *_sources(draws[part], images.shape[1:3]))
    return bent_images


def _sources(draws: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which row and column of an image each pixel of its bent image comes from, float32 (N, H, W) both."""
    turn, shear = TURN * draws[:, 0], SHEAR * draws[:, 1]
    down, across = 1 + STRETCH * draws[:, 2], 1 + STRETCH * draws[:, 3]
    cosine, sine = np.cos(turn), np.sin(turn)
    y, x = (np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2) for side in size)
    y, x = y[:, None], x[None]

    def place(of_y: np.ndarray, of_x: np.ndarray, axis: int) -> np.ndarray:
        middle = (size[axis] - 1) / 2 + MOVE * size[axis] * draws[:, 4 + axis]
        return of_y[:, None, None] * y + of_x[:, None, None] * x + middle.astype(np.float32)[:, None, None]

    return place(cosine * down, -sine * across, 0), place(
        (sine + shear * cosine) * down, (cosine - shear * sine) * across, 1
    )


def _bilinear(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C): each pixel interpolated at its place, rounded; a frame of zeros lies around the images."""
    count, height, width, channels = images.shape
    padded = np.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0)))  # so that the four pixels around a place exist
    pixels, pitch = padded.reshape(-1, channels), width + 3
    y, x = (np.clip(place + 1, 0, side + 1) for place, side in ((rows, height), (columns, width)))
    top, left = y.astype(np.int32), x.astype(np.int32)
    first = top * pitch + left + (np.arange(count, dtype=np.int32) * ((height + 3) * pitch))[:, None, None]
    low, right = (y - top)[..., None], (x - left)[..., None]

    def line(at: np.ndarray) -> np.ndarray:
        ahead, behind = (pixels.take(index, axis=0).astype(np.float32) for index in (at, at + 1))
        return ahead + right * (behind - ahead)

    upper = line(first)
    return (upper + low * (line(first + pitch) - upper) + np.float32(0.5)).astype(np.uint8)


# --- values ---


def stretched(images: np.ndarray, percent: int, generator: np.random.Generator) -> np.ndarray:
    """Each image's or window's deviations from its own mean, times 1 - percent/100 to 1 + percent/100."""
    factors = generator.uniform(1 - percent / 100, 1 + percent / 100, (len(images), 1, 1, 1)).astype(np.float32)
    means = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    return _to_bytes(means + factors * (images - means))


def noisy(images: np.ndarray, deviation: int, generator: np.random.Generator) -> np.ndarray:
    """Normal noise of this standard deviation, in bytes, on every value."""
    return _to_bytes(images + np.float32(deviation) * generator.standard_normal(images.shape, np.float32))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


MOST = 1000  # of a step's number
STEPS: dict[str, tuple[Callable[..., np.ndarray], int | None]] = {
    # The function, and its number where none is given; None: it must be given, 0: there is none.
    "shift": (shifted, None),
    "crop": (cropped, None),
    "flip": (flipped, 0),
    "affine": (bent, 100),
    "time": (delayed, None),
    "scale": (stretched, 20),
    "noise": (noisy, 4),
}
