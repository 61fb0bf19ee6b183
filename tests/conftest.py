"""Shared fixtures. That this file stands here lets every test import the modules of this folder by name."""

from __future__ import annotations

import pytest

import networks
import vectors


@pytest.fixture(scope="session")
def random_cases() -> list[vectors.Case]:
    """The random networks of all seeds with what the oracle says about them (some seconds, once)."""
    return [vectors.random_case(seed) for seed in networks.SEEDS]
