"""Files on a board: sent in pieces, verified there by a hash, and put into place only when they are whole."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from ebnn.board import remote, romfs
from ebnn.board.client import source_of
from ebnn.board.session import RemoteError, Session
from ebnn.errors import BoardError

PART = ".part"  # how the name of a file ends that is not whole yet
PIECE = 512  # bytes sent at once
HASH_TIMEOUT = 300.0  # seconds: a board without hashlib counts a CRC in Python
_ERRNO = re.compile(r"OSError: (?:\[Errno )?(\d+)")
_SENTENCES = {28: "its file system is full", 30: "its file system is read-only (CircuitPython: while USB has it)"}


@dataclass(frozen=True)
class Sent:
    """A file that is on the board now. ``how``: "sent", "resumed" (the rest of it) or "unchanged"."""

    path: str
    size: int
    how: str
    hash: str


class BoardFiles:
    """The files of a session's board; ``show`` is told the path, and the bytes done and wanted, as they go.

    Every method raises BoardError, with a sentence for a board that is full, read-only, or gone.
    """

    def __init__(self, session: Session, show: Callable[[str, int, int], None] | None = None) -> None:
        self.session = session
        self.show = show or (lambda path, done, size: None)
        self.load("facts", "rom")  # alone, so that it finds the heap that there is
        self.facts = self.call("facts")
        self.load()

    def load(self, *names: str) -> None:
        """Give the board functions of ``remote``, all or some, each by itself, as a small heap takes it."""
        imports, *functions = re.split(r"\n(?=def )", source_of(remote))
        self.session.exec(imports)
        for function in functions:
            name = function[len("def ebnn_") : function.index("(")]
            if not names or name in names:
                self.session.exec(function + "\ngc.collect()")

    def call(self, name: str, *arguments: object, timeout: float = 30.0):
        """Call a function of ``remote`` on the board; returns what it returns."""
        words = ", ".join(map(repr, arguments))
        return self.session.eval(f"ebnn_{name}({words})", timeout)

    def put(self, path: str, data: bytes) -> Sent:
        """Make ``path`` on the board hold ``data``. Whatever happens, the old file or the new one is there, whole, or
        the new one beside it (``path`` with .part), from which the next call goes on."""
        part = path + PART
        if self._holds(path, data):
            self.call("remove", part)
            return self._sent(path, data, "unchanged")
        done = self._done(part, data)
        try:
            self._check_room(path, len(data) - done)
            for at in range(done, len(data), PIECE):
                self.call("append", part, self.text(data[at : at + PIECE]))
                self.show(path, min(at + PIECE, len(data)), len(data))
            if not self._holds(part, data):
                self.call("remove", part)
                raise BoardError(f"{self.session.name}: {path} arrived damaged: try again")
            self.call("replace", part, path)
        except RemoteError as error:
            raise self._explained(error, path, part) from None
        return self._sent(path, data, "resumed" if done else "sent")

    def _done(self, part: str, data: bytes) -> int:
        """How many bytes of ``data`` an interrupted attempt has left; what is something else is removed."""
        found = self.call("digest", part, timeout=HASH_TIMEOUT)
        if found and found[0] <= len(data) and found[1:] == hash_of(found[1], data[: found[0]]):
            return found[0]
        self.call("remove", part)
        return 0

    def _holds(self, path: str, data: bytes) -> bool:
        found = self.call("digest", path, timeout=HASH_TIMEOUT)
        if found:
            self._hash = found[1]
        return bool(found) and found[0] == len(data) and found[1:] == hash_of(found[1], data)

    def _check_room(self, path: str, wanted: int) -> None:
        free = self.call("free", path.rpartition("/")[0])
        if free is None:
            raise BoardError(
                f"{self.session.name}: the board has no file system to write {path} to; firmware with the module built "
                "in needs none (ebnn firmware)"
            )
        if wanted > free:
            raise BoardError(f"{self.session.name}: {path} needs {wanted:,} bytes, {free:,} are free on the board")

    def _explained(self, error: RemoteError, path: str, part: str) -> BoardError:
        number = _ERRNO.search(error.traceback)
        sentence = _SENTENCES.get(int(number[1])) if number else None
        if sentence is None:
            return error
        self.call("remove", part)
        return BoardError(f"{self.session.name}: cannot write {path}: {sentence}; what was there is untouched")

    def _sent(self, path: str, data: bytes, how: str) -> Sent:
        return Sent(path, len(data), how, self._hash)

    def text(self, data: bytes) -> str:
        """Bytes as the board's ``ebnn_decode`` takes them."""
        return base64.b64encode(data).decode() if self.facts["base64"] else data.hex()

    # ROMFS.

    def rom_files(self) -> dict[str, bytes]:
        """What is in the board's ROMFS, by path; empty where there is none yet, or a damaged one."""
        size = romfs.image_size(self.call("rom_read", 0, romfs.HEAD))
        if not size or size > self.facts["rom"][0]:
            return {}
        pieces = [self.call("rom_read", at, min(at + PIECE, size)) for at in range(0, size, PIECE)]
        try:
            return romfs.parse(b"".join(pieces))
        except BoardError:  # an attempt that was interrupted
            return {}

    def put_rom(self, files: dict[str, bytes]) -> Sent:
        """Write the ROMFS, over the old one: a board that vanishes meanwhile has none until the next call."""
        image = romfs.build(files)
        size, block = self.facts["rom"]
        if len(image) > size:
            raise BoardError(f"{self.session.name}: the ROMFS has {size:,} bytes, {len(image):,} are needed")
        how = "unchanged"
        if not self._rom_holds(image):
            self._write_rom(image, block)
            how = "sent"
        return Sent("/rom", len(image), how, self._hash)

    def _write_rom(self, image: bytes, block: int) -> None:
        least = self._check_rom(self.call("rom_prepare", len(image), block, timeout=HASH_TIMEOUT))
        piece = -(-PIECE // least) * least
        for at in range(0, len(image), piece):
            data = image[at : at + piece]
            self._check_rom(self.call("rom_write", at, self.text(data + bytes(-len(data) % least)), block) or 0)
            self.show("/rom", at + len(data), len(image))
        self._check_rom(self.call("rom_finish", block) or 0)
        if not self._rom_holds(image):
            raise BoardError(f"{self.session.name}: the ROMFS does not hold what was written to it")

    def _rom_holds(self, image: bytes) -> bool:
        self._hash, digest = self.call("rom_digest", len(image), timeout=HASH_TIMEOUT)
        return (self._hash, digest) == hash_of(self._hash, image)

    def _check_rom(self, result: int) -> int:
        if result < 0:
            raise BoardError(f"{self.session.name}: the board refuses to write its ROMFS (error {-result})")
        return result


def hash_of(what: str, data: bytes) -> tuple[str, bytes]:
    """``what`` ("sha256" or "crc32") and the digest of ``data``, as the board gives them."""
    if what == "sha256":
        return what, hashlib.sha256(data).digest()
    return what, zlib.crc32(data).to_bytes(4, "little")
