"""Means with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ebnn.errors import ConfigError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its 95 % interval; the width is infinite where there is one value only."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half

    @property
    def verdict(self) -> str:
        """What it says of a difference."""
        return "helps" if self.low > 0 else "harms" if self.high < 0 else "not decided"


def interval(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of independent values.

    Raises:
        ConfigError: there is no value.
    """
    if not len(values):
        raise ConfigError("no run ended: there is no mean")
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, math.inf)
    return Interval(mean, quantile(CONFIDENCE, len(values) - 1) * float(np.std(values, ddof=1)) / len(values) ** 0.5)


def quantile(confidence: float, freedom: float) -> float:
    """What a variable of Student's distribution exceeds in size with probability 1 - ``confidence``."""
    from scipy import stats  # scikit-learn brings it

    return float(stats.t.ppf((1 + confidence) / 2, freedom))
