"""From a camera's or a display's frame to a network's input, as the engine does it: docs/SPEC.md, section 8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebnn import ops
from ebnn.errors import ConfigError

RESIZES = {"none": 0, "average": ops.PREPARE_AVERAGE, "nearest": ops.PREPARE_NEAREST}


@dataclass(frozen=True)
class Preparation:
    """How a gray picture becomes an input of one channel; a model records it.

    Args:
        resize: ``none`` (the crop has the input's size), ``average`` or ``nearest``.
        invert: whether gray g becomes 255 - g.
        threshold: for an input of dtype ``bits`` the least gray of a bit 1, 1 to 255; 0 for bytes.
    """

    resize: str = "average"
    invert: bool = False
    threshold: int = 0

    @property
    def code(self) -> int:
        """The header's field ``prepare``."""
        return ops.PREPARE_RECORDED | RESIZES[self.resize] | (ops.PREPARE_INVERT if self.invert else 0)

    def __str__(self) -> str:
        """As ``parse`` reads it."""
        threshold = [f"threshold={self.threshold}"] if self.threshold else []
        return ",".join([self.resize, *(["invert"] if self.invert else []), *threshold])

    def check(self, dtype: str, channels: int) -> None:
        """Raise ConfigError where an input of this dtype and so many channels cannot be prepared so."""
        if dtype not in ("bits", "u8"):
            raise ConfigError(f"preparation {self}: is for inputs of bits or bytes, this one is {dtype}")
        if channels != 1:
            raise ConfigError(f"preparation {self}: is for inputs of one channel, this one has {channels}")
        if dtype == "bits" and not 1 <= self.threshold <= 255:
            raise ConfigError(f"preparation {self}: an input of bits needs a threshold from 1 to 255")
        if dtype != "bits" and self.threshold:
            raise ConfigError(f"preparation {self}: an input of bytes has no threshold")


def parse(text: str) -> Preparation:
    """A preparation from a text like ``average``, ``nearest,invert`` or ``none,threshold=128``.

    Raises:
        ConfigError: another text.
    """
    resize, *rest = text.split(",")
    threshold = rest.pop().removeprefix("threshold=") if rest and rest[-1].startswith("threshold=") else "0"
    if resize not in RESIZES or rest not in ([], ["invert"]) or not (threshold.isascii() and threshold.isdigit()):
        raise ConfigError(f"preparation {text!r}: write {', '.join(RESIZES)}, then ,invert and ,threshold=N if wanted")
    return Preparation(resize, rest == ["invert"], int(threshold))


def from_code(code: int, threshold: int, dtype: str, channels: int) -> Preparation | None:
    """What a header records of an input of this dtype and so many channels; None: nothing.

    Raises:
        ConfigError: bits that have no meaning, or not for such an input.
    """
    if (code, threshold) == (0, 0):
        return None
    resizes = {bit: name for name, bit in RESIZES.items()}
    resize = resizes.get(code & (ops.PREPARE_AVERAGE | ops.PREPARE_NEAREST))
    if not code & ops.PREPARE_RECORDED or code & ~ops.PREPARE_KNOWN or resize is None:
        raise ConfigError(f"prepare {code}, threshold {threshold}")
    found = Preparation(resize, bool(code & ops.PREPARE_INVERT), threshold)
    found.check(dtype, channels)
    return found


# --- frames ---


@dataclass(frozen=True)
class Frame:
    """A frame of a camera or display, and the part of it that is taken.

    Args:
        width, height: in pixels.
        format: a name of ``ops.FORMATS``.
        stride: pixels from one line to the next; None: ``width``.
        crop: x, y, width and height in pixels; None: all of it.

    Raises:
        ConfigError: an unknown format, sides that are too small or too large, a crop that does not lie inside.
    """

    width: int
    height: int
    format: str
    stride: int | None = None
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        sides = (self.width, self.height, self.pitch)
        if self.format not in ops.FORMATS or min(sides) < 1 or max(sides) > ops.MAX_SIDE or self.pitch < self.width:
            raise ConfigError(ops.ERROR_TEXT["FRAME"])
        x, y, width, height = self.rectangle
        inside = min(x, y) >= 0 and min(width, height) >= 1 and x + width <= self.width and y + height <= self.height
        if not inside or width * height > ops.MAX_CROP:
            raise ConfigError(ops.ERROR_TEXT["CROP"])

    @property
    def pitch(self) -> int:
        """Pixels from one line to the next, before they are rounded up."""
        return self.width if self.stride is None else self.stride

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """The crop, or the whole frame."""
        return self.crop or (0, 0, self.width, self.height)

    @property
    def size(self) -> int:
        """Bytes that a frame has at least."""
        if self.format.startswith("MONO_H"):
            return (self.height - 1) * -(-self.pitch // 8) + -(-self.width // 8)
        if self.format == "MONO_VLSB":
            return (self.height - 1) // 8 * self.pitch + self.width
        return ((self.height - 1) * self.pitch + self.width) * (2 if self.format.startswith("RGB") else 1)

    def gray(self, data: bytes) -> np.ndarray:
        """The crop of a frame's bytes as uint8 (height, width).

        Raises:
            ConfigError: too few bytes.
        """
        if len(data) < self.size:
            raise ConfigError(f"frame must be {self.size} bytes, got {len(data)}")
        x, y, width, height = self.rectangle
        lines, columns = np.arange(y, y + height)[:, None], np.arange(x, x + width)[None]
        return _GRAY[self.format](np.frombuffer(data, np.uint8), lines, columns, self.pitch)


# Gray uint8 (h, w) of a frame's bytes at lines y (h, 1) and columns x (1, w); pitch is in pixels.


def _vertical(data: np.ndarray, y: np.ndarray, x: np.ndarray, pitch: int) -> np.ndarray:
    return 255 * (data[y // 8 * pitch + x] >> (y % 8).astype(np.uint8) & 1)


def _horizontal(turn: int) -> Callable[..., np.ndarray]:
    def gray(data: np.ndarray, y: np.ndarray, x: np.ndarray, pitch: int) -> np.ndarray:
        return 255 * (data[y * -(-pitch // 8) + x // 8] >> (x % 8 ^ turn).astype(np.uint8) & 1)

    return gray


def _rgb565(low: int) -> Callable[..., np.ndarray]:
    def gray(data: np.ndarray, y: np.ndarray, x: np.ndarray, pitch: int) -> np.ndarray:
        place = 2 * (y * pitch + x)
        value = data[place + low] + 256 * data[place + 1 - low].astype(np.int32)
        return ((630 * (value >> 11) + 608 * (value >> 5 & 63) + 240 * (value & 31) + 128) // 256).astype(np.uint8)

    return gray


_GRAY: dict[str, Callable[..., np.ndarray]] = {
    "MONO_VLSB": _vertical,
    "RGB565": _rgb565(0),
    "MONO_HLSB": _horizontal(7),
    "MONO_HMSB": _horizontal(0),
    "GS8": lambda data, y, x, pitch: data[y * pitch + x],
    "RGB565_SWAPPED": _rgb565(1),
}


# --- inputs ---


def prepare(gray: np.ndarray, preparation: Preparation, shape: tuple[int, int]) -> np.ndarray:
    """Inputs of gray pictures.

    Args:
        gray: uint8 (..., height, width), for example what ``Frame.gray`` gives, or training images.
        preparation: what is done.
        shape: the inputs' height and width, at most those of the pictures.

    Returns:
        (..., height, width, 1): uint8, or booleans where the preparation has a threshold.

    Raises:
        ConfigError: pictures that are too large, smaller than the inputs, or larger where nothing is resized.
    """
    sides = gray.shape[-2:]
    if sides[0] < shape[0] or sides[1] < shape[1] or sides[0] * sides[1] > ops.MAX_CROP:
        raise ConfigError(ops.ERROR_TEXT["CROP"])
    if preparation.resize == "none" and sides != tuple(shape):
        raise ConfigError(ops.ERROR_TEXT["PICTURE"])
    small = _averaged(gray, shape) if preparation.resize == "average" else _nearest(gray, shape)
    small = 255 - small if preparation.invert else small
    return (small >= preparation.threshold if preparation.threshold else small)[..., None]


def _averaged(gray: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    down, across = (_shares(side, parts) for side, parts in zip(gray.shape[-2:], shape, strict=True))
    pixels = gray.shape[-2] * gray.shape[-1]
    sums = (down @ gray.astype(np.float64) @ across.T).astype(np.int64)  # below 2^31, so floats are exact
    return ((2 * sums + pixels) // (2 * pixels)).astype(np.uint8)


def _shares(side: int, parts: int) -> np.ndarray:
    """How much of each pixel of a side counts in each part, float64 (parts, side)."""
    part, pixel = np.arange(parts)[:, None], np.arange(side)[None]
    ends = np.minimum((part + 1) * side, (pixel + 1) * parts) - np.maximum(part * side, pixel * parts)
    return np.maximum(ends, 0).astype(np.float64)


def _nearest(gray: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y, x = (_middles(side, parts) for side, parts in zip(gray.shape[-2:], shape, strict=True))
    return gray[..., y[:, None], x[None]]


def _middles(side: int, parts: int) -> np.ndarray:
    """The pixel in the middle of each part of a side, integers (parts,)."""
    return (2 * np.arange(parts) + 1) * side // (2 * parts)
