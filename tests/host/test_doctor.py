"""ebnn doctor: what counts as missing and what does not; the list of packages; where training goes by default."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path

import pytest

from ebnn import cli, extras, files
from ebnn.board import ports
from ebnn.cli import doctor, train
from ebnn.errors import EbnnError
from ebnn.files import read_toml, repo_root


def port(accessible: bool, holders: tuple[str, ...]) -> ports.Port:
    return ports.Port("/dev/ttyX0", "a board", None, accessible, "dialout", holders)


def ask(capsys: pytest.CaptureFixture) -> tuple[int, str]:
    status = cli.main(["doctor"])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (port(False, ()), "no permission to read and write /dev/ttyX0: sudo usermod -aG dialout"),
        (port(True, ("7 screen",)), "/dev/ttyX0 is in use by 7 screen: end that program first"),
    ],
)
def test_a_port_in_use_or_forbidden_is_not_missing(
    found: ports.Port, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    before, _ = ask(capsys)
    monkeypatch.setattr(ports, "ports", lambda: [found])
    status, said = ask(capsys)
    assert status == before
    assert "note     /dev/ttyX0: a board" in said
    assert advice in said


def test_what_is_missing_makes_the_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(doctor, "PROGRAMS", (("no-such-program", "a-package", "nothing"),))
    status, said = ask(capsys)
    assert status == 1
    assert "missing  no-such-program: for nothing" in said and "apt-get install a-package" in said


def test_a_package_without_metadata(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert cli.main(["doctor", "--json"]) in (0, 1)
    found = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["numpy"]["good"] and found["numpy"]["found"] == "unknown version, for everything"


def test_every_package_of_an_extra_is_in_the_list() -> None:
    project = read_toml(repo_root() / "pyproject.toml")["project"]
    wanted = {
        (re.match(r"[\w-]+", requirement)[0].lower(), extra)
        for extra, requirements in project["optional-dependencies"].items()
        for requirement in requirements
        if extra != "dev"
    }
    listed = {(package.distribution.lower(), package.extra) for package in extras.PACKAGES if package.extra}
    assert listed == wanted


def test_a_package_is_found_by_its_modules() -> None:
    assert extras.find("serial.tools").advice == "pip install 'ebnn[board]'"
    assert extras.find("PIL").distribution == "Pillow"
    assert extras.find("nothing") is None


def test_training_goes_to_the_checkout_else_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.train_folder() == files.repo_root() / "build" / "train"

    def bare() -> Path:
        raise EbnnError("no checkout")

    monkeypatch.setattr(train, "repo_root", bare)
    assert train.train_folder() == Path("build/train")
