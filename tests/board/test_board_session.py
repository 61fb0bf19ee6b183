"""Sessions with real MicroPython: the raw REPL from any state, code, errors, the prompt, boards that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from boardkit import Board

from ebnn.board.link import open_link, open_port
from ebnn.board.session import RemoteError, Session
from ebnn.board.targets import load_target
from ebnn.errors import BoardError

LOOP = "while True:\n    pass\n"
DEAF = "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass\n"


def _settle(session: Session) -> None:
    """Let the board act on what was written, and drop what it says."""
    while session.link.read(0.2):
        pass


def _type(session: Session, keys: bytes) -> None:
    session.enter_friendly()
    session.link.write(keys)


def _half_line(session: Session) -> None:
    _type(session, b"ran = 1; wait(")


def _block(session: Session) -> None:
    _type(session, b"if True:\r    ran = 1\r")


def _paste_mode(session: Session) -> None:
    _type(session, b"\x05ran = 1\r")


def _raw_mode(session: Session) -> None:
    session.enter_raw()
    session.link.write(b"ran = 1\n")


def _raw_paste_mode(session: Session) -> None:
    session.enter_raw()
    session.link.write(b"\x05A\x01ran = 1\n")


def _running(session: Session) -> None:
    session.begin(LOOP)


def _reading(session: Session) -> None:
    session.begin("import sys\nran = sys.stdin.readline()\n")


def _fresh(session: Session) -> None:
    """Nothing was said since booting."""


STATES = (_fresh, _half_line, _block, _paste_mode, _raw_mode, _raw_paste_mode, _running, _reading)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_raw_repl_from_any_state(board: Board, state: Callable[[Session], None]) -> None:
    if state is _paste_mode and board.target.kind == "unix":
        pytest.skip("firmware/unix_repl.py has no paste mode")
    first = board.session()
    state(first)
    _settle(first)
    session = Session(first.link)  # knows nothing of what the first one did
    session.enter_raw(reset=False)
    assert session.eval("6 * 7") == 42
    assert session.eval("'ran' in globals()") is False


def test_code_and_its_output(board: Board) -> None:
    session = board.session()
    assert session.exec("print('one')\nprint('two')") == "one\ntwo\n"
    assert session.exec("x = 5") == ""
    assert session.eval("[x, 'é', b'\\x00\\x04', None]") == [5, "é", b"\x00\x04", None]


@pytest.mark.parametrize("raw_paste", [True, False])
def test_large_code(board: Board, raw_paste: bool) -> None:
    session = board.session()
    session.raw_paste = raw_paste
    code = "total = 0\n" + "".join(f"total += {number}  # {'.' * 60}\n" for number in range(120))
    session.exec(code)
    assert session.eval("total") == sum(range(120))


def test_exceptions_carry_the_boards_traceback(board: Board) -> None:
    session = board.session()
    with pytest.raises(RemoteError, match="the board raised ZeroDivisionError: divide by zero") as caught:
        session.exec("def f():\n    1 / 0\nprint('before')\nf()")
    assert "line 2, in f" in caught.value.traceback
    with pytest.raises(RemoteError, match="SyntaxError"):
        session.exec("x = = 1\n" + "y = 1\n" * 200)
    assert session.eval("1 + 1") == 2


def test_an_expression_without_a_literal_is_refused(unix: Board) -> None:
    with pytest.raises(BoardError, match="object.* is not a literal"):
        unix.session().eval("object()")


def test_control_characters_are_refused(unix: Board) -> None:
    session = unix.session()
    with pytest.raises(BoardError, match="control characters"):
        session.exec("x = '\x04'")
    with pytest.raises(BoardError, match="control characters"):
        session.prompt("a\nb")


def test_a_timeout_says_what_was_printed_and_the_board_goes_on(board: Board) -> None:
    session = board.session()
    with pytest.raises(BoardError, match=r"did not finish within 0.5 s: it said b'so far"):
        session.exec("print('so far')\n" + LOOP, timeout=0.5)
    assert session.eval("1 + 1") == 2


def test_soft_reset_forgets(board: Board) -> None:
    session = board.session()
    session.exec("x = 1")
    session.soft_reset()
    assert session.eval("'x' in globals()") is False


def test_a_deaf_board_is_started_again(board: Board) -> None:
    session = board.session()
    session.begin(DEAF)
    _settle(session)
    pid = session.link.process.pid
    session.enter_raw(timeout=2.0)
    assert session.eval("1 + 1") == 2
    assert session.link.process.pid != pid


def test_a_deaf_board_that_must_not_be_reset_is_reported(unix: Board) -> None:
    session = unix.session()
    session.exec("print('hello')")
    session.begin("print('busy')\n" + DEAF)
    with pytest.raises(BoardError, match=r"unix: no raw REPL within 1 s: it said .*busy"):
        session.enter_raw(timeout=1.0, reset=False)


def test_the_prompt_shows_what_a_person_sees(board: Board) -> None:
    session = board.session()
    assert session.prompt("x = 6") == ">>> x = 6"
    assert session.prompt("print('a'); x * 7") == ">>> print('a'); x * 7\na\n42"
    assert session.prompt("for i in range(3): print(i)").splitlines()[-3:] == ["0", "1", "2"]
    assert session.prompt("1 / 0").endswith("ZeroDivisionError: divide by zero")
    assert session.eval("x") == 6
    assert session.prompt("x") == ">>> x\n6"


def test_a_socket_is_a_serial_line(emulated: Board) -> None:
    session = emulated.session(serial="tcp")
    assert session.eval("1 + 1") == 2
    assert session.link.port.name.startswith("socket://")


def test_a_board_that_is_killed_is_reported(board: Board) -> None:
    session = board.session()
    session.begin(LOOP)
    os.kill(session.link.process.pid, signal.SIGKILL)
    with pytest.raises(BoardError, match=f"{board.target.name}: the board is gone: .* was killed by SIGKILL"):
        session.finish()


def test_a_board_that_ends_shows_its_last_words(unix: Board) -> None:
    session = unix.session()
    with pytest.raises(BoardError, match="was killed by SIGTERM; its last words: .*out of luck"):
        session.exec("import os, sys\nsys.stderr.write('out of luck')\nos.system('kill -TERM $PPID')")


def test_the_process_is_reaped_and_its_log_removed(board: Board) -> None:
    with board.session() as session:
        session.enter_raw()
        pid = session.link.process.pid
        assert list(board.target.slot.iterdir())
    assert not Path(f"/proc/{pid}").exists()
    assert list(board.target.slot.iterdir()) == []


def test_a_killed_harness_leaves_no_board_behind(unix: Board) -> None:
    code = (
        "import os, sys; from ebnn.board.targets import load_target; from ebnn.board.link import open_link\n"
        "link = open_link(load_target('unix'), sys.argv[1]); print(link.process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(unix.image)], capture_output=True, text=True, check=False)
    deadline = time.monotonic() + 10
    while _runs(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(int(done.stdout))


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended but that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_cannot_be_started_is_named(emulated: Board) -> None:
    with pytest.raises(BoardError, match="mps2-an385: cannot start no-such-program: No such file"):
        emulated.open(spawn=("no-such-program", "{serial}", "{image}"))
    with pytest.raises(
        BoardError, match="the board is gone: qemu-system-arm ended with exit status 1; .*unsupported machine"
    ):
        emulated.open(spawn=("qemu-system-arm", "-M", "nonesuch", "-serial", "{serial}", "{image}"))
    with pytest.raises(BoardError, match="no firmware at .*: build and flash it first"):
        open_link(load_target("mps2-an385"), "/nonexistent/firmware.elf")


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="cannot open .*: no such port"):
        open_port(str(tmp_path / "ttyX"))


def test_a_port_that_is_taken(unix: Board) -> None:
    port = unix.open().port.name
    with pytest.raises(BoardError, match="another program is using it"):
        open_port(port)


def test_a_real_port_cannot_be_reset(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        with open_port(os.ttyname(slave)) as link:
            with pytest.raises(BoardError, match="no raw REPL within 1 s: it said nothing"):
                Session(link).enter_raw(timeout=1.0)
            with pytest.raises(BoardError, match="press the board's reset button"):
                link.reset()
    finally:
        os.close(master)
        os.close(slave)
