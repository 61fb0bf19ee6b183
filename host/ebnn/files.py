"""Files: atomic writing, TOML on every supported Python, the repository and the cache."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import subprocess
import time
from pathlib import Path

from ebnn.errors import ConfigError, EbnnError

PARTIAL = ".part"  # how the names of unfinished files end
STALE_SECONDS = 24 * 60 * 60


def write_atomic(path: str | os.PathLike, content: bytes | str) -> Path:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part.

    The parent folder is made if missing. Raises OSError (for example a full disk) with the old file intact.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    _remove_stale(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    try:
        # os.open applies the umask itself: asking for the umask would set it for a moment, for all threads.
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def _remove_stale(path: Path) -> None:
    """Remove what killed processes left of earlier attempts at ``path``; a young one may still be written."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}{PARTIAL}"):
        with contextlib.suppress(OSError):
            if time.time() - stale.stat().st_mtime > STALE_SECONDS:
                stale.unlink()


def _sync_folder(folder: Path) -> None:
    # Windows cannot open folders, and some file systems cannot sync them.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_toml(path: str | os.PathLike) -> dict:
    """Read a TOML file; raises ConfigError naming the file and the place of the mistake."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def repo_root() -> Path:
    """The checkout that this package lives in; raises EbnnError where there is none (a bare wheel)."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "usermod").is_dir() and (folder / "firmware").is_dir():
            return folder
    raise EbnnError("this needs the ebnn source tree (usermod/, firmware/): run it from a checkout")


def cache_dir() -> Path:
    """The folder for downloads: ``EBNN_CACHE_DIR``, else the platform's usual ``~/.cache/ebnn``."""
    named = os.environ.get("EBNN_CACHE_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ebnn"


def checkout_commit() -> str | None:
    """The checkout's commit, with ``-dirty`` where files differ from it; None without git."""
    try:
        command = ["git", "-C", str(repo_root()), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
