"""Folding: every integer sum gives the bit that the float function gave."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn.fold import byte_thresholds, negate, threshold


def normalizer(rng: np.random.Generator, channels: int, spread: float):
    """A batch norm in float32 as a trainer computes it, with constant, tiny, huge and negative scales among them."""
    scale = rng.normal(0, 1, channels).astype(np.float32)
    scale[:6] = (0, 1e-30, -1e-30, 1e30, -1e30, 1)
    mean = rng.normal(0, spread, channels).astype(np.float32)
    shift = rng.normal(0, 1, channels).astype(np.float32)
    shift[:6] = (-1, 0, 0, 0, 0, 0)
    mean[5] = 0
    shift[6:10] = (1e9, -1e9, 0, 0)
    return lambda sums: ((sums - mean) * scale) + shift >= 0


@pytest.mark.parametrize(("low", "high", "step"), [(-9, 9, 2), (-72, 72, 2), (-255 * 9, 255 * 9, 1), (0, 0, 2)])
def test_every_sum_gives_the_same_bit(low: int, high: int, step: int) -> None:
    bits_of = normalizer(np.random.default_rng(high), 200, max(high, 1) / 2)
    thresholds, rising = threshold(bits_of, low, high, step)
    assert (thresholds.dtype, rising.dtype) == (np.int32, bool)
    for acc in range(low, high + 1, step):
        wanted = bits_of(np.full((1, 1), acc, np.float32))[0]
        assert ((acc >= thresholds) == (wanted == rising)).all(), acc


def test_constant_channels_are_rising_with_thresholds_at_the_ends() -> None:
    thresholds, rising = threshold(lambda sums: np.array([[True, False]]) & (sums == sums), -5, 5, 2)
    assert thresholds.tolist() == [-5, 7]
    assert rising.all()


def test_switch_at_either_end() -> None:
    limits = np.array([-7, -5, 5, 7], np.float32)
    thresholds, rising = threshold(lambda sums: sums >= limits, -7, 7, 2)
    assert (thresholds.tolist(), rising.all()) == ([-7, -5, 5, 7], True)
    thresholds, rising = threshold(lambda sums: sums < limits, -7, 7, 2)
    assert thresholds[1:].tolist() == [-5, 5, 7]
    assert rising.tolist() == [True, False, False, False]


def test_thresholds_on_bytes_mean_the_same() -> None:
    for weight_sum in range(-3, 4):
        for on_symmetric in range(-20, 21):
            raw = byte_thresholds(np.array([on_symmetric]), np.array([weight_sum]))[0]
            for acc in range(-500, 501):
                assert (2 * acc - 255 * weight_sum >= on_symmetric) == (acc >= raw)


def test_negated_filters_hit_where_the_given_ones_do_not() -> None:
    for limit in range(-5, 6):
        negated = negate(np.array([limit]))[0]
        assert all((-acc >= negated) == (not acc >= limit) for acc in range(-8, 9))
