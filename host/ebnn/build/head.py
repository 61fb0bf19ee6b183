"""Float gains and offsets of the scores as integers, with a certificate: whose largest score is whose largest integer.

Score k is F_k(s_k) of its own sum s_k, in the framework's float32. The integers are G_k = gain_k * s_k + offset_k. The
predictions are equal where for all classes j < k, and all sums that the two can have, F_j >= F_k just where
G_j >= G_k: the lowest index wins among equals on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebnn.build.switches import Grid
from ebnn.errors import ExportError
from ebnn.ops import DTYPE

MOST_SUMS = 1 << 21  # of a class
TRIES = 8  # gains below the largest ones
MOST_INTEGER = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Head:
    """Scores of sums (n, classes): as the framework rounds them, in float64, and the sums; ``bound`` is theirs."""

    floats: Callable[[np.ndarray], np.ndarray]
    wide: Callable[[np.ndarray], np.ndarray]
    grid: Grid
    bound: int


@dataclass(frozen=True, eq=False)
class Certificate:
    """Integer gains int64 (classes,) and offsets int64 (classes,), and on how many pairs of sums they decide otherwise.

    ``classes`` are the two of the worst pair, ``worst`` is the difference of their float scores in it.
    """

    gains: np.ndarray
    offsets: np.ndarray
    wrong: int
    pairs: int
    worst: float = 0.0
    classes: tuple[int, int] = (0, 0)

    @property
    def text(self) -> str:
        """What the certificate says."""
        if not self.wrong:
            return f"the same order of scores for all {self.pairs} pairs of sums"
        return (
            f"another order of scores for {self.wrong} of {self.pairs} pairs of sums of two classes, at worst of "
            f"classes {self.classes[0]} and {self.classes[1]}, whose float scores differ by {self.worst:.3g} there"
        )


def fit(head: Head, nearest: bool) -> Certificate:
    """Gains and offsets for a head: the first that are certified, or with ``nearest`` those with the fewest wrong
    pairs.

    Raises:
        ExportError: none are certified, and ``nearest`` is not asked for.
    """
    ends = [head.wide(end[None])[0] for end in (head.grid.least, head.grid.most)]
    gains = (ends[1] - ends[0]) / np.maximum(head.grid.most - head.grid.least, 1)
    offsets = ends[0] - gains * head.grid.least
    if head.grid.counts.max() > MOST_SUMS:
        raise ExportError(f"{head.grid.counts.max()} sums of a class are too many to be compared, at most {MOST_SUMS}")
    scores, best = _columns(head.floats, head.grid), None
    small, large = _factors(gains, offsets, head.bound)
    for factor in small + large:
        enough = None if best is None else best.wrong
        found = certify(scores, np.rint(gains * factor), np.rint(offsets * factor), head.grid,
                        0 if factor in small else enough)  # fmt: skip
        if not found.wrong:
            return found
        if factor in large and (best is None or found.wrong < best.wrong):
            best = found
    if nearest:
        return best
    raise ExportError(
        f"no 16-bit gains give the float scores' order: the nearest have {best.text}. One gain for all classes (batch "
        'norm without gamma, or none) is exact; head="nearest" takes these'
    )


def _factors(gains: np.ndarray, offsets: np.ndarray, most: int) -> tuple[list[float], list[float]]:
    """What gains and offsets are multiplied by to become integers: small numbers, which take less of the file where
    they are right, and the largest ones."""
    largest = max(np.abs(gains).max(), 1e-300)
    limit = min(DTYPE["i16"].most / largest, (MOST_INTEGER - most) / (largest * most + np.abs(offsets).max()) * 0.999)
    smallest = np.abs(gains[gains != 0]).min() if gains.any() else 1.0
    small = [float(2**power / smallest) for power in range(16)]
    return [factor for factor in small if factor <= limit], [limit * (1 - try_ / 97) for try_ in range(TRIES)]


def _columns(floats: Callable, grid: Grid) -> list[np.ndarray]:
    """Each class's scores of all of its sums, in their order."""
    count = int(grid.counts.max())
    sums = np.minimum(grid.least + grid.step * np.arange(count)[:, None], grid.most)
    scores = floats(sums)
    return [scores[:n, k] for k, n in enumerate(grid.counts)]


def certify(
    scores: list[np.ndarray], gains: np.ndarray, offsets: np.ndarray, grid: Grid, enough: int | None = None
) -> Certificate:
    """Compare the order of float scores with that of gain * sum + offset, for every pair of sums of two classes.

    Args:
        scores: of each class the float scores of its sums, which rise or fall with them.
        gains, offsets: whole numbers (classes,), of the same sign as what the scores do, or 0.
        grid: the sums.
        enough: with more wrong pairs than these the rest is not compared.
    """
    gains, offsets = gains.astype(np.int64), offsets.astype(np.int64)
    integers = [gain * (low + grid.step * np.arange(len(column))) + offset
                for gain, offset, low, column in zip(gains, offsets, grid.least, scores, strict=True)]  # fmt: skip
    scores, integers = [np.sort(column) for column in scores], [np.sort(column) for column in integers]
    wrong, pairs, worst, classes = 0, 0, 0.0, (0, 0)
    for k in range(len(scores)):
        for j in range(k):
            right = np.searchsorted(scores[k], scores[j], "right")
            ours = np.searchsorted(integers[k], integers[j], "right")
            pairs += len(scores[j]) * len(scores[k])
            bad = right != ours
            if not bad.any():
                continue
            wrong += int(np.abs(right - ours).sum())
            farthest = np.where(ours > right, ours - 1, ours)[bad]
            apart = np.abs(scores[k][farthest].astype(np.float64) - scores[j][bad])
            if apart.max() >= worst:
                worst, classes = float(apart.max()), (j, k)
            if enough is not None and wrong > enough:
                return Certificate(gains, offsets, wrong, pairs, worst, classes)
    return Certificate(gains, offsets, wrong, pairs, worst, classes)
