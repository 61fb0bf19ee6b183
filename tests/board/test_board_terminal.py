"""`ebnn repl`: a pipe types line by line, a terminal is raw until Ctrl-X or Ctrl-]."""

from __future__ import annotations

import io
import os
import signal
import termios
import threading
import time

import pytest
from boardkit import Board

from ebnn.board.terminal import interact
from ebnn.errors import BoardError

SCRIPT = b"""\
x = 6
def f(a):
    if a:
        return 'yes'
    return 'no'

for i in range(2):
    print('item', i)

f(1), f(0), x * 7
"""


def test_a_pipe_types_its_lines(board: Board) -> None:
    session, shown = board.session(), io.BytesIO()
    interact(session, stdin=io.BytesIO(SCRIPT), stdout=shown)
    lines = shown.getvalue().decode().splitlines()
    assert lines[0] == ">>> x = 6"
    assert [line for line in lines if not line.startswith((">>>", "..."))] == ["item 0", "item 1", "('yes', 'no', 42)"]
    assert lines[-1].rstrip() == ">>>"
    assert session.eval("x") == 6


def test_a_pipe_may_end_in_a_block(board: Board) -> None:
    session, shown = board.session(), io.BytesIO()
    interact(session, stdin=io.BytesIO(b"for i in range(3):\n    print('item', i)"), stdout=shown)
    assert b"item 2" in shown.getvalue()


class Person:
    """The keyboard and the screen of a terminal on which ``interact`` runs in a thread."""

    def __init__(self, board: Board) -> None:
        self.session = board.session()
        self.keys, self.terminal = os.openpty()
        self.before = termios.tcgetattr(self.terminal)
        self.screen = io.BytesIO()
        self.error: BoardError | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with open(self.terminal, "rb", buffering=0, closefd=False) as stdin:
                interact(self.session, "Hello.\nTry this.", stdin=stdin, stdout=self.screen)
        except BoardError as error:
            self.error = error

    def waits_for(self, text: bytes) -> None:
        """Return when ``text`` is on the screen."""
        deadline = time.monotonic() + 10
        while text not in self.screen.getvalue():
            assert time.monotonic() < deadline, self.screen.getvalue()
            time.sleep(0.01)

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.keys, keys)

    def leaves(self) -> None:
        """Expect that ``interact`` returns and the terminal is as it was."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert termios.tcgetattr(self.terminal) == self.before
        os.close(self.keys)
        os.close(self.terminal)


@pytest.mark.parametrize("key", [b"\x18", b"\x1d"])
def test_a_terminal_talks_to_the_board(board: Board, key: bytes) -> None:
    person = Person(board)
    person.waits_for(b"Hello.\r\nTry this.\r\n")
    person.waits_for(b">>> ")
    person.types(b"print(6 * 7)\r")
    person.waits_for(b"\n42\r\n>>> ")
    person.types(b"while True: pass\r\r")
    time.sleep(0.2)
    person.types(b"\x03")
    person.waits_for(b"KeyboardInterrupt")
    person.types(key)
    person.leaves()
    assert person.session.eval("1 + 1") == 2


def test_a_board_that_dies_gives_the_terminal_back(board: Board) -> None:
    person = Person(board)
    person.waits_for(b">>> ")
    os.kill(person.session.link.process.pid, signal.SIGKILL)
    person.leaves()
    assert "was killed by SIGKILL" in str(person.error)
