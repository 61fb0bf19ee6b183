"""MicroPython's ROMFS: images whose files lie aligned, so that a model is used in place.

An image is one record: kind, length, content. Each number is in groups of 7 bits, the highest first, and all bytes but
its last have the top bit set; leading 0x80 are allowed, and here they align what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ebnn.errors import BoardError

MAGIC = b"\xd2\xcd\x31"  # the number 0x14a6b1, the kind of the outermost record
PADDING, DATA, POINTER, FOLDER, FILE = 1, 2, 3, 4, 5
HEADER_SIZE = 8  # of our images; the content of any begins behind its length
ALIGNMENT = 8
HEAD = 12  # bytes of an image that tell its size


class _Record(NamedTuple):
    kind: int
    start: int
    end: int


def build(files: dict[str, bytes]) -> bytes:
    """The image of files by path ("ebnn_model.bin", "lib/x.py"), each at a multiple of 8 bytes from its start."""
    content = bytearray()
    places = {}
    for path, data in files.items():
        content.append(DATA)
        size = _number(len(data))
        content += b"\x80" * (-(HEADER_SIZE + len(content) + len(size)) % ALIGNMENT) + size
        places[path] = (len(data), len(content))
        content += data
    content += _folder(places)
    content += bytes((PADDING, 1, 0)) if len(content) % 2 else b""  # an image has an even size
    size = _number(len(content))
    return MAGIC + b"\x80" * (HEADER_SIZE - len(MAGIC) - len(size)) + size + bytes(content)


def _number(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(groups[::-1])


def _pack(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + _number(len(content)) + content


def _folder(places: dict[str, tuple[int, int]]) -> bytes:
    """Records of what is in a folder: size and offset by path from there."""
    content = b""
    for name in dict.fromkeys(path.split("/")[0] for path in places):
        head = _number(len(name.encode())) + name.encode()
        inner = {path[len(name) + 1 :]: place for path, place in places.items() if path.startswith(name + "/")}
        if name in places:
            size, offset = places[name]
            content += _pack(FILE, head + _pack(POINTER, _number(size) + _number(offset)))
        else:
            content += _pack(FOLDER, head + _folder(inner))
    return content


def image_size(head: bytes) -> int:
    """Bytes of the image that begins with these 12 bytes; 0 where none does."""
    if not head.startswith(MAGIC):
        return 0
    length, start = _read_number(head, len(MAGIC), len(head))
    return start + length


def parse(image: bytes) -> dict[str, bytes]:
    """The files of an image by path. Raises BoardError for one that is damaged."""
    length, start = _read_number(image, len(MAGIC), len(image))
    if start + length != len(image):
        raise BoardError("the board's ROMFS is damaged")
    return dict(_files(image, start, _Record(FOLDER, start, len(image)), ""))


def _files(image: bytes, base: int, folder: _Record, prefix: str) -> Iterator[tuple[str, bytes]]:
    for record in _records(image, folder.start, folder.end):
        if record.kind in (FOLDER, FILE):
            length, start = _read_number(image, record.start, record.end)
            name = prefix + image[start : start + length].decode(errors="replace")
            inner = _Record(record.kind, start + length, record.end)
            if record.kind == FOLDER:
                yield from _files(image, base, inner, name + "/")
            else:
                yield name, _data(image, base, inner)


def _data(image: bytes, base: int, file: _Record) -> bytes:
    for record in _records(image, file.start, file.end):
        if record.kind == DATA:
            return image[record.start : record.end]
        if record.kind == POINTER:
            size, at = _read_number(image, record.start, record.end)
            offset, _ = _read_number(image, at, record.end)
            return image[base + offset : base + offset + size]
    raise BoardError("the board's ROMFS is damaged: a file in it has no data")


def _records(image: bytes, at: int, end: int) -> Iterator[_Record]:
    while at < end:
        kind, at = _read_number(image, at, end)
        size, at = _read_number(image, at, end)
        if kind == 0 or at + size > end:
            raise BoardError("the board's ROMFS is damaged")
        yield _Record(kind, at, at + size)
        at += size


def _read_number(image: bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    while at < end:
        value = value << 7 | image[at] & 0x7F
        at += 1
        if image[at - 1] < 0x80:
            return value, at
    raise BoardError("the board's ROMFS is damaged")
