"""Effects of factors from the runs of a design."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from ebnn.errors import ConfigError
from ebnn.intervals import CONFIDENCE, quantile

LENTH_TRIM = 2.5  # effects so many times the first guess of their noise are no noise


def main_effects(design: np.ndarray, responses: Sequence[float | None]) -> np.ndarray:
    """Mean at high minus mean at low for every column, by least squares over the runs that have a response.

    With all responses this is the plain contrast of a column; where runs are missing, least squares mends what they
    took from the balance, and the last columns - those of no factor - are given up, as many as there are runs missing.

    Args:
        design: (runs, columns) of -1 and +1, fewer columns than runs.
        responses: one a run; None where there is none.

    Returns:
        float64 (columns,), NaN for columns that were given up.

    Raises:
        ConfigError: so many runs are missing that nothing can be told.
    """
    there = [index for index, value in enumerate(responses) if value is not None]
    columns = min(design.shape[1], len(there) - 1)
    if columns < 1:
        raise ConfigError(f"{len(there)} of {len(design)} runs of the screening ended: there are no effects")
    matrix = np.column_stack([np.ones(len(there)), design[there, :columns]])
    found, _, rank, _ = np.linalg.lstsq(matrix, np.array([responses[i] for i in there], float), rcond=None)
    if rank < columns + 1:
        raise ConfigError(f"{len(there)} of {len(design)} runs of the screening ended: they do not tell effects apart")
    effects = np.full(design.shape[1], np.nan)
    effects[:columns] = 2 * found[1:]
    return effects


def margin_of_error(effects: Sequence[float]) -> float:
    """Lenth's margin (1989): if most effects are nothing, chance puts fewer than one in twenty of these beyond it.

    The noise is guessed from the median of the effects' sizes, those that are clearly more left out.
    """
    sizes = np.abs(np.asarray(effects, float))
    sizes = sizes[~np.isnan(sizes)]
    first = 1.5 * np.median(sizes)
    noise = 1.5 * np.median(sizes[sizes <= LENTH_TRIM * first])
    return quantile(CONFIDENCE, len(sizes) / 3) * float(noise)


def half_normal(count: int) -> list[float]:
    """Where ``count`` sizes of nothing but noise, sorted, would lie: medians of the half-normal distribution's order.

    Shares of the medians after Filliben (1975).
    """
    shares = [(rank - 0.3175) / (count + 0.365) for rank in range(1, count + 1)]
    return [NormalDist().inv_cdf(0.5 + 0.5 * share) for share in shares]


def spread_margin(groups: Sequence[Sequence[float]]) -> float | None:
    """Half width of a main effect's 95 % interval by the spread of seeds within the runs of a design.

    It holds what seeds do, not what factors do together. None where no run has two seeds.

    Args:
        groups: the responses of each run of the design, one a seed.
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    if not freedom:
        return None
    squares = sum(float(np.square(np.asarray(group) - np.mean(group)).sum()) for group in groups if group)
    number = sum(map(len, groups))
    return quantile(CONFIDENCE, freedom) * 2 * (squares / freedom / number) ** 0.5
