"""The margin of a sure answer: the least that keeps its promise, on images of which something is known."""

from __future__ import annotations

import numpy as np
import pytest

import oracle
from ebnn.calibrate import find_margin, measure
from ebnn.sim import margins


def answers(*pairs: tuple[int, bool]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and classes of answers with these margins that are right or not."""
    scores = np.array([[7, 7 - margin, -(2**31)] for margin, _ in pairs], np.int32)
    return scores, np.array([0 if right else 1 for _, right in pairs])


def test_margins_are_those_of_the_oracle() -> None:
    rng = np.random.default_rng(0)
    for classes in (1, 2, 3, 10):
        for high in (1, 3, 1 << 31):
            scores = rng.integers(-high, high, (40, classes), np.int32)
            assert margins(scores).tolist() == [oracle.margin_of(row.tolist()) for row in scores]
            assert margins(scores[0]) == oracle.margin_of(scores[0].tolist())


def test_least_margin_with_enough_right_ones() -> None:
    scores, classes = answers((9, True), (8, True), (6, False), (5, True), (5, True), (3, False), (0, True))
    found = [find_margin(scores, classes, wanted) for wanted in (1.0, 0.9, 0.8, 0.75, 0.66, 0.0)]
    assert found == [8, 8, 5, 5, 3, 3]


def test_equal_margins_are_sure_together() -> None:
    scores, classes = answers((9, True), (5, True), (5, False), (5, False))
    assert find_margin(scores, classes, 0.6) == 9
    assert find_margin(scores, classes, 0.5) == 5


def test_equal_scores_are_never_sure() -> None:
    scores, classes = answers((0, True), (0, True))
    assert find_margin(scores, classes, 0.5) is None


def test_what_nobody_can_promise() -> None:
    scores, classes = answers((9, False), (8, False))
    assert find_margin(scores, classes, 0.5) is None
    assert find_margin(scores, classes, 0.0) == 8


@pytest.mark.parametrize("seed", range(20))
def test_no_smaller_margin_keeps_the_promise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, classes = rng.integers(-9, 9, (60, 4), np.int32), rng.integers(0, 4, 60)
    for wanted in (0.2, 0.3, 0.5):
        occurring = sorted({int(margin) for margin in margins(scores)} - {0})
        keeping = [margin for margin in occurring if measure(scores, classes, margin).accuracy >= wanted]
        assert find_margin(scores, classes, wanted) == min(keeping, default=None)


def test_measure() -> None:
    scores, classes = answers((9, True), (6, False), (5, True), (0, True))
    found = measure(scores, classes, 6)
    assert (found.images, found.sure, found.correct, found.coverage, found.accuracy) == (4, 2, 1, 0.5, 0.5)
    assert str(found) == "50.00 % of 4 answers sure (margin 6), 50.00 % of these right"
    nobody = measure(scores, classes, 10)
    assert nobody.accuracy is None and str(nobody) == "0.00 % of 4 answers sure (margin 10)"
