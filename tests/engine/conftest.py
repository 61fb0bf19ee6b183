"""The driver programs, compiled once a test run."""

from __future__ import annotations

from pathlib import Path

import driver
import pytest


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver with address and undefined-behaviour sanitizers."""
    return driver.build_driver(tmp_path_factory.mktemp("sanitized"), driver.SANITIZED)


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of the engine for a core that counts bits with an instruction."""
    return driver.build_driver(tmp_path_factory.mktemp("counting"), driver.COUNTING)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver compiled for size, as for a device."""
    return driver.build_driver(tmp_path_factory.mktemp("small"), driver.SMALL)


@pytest.fixture(scope="session")
def least(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sanitized driver of the engine for the least memory."""
    return driver.build_driver(tmp_path_factory.mktemp("least"), driver.LEAST)


@pytest.fixture(scope="session")
def polling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sanitized driver of an engine that polls wherever it can."""
    return driver.build_driver(tmp_path_factory.mktemp("polling"), driver.POLLING)
