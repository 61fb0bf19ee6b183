"""Board files: every one of the repository is valid, and a wrong one is refused by file and key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ebnn.board.flash import METHODS
from ebnn.board.targets import Count, list_targets, load_target, read_target
from ebnn.errors import BoardError

GOOD = """\
name = "toy"
title = "A toy"
kind = "emulated"
cpu = "cortex-m0"
mpy_arch = "armv6m"
clock_hz = 1_000
ram = 10
rom = 20
[build]
port = "qemu"
image = "firmware.elf"
[flash]
method = "copy"
[talk]
spawn = ["emulate", "-serial", "{serial}", "{repo}/x", "{image}"]
serial = "pty"
[count]
read = 0x10
hz = 25_000_000
insn_ns = 1024
init = [[1, 2], [3, 4]]
spawn_extra = ["-count"]
"""


def _read(tmp_path: Path, text: str):
    path = tmp_path / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return read_target(path)


@pytest.mark.parametrize("name", list_targets())
def test_every_board_file_is_valid(name: str) -> None:
    target = load_target(name)
    assert target.flash.method in METHODS
    assert target.talk.spawn is None or "{image}" in " ".join(target.talk.spawn)


def test_the_good_file_is_read(tmp_path: Path) -> None:
    target = _read(tmp_path, GOOD)
    assert target.clock_hz == 1000
    assert target.count.init == ((1, 2), (3, 4))
    assert target.talk.baud == 115200
    plain = ["emulate", "-serial", "pty", f"{target.root}/x", "a.elf"]
    assert target.command("a.elf", "pty") == plain
    assert target.command("a.elf", "pty", counting=True) == [*plain, "-count"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('cpu = "cortex-m0"', "", "toy.toml: missing key 'cpu'"),
        ('cpu = "cortex-m0"', "cpu = 5", "toy.toml: cpu is 5, it must be a string"),
        ("ram = 10", 'ram = "10"', "toy.toml: ram is '10', it must be an integer"),
        ("ram = 10", "ram = true", "toy.toml: ram is True, it must be an integer"),
        ("rom = 20", "rom = 20\nroot = 1", "toy.toml: unknown key 'root'"),
        ('method = "copy"', "", "toy.toml: [flash] missing key 'method'"),
        ('port = "qemu"', 'port = "qemu"\ncolour = 1', "toy.toml: [build] unknown key 'colour'"),
        ('serial = "pty"', 'serial = "usb"', "[talk] serial is 'usb', it must be one of pty, tcp, stdio"),
        ('serial = "pty"', 'serial = "stdio"', "[talk] spawn needs the placeholder {serial} unless"),
        ('"{serial}"', '"null"', "[talk] spawn needs the placeholder {serial}"),
        ('"-serial"', "7", "toy.toml: [talk] spawn is 7, it must be a string"),
        ("[[1, 2], [3, 4]]", "[[1, 2, 3]]", "toy.toml: [count] init is [1, 2, 3], it must have 2 entries"),
        ("[[1, 2], [3, 4]]", "4", "toy.toml: [count] init is 4, it must be a list"),
        ("hz = 25_000_000", "", "toy.toml: [count] missing key 'hz'"),
        ('kind = "emulated"', 'kind = "toy"', "kind is 'toy', it must be one of emulated, unix, real"),
        ('name = "toy"', 'name = "boy"', "toy.toml: name is 'boy', it must be the file's name"),
        ("ram = 10", "ram = ", "toy.toml: "),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(BoardError) as caught:
        _read(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value)


def test_a_board_needs_a_way_to_talk(tmp_path: Path) -> None:
    spawn = next(line for line in GOOD.splitlines() if line.startswith("spawn = "))
    with pytest.raises(BoardError, match=r"\[talk\] needs spawn .* or port"):
        _read(tmp_path, GOOD.replace(spawn, ""))


def test_counting_needs_a_counter(tmp_path: Path) -> None:
    target = _read(tmp_path, GOOD[: GOOD.index("[count]")])
    with pytest.raises(BoardError, match=r"toy: its board file has no \[count\]"):
        target.command("a.elf", "pty", counting=True)


def test_an_unknown_board_is_answered_with_the_known() -> None:
    with pytest.raises(BoardError, match="no board 'nonesuch': there are .*mps2-an385"):
        load_target("nonesuch")


def test_ticks_become_instructions() -> None:
    assert Count(read=0, hz=25_000_000, insn_ns=1024).instructions(25_600) == pytest.approx(1000)


def test_targets_need_no_serial_library() -> None:
    code = "import ebnn.board.targets, sys; sys.exit('serial' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
