"""The margin of a sure answer, chosen on images that the network was not trained on (docs/SPEC.md, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.sim import margins

DEFAULT_SURE = 0.995


@dataclass(frozen=True)
class Sureness:
    """How many of ``images`` answers are ``sure``, and how many of the sure ones ``correct``, from a margin on."""

    margin: int
    images: int
    sure: int
    correct: int

    @property
    def coverage(self) -> float:
        """Share of the answers that are sure."""
        return self.sure / self.images

    @property
    def accuracy(self) -> float | None:
        """Share of the sure answers that are right; None where none is sure."""
        return self.correct / self.sure if self.sure else None

    def __str__(self) -> str:
        right = f", {100 * self.accuracy:.2f} % of these right" if self.sure else ""
        return f"{100 * self.coverage:.2f} % of {self.images} answers sure (margin {self.margin}){right}"


def measure(scores: np.ndarray, classes: np.ndarray, margin: int) -> Sureness:
    """The sureness of scores int32 (N, K) for images of classes (N,), from a margin on."""
    sure = margins(scores) >= margin
    correct = sure & (scores.argmax(axis=1) == classes)
    return Sureness(margin, len(scores), int(sure.sum()), int(correct.sum()))


def find_margin(scores: np.ndarray, classes: np.ndarray, wanted: float) -> int | None:
    """The least margin, 1 or more, with which enough of the sure answers are right; None: there is none.

    Args:
        scores: int32 (N, K).
        classes: integers (N,).
        wanted: which share of them is enough, 0 to 1.
    """
    found = margins(scores)
    order = np.argsort(-found)
    found, right = found[order], np.cumsum(scores.argmax(axis=1)[order] == classes[order])
    is_last = np.append(found[1:] != found[:-1], True)  # of those with this margin
    good = is_last & (found >= 1) & (right >= wanted * np.arange(1, len(found) + 1))
    return int(found[good].min()) if good.any() else None
