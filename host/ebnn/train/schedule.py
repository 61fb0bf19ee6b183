"""Learning rates: factors of the highest one over the share t, 0 to 1, of the steps."""

from __future__ import annotations

import math

DROPS, DROP = (0.5, 0.75), 0.1  # of the step schedule: at which shares, and to what share of the rate before
LEAST = 1e-3  # of the geometric schedule, at the end: binary networks settle only when hardly a weight flips any more

SCHEDULES = {
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)),
    "linear": lambda t: 1 - t,
    "geometric": lambda t: LEAST**t,
    "step": lambda t: DROP ** sum(t >= share for share in DROPS),
    "constant": lambda t: 1.0,
}


def factor(schedule: str, step: int, warmup: float, total: int) -> float:
    """Factor of the highest learning rate at ``step`` of ``total``: a line up for ``warmup`` steps, times the schedule.

    Source of the cosine: Loshchilov and Hutter, "SGDR" (2017), here without restarts.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * SCHEDULES[schedule](step / total)
