"""A process that is a board: an emulator, or MicroPython built for this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ebnn.board.targets import Target
from ebnn.errors import BoardError

STOP_TIMEOUT = 3.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class BoardProcess:
    """Starts ``argv`` and keeps what it says; ``stdio`` is a file descriptor to be its stdin and stdout.

    Raises BoardError when the program is not there. The log is removed again when the process is stopped
    alive, and stays (``log``) when it died by itself.
    """

    def __init__(self, target: Target, argv: list[str], stdio: int | None = None) -> None:
        self.name = os.path.basename(argv[0])
        self.on_stdio = stdio is not None
        target.slot.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=target.slot, prefix="console-", suffix=".log")
        self.log = Path(path)
        try:
            # A session of its own: Ctrl-C in the person's terminal is for us, and does not kill the board.
            self._child = subprocess.Popen(
                argv,
                stdin=stdio if self.on_stdio else subprocess.DEVNULL,
                stdout=stdio if self.on_stdio else handle,
                stderr=handle,
                start_new_session=True,
                preexec_fn=_prepare,
            )
        except OSError as error:
            self.log.unlink()
            raise BoardError(f"{target.name}: cannot start {argv[0]}: {error.strerror}{_hint(argv[0])}") from None
        finally:
            os.close(handle)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def ended(self, wait: float = 0.0) -> bool:
        """Whether the process has ended, or ends within ``wait`` seconds."""
        if wait:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(wait)
        return self._child.poll() is not None

    def words(self) -> bytes:
        """All that the process has said on stderr (and stdout, where that is not the line)."""
        return self.log.read_bytes() if self.log.exists() else b""

    def obituary(self) -> str:
        """Say how an ended process ended, with its last words."""
        code = self._child.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        last = self.words().decode(errors="replace").strip().splitlines()[-5:]
        said = "; it said nothing" if not last else "; its last words: " + " | ".join(last)
        return f"the board is gone: {self.name} {how}{said}"

    def interrupt(self) -> None:
        """Send SIGINT, which a MicroPython process takes for Ctrl-C."""
        if not self.ended():
            self._child.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End the process, reap it, and drop the log unless the process died by itself."""
        if self.ended():
            if self._child.returncode == 0:
                self.log.unlink(missing_ok=True)
            return
        self._child.terminate()
        if not self.ended(wait=STOP_TIMEOUT):
            self._child.kill()
            self._child.wait()
        self.log.unlink(missing_ok=True)


def _hint(program: str) -> str:
    return " (install QEMU for Arm, see README)" if program.startswith("qemu-") else ""


def _prepare() -> None:
    # A killed harness must not leave an emulator behind that burns a core for ever.
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # An emulator's threads take turns at every byte of the serial line. On two cores each turn wakes a sleeping core,
    # which made the line five times slower than on one.
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})
