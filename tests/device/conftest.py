"""One booted board a module and board; the same tests run on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from booted import booted
from built import builds
from ebnn.board.session import Session


@pytest.fixture(
    scope="session",
    params=[pytest.param(built, id=str(built), marks=pytest.mark.xdist_group(str(built))) for built in builds()],
)
def device(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with a board that runs the tests' firmware, or stock firmware with the native module."""
    with booted(request.param) as session:
        yield session


@pytest.fixture(autouse=True)
def tidy(device: Session) -> Iterator[None]:
    """Leave the next test the board's memory: a small heap does not hold what several tests have made."""
    yield
    device.exec("a = b = m = p = r = v = x = out = rows = seen = None\ngc.collect()")
