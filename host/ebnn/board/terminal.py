"""A person's terminal, or a pipe, connected to a board's prompt."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

from ebnn.board.session import CTRL_C, INDENT, Session, unindent

LEAVE_KEYS = b"\x18\x1d"  # Ctrl-X, Ctrl-]
GREETING = "Ctrl-X or Ctrl-] leaves."
LINE_TIMEOUT = 60.0
READ_SIZE = 1024


def interact(
    session: Session, greeting: str = GREETING, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None
) -> None:
    """Connect ``stdin`` and ``stdout`` (binary; default: this program's) to the board's prompt.

    A terminal shows ``greeting`` and is raw until Ctrl-X or Ctrl-] is typed. Anything else is read line by
    line, each typed when the board is ready for it, until it ends. Raises BoardError when the board vanishes.
    """
    stdin = stdin or sys.stdin.buffer
    stdout = stdout or sys.stdout.buffer
    session.enter_friendly()
    try:
        if stdin.isatty():
            _show(stdout, "".join(line + "\r\n" for line in greeting.splitlines()).encode())
            _converse(session, stdin.fileno(), stdout)
        else:
            _type_lines(session, stdin, stdout)
    finally:
        session.forget()


def _show(stdout: BinaryIO, data: bytes) -> None:
    stdout.write(data)
    stdout.flush()


def _converse(session: Session, keys: int, stdout: BinaryIO) -> None:
    after_cr = False
    with _raw_terminal(keys):
        session.link.write(b"\r")  # makes the board show its prompt
        while True:
            ready = session.link.wait_readable([keys])
            if keys in ready and not _type(session, os.read(keys, READ_SIZE)):
                _show(stdout, b"\r\n")
                return
            if ready != [keys]:
                data = session.read(0)
                _show(stdout, _whole_line_ends(data, after_cr))
                after_cr = data.endswith(b"\r")


def _type(session: Session, typed: bytes) -> bool:
    """Pass on what was typed; False when the person leaves."""
    if not typed or any(key in typed for key in LEAVE_KEYS):
        return False
    session.link.write(typed)
    if CTRL_C in typed:
        session.link.interrupt()
    return True


def _whole_line_ends(data: bytes, after_cr: bool) -> bytes:
    """``data`` with CR LF wherever a board sends a bare LF, which a raw terminal shows as a staircase."""
    whole = re.sub(rb"(?<!\r)\n", b"\r\n", data)
    return whole[1:] if after_cr and data.startswith(b"\n") else whole


@contextlib.contextmanager
def _raw_terminal(terminal: int) -> Iterator[None]:
    import termios
    import tty

    saved = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, saved)


def _type_lines(session: Session, stdin: BinaryIO, stdout: BinaryIO) -> None:
    _show(stdout, b">>> ")
    indent = None
    for line in stdin:
        session.link.write(_keys(line.rstrip(b"\r\n"), indent) + b"\r")
        shown, indent = session.wait_input(time.monotonic() + LINE_TIMEOUT)
        _show(stdout, shown.replace(b"\r\n", b"\n"))
    if indent is not None:
        session.link.write(unindent(indent) + b"\r")
        _show(stdout, session.wait_prompt(time.monotonic() + LINE_TIMEOUT).replace(b"\r\n", b"\n"))
    _show(stdout, b"\n")


def _keys(line: bytes, indent: int | None) -> bytes:
    """The keys that make ``line`` out of a prompt that has already put ``indent`` columns there."""
    if not indent:
        return line
    own = len(line) - len(line.lstrip(b" "))
    kept = min(own, indent) // INDENT * INDENT
    return unindent(indent - kept) + line[kept:]
