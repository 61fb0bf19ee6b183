"""Shared fixtures. That this file stands here lets every test import the modules of this folder by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import networks
import vectors
from ebnn.errors import DataError

if TYPE_CHECKING:
    from ebnn.train.data import Dataset

SUMMARY = "shown at the end"  # a property of a test: text for the terminal's summary


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def random_cases() -> list[vectors.Case]:
    """The random networks of all seeds with what the oracle says about them (some seconds, once)."""
    return [vectors.random_case(seed) for seed in networks.SEEDS]


@pytest.fixture(scope="session")
def tight_cases(random_cases: list[vectors.Case]) -> list[vectors.Case]:
    """Those and shrinking networks, with outputs as far over their inputs as can be."""
    return vectors.tight_cases(random_cases + [vectors.shrinking_case(seed) for seed in networks.SHRINKING])


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """MNIST from the data directory or the cache."""
    from ebnn.train.data import load  # imports Chainer

    try:
        return load("mnist")
    except DataError as error:
        pytest.skip(f"no MNIST here: {error}")


@pytest.fixture(scope="session")
def few() -> Dataset:
    """250 of scikit-learn's digits."""
    from ebnn.train import data

    whole = data.load("digits")
    return data.Dataset(
        "few", whole.x_train[:200], whole.y_train[:200], whole.x_test[:50], whole.y_test[:50], whole.labels
    )


@pytest.fixture(scope="session")
def few_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 300 of scikit-learn's digits with a split of their own, as a file."""
    from ebnn.train import data

    whole, path = data.load("digits"), tmp_path_factory.mktemp("few") / "few.npz"
    parts = {name: getattr(whole, name)[:300] for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(path, **parts, labels=np.array(whole.labels))
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests left; workers that run side by side cannot print themselves."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == SUMMARY and report.when == "call":
                    terminalreporter.section(report.nodeid)
                    terminalreporter.write_line(text)
