"""Gradients that stand in for the derivative of sign, which is 0 almost everywhere.

An estimator is a function from the pre-activation x, float32, to the factor that the gradient is multiplied with.
Some change with the progress p of the run (``ebnn.train.stage``), from 0 in the first epoch to 1 in the last.
None of them changes what the device computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebnn.errors import ConfigError
from ebnn.train import arrays, native, stage
from ebnn.train.arrays import Array

Estimator = Callable[[Array], Array]


@dataclass(frozen=True)
class ClippedSTE:
    """Straight-through inside of a band: factor 1 where |x| <= clip, else 0.

    Source: Hubara et al., "Binarized Neural Networks" (2016), with clip = 1; 1.25 lets more of a normalized
    map learn.
    """

    clip: float = 1.25

    def __call__(self, x: Array) -> Array:
        xp = arrays.module(x)
        return (xp.abs(x) <= xp.float32(self.clip)).astype(xp.float32)

    def gradient(self, x: Array, gy: Array) -> Array:
        """gy times the factor, in one pass where C serves."""
        if not native.serves(x):
            return gy * self(x)
        return native.clipped(np.ascontiguousarray(x), np.ascontiguousarray(gy), self.clip)


@dataclass(frozen=True)
class ApproxSign:
    """Derivative of a piecewise quadratic through sign's ends: factor max(0, 2 - 2 |x|).

    Source: Liu et al., "Bi-Real Net" (2018).
    """

    def __call__(self, x: Array) -> Array:
        xp = arrays.module(x)
        factor = xp.abs(x)
        factor *= xp.float32(-2)
        factor += xp.float32(2)
        return xp.maximum(factor, xp.float32(0), out=factor)


@dataclass(frozen=True)
class SwishSign:
    """Derivative of 2 S(bx) (1 + bx (1 - S(bx))) - 1 with the logistic S: b (2 - bx tanh(bx / 2)) / (1 + cosh(bx)).

    It is negative beyond |bx| = 2.4, so that values far from 0 are drawn back.
    Source: Darabi et al., "BNN+: Improved Binary Network Training" (2018).
    """

    beta: float = 5.0
    far: float = 30.0  # |bx| beyond which the factor is 0 in float32, and cosh would overflow soon

    def __call__(self, x: Array) -> Array:
        xp = arrays.module(x)
        scaled = xp.clip(x * xp.float32(self.beta), xp.float32(-self.far), xp.float32(self.far))
        slope = xp.float32(2) - scaled * xp.tanh(scaled / xp.float32(2))
        return xp.float32(self.beta) * slope / (xp.float32(1) + xp.cosh(scaled))


@dataclass(frozen=True)
class ErrorDecay:
    """Derivative of k tanh(t x), from nearly straight to nearly sign: factor k t (1 - tanh(t x)^2).

    t = first * (last / first)^p and k = max(1 / t, 1).
    Source: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks" (IR-Net, 2020).
    """

    first: float = 0.1
    last: float = 10.0

    def __call__(self, x: Array) -> Array:
        xp = arrays.module(x)
        t = self.first * (self.last / self.first) ** stage.progress()
        bent = xp.tanh(x * xp.float32(t))
        return xp.float32(max(1.0, t)) * (xp.float32(1) - bent * bent)


@dataclass(frozen=True)
class ReSTE:
    """Derivative of sign(x) |x|^(1/o) within a band: factor (1/o) |x|^(1/o - 1) where near < |x| <= clip, 0 beyond.

    o = 1 + (last - 1) p, so the power goes from the identity towards sign. Up to ``near``, where the derivative
    grows without limit, the slope of the chord from 0 is taken: near^(1/o) / near.
    Source: Wu et al., "Estimator Meets Equilibrium Perspective" (2023).
    """

    last: float = 3.0
    clip: float = 1.5
    near: float = 0.1

    def __call__(self, x: Array) -> Array:
        xp = arrays.module(x)
        o = 1 + (self.last - 1) * stage.progress()
        size = xp.abs(x)
        factor = xp.power(xp.maximum(size, xp.float32(self.near)), xp.float32(1 / o - 1)) / xp.float32(o)
        chord = xp.float32(math.pow(self.near, 1 / o - 1))
        factor = xp.where(size <= xp.float32(self.near), chord, factor)
        return factor * (size <= xp.float32(self.clip))


ESTIMATORS: dict[str, Estimator] = {
    "ste": ClippedSTE(),
    "approxsign": ApproxSign(),
    "swishsign": SwishSign(),
    "error-decay": ErrorDecay(),
    "reste": ReSTE(),
}


def find(name: str | Estimator, clip: float = ClippedSTE.clip) -> Estimator:
    """The estimator of that name, or the function itself; raises ConfigError with the names there are.

    ``clip`` is the band of ``ste``.
    """
    if callable(name):
        return name
    if name not in ESTIMATORS:
        raise ConfigError(f"estimator {name!r}: there are {', '.join(ESTIMATORS)}")
    return ClippedSTE(clip) if name == "ste" else ESTIMATORS[name]
