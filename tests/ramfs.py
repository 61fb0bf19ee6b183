"""Files in the RAM of a board that has no file system of its own, so that it can import them."""

from __future__ import annotations

from ebnn.board.session import Session

# Names start with an underscore so that they do not stand in a test's way. The path of a file starts with "/".
_CODE = """
import io as _io, vfs as _vfs
_files = {}
class _File(_io.IOBase):
    def __init__(self, data):
        self.data, self.at = data, 0
    def readinto(self, buffer):
        count = min(len(buffer), len(self.data) - self.at)
        buffer[:count] = self.data[self.at:self.at + count]
        self.at += count
        return count
    def ioctl(self, request, argument):
        return 0
class _FS:
    def mount(self, readonly, mkfs):
        pass
    def stat(self, path):
        if path not in _files:
            raise OSError(2)
        return (0x8000, 0, 0, 0, 0, 0, len(_files[path]), 0, 0, 0)
    def open(self, path, mode):
        self.stat(path)
        return _File(_files[path])
_vfs.mount(_FS(), "/ram")
import sys as _sys
_sys.path.append("/ram")
"""


def mount(device: Session) -> None:
    """Give the board the file system, at /ram, in its sys.path."""
    device.exec(_CODE)


def put(device: Session, name: str, content: bytes, chunk: int = 128) -> None:
    """Write a file, in pieces that a small heap takes."""
    device.exec(f"_data = bytearray({len(content)})")
    for at in range(0, len(content), chunk):
        device.exec(f"_data[{at}:{at + chunk}] = {content[at : at + chunk]!r}")
    device.exec(f"_files['/{name}'] = _data\n_data = None")
