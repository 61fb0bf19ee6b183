"""Gradients that stand in for the derivative of sign, which is 0 almost everywhere.

An estimator is a function from the pre-activation x, float32, to the factor that the gradient is multiplied with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebnn.errors import ConfigError

Estimator = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ClippedSTE:
    """Straight-through inside of a band: factor 1 where |x| <= clip, else 0.

    Source: Hubara et al., "Binarized Neural Networks" (2016), with clip = 1; 1.25 lets more of a normalized
    map learn.
    """

    clip: float = 1.25

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (np.abs(x) <= np.float32(self.clip)).astype(np.float32)


@dataclass(frozen=True)
class ApproxSign:
    """Derivative of a piecewise quadratic through sign's ends: factor max(0, 2 - 2 |x|).

    Source: Liu et al., "Bi-Real Net" (2018).
    """

    def __call__(self, x: np.ndarray) -> np.ndarray:
        factor = np.abs(x)
        factor *= np.float32(-2)
        factor += np.float32(2)
        return np.maximum(factor, np.float32(0), out=factor)


ESTIMATORS: dict[str, Estimator] = {"ste": ClippedSTE(), "approxsign": ApproxSign()}


def find(name: str | Estimator) -> Estimator:
    """The estimator of that name, or the function itself; raises ConfigError with the names there are."""
    if callable(name):
        return name
    if name not in ESTIMATORS:
        raise ConfigError(f"estimator {name!r}: there are {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name]
