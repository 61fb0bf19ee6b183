"""Sample images: arrays out of a report, and PNG files with nothing but zlib."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Mapping

import numpy as np

from ebnn.errors import DataError


def image_array(image: list | Mapping, where: str) -> np.ndarray:
    """uint8 (h, w, c) of a nested list, or of a dict with ``shape`` and ``base64``; DataError names ``where``."""
    try:
        if isinstance(image, Mapping):
            data = np.frombuffer(base64.b64decode(image["base64"], validate=True), np.uint8)
            array = data.reshape(image["shape"])
        else:
            array = np.array(image)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DataError(f"{where}: not an image: {error}") from None
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.size == 0 or array.dtype.kind not in "uib" or array.min() < 0 or array.max() > 255:
        raise DataError(f"{where}: an image must be (h, w) or (h, w, c) of 0 to 255, got {array.dtype} {array.shape}")
    return array.astype(np.uint8)


def packed_image(image: list | Mapping, where: str) -> dict:
    """The compact form: ``shape`` and ``base64``."""
    array = image_array(image, where)
    return {"shape": list(array.shape), "base64": base64.b64encode(array.tobytes()).decode()}


def png(array: np.ndarray) -> bytes:
    """A PNG of uint8 (h, w, c): three channels in colour; a window of height 1 with a row a channel; else channel 0."""
    height, _, channels = array.shape
    if height == 1 and channels != 3:
        array = array[0].T[:, :, None]
    elif channels != 3:
        array = array[:, :, :1]
    height, width, channels = array.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), array.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_uri(array: np.ndarray) -> str:
    """The PNG as a data: address."""
    return "data:image/png;base64," + base64.b64encode(png(array)).decode()
