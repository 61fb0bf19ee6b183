"""Files: written whole or not at all; configuration files with errors that name the place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ebnn import files
from ebnn.errors import ConfigError


def test_text_and_bytes_are_written_below_new_folders(tmp_path: Path) -> None:
    assert files.write_atomic(tmp_path / "a" / "b.txt", "zwölf\n").read_bytes() == "zwölf\n".encode()
    assert files.write_atomic(str(tmp_path / "a" / "c.bin"), b"\0\1").read_bytes() == b"\0\1"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.txt", "c.bin"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_atomic(tmp_path / "model", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(OSError):
        files.write_atomic(tmp_path / "model", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_permissions_are_those_of_a_usual_file(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    made = files.write_atomic(tmp_path / "made", b"")
    assert made.stat().st_mode == usual.stat().st_mode


def test_the_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("another thread could make files for everybody now"))
    assert files.write_atomic(tmp_path / "made", b"1").read_bytes() == b"1"


def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fsync

    def watched(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    files.write_atomic(tmp_path / "made", b"")
    assert synced == [False, True]


def test_old_leftovers_of_the_same_file_are_removed(tmp_path: Path) -> None:
    endings = ("a.0123456789abcdef", "a.f000000000000000", "a.b.0123456789abcdef")
    old, young, other = (tmp_path / f".{ending}.part" for ending in endings)
    for path in (old, young, other):
        path.write_bytes(b"")
    for path in (old, other):
        os.utime(path, (0, 0))
    files.write_atomic(tmp_path / "a", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([young.name, other.name, "a"])


def test_toml(tmp_path: Path) -> None:
    path = files.write_atomic(tmp_path / "a.toml", 'name = "x"\n[build]\nclock = 25_000_000\n')
    assert files.read_toml(path) == {"name": "x", "build": {"clock": 25_000_000}}


def test_toml_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: no such file"):
        files.read_toml(tmp_path / "missing.toml")
    for content in (b"name = \n", b"\xff\xfe"):
        path = files.write_atomic(tmp_path / "bad.toml", content)
        with pytest.raises(ConfigError, match=r"bad\.toml: "):
            files.read_toml(path)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBNN_CACHE_DIR", "/somewhere")
    assert files.cache_dir() == Path("/somewhere")
    monkeypatch.delenv("EBNN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert files.cache_dir() == Path("/cache/ebnn")


def test_repository_root() -> None:
    assert (files.repo_root() / "docs" / "SPEC.md").is_file()
