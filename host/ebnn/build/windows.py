"""Windows as frameworks name them: strides, SAME and VALID, padding of two or four numbers."""

from __future__ import annotations

import numpy as np

from ebnn.errors import ExportError
from ebnn.geometry import NO_PAD, Pair, Sides

Padding = str | int | tuple


def pair(value: int | tuple[int, int]) -> Pair:
    """(height, width) of one number or two."""
    return (int(value), int(value)) if np.ndim(value) == 0 else (int(value[0]), int(value[1]))


def sides(padding: Padding, size: Pair, window: Pair, stride: Pair) -> Sides:
    """Padding (top, left, bottom, right).

    Args:
        padding: "valid", "same" as TensorFlow pads (an odd one is at the bottom and right), a number, (height, width),
            or (top, left, bottom, right).
        size, window, stride: (height, width).

    Raises:
        ExportError: something else.
    """
    if isinstance(padding, str):
        if padding.lower() == "valid":
            return NO_PAD
        if padding.lower() == "same":
            return _same(size, window, stride)
        raise ExportError(f"padding {padding!r}: valid, same or numbers are possible")
    numbers = (int(padding),) * 2 if np.ndim(padding) == 0 else tuple(map(int, padding))
    if len(numbers) not in (2, 4) or min(numbers) < 0:
        raise ExportError(f"padding {padding}: a number, (height, width) or (top, left, bottom, right), 0 or more")
    return numbers if len(numbers) == 4 else numbers * 2


def _same(size: Pair, window: Pair, stride: Pair) -> Sides:
    totals = [max((-(-size[a] // stride[a]) - 1) * stride[a] + window[a] - size[a], 0) for a in range(2)]
    before = [total // 2 for total in totals]
    return (*before, *(total - half for total, half in zip(totals, before, strict=True)))


def rounded_up(pad: Sides, size: Pair, window: Pair, stride: Pair) -> Sides:
    """Padding with so much more at the bottom and right that the last window, which begins inside, is not left out."""
    more = list(pad)
    for axis in range(2):
        whole = size[axis] + pad[axis] + pad[axis + 2] - window[axis]
        count = -(-whole // stride[axis])
        if count * stride[axis] >= size[axis] + pad[axis]:
            count -= 1
        more[axis + 2] += max(count * stride[axis] - whole, 0)
    return tuple(more)
