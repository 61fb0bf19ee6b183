"""The frames that harness and agent exchange (their layout is described and owned by ``agent``)."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

from ebnn.board.agent import CRC_SIZE, HEAD, HEAD_SIZE, MAGIC, QUIT

NOISE_KEPT = 4000


@dataclass(frozen=True)
class Frame:
    """One frame: ``kind`` and ``flags`` are agent constants, ``sequence`` counts modulo 65536."""

    kind: int
    sequence: int = 0
    payload: bytes = b""
    flags: int = 0

    def encode(self, text: bool = False) -> bytes:
        """Return the bytes for the line; as one line of base64 if ``text``."""
        head = struct.pack(HEAD, MAGIC, self.kind, self.flags, self.sequence, len(self.payload), 0)[:-2]
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
        data = head + self.payload + struct.pack("<I", zlib.crc32(head + self.payload))
        return base64.b64encode(data) + b"\n" if text else data


class Decoder:
    """Finds frames in a stream. ``noise`` keeps what was not one; ``damaged`` counts frames with a bad CRC."""

    def __init__(self, text: bool = False) -> None:
        self.text = text
        self.damaged = 0
        self.noise = b""
        self._pending = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes from the line and return the frames that they complete."""
        self._pending += data
        frames = []
        while True:
            found, frame = self._next_line() if self.text else self._next_binary()
            if frame:
                frames.append(frame)
            elif not found:
                return frames

    def rubbish(self) -> bytes:
        """The noise, and what is not known yet to be noise."""
        return self.noise + self._pending

    def _next_line(self) -> tuple[bool, Frame | None]:
        line, newline, rest = self._pending.partition(b"\n")
        if not newline:
            return False, None
        self._pending = rest
        try:
            data = base64.b64decode(line.strip(), validate=True)
        except binascii.Error:
            data = b""
        if not _head_fits(data):
            self._skip(line + newline)
            return True, None
        return True, self._checked(data)

    def _next_binary(self) -> tuple[bool, Frame | None]:
        start = self._pending.find(MAGIC)
        if start < 0:
            start = len(self._pending) - self._pending.endswith(MAGIC[:1])
        self._skip(self._pending[:start])
        self._pending = self._pending[start:]
        if len(self._pending) < HEAD_SIZE:
            return False, None
        if not _head_fits(self._pending):
            self._skip(self._pending[:1])
            self._pending = self._pending[1:]
            return True, None
        size = HEAD_SIZE + _length(self._pending) + CRC_SIZE
        if len(self._pending) < size:
            return False, None
        data, self._pending = self._pending[:size], self._pending[size:]
        return True, self._checked(data)

    def _checked(self, data: bytes) -> Frame | None:
        _, kind, flags, sequence, size, _ = struct.unpack_from(HEAD, data)
        end = HEAD_SIZE + size
        if len(data) != end + CRC_SIZE or zlib.crc32(data[:end]) != struct.unpack_from("<I", data, end)[0]:
            self.damaged += 1
            return None
        return Frame(kind, sequence, data[HEAD_SIZE:end], flags)

    def _skip(self, data: bytes) -> None:
        self.noise = (self.noise + data)[-NOISE_KEPT:]


def quit_bytes(size: int) -> bytes:
    """About ``size`` bytes that end a waiting agent, whichever way it reads and wherever it was in a frame.

    Ctrl-C follows each frame, since a REPL that gets them instead must not collect them in its small heap.
    """
    quit_frame = Frame(QUIT).encode() + b"\x03"
    return quit_frame * (size // len(quit_frame)) + b"\n" + Frame(QUIT).encode(text=True) + b"\x03"


def _head_fits(data: bytes) -> bool:
    if len(data) < HEAD_SIZE or data[:2] != MAGIC:
        return False
    return zlib.crc32(data[: HEAD_SIZE - 2]) & 0xFFFF == int.from_bytes(data[HEAD_SIZE - 2 : HEAD_SIZE], "little")


def _length(data: bytes) -> int:
    return int.from_bytes(data[6:8], "little")
