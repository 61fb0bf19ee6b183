"""One booted board a module and board; the same tests run on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from booted import booted
from built import builds, few_builds
from ebnn.board.session import Session

ON_EVERY_CORE = ("test_device", "test_machine")
OWN_BOARDS = ("test_small",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests on every board, or on a few."""
    module = metafunc.module.__name__
    if "device" in metafunc.fixturenames and module not in OWN_BOARDS:
        chosen = builds() if module in ON_EVERY_CORE else few_builds()
        params = [pytest.param(built, id=str(built), marks=pytest.mark.xdist_group(str(built))) for built in chosen]
        metafunc.parametrize("device", params, indirect=True, scope="session")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with a board that runs the tests' firmware, or stock firmware with the native module."""
    with booted(request.param) as session:
        yield session


@pytest.fixture(autouse=True)
def tidy(device: Session) -> Iterator[None]:
    """Leave the next test the board's memory: a small heap does not hold what several tests have made."""
    yield
    device.exec("a = b = m = p = r = v = x = out = rows = seen = None\ngc.collect()")
