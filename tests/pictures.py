"""Random frames for the tests of engine, package and boards, and models that only wait for an input."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

import picture_oracle
from ebnn import bits, ops
from ebnn.format import SelfTest, encode
from ebnn.geometry import Value
from ebnn.network import Network, dense_node
from ebnn.prepare import Frame, Preparation, prepare

RESIZES = ("average", "nearest", "none")


@dataclass(frozen=True)
class Shot:
    """A frame's bytes, what is done with it, and the input's height and width."""

    frame: Frame
    preparation: Preparation
    shape: tuple[int, int]
    data: bytes

    @property
    def dtype(self) -> str:
        """The input's."""
        return "bits" if self.preparation.threshold else "u8"

    def packed(self) -> bytes:
        """The input in the device's format, by the package."""
        return _packed(prepare(self.frame.gray(self.data), self.preparation, self.shape))

    def oracle(self) -> bytes:
        """The same by the oracle."""
        frame, how = self.frame, self.preparation
        picture = picture_oracle.Picture(
            frame.width, frame.height, frame.stride or frame.width, frame.crop or (0, 0, frame.width, frame.height),
            ops.FORMATS[frame.format], how.resize, how.invert, how.threshold, self.shape[1], self.shape[0],
        )  # fmt: skip
        rows = picture_oracle.make_input(picture, self.data)
        return _packed(np.array(rows, bool if how.threshold else np.uint8)[..., None])


def _packed(elements: np.ndarray) -> bytes:
    return bits.pack_maps(elements[None])[0].tobytes() if elements.dtype == bool else elements.tobytes()


def waiting_model(shape: tuple[int, int], dtype: str) -> bytes:
    """The least model with an input of this height, width and dtype."""
    node = dense_node(0, np.ones((1, *shape, 1), int), offsets=np.zeros(1, int))
    return encode(Network(Value(0, (*shape, 1), dtype), (node,)), SelfTest(1, 0))


def random_shots(count: int) -> list[tuple[Shot, bytes]]:
    """So many random shots with what the oracle makes of them."""
    return [(shot, shot.oracle()) for shot in map(random_shot, range(count))]


def random_shot(seed: int, most: int = 24) -> Shot:
    """The shot of ``seed``: sides up to ``most``; formats, resizes and dtypes take turns."""
    rng = np.random.default_rng([seed, 8])
    kinds = list(itertools.product(ops.FORMATS, RESIZES, (False, True)))
    name, resize, has_threshold = kinds[seed % len(kinds)]
    width, height = (int(side) for side in rng.integers(1, most + 1, 2))
    stride = None if rng.random() < 0.5 else width + int(rng.integers(0, 12))
    x, y = (int(rng.integers(0, side)) for side in (width, height))
    w, h = int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
    crop = None if rng.random() < 0.3 else (x, y, w, h)
    w, h = (w, h) if crop else (width, height)
    shape = (h, w) if resize == "none" else (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)))
    frame = Frame(width, height, name, stride, crop)
    threshold = int(rng.choice([1, 64, 127, 128, 254, 255])) if has_threshold else 0
    data = rng.integers(0, 256, frame.size, np.uint8)
    if rng.random() < 0.2:
        data[:] = rng.choice([0, 255])
    return Shot(frame, Preparation(resize, bool(rng.random() < 0.5), threshold), shape, data.tobytes())
