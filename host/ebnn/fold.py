"""Exact folding: a trainer's own normalize-and-binarize function -> integer thresholds.

The formulas of the literature (tau = mu - beta * sigma / gamma) are not trusted here. A batch norm in float32 is a
chain of correctly rounded operations, each monotone in the sum, so its sign switches at most once as the sum grows.
We evaluate the trainer's own function on integers and take that switch by bisection: whatever the rounding does,
trainer and integers agree.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BitsOf = Callable[[np.ndarray], np.ndarray]


def threshold(bits_of: BitsOf, low: int, high: int, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Find each channel's switch among the sums low, low + step, ..., high.

    Args:
        bits_of: the trainer's function from sums, float32 (1, C), one a channel, to booleans (1, C) (value >= 0).
            It must be monotone in each channel's sum. It is first called with an array (1, 1), which must broadcast
            to all channels.
        low, high: the least and the largest sum that can occur; high - low is a multiple of step.
        step: distance of neighbouring sums (2 for sums of -1 and +1).

    Returns:
        (thresholds int32 (C,), rising bool (C,)): a rising channel's bit is [sum >= T], a falling one's not.
        A constant channel is rising with T = low (always 1) or T = high + step (always 0).
    """
    first = np.asarray(bits_of(np.full((1, 1), low, np.float32)))[0]
    last = np.asarray(bits_of(np.full((1, 1), high, np.float32)))[0]
    falling = first & ~last
    # Bisect on "has the bit left its first state": below[c] has not, above[c] has (or is past the end).
    below = np.full(first.shape, 0, np.int64)
    above = np.full(first.shape, (high - low) // step + 1, np.int64)
    above = np.where(first == last, above, (high - low) // step)
    while (open_ := (above - below > 1) & (first != last)).any():
        middle = (below + above) // 2
        sums = (low + step * middle).astype(np.float32)[None, :]
        left = np.asarray(bits_of(sums))[0] != first
        above = np.where(open_ & left, middle, above)
        below = np.where(open_ & ~left, middle, below)
    thresholds = low + step * above
    thresholds = np.where(first & last, low, thresholds)
    return thresholds.astype(np.int32), ~falling


CHUNK = 1024  # sums that are evaluated at once


def interval(bits_of: BitsOf, low: int, high: int, step: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the two switches at most of each channel among the sums low, low + step, ..., high.

    Args:
        bits_of: as of ``threshold``, of sums float32 (N, 1) to booleans (N, C); every sum is evaluated.
        low, high, step: as of ``threshold``.

    Returns:
        (first int32 (C,), second int32 (C,), begins bool (C,)): the bit is begins ^ [sum >= first] ^ [sum >= second]. A
        switch that is not there is high + step.

    Raises:
        ValueError: a channel switches more often.
    """
    before, found = None, None
    for start in range(low, high + step, step * CHUNK):
        sums = np.arange(start, min(start + step * CHUNK, high + step), step)
        bits = np.asarray(bits_of(sums.astype(np.float32)[:, None]))
        if before is None:
            before = begins = bits[0]
            found = np.full((3, len(begins)), high + step)  # the third must stay as it is
        switches = bits != np.concatenate([before[None], bits[:-1]])
        for row, channel in np.argwhere(switches):
            found[(found[:, channel] <= high).sum().clip(max=2), channel] = sums[row]
        before = bits[-1]
    if (found[2] <= high).any():
        raise ValueError(f"channel {int((found[2] <= high).argmax())} switches more than twice")
    return found[0].astype(np.int32), found[1].astype(np.int32), begins


def byte_thresholds(thresholds: np.ndarray, weight_sums: np.ndarray) -> np.ndarray:
    """Thresholds on sum(w * x), x in 0..255, from thresholds on the trainer's sum(w * (2x - 255)).

    2 * acc - 255 * W >= T  <=>  acc >= ceil((T + 255 * W) / 2), with W = sum of the filter's weights.

    Args:
        thresholds: int (C,) on the trainer's sums.
        weight_sums: int (C,), each filter's sum of weights.

    Returns:
        int32 (C,) on raw byte sums.
    """
    total = thresholds.astype(np.int64) + 255 * weight_sums.astype(np.int64)
    return (-((-total) // 2)).astype(np.int32)


def negate(thresholds: np.ndarray) -> np.ndarray:
    """Thresholds of negated filters that hit exactly where the given ones do not.

    not [acc >= T]  <=>  acc <= T - 1  <=>  -acc >= 1 - T.
    """
    return (1 - thresholds.astype(np.int64)).astype(np.int32)
