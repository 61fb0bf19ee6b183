"""Files: atomic writing, TOML on every supported Python, the repository and the cache."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from ebnn.errors import ConfigError, EbnnError


def write_atomic(path: str | os.PathLike, content: bytes | str) -> Path:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part.

    The parent folder is made if missing. Raises OSError (for example a full disk) with the old file intact.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
