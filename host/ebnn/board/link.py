"""A board's serial line through pyserial: an emulator's pty or socket, a process on a pty, a real port.

A line that was opened by starting a process owns that process: it is always reaped, its words are kept in a
log, and when it dies in mid-run the error says so and shows them.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

import serial

from ebnn.board.process import BoardProcess
from ebnn.board.targets import Target
from ebnn.errors import BoardError

POLL = 0.05  # seconds: how long one look at the line may block
WRITE_TIMEOUT = 20.0
START_TIMEOUT = 10.0
_PTY_NAME = re.compile(rb"redirected to (/dev/\S+)")


class Opened(NamedTuple):
    """What opening a line gives: the pyserial port and the process behind it, if we started one."""

    port: serial.SerialBase
    process: BoardProcess | None


class Link:
    """Bytes to and from one board. Every failure is a BoardError that names the board.

    ``port`` is the pyserial object; it may be replaced by one that wraps it (a test that damages bytes does).
    """

    def __init__(self, name: str, opener: Callable[[], Opened], resettable: bool = False) -> None:
        self.name = name
        self.resettable = resettable
        self._opener = opener
        self.port, self.process = opener()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, timeout: float) -> bytes:
        """Return the bytes that have arrived, waiting up to ``timeout`` seconds for the first; b"" if none came."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                data = self.port.read(max(1, self.port.in_waiting))
            except (serial.SerialException, OSError) as error:
                raise self._gone(error) from None
            if data:
                return data
            self._check_process()
            if time.monotonic() >= deadline:
                return b""

    def write(self, data: bytes) -> None:
        """Send all of ``data``; raises BoardError when the board is gone or takes no bytes."""
        try:
            self.port.write(data)
        except serial.SerialTimeoutException:
            raise BoardError(f"{self.name}: the board has taken no bytes for {WRITE_TIMEOUT:g} s") from None
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from None

    def wait_readable(self, others: list[int]) -> list[int]:
        """Wait until the line or one of the file descriptors ``others`` can be read; returns which.

        The line's own descriptor stands for the line; it is reported now and then without cause, so that a
        board that has died is noticed.
        """
        own = self.port.fileno()
        ready, _, _ = select.select([own, *others], [], [], 1.0)
        return ready or [own]

    def interrupt(self) -> None:
        """Interrupt a board that is a process of this machine, as Ctrl-C in its terminal would; else nothing."""
        if self.process is not None and self.process.on_stdio:
            self.process.interrupt()

    def reset(self) -> None:
        """Start the board's process again; raises BoardError for a board that cannot be reset from here."""
        if not self.resettable:
            raise BoardError(f"{self.name}: press the board's reset button, it cannot be reset from here")
        self.close()
        self.port, self.process = self._opener()

    def close(self) -> None:
        """Close the line and end the process behind it. May be called twice."""
        if self.process is not None:
            self.process.stop()
        self.port.close()

    def _check_process(self) -> None:
        if self.process is not None and self.process.ended():
            raise BoardError(f"{self.name}: {self.process.obituary()}")

    def _gone(self, error: Exception) -> BoardError:
        if self.process is not None and self.process.ended(wait=1.0):
            return BoardError(f"{self.name}: {self.process.obituary()}")
        return BoardError(f"{self.name}: the board has vanished from its line ({error})")


def open_link(target: Target, image: str | os.PathLike | None = None, counting: bool = False) -> Link:
    """Open the line to ``target``, starting its process if it has one.

    ``image`` is the firmware to run (default: the one that was flashed); ``counting`` adds the arguments
    that make an emulator count instructions. Raises BoardError.
    """
    talk = target.talk
    if talk.spawn is None:
        return Link(target.name, lambda: Opened(_open_port(target.name, talk.port, talk.baud), None))
    image = os.fspath(image or target.slot_image)
    if not os.path.exists(image):
        raise BoardError(f"{target.name}: no firmware at {image}: build and flash it first")
    start = {"stdio": _start_on_pty, "pty": _start_pty, "tcp": _start_tcp}[talk.serial]
    return Link(target.name, lambda: start(target, image, counting), resettable=True)


def open_port(port: str, baud: int = 115200) -> Link:
    """Open a line that no target describes: a device path or any URL that pyserial knows."""
    return Link(port, lambda: Opened(_open_port(port, port, baud), None))


def _open_port(name: str, port: str, baud: int) -> serial.SerialBase:
    options = {"timeout": POLL, "write_timeout": WRITE_TIMEOUT}
    if "://" not in port:
        options["exclusive"] = True
    try:
        line = serial.serial_for_url(port, baudrate=baud, **options)
    except (serial.SerialException, OSError, ValueError) as error:
        raise BoardError(f"{name}: cannot open {port}: {_open_reason(port, error)}") from None
    _send_at_once(line)
    return line


def _send_at_once(line: serial.SerialBase) -> None:
    # pyserial leaves Nagle's algorithm on, which costs 40 ms for every short command.
    stream = getattr(line, "_socket", None)
    if isinstance(stream, socket.socket):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _open_reason(port: str, error: Exception) -> str:
    if "://" in port:
        return str(error)
    if not os.path.exists(port):
        return "no such port (is the board plugged in?)"
    if not os.access(port, os.R_OK | os.W_OK):
        return "no permission (see `ebnn doctor`)"
    if "lock" in str(error):
        return "another program is using it (see `ebnn doctor`)"
    return str(error)


def _start_pty(target: Target, image: str, counting: bool) -> Opened:
    """QEMU makes the pty itself and prints its name."""
    process = BoardProcess(target, target.command(image, "pty", counting))
    return _connect(target, process, lambda: _printed_name(process))


def _start_tcp(target: Target, image: str, counting: bool) -> Opened:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    line = f"tcp:{address},server=on,wait=off,nodelay=on"
    process = BoardProcess(target, target.command(image, line, counting))
    return _connect(target, process, lambda: f"socket://{address}")


def _start_on_pty(target: Target, image: str, counting: bool) -> Opened:
    """The process gets the master of a new pty as its stdin and stdout; we are the terminal's user."""
    master, slave = os.openpty()
    try:
        name = os.ttyname(slave)
        _set_raw(slave)
        process = BoardProcess(target, target.command(image, "", counting), stdio=master)
        return _connect(target, process, lambda: name)
    finally:
        os.close(master)
        os.close(slave)


def _set_raw(terminal: int) -> None:
    import tty

    tty.setraw(terminal)


def _connect(target: Target, process: BoardProcess, address: Callable[[], str | None]) -> Opened:
    """Open the line of a process that has just started, trying until it is there or the process has died."""
    deadline = time.monotonic() + START_TIMEOUT
    problem = "it did not name its serial line"
    try:
        while time.monotonic() < deadline:
            if process.ended():
                raise BoardError(f"{target.name}: {process.obituary()}")
            name = address()
            if name:
                try:
                    return Opened(_open_port(target.name, name, target.talk.baud), process)
                except BoardError as error:
                    problem = str(error)
            time.sleep(0.002)
        raise BoardError(f"{target.name}: {process.name} is running but cannot be reached: {problem}")
    except BaseException:
        process.stop()
        raise


def _printed_name(process: BoardProcess) -> str | None:
    found = _PTY_NAME.search(process.words())
    return found.group(1).decode() if found else None
