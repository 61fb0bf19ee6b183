"""MicroPython's source, pinned: from the environment, the cache, the release, or Debian; one check for all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import debian
import download
import tree
from ebnn.errors import BuildError
from ebnn.files import cache_dir
from versions import Pins

VARIABLE = "EBNN_MICROPYTHON"


@dataclass(frozen=True)
class Source:
    """A tree that is ready to build: where it lies, where it came from, and whether it is changed."""

    root: Path
    origin: str
    version: str
    identity: str
    changed: bool

    @property
    def summary(self) -> str:
        """One line for the log."""
        mark = ", CHANGED" if self.changed else ""
        return f"MicroPython {self.version} from {self.origin} (identity {self.identity[:12]}{mark})"


def obtain(pins: Pins, say: Callable[[str], None]) -> Source:
    """Find or fetch the pinned source; ``say`` gets one line for each thing that does not work.

    Raises BuildError when every origin fails, or when the one named in the environment is another version.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _from_names(named.split(os.pathsep), pins, say)
    return from_cache(pins, say) or fetch(pins, say)


def _from_names(names: list[str], pins: Pins, say: Callable[[str], None]) -> Source:
    """The first of these that is the release; one that says why not, where none is."""
    for name in names[:-1]:
        with contextlib.suppress(BuildError):
            return from_environment(Path(name), pins, say)
    return from_environment(Path(names[-1]), pins, say)


def from_environment(path: Path, pins: Pins, say: Callable[[str], None]) -> Source:
    """The checkout or tarball that the person named; a changed one is used, with a warning."""
    if path.is_file():
        source = _from_named_tarball(path, pins)
    elif path.is_dir():
        source = inspect(path, f"{VARIABLE}={path}", pins)
    else:
        raise BuildError(f"{VARIABLE}={path}: no such folder or tarball")
    if source.changed:
        say(f"warning: {source.origin} differs from MicroPython {pins.version} as released")
    return source


def inspect(root: Path, origin: str, pins: Pins) -> Source:
    """Look at a tree; raises BuildError unless it is the supported version."""
    version = tree.version_of(root)
    if version != pins.version:
        raise BuildError(
            f"{origin}: this is MicroPython {version}, and this ebnn builds with {pins.version}: "
            f"check out v{pins.version}, or unset {VARIABLE} to have it fetched"
        )
    found = tree.identity(root, pins.folders)
    return Source(root.resolve(), origin, version, found, changed=found != pins.identity)


def _from_named_tarball(path: Path, pins: Pins) -> Source:
    """Unpacked once; the file's place, size and time stand for its content in the runs after that."""
    state = path.stat()
    stamp = hashlib.sha256(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()
    root = cache_dir() / f"micropython-tarball-{stamp[:16]}"
    if not root.is_dir():
        with _scratch() as scratch:
            tree.extract(path, Path(scratch) / "tree", pins)
            _install(Path(scratch) / "tree", root)
    return inspect(root, f"{VARIABLE}={path}", pins)


def from_cache(pins: Pins, say: Callable[[str], None]) -> Source | None:
    """The tree that an earlier run put into the cache; a damaged one is removed."""
    root = _place(pins)
    if not root.is_dir():
        return None
    try:
        source = inspect(root, f"the cache ({_origin_file(root).read_text(encoding='utf-8')})", pins)
    except (BuildError, OSError) as error:
        reason = str(error)
    else:
        if not source.changed:
            return source
        reason = "its content has changed"
    say(f"the cached source {root} is no good ({reason}): fetching it again")
    shutil.rmtree(root)
    return None


def fetch(pins: Pins, say: Callable[[str], None]) -> Source:
    """Get the source from the network into the cache: the release first, then Debian's source package."""
    failures = []
    for origin, get in (
        (pins.release_url, lambda folder: download.download(pins.release_url, folder / "release.tar.xz")),
        (f"Debian's source package ({pins.debian_suite})", lambda folder: debian.fetch(pins, folder)),
    ):
        try:
            with _scratch() as scratch:
                return _accept(get(Path(scratch)), Path(scratch) / "tree", origin, pins)
        except BuildError as error:
            failures.append(f"  {error}")
            say(f"no source there: {str(error).splitlines()[0]}")
    raise BuildError(
        f"no source of MicroPython {pins.version}:\n"
        + "\n".join(failures)
        + f"\nset {VARIABLE} to a checkout of v{pins.version} or to its release tarball"
    )


def _accept(tarball: Path, fresh: Path, origin: str, pins: Pins) -> Source:
    tree.extract(tarball, fresh, pins)
    source = inspect(fresh, origin, pins)
    if source.changed:
        raise BuildError(f"{origin}: identity {source.identity}, wanted {pins.identity}")
    root = _place(pins)
    _origin_file(fresh).write_text(origin, encoding="utf-8")
    _install(fresh, root)
    return Source(root, origin, source.version, source.identity, changed=False)


def _scratch() -> tempfile.TemporaryDirectory:
    """A folder beside the cached trees, so that a finished tree moves into place in one step."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=".source-")


def _place(pins: Pins) -> Path:
    return cache_dir() / f"micropython-{pins.version}"


def _origin_file(root: Path) -> Path:
    return root / ".origin"


def _install(fresh: Path, root: Path) -> None:
    try:
        fresh.rename(root)
    except OSError:  # another process was faster: its tree passed the same check
        if not root.is_dir():
            raise
