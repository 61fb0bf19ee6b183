"""Screening designs, effects and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ebnn import intervals
from ebnn.ablate import effects
from ebnn.ablate.design import plackett_burman, screening
from ebnn.errors import ConfigError

# The first high runs of Plackett and Burman's paper (1946), as they print them.
PRINTED = {11: "++-+++---+-", 19: "++--++++-+-+----++-", 23: "+++++-+-++--++--+-+----"}


@pytest.mark.parametrize("foldover", [False, True])
@pytest.mark.parametrize(("factors", "runs"), [(1, 12), (10, 12), (11, 20), (18, 20), (19, 24), (22, 24), (23, 32)])
def test_columns_are_balanced_and_orthogonal(factors: int, runs: int, foldover: bool) -> None:
    design = screening(factors, foldover).astype(int)
    assert design.shape == (runs * (2 if foldover else 1), runs - 1) and runs - 1 > factors
    assert (np.abs(design) == 1).all()
    assert (design.sum(axis=0) == 0).all()
    assert (design.T @ design == len(design) * np.eye(runs - 1, dtype=int)).all()


@pytest.mark.parametrize("prime", PRINTED)
def test_it_is_the_design_of_the_paper(prime: int) -> None:
    design = plackett_burman(prime)
    assert "".join("+" if level > 0 else "-" for level in design[1]) == PRINTED[prime]
    assert (design[0] == -1).all()


def test_a_foldover_frees_main_effects_of_pairs() -> None:
    for foldover in (False, True):
        design = screening(6, foldover).astype(int)
        pair = design[:, 0] * design[:, 1]
        assert bool(np.abs(design.T @ pair).max() == 0) == foldover


def test_effects_of_a_linear_response() -> None:
    design, true = screening(15), np.zeros(19)
    true[[2, 5, 9]] = (1.0, -0.5, 0.25)
    found = effects.main_effects(design, list(90 + design @ true / 2))
    assert found == pytest.approx(true, abs=1e-9)
    contrasts = np.random.default_rng(0).normal(size=20)
    by_hand = [contrasts[column > 0].mean() - contrasts[column < 0].mean() for column in design.T]
    assert effects.main_effects(design, list(contrasts)) == pytest.approx(by_hand)


def test_missing_runs_take_columns_of_no_factor() -> None:
    design, true = screening(15), np.zeros(19)
    true[[0, 14]] = (2.0, -1.0)
    responses: list[float | None] = list(90 + design @ true / 2)
    responses[4] = responses[11] = None
    found = effects.main_effects(design, responses)
    assert found[:17] == pytest.approx(true[:17], abs=1e-9)
    assert np.isnan(found[17:]).all()
    with pytest.raises(ConfigError, match="1 of 20 runs"):
        effects.main_effects(design, [90.0] + [None] * 19)


def test_lenths_margin_finds_what_is_no_chance() -> None:
    noise = np.random.default_rng(1).normal(size=(400, 19))
    beyond = [np.mean(np.abs(row) > effects.margin_of_error(row)) for row in noise]
    assert 0.01 < np.mean(beyond) < 0.05  # t with a third of the effects as freedom is a bound
    row = noise[0].copy()
    row[7] = 20
    assert effects.margin_of_error([*row, math.nan]) == pytest.approx(effects.margin_of_error(row))
    assert np.flatnonzero(np.abs(row) > 2 * effects.margin_of_error(row)).tolist() == [7]


def test_lenths_margin_by_hand() -> None:
    """The median of all sizes is 0.5, that of those up to 2.5 * 1.5 * 0.5 is 0.4; 3.1824 is t with 9 / 3 as freedom."""
    found = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, 10, -12]
    assert effects.margin_of_error(found) == pytest.approx(3.1824 * 1.5 * 0.4, rel=1e-4)


def test_intervals_hold_the_mean_19_times_of_20() -> None:
    assert intervals.quantile(0.95, 4) == pytest.approx(2.776, abs=5e-4)  # as printed in tables
    samples = np.random.default_rng(2).normal(3, 2, (2000, 5))
    found = [intervals.interval(row) for row in samples]
    assert 0.935 < np.mean([one.low <= 3 <= one.high for one in found]) < 0.965
    assert intervals.interval([1.0]).half == math.inf
    assert [intervals.interval(row).verdict for row in ([2, 2.1], [-2, -2.1], [-1, 1])] == [
        "helps", "harms", "not decided",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no run"):
        intervals.interval([])


def test_the_spread_of_seeds_tells_the_noise_of_an_effect() -> None:
    rng, design = np.random.default_rng(3), screening(15)
    inside = []
    for _ in range(300):
        responses = rng.normal(90, 0.5, (20, 2))
        found = effects.main_effects(design, list(responses.mean(axis=1)))
        inside.append(np.mean(np.abs(found) <= effects.spread_margin(responses.tolist())))
    assert 0.93 < np.mean(inside) < 0.97
    assert effects.spread_margin([[1.0], [2.0], []]) is None


def test_half_normal_quantiles() -> None:
    sizes = np.median(np.sort(np.abs(np.random.default_rng(4).normal(size=(4000, 9))), axis=1), axis=0)
    assert effects.half_normal(9) == pytest.approx(sizes.tolist(), abs=0.03)
