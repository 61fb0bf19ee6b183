"""Flashing the boards that boot from a file, and the list of serial ports."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from boardkit import Board

from ebnn.board.flash import flash
from ebnn.board.ports import Port, holders, ports
from ebnn.board.session import connect
from ebnn.board.targets import Flash
from ebnn.errors import BoardError
from ebnn.version import __version__


def test_an_image_is_installed_and_answers(board: Board) -> None:
    done = flash(board.target, board.image)
    assert done.path == board.target.slot_image
    assert done.path.read_bytes() == board.image.read_bytes()
    assert done.sha256 == hashlib.sha256(board.image.read_bytes()).hexdigest()
    assert done.ebnn == __version__
    with connect(board.target) as session:
        assert session.eval("1 + 1") == 2
    assert [path.name for path in board.target.slot.iterdir()] == [done.path.name]


def test_an_image_that_does_not_boot_is_reported(unix: Board, tmp_path: Path) -> None:
    image = tmp_path / "broken"
    image.write_text("#!/bin/sh\necho no board here >&2\nexit 3\n")
    image.chmod(0o755)
    with pytest.raises(BoardError, match="exit status 3; its last words: no board here"):
        flash(unix.target, image)


def test_firmware_without_ebnn_is_reported(unix: Board) -> None:
    hide = unix.target.root / "hide.py"
    repl = unix.target.talk.spawn[1]
    hide.write_text(f"class No:\n    pass\nimport sys\nsys.modules['ebnn'] = No\nexec(open({repl!r}).read())\n")
    target = replace(unix.target, talk=replace(unix.target.talk, spawn=("{image}", str(hide))))
    with pytest.raises(BoardError, match="the board raised AttributeError"):
        flash(target, unix.image)


def test_a_missing_image_and_an_unknown_method(unix: Board, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no firmware image at .*/none: ebnn firmware --board"):
        flash(unix.target, tmp_path / "none")
    with pytest.raises(BoardError, match=r"\[flash\] method is 'fax', known are copy"):
        flash(replace(unix.target, flash=Flash("fax")), unix.image)


def test_who_holds_a_port(unix: Board) -> None:
    port = unix.open().port.name
    assert any(entry.startswith(f"{os.getpid()} ") for entry in holders(port))
    assert holders("/nonexistent") == ()


def test_ports_are_data() -> None:
    assert all(isinstance(port, Port) for port in ports())


@pytest.mark.parametrize(
    ("accessible", "group", "held", "problem"),
    [
        (True, "dialout", (), None),
        (False, "dialout", (), "no permission to read and write /dev/ttyX: sudo usermod -aG dialout $USER"),
        (False, None, (), "no permission to read and write /dev/ttyX"),
        (True, None, ("7 minicom",), "/dev/ttyX is in use by 7 minicom: end that program first"),
    ],
)
def test_what_keeps_from_using_a_port(accessible: bool, group: str | None, held: tuple, problem: str | None) -> None:
    found = Port("/dev/ttyX", "a board", None, accessible, group, held).problem
    assert found is problem if problem is None else found.startswith(problem)
