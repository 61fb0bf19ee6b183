"""Getting MicroPython's source: identity, the origins, and what is said when one is no good."""

from __future__ import annotations

import io
import socket
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from trees import FOLDERS, write_tarball, write_tree

import debian
import download
import source
import tree
from ebnn.errors import BuildError
from versions import Pins


@pytest.fixture
def said() -> list[str]:
    """What the driver said."""
    return []


def test_identity_skips_what_builds_leave_behind(checkout: Path) -> None:
    before = tree.identity(checkout, FOLDERS)
    for name in ("py/__pycache__/a.pyc", "ports/qemu/build-X/main.o", "ports/qemu/build/a", "py/.hidden"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left behind")
    (checkout / "docs/index.rst").write_text("changed")
    assert tree.identity(checkout, FOLDERS) == before


def test_identity_sees_every_change(checkout: Path) -> None:
    seen = {tree.identity(checkout, FOLDERS)}
    (checkout / "py/vm.c").write_text("int vn;\n")
    seen.add(tree.identity(checkout, FOLDERS))
    (checkout / "py/vm.c").rename(checkout / "py/wm.c")
    seen.add(tree.identity(checkout, FOLDERS))
    (checkout / "py/build.c").write_text("")
    seen.add(tree.identity(checkout, FOLDERS))
    assert len(seen) == 4


def test_identity_knows_where_a_file_ends(tmp_path: Path) -> None:
    for name, first, second in (("a", "xy", "z"), ("b", "x", "yz")):
        (tmp_path / name / "py").mkdir(parents=True)
        (tmp_path / name / "py/1.c").write_text(first)
        (tmp_path / name / "py/2.c").write_text(second)
    assert tree.identity(tmp_path / "a", ("py",)) != tree.identity(tmp_path / "b", ("py",))


def test_checkout_is_used_where_it_lies(checkout: Path, pins: Pins, said: list, monkeypatch) -> None:
    monkeypatch.setenv("EBNN_MICROPYTHON", str(checkout))
    found = source.obtain(pins, said.append)
    assert (found.root, found.version, found.changed, said) == (checkout, "1.25.0", False, [])


def test_of_several_names_the_one_of_the_release_is_taken(checkout: Path, pins: Pins, tmp_path, monkeypatch) -> None:
    older, newer = (write_tree(tmp_path / str(minor), (1, minor, 0, 0)) for minor in (24, 26))
    monkeypatch.setenv("EBNN_MICROPYTHON", f"{older}:{checkout}:{newer}")
    assert source.obtain(pins, print).root == checkout
    assert source.obtain(replace(pins, version="1.26.0"), print).root == newer
    with pytest.raises(BuildError, match=f"{newer}: this is MicroPython 1.26.0, .* builds with 1.23.0"):
        source.obtain(replace(pins, version="1.23.0"), print)


def test_changed_checkout_is_used_with_a_warning(checkout: Path, pins: Pins, said: list) -> None:
    (checkout / "py/vm.c").write_text("int mine;\n")
    found = source.from_environment(checkout, pins, said.append)
    assert found.changed
    assert said == [f"warning: EBNN_MICROPYTHON={checkout} differs from MicroPython 1.25.0 as released"]


@pytest.mark.parametrize("version, name", [((1, 24, 1, 0), "1.24.1"), ((1, 25, 0, 1), "1.25.0-preview")])
def test_other_version_is_refused(tmp_path: Path, pins: Pins, said: list, version: tuple, name: str) -> None:
    other = write_tree(tmp_path / "other", version)
    with pytest.raises(BuildError) as caught:
        source.from_environment(other, pins, said.append)
    assert str(caught.value) == (
        f"EBNN_MICROPYTHON={other}: this is MicroPython {name}, and this ebnn builds with 1.25.0: "
        "check out v1.25.0, or unset EBNN_MICROPYTHON to have it fetched"
    )


def test_foreign_folder_is_refused(tmp_path: Path, pins: Pins, said: list) -> None:
    (tmp_path / "linux").mkdir()
    with pytest.raises(BuildError, match=r"linux: not a MicroPython source tree \(it has no py/mpconfig.h\)"):
        source.from_environment(tmp_path / "linux", pins, said.append)


def test_missing_folder_is_refused(tmp_path: Path, pins: Pins, said: list) -> None:
    with pytest.raises(BuildError, match="EBNN_MICROPYTHON=.*/gone: no such folder or tarball"):
        source.from_environment(tmp_path / "gone", pins, said.append)


def test_tarball_is_unpacked_once(tmp_path: Path, checkout: Path, pins: Pins, said: list) -> None:
    tarball = write_tarball(tmp_path / "release.tar.xz", checkout)
    first = source.from_environment(tarball, pins, said.append)
    mark = (first.root / "py/vm.c").stat().st_ino
    second = source.from_environment(tarball, pins, said.append)
    assert not first.changed
    assert (second.root, (second.root / "py/vm.c").stat().st_ino) == (first.root, mark)
    assert not (first.root / "docs").exists()


def test_truncated_tarball_is_named(tmp_path: Path, checkout: Path, pins: Pins, said: list, cache: Path) -> None:
    tarball = write_tarball(tmp_path / "release.tar.xz", checkout)
    tarball.write_bytes(tarball.read_bytes()[:-100])
    with pytest.raises(BuildError, match=r"release\.tar\.xz: truncated or not a tarball \(.+\): get it again"):
        source.from_environment(tarball, pins, said.append)
    assert list(cache.iterdir()) == []


def test_foreign_tarball_is_named(tmp_path: Path, pins: Pins, said: list, cache: Path) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/README").write_text("something else")
    tarball = write_tarball(tmp_path / "foreign.tar.xz", tmp_path / "foreign")
    with pytest.raises(BuildError, match=r"foreign\.tar\.xz: no MicroPython source in it"):
        source.from_environment(tarball, pins, said.append)
    assert list(cache.iterdir()) == []


def test_tarball_cannot_write_elsewhere(tmp_path: Path, pins: Pins) -> None:
    tarball = tmp_path / "evil.tar"
    with tarfile.open(tarball, "w") as archive:
        for name in ("top/py/../../escaped", "/top/py/escaped", "top/py/mpconfig.h"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("top/py/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    tree.extract(tarball, tmp_path / "out", pins)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()].count("escaped") == 0
    assert [path.name for path in (tmp_path / "out/py").iterdir()] == ["mpconfig.h"]


def test_release_goes_into_the_cache(tmp_path: Path, checkout: Path, pins: Pins, said: list) -> None:
    tarball = write_tarball(tmp_path / "release.tar.xz", checkout)
    offered = replace(pins, url=tarball.as_uri())
    first = source.obtain(offered, said.append)
    tarball.unlink()
    second = source.obtain(offered, said.append)
    assert first.root == second.root
    assert second.origin == f"the cache ({tarball.as_uri()})"
    assert said == []


def test_damaged_cache_is_fetched_again(tmp_path: Path, checkout: Path, pins: Pins, said: list) -> None:
    offered = replace(pins, url=write_tarball(tmp_path / "release.tar.xz", checkout).as_uri())
    root = source.obtain(offered, said.append).root
    (root / "py/vm.c").write_text("damaged")
    again = source.obtain(offered, said.append)
    assert not again.changed
    assert (root / "py/vm.c").read_text() == "int vm;\n"
    assert said == [f"the cached source {root} is no good (its content has changed): fetching it again"]


def test_release_with_another_content_is_refused(
    tmp_path: Path, checkout: Path, pins: Pins, said: list, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (checkout / "py/vm.c").write_text("int trojan;\n")
    offered = replace(pins, url=write_tarball(tmp_path / "release.tar.xz", checkout).as_uri())
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    with pytest.raises(BuildError) as caught:
        source.obtain(offered, said.append)
    text = str(caught.value)
    assert text.startswith("no source of MicroPython 1.25.0:\n")
    assert f"wanted {pins.identity}" in text
    assert "no apt-get here" in text or "keyring" in text  # Ubuntu has none of Debian's keys
    assert text.endswith("set EBNN_MICROPYTHON to a checkout of v1.25.0 or to its release tarball")
    assert list(cache.iterdir()) == []


def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.tar.xz"
        with pytest.raises(BuildError, match="127.0.0.1"):
            download.download(url, tmp_path / "x.tar.xz")
    assert not (tmp_path / "x.tar.xz").exists()


def test_debian_mirror_is_this_machines() -> None:
    known = "https://a.example/deb|Other|Other\nhttps://b.example/x/|Debian|Debian\nhttps://c.example/|Debian|Debian"
    configured = (
        "'https://a.example/ubuntu/dists/noble/InRelease' a 0\n"
        "'https://d.example/debian-security/dists/trixie-security/InRelease' d 0\n"
        "'https://d.example/debian/dists/trixie/InRelease' d 0\n"
    )
    assert debian.pick_mirror(known, configured) == "https://b.example/x/"
    assert debian.pick_mirror("", configured) == "https://d.example/debian/"
    with pytest.raises(BuildError, match="apt has no Debian archive configured here"):
        debian.pick_mirror("https://a.example/ubuntu/|Ubuntu|Ubuntu", configured.splitlines()[0])


def test_apt_keeps_to_its_folder(tmp_path: Path) -> None:
    words = debian.apt_options(tmp_path)[1::2]
    paths = [word.partition("=")[2] for word in words if word.startswith("Dir::")]
    assert len(paths) >= 8
    assert all(path == "/dev/null" or Path(path).is_relative_to(tmp_path) for path in paths)
