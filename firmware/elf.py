"""Just enough of ELF, little-endian, 32 and 64 bits: what is loaded where, and Berkeley's three sums."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ebnn.errors import BuildError

_PT_LOAD = 1
_SHT_NOBITS = 8
_SHF_WRITE = 1
_SHF_ALLOC = 2

# (header after e_ident, program header, section header) for each class, and the order of the fields we read.
_CLASSES = {
    1: (struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<8I"), struct.Struct("<10I")),
    2: (struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<2I6Q"), struct.Struct("<2I4Q2I2Q")),
}


@dataclass(frozen=True)
class Segment:
    """Bytes that the file puts at ``address`` in the running machine."""

    address: int
    content: bytes


@dataclass(frozen=True)
class Sizes:
    """Bytes as `size` counts them: ``text`` (code and constants), ``data``, ``bss``."""

    text: int
    data: int
    bss: int

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(self.text + other.text, self.data + other.data, self.bss + other.bss)


class Image:
    """An ELF file: an executable or an object. Raises BuildError for a file that is none."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._bytes = self.path.read_bytes()
        head = self._bytes[:6]
        if len(self._bytes) < 64 or head[:4] != b"\x7fELF" or head[4] not in _CLASSES or head[5] != 1:
            raise BuildError(f"{path}: not a little-endian ELF file")
        self._wide = head[4] == 2
        header, self._program, self._section = _CLASSES[head[4]]
        fields = header.unpack_from(self._bytes, 16)
        self._tables = {
            "program": (fields[4], fields[8], fields[9]),
            "section": (fields[5], fields[10], fields[11]),
        }

    def _rows(self, table: str, form: struct.Struct) -> list[tuple[int, ...]]:
        start, step, count = self._tables[table]
        try:
            return [form.unpack_from(self._bytes, start + i * step) for i in range(count)]
        except struct.error:
            raise BuildError(f"{self.path}: its {table} headers are cut off") from None

    def segments(self) -> list[Segment]:
        """What is loaded, with the addresses it has at run time (.data: in RAM, not where it is copied from)."""
        found = []
        for row in self._rows("program", self._program):
            kind = row[0]
            offset, address, size = (row[2], row[3], row[5]) if self._wide else (row[1], row[2], row[4])
            if kind == _PT_LOAD:
                found.append(Segment(address, self._bytes[offset : offset + size]))
        return found

    def find(self, content: bytes) -> list[int]:
        """Every address at which the loaded image holds ``content``."""
        addresses = []
        for segment in self.segments():
            at = segment.content.find(content)
            while at >= 0:
                addresses.append(segment.address + at)
                at = segment.content.find(content, at + 1)
        return addresses

    def sizes(self) -> Sizes:
        """Sums over the sections that take memory in the target."""
        text = data = bss = 0
        for row in self._rows("section", self._section):
            kind, flags, size = row[1], row[2], row[5]
            if not flags & _SHF_ALLOC:
                continue
            if kind == _SHT_NOBITS:
                bss += size
            elif flags & _SHF_WRITE:
                data += size
            else:
                text += size
        return Sizes(text, data, bss)
