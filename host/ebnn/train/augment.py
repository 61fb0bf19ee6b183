"""Augmentation of uint8 images (N, H, W, C)."""

from __future__ import annotations

import numpy as np


def shifted(images: np.ndarray, pixels: int, generator: np.random.Generator) -> np.ndarray:
    """Each image moved by -pixels to +pixels rows and columns, drawn evenly; what comes in is 0.

    An axis of size 1 is not moved. With 0 pixels the images come back as they are.
    """
    if not pixels:
        return images
    height, width = images.shape[1:3]
    reach = (pixels if height > 1 else 0, pixels if width > 1 else 0)
    padded = np.pad(images, ((0, 0), (reach[0],) * 2, (reach[1],) * 2, (0, 0)))
    moves = generator.integers(0, 2 * pixels + 1, (len(images), 2))
    moved = np.empty_like(images)
    for top, left in np.ndindex(2 * reach[0] + 1, 2 * reach[1] + 1):
        chosen = (np.minimum(moves, [2 * reach[0], 2 * reach[1]]) == (top, left)).all(axis=1)
        moved[chosen] = padded[chosen, top : top + height, left : left + width]
    return moved
