"""One booted board a module and board; the same tests run on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from built import builds
from ebnn.board.session import Session, connect
from ebnn.board.targets import load_target


@pytest.fixture(
    scope="session",
    params=[pytest.param(built, id=str(built), marks=pytest.mark.xdist_group(str(built))) for built in builds()],
)
def device(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with a board that runs the tests' firmware, or stock firmware with the native module."""
    built = request.param
    with connect(load_target(built.board), built.firmware().image) as session:
        session.board = built.board
        session.is_native = bool(built.native)
        session.is_small = built.is_small
        if built.native:
            session.exec("import native_files")
        session.exec("import ebnn, gc, sys\nfrom array import array")
        # Bytes of a case that the heap can take beside an arena, the inputs, and the text of all of them.
        session.small = min(4000, session.eval("gc.mem_free() + gc.mem_alloc()") // 14)
        yield session


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest, device: Session) -> None:
    """Skip a test that is marked ``whole`` where the module for the least memory has not all that it needs."""
    if device.is_small and request.node.get_closest_marker("whole"):
        pytest.skip("ebnn_small leaves this out")


@pytest.fixture(autouse=True)
def tidy(device: Session) -> Iterator[None]:
    """Leave the next test the board's memory: a small heap does not hold what several tests have made."""
    yield
    device.exec("a = b = m = p = r = v = x = out = rows = seen = None\ngc.collect()")
