"""One booted board a module and board; the same tests run on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from built import BOARDS, firmware_for, native_for
from ebnn.board.session import Session, connect
from ebnn.board.targets import load_target

NATIVE = "-native"  # how the names of those end that load the module from a .mpy file


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(name)) for board in BOARDS for name in (board, board + NATIVE)
    ],
)
def device(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with a board that runs the tests' firmware, or stock firmware with the native module."""
    board = request.param.removesuffix(NATIVE)
    is_native = board != request.param
    image = (native_for(board) if is_native else firmware_for(board)).image
    with connect(load_target(board), image) as session:
        session.board = board
        session.is_native = is_native
        if is_native:
            session.exec("import native_files")
        session.exec("import ebnn, gc, sys\nfrom array import array")
        # Bytes of a case that the heap can take beside an arena, the inputs, and the text of all of them.
        session.small = min(4000, session.eval("gc.mem_free() + gc.mem_alloc()") // 14)
        yield session


@pytest.fixture(autouse=True)
def tidy(device: Session) -> Iterator[None]:
    """Leave the next test the board's memory: a small heap does not hold what several tests have made."""
    yield
    device.exec("a = b = m = p = r = v = x = out = rows = seen = None\ngc.collect()")
