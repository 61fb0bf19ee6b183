"""Learning rates."""

from __future__ import annotations

import math


def warm_cosine(step: int, warmup: float, total: int) -> float:
    """Factor of the highest learning rate at ``step`` of ``total``.

    A line up for ``warmup`` steps, times a half cosine down to 0.
    Source of the cosine: Loshchilov and Hutter, "SGDR" (2017), here without restarts.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * step / total))
