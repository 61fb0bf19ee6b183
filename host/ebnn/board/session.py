"""Talk to a board's MicroPython: raw REPL, evaluation, soft reset, and the prompt as a person sees it."""

from __future__ import annotations

import ast
import os
import re
import secrets
import time
from typing import Any

from ebnn.board.frames import quit_bytes
from ebnn.board.link import Link, open_link
from ebnn.board.targets import Target
from ebnn.errors import BoardError

CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
PROMPT = b">>> "
_WANTS_LINE = re.compile(rb"(?:^|\n)(>>> |\.\.\. +)$")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

QUIET = 0.05  # seconds without a byte that count as silence
ATTEMPT = 1.0  # seconds that one attempt to enter the raw REPL may take
CHUNK = 128  # bytes written at once where the board offers no flow control
CHUNK_PAUSE = 0.01
INDENT = 4


class RemoteError(BoardError):
    """Code raised an exception on the board. ``traceback`` is the board's text."""

    def __init__(self, name: str, traceback: str) -> None:
        super().__init__(f"{name}: the board raised {traceback.strip().splitlines()[-1]}\n{traceback.strip()}")
        self.traceback = traceback


class Session:
    """A conversation with one board over ``link``; a context manager that closes the link.

    Nothing is sent before the first call that needs the board. ``exec`` and ``eval`` enter the raw REPL by
    themselves and ``prompt`` leaves it, so they can be mixed. ``raw_paste`` says whether to try code under
    flow control; it turns False by itself on a board that has no such mode.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.name = link.name
        self._mode = "unknown"  # unknown | raw | friendly
        self.raw_paste = True
        self._pending = b""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the line and, for an emulated board, end it."""
        self.link.close()

    # The raw REPL.

    def enter_raw(self, timeout: float = 10.0, reset: bool = True) -> None:
        """Enter the raw REPL from whatever the board is doing.

        Interrupts a running program, a half-typed line, paste mode, raw mode and a waiting agent. If that
        does not help within ``timeout`` seconds, a board that is a process is started again (``reset``).
        Raises BoardError that shows what the board said instead.
        """
        seen = self._try_raw(time.monotonic() + timeout)
        if seen is not None and reset and self.link.resettable:
            self.link.reset()
            seen = self._try_raw(time.monotonic() + timeout)
        if seen is not None:
            said = f"it said {seen[-200:]!r}" if seen else "it said nothing"
            raise BoardError(f"{self.name}: no raw REPL within {timeout:g} s: {said}")
        self._mode = "raw"

    def _try_raw(self, deadline: float) -> bytes | None:
        """Return None when the raw REPL is there, else what was seen in vain."""
        seen = self._pending
        self._mode, self._pending = "unknown", b""
        attempt = 0
        while time.monotonic() < deadline:
            if attempt:
                # Perhaps an agent waits for the rest of a frame that a killed harness never finished.
                self.link.interrupt()
                self.link.write(quit_bytes(1024 << min(attempt, 6)))
            self.link.write(CTRL_C + CTRL_C + CTRL_A)
            seen += self._until_banner(min(deadline, time.monotonic() + ATTEMPT))
            if seen.endswith(RAW_BANNER) and (attempt == 0 or self._has_caught_up(deadline)):
                return None
            attempt += 1
        return seen

    def _has_caught_up(self, deadline: float) -> bool:
        """Whether the board has answered all that was sent: a slow one may have banners of earlier attempts to come."""
        token = secrets.token_hex(4).encode()
        wanted = b"OK" + token + CTRL_D + CTRL_D + b">"
        self.link.write(b"print('" + token + b"', end='')" + CTRL_D)
        deadline = min(deadline, time.monotonic() + ATTEMPT)
        seen = b""
        while not seen.endswith(wanted) and time.monotonic() < deadline:
            seen += self.link.read(QUIET)
        return seen.endswith(wanted)

    def _until_banner(self, deadline: float) -> bytes:
        """Read until the raw REPL's banner ends what came, and nothing follows."""
        seen = b""
        while time.monotonic() < deadline:
            data = self.link.read(QUIET)
            seen += data
            if not data and seen.endswith(RAW_BANNER):
                break
        return seen

    def exec(self, code: str, timeout: float = 30.0) -> str:
        """Run ``code`` on the board and return what it printed.

        Raises RemoteError with the board's traceback, or BoardError when it has not finished after
        ``timeout`` seconds.
        """
        self.begin(code)
        return self.finish(timeout)

    def eval(self, expression: str, timeout: float = 30.0) -> Any:
        """Return the value of an expression on the board; it must have a literal as its repr."""
        text = self.exec(f"print(repr({expression}))", timeout)
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise BoardError(f"{self.name}: {expression} is not a literal: {text.strip()}") from None

    def begin(self, code: str) -> None:
        """Start ``code`` on the board and return while it runs; ``finish`` must follow."""
        if self._mode != "raw":
            self.enter_raw()
        if _CONTROL.search(code):
            raise BoardError(f"{self.name}: code for the board must not contain control characters")
        self._mode = "unknown"  # until it has finished
        data = code.encode()
        if not (self.raw_paste and self._send_by_raw_paste(data)):
            self._send_in_chunks(data)

    def finish(self, timeout: float = 30.0) -> str:
        """Wait for the code that ``begin`` started; returns and raises as ``exec`` does."""
        deadline = time.monotonic() + timeout
        what = f"the code did not finish within {timeout:g} s"
        output = self._read_until(CTRL_D, deadline, what)
        traceback = self._read_until(CTRL_D, deadline, what)
        self._read_until(b">", deadline, what)
        self._mode = "raw"
        if traceback:
            raise RemoteError(self.name, _text(traceback))
        return _text(output)

    def soft_reset(self, timeout: float = 10.0) -> None:
        """Restart the board's interpreter; its memory is fresh and the raw REPL is entered again."""
        if self._mode != "raw":
            self.enter_raw()
        self._mode = "unknown"
        self.link.write(CTRL_D)
        deadline = time.monotonic() + timeout
        self._read_until(b"OK", deadline, "no answer to the soft reset")
        self.enter_raw(timeout)

    def _send_by_raw_paste(self, data: bytes) -> bool:
        """Send code under the board's flow control; False if the board does not offer that."""
        deadline = time.monotonic() + 10.0
        self.link.write(CTRL_E + b"A" + CTRL_A)
        answer = self._read_exactly(2, deadline, "no answer to raw-paste mode")
        if answer != b"R\x01":
            self.raw_paste = False
            if answer != b"R\x00":  # an old board takes it for Ctrl-A
                self._read_until(RAW_BANNER[2:], deadline, "no raw REPL after raw-paste mode was refused")
            return False
        self._send_in_windows(data)
        return True

    def _send_in_windows(self, data: bytes) -> None:
        what = "the board stopped taking code"
        size = int.from_bytes(self._read_exactly(2, time.monotonic() + 10.0, what), "little")
        room, at = size, 0
        while at < len(data):
            while room == 0 or self._pending:
                signal = self._read_exactly(1, time.monotonic() + 10.0, what)
                if signal == CTRL_D:  # the board has had enough, for example a syntax error
                    self.link.write(CTRL_D)
                    return
                room += size
            self.link.write(data[at : at + room])
            at, room = at + room, 0
        self.link.write(CTRL_D)
        self._read_until(CTRL_D, time.monotonic() + 10.0, what)

    def _send_in_chunks(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            self.link.write(data[at : at + CHUNK])
            time.sleep(CHUNK_PAUSE)
        self.link.write(CTRL_D)
        answer = self._read_exactly(2, time.monotonic() + 10.0, "no answer to code")
        if answer != b"OK":
            raise BoardError(f"{self.name}: the board did not take the code: it said {answer!r}")

    # The friendly REPL.

    def prompt(self, line: str, timeout: float = 30.0) -> str:
        """Type ``line`` at the prompt and return what a person would see: the echo and the output.

        A line that opens a block gets the empty line that ends it. Raises BoardError on control characters
        and when the prompt does not come back within ``timeout`` seconds.
        """
        if _CONTROL.search(line) or "\n" in line:
            raise BoardError(f"{self.name}: a line for the prompt must not contain control characters: {line!r}")
        self.enter_friendly()
        self.link.write(line.encode() + b"\r")
        shown = self.wait_prompt(time.monotonic() + timeout)
        return _text(PROMPT + shown).rstrip()

    def enter_friendly(self, timeout: float = 10.0) -> None:
        """Leave the raw REPL, so that a person finds ``>>> `` on an empty line."""
        if self._mode == "friendly":
            return
        if self._mode != "raw":
            self.enter_raw(timeout)
        self._mode = "unknown"
        self.link.write(CTRL_B)
        self.wait_prompt(time.monotonic() + timeout)

    def wait_prompt(self, deadline: float) -> bytes:
        """Read until the prompt stands alone and return what came before it, ending blocks on the way."""
        shown = b""
        while not shown.endswith(PROMPT):
            data, indent = self.wait_input(deadline)
            shown += data
            if indent is not None:
                self.link.write(unindent(indent) + b"\r")
        return shown[: -len(PROMPT)]

    def wait_input(self, deadline: float) -> tuple[bytes, int | None]:
        """Read until the board wants a line; return what it said, and the block's indent (None at ``>>> ``)."""
        self._mode = "unknown"
        shown = b""
        while time.monotonic() < deadline:
            data = self.read(QUIET)
            shown += data
            wanted = None if data else _WANTS_LINE.search(shown)
            if wanted:
                if wanted[1] == PROMPT:
                    self._mode = "friendly"
                    return shown, None
                return shown, len(wanted[1]) - len(PROMPT)
        raise BoardError(f"{self.name}: the prompt did not come back; the board said {shown[-200:]!r}")

    def forget(self) -> None:
        """Assume nothing about the board's state: somebody else has typed."""
        self._mode = "unknown"

    # Bytes.

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting up to ``timeout`` seconds for the first byte (for binary frames)."""
        return self._take() or self.link.read(timeout)

    def push_back(self, data: bytes) -> None:
        """Put bytes back in front of what is still unread."""
        self._pending = data + self._pending

    def _take(self) -> bytes:
        data, self._pending = self._pending, b""
        return data

    def _read_exactly(self, size: int, deadline: float, what: str) -> bytes:
        while len(self._pending) < size:
            self._fill(deadline, what)
        data, self._pending = self._pending[:size], self._pending[size:]
        return data

    def _read_until(self, token: bytes, deadline: float, what: str) -> bytes:
        """Return the bytes before ``token`` and drop the token."""
        while token not in self._pending:
            self._fill(deadline, what)
        data, self._pending = self._pending.split(token, 1)
        return data

    def _fill(self, deadline: float, what: str) -> None:
        left = deadline - time.monotonic()
        data = self.link.read(left) if left > 0 else b""
        if not data:
            said = f"it said {self._pending[-200:]!r}" if self._pending else "it said nothing more"
            raise BoardError(f"{self.name}: {what}: {said}")
        self._pending += data


def connect(target: Target, image: str | os.PathLike | None = None, counting: bool = False) -> Session:
    """Open a session with ``target`` (see ``open_link`` for the arguments)."""
    return Session(open_link(target, image, counting))


def unindent(columns: int) -> bytes:
    """Keys that remove an indent of so many columns that the prompt has put there; one removes four."""
    return b"\x7f" * (-(-columns // INDENT))


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
