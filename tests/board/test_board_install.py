"""`ebnn install`: native module, fallback and model onto boards that run somebody else's MicroPython."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from boardkit import Board

import built
import make_golden
from ebnn import ops
from ebnn.board import install as installer
from ebnn.board import romfs
from ebnn.board.files import PIECE, BoardFiles
from ebnn.board.install import Installed, Order, find_port, install
from ebnn.board.link import Link
from ebnn.board.ports import Port
from ebnn.board.session import Session
from ebnn.board.targets import load_target
from ebnn.bundle import compile_module
from ebnn.cli import main
from ebnn.cli.install import with_model
from ebnn.errors import BoardError
from ebnn.files import repo_root
from ebnn.firmware import Variant, build
from evil.table import ARENA, mended

FLASH = str(Path(__file__).with_name("mps2-flash.toml"))
FALLBACK = repo_root() / "usermod" / "fallback" / "ebnn.py"
CASE = next(case for case in make_golden.load() if case.name == "network")
SMALL_CASE = "conv_u8_plain"  # the small module runs it
pytestmark = pytest.mark.xdist_group("mps2-flash")


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Board]:
    """A board with stock MicroPython, a file system of 96 KB, and a ROMFS of 128 KB that is empty at first."""
    opened: list[Link] = []
    target = replace(load_target(FLASH), root=tmp_path)
    image = build(FLASH, out=repo_root() / "build/tests/firmware/mps2-flash-stock", variant=Variant(stock=True)).image
    yield Board(target, image, opened)
    for link in opened:
        link.close()


@pytest.fixture
def unix_stock(boot: Callable[[str], Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """MicroPython's unix port without ebnn; its modules lie in tmp_path/lib, which is not there yet."""
    monkeypatch.setenv("MICROPYPATH", f"{tmp_path}/first:{tmp_path}/lib")
    return replace(boot("unix"), image=built.stock_for("unix").image)


@pytest.fixture(scope="session")
def order() -> Order:
    """The native modules of the flash board and of this computer, and the model of the golden case ``network``."""
    builds = [built.native_module(arch).parents[3] for arch in ("armv7m", "x64")][0]
    return with_model(Order(builds), CASE.blob)


def put(session: Session, order: Order, **changes: object) -> Installed:
    """Install, and see that the golden case's answers come out."""
    done = install(BoardFiles(session), replace(order, **changes))
    session.exec("import ebnn")
    for run in CASE.runs:
        assert session.eval(f"(ebnn.infer({run.data!r}), ebnn.load().scores({run.data!r}))") == (
            run.prediction, tuple(run.scores),
        )  # fmt: skip
    return done


def paths(done: Installed) -> list[str]:
    """Names of the files that were sent."""
    return [Path(sent.path).name for sent in done.sent]


# --- what can be installed ---


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("auto", ["ebnn.mpy", "rom"]),
        ("mpy", ["ebnn.mpy", "ebnn_model.mpy"]),
        ("raw", ["ebnn.mpy", "ebnn_model.bin", "ebnn_model.py"]),
    ],
)
def test_native_module_and_model_on_a_board_with_flash(flash: Board, order: Order, form: str, names: list) -> None:
    session = flash.session()
    done = put(session, order, form=form)
    assert (paths(done), done.module, done.facts.arch) == (names, "ebnn.mpy", "armv7em")
    assert {(sent.how, sent.hash) for sent in done.sent} == {("sent", "sha256")}
    assert (done.check["selftest"], done.check["model"][1:]) == (True, (order.arena, 0))
    assert done.check["before"] > done.check["after"] > 100_000
    again = put(session, order, form=form)
    assert {sent.how for sent in again.sent} == {"unchanged"}


def test_a_model_in_romfs_is_used_in_place(flash: Board, order: Order) -> None:
    session = flash.session()
    put(session, order, form="romfs")
    session.exec("import uctypes, ebnn_model, os")
    address = session.eval("uctypes.addressof(ebnn_model.model)")
    assert 0x20300000 <= address < 0x20320000 and address % 4 == 0
    assert session.eval("ebnn.load().copied") == 0
    assert session.eval("bytes(ebnn_model.model)") == CASE.blob
    session.soft_reset()  # the board mounts its ROMFS by itself
    run = CASE.runs[0]
    assert session.eval(f"__import__('ebnn').infer({run.data!r})") == run.prediction


@pytest.mark.parametrize("form", ["mpy", "raw"])
def test_native_module_and_model_on_this_computer(unix_stock: Board, order: Order, form: str, tmp_path: Path) -> None:
    done = put(unix_stock.session(), order, form=form)
    assert done.facts.arch == "x64"
    assert sorted(path.name for path in (tmp_path / "lib").iterdir()) == sorted(paths(done))
    native = order.builds / "builds" / built.MPY_VERSION / "x64" / "ebnn.mpy"
    assert (tmp_path / "lib/ebnn.mpy").read_bytes() == native.read_bytes()
    assert done.check["ebnn"][2] == str(tmp_path / "lib/ebnn.mpy")


@pytest.mark.parametrize("name", ["ebnn.py", "ebnn.mpy"])
def test_the_fallback(flash: Board, unix_stock: Board, order: Order, tmp_path: Path, name: str) -> None:
    data = FALLBACK.read_bytes()
    if name == "ebnn.mpy":
        (tmp_path / "ebnn.py").write_bytes(data)
        data = compile_module(tmp_path / "ebnn.py").read_bytes()
    done = put(flash.session(), order, python=(name, data))
    assert (paths(done), done.check["ebnn"][2]) == (["rom"], f"/rom/{name}")
    done = put(unix_stock.session(), order, python=(name, data), form="raw")
    assert paths(done) == [name, "ebnn_model.bin", "ebnn_model.py"]


def test_native_replaces_the_fallback_and_back(unix_stock: Board, order: Order, tmp_path: Path) -> None:
    session = unix_stock.session()
    for python, kept in ((("ebnn.py", FALLBACK.read_bytes()), "ebnn.py"), (None, "ebnn.mpy")) * 2:
        put(session, order, python=python)
        assert [path.name for path in (tmp_path / "lib").glob("ebnn.*")] == [kept]


def test_firmware_that_has_ebnn_gets_the_model_alone(unix_stock: Board, order: Order) -> None:
    board = replace(unix_stock, image=built.firmware_for("unix").image)
    session = board.session()
    done = install(BoardFiles(session), replace(order, form="raw", model=None))
    assert (done.sent, done.module, done.check["ebnn"][2]) == ([], "in the firmware", None)
    newer = replace(order, model=CASE.blob[:5] + bytes([ops.FORMAT_MINOR + 1]) + CASE.blob[6:])
    text = f"reads format {ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}, the model has format {ops.FORMAT_MAJOR}"
    with pytest.raises(BoardError, match=re.escape(f"{text}.{ops.FORMAT_MINOR + 1}: build the")):
        install(BoardFiles(session), newer)
    with pytest.raises(BoardError, match="it needs no --python"):
        install(BoardFiles(session), replace(order, python=("ebnn.py", b"")))


def test_the_small_module_by_wish_and_where_ram_is_short(flash: Board) -> None:
    case = next(case for case in make_golden.load() if case.name == SMALL_CASE)
    session, order = (
        flash.session(),
        with_model(Order(built.native_module("armv7m", "ebnn_small").parents[3]), case.blob),
    )
    for changes, name in (({"small": True}, "ebnn_small"), ({}, "ebnn"), ({"arena": 250_000}, "ebnn_small")):
        done = install(BoardFiles(session), replace(order, **changes))
        assert (done.module, done.check["selftest"]) == (f"{name}.mpy", True)
        assert session.eval("open('ebnn.mpy', 'rb').read()") == built.native_module("armv7m", name).read_bytes()
        session.exec("import ebnn")
        assert session.eval(f"ebnn.load().scores({case.runs[0].data!r})") == tuple(case.runs[0].scores)
    wrong = bytearray(case.blob)
    wrong[36] ^= 1
    with pytest.raises(BoardError, match="the model's self-test gives wrong scores on this board"):
        install(BoardFiles(session), replace(order, model=mended(bytes(wrong)), small=True, form="raw"))


def test_the_small_module_lacks_operators(flash: Board, order: Order) -> None:
    session = flash.session()
    pool = with_model(order, next(case for case in make_golden.load() if case.name == "pool_or_c6").blob)
    assert pool.small_lacks
    with pytest.raises(BoardError, match="--small: this module does not run the model: node 0 \\(pool\\) is not in it"):
        install(BoardFiles(session), replace(pool, small=True))
    assert install(BoardFiles(session), replace(pool, arena=250_000)).module == "ebnn.mpy"


# --- what cannot ---


def test_boards_that_load_no_native_code_hear_what_else_there_is(
    unix_stock: Board, order: Order, tmp_path: Path
) -> None:
    files = BoardFiles(unix_stock.session())
    facts = dict(files.facts)
    ways = "what else there is: firmware with the module .* or the same in plain Python"

    def refuses(text: str, builds: Path = order.builds, **changes: object) -> None:
        files.facts = facts | changes
        with pytest.raises(BoardError, match=text):
            install(files, replace(order, builds=builds))

    refuses(f"built without native code; {ways}", mpy=0x0306)
    refuses(f"no native module for xtensa; {ways}", mpy=9 << 10 | 0x0306)
    refuses(rf"loads \.mpy version 5\.0 \(MicroPython 1\.18\.0\), there are modules for 6\.3; {ways}",
            mpy=2 << 10 | 5, version=(1, 18, 0))  # fmt: skip
    refuses(f"circuitpython does not load MicroPython's native modules; {ways}", name="circuitpython")
    refuses("no native modules here: make natmod", builds=tmp_path)
    assert not (tmp_path / "lib").exists()


def test_a_board_without_a_file_system(boot: Callable[[str], Board], order: Order) -> None:
    board = replace(boot("mps2-an385"), image=built.stock_for("mps2-an385").image)
    with pytest.raises(BoardError, match="the board has no file system to write ebnn.mpy to"):
        install(BoardFiles(board.session()), order)
    with pytest.raises(BoardError, match="has no ROMFS"):
        install(BoardFiles(board.session()), replace(order, form="romfs"))


def test_a_full_file_system_loses_nothing(flash: Board, order: Order) -> None:
    session = flash.session()
    put(session, order, form="mpy")
    session.exec("f = open('big', 'wb')\nfor i in range(120): f.write(bytes(512))\nf.close()")
    before = session.eval("sorted(__import__('os').listdir())")
    changed = replace(order, python=("ebnn.mpy", bytes(16_000)), form="mpy")
    with pytest.raises(BoardError, match=r"ebnn\.mpy needs 16,000 bytes, [\d,]+ are free on the board"):
        install(BoardFiles(session), changed)
    # Where a file system says too late that it is full:
    files = BoardFiles(session)
    files._check_room = lambda path, wanted: None
    with pytest.raises(BoardError, match="cannot write ebnn.mpy: its file system is full; what was there is untouched"):
        install(files, changed)
    assert session.eval("sorted(__import__('os').listdir())") == before
    session.exec("import os\nos.remove('big')")
    assert {sent.how for sent in put(session, order, form="mpy").sent} == {"unchanged"}


def test_a_model_that_needs_more_ram_than_there_is(flash: Board, order: Order) -> None:
    blob = bytearray(CASE.blob)
    blob[ARENA : ARENA + 4] = ops.MAX_ARENA.to_bytes(4, "little")
    with pytest.raises(BoardError, match=r"[\d,]+ bytes of heap are too few \(MemoryError.*--small takes less"):
        install(BoardFiles(flash.session()), replace(order, model=mended(bytes(blob)), form="raw"))


def test_a_wrong_self_test_and_a_damaged_model_are_reported(flash: Board, order: Order) -> None:
    session = flash.session()
    blob = bytearray(CASE.blob)
    blob[36] ^= 1
    with pytest.raises(BoardError, match="the model's self-test gives wrong scores on this board"):
        install(BoardFiles(session), replace(order, model=mended(bytes(blob)), form="raw"))
    with pytest.raises(BoardError, match="it does not run: ValueError: model is damaged"):
        install(BoardFiles(session), replace(order, model=bytes(blob), form="raw"))


def test_what_hides_a_module_is_named(unix_stock: Board, order: Order, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "ebnn.py").write_bytes(FALLBACK.read_bytes())
    with pytest.raises(BoardError, match="lib/ebnn.mpy is installed, but .*/first/ebnn.py hides it: remove that one"):
        install(BoardFiles(unix_stock.session()), order)
    with pytest.raises(BoardError, match=f"{tmp_path}/other is not in the board's sys.path"):
        install(BoardFiles(unix_stock.session()), replace(order, folder=f"{tmp_path}/other"))


# --- files ---


def test_an_interrupted_file_goes_on_where_it_was(unix_stock: Board, tmp_path: Path) -> None:
    path, data = tmp_path / "x.bin", os.urandom(5 * PIECE + 7)
    part = tmp_path / "x.bin.part"
    path.write_bytes(b"old")
    sent: list[int] = []

    def die_at_half(_: str, done: int, size: int) -> None:
        if done > size // 2:
            os.kill(session.link.process.pid, signal.SIGKILL)

    session = unix_stock.session()
    with pytest.raises(BoardError, match="the board is gone"):
        BoardFiles(session, die_at_half).put(str(path), data)
    assert path.read_bytes() == b"old"
    left = part.stat().st_size
    assert 0 < left < len(data) and data.startswith(part.read_bytes())
    done = BoardFiles(unix_stock.session(), lambda _, at, size: sent.append(at)).put(str(path), data)
    assert (done.how, path.read_bytes(), part.exists()) == ("resumed", data, False)
    assert sent[0] > left


@pytest.mark.parametrize("left", [b"rubbish", b"rubbish" * 100])
def test_a_rest_of_something_else_is_not_taken(unix_stock: Board, tmp_path: Path, left: bytes) -> None:
    data = b"x" * 600
    (tmp_path / "x.bin.part").write_bytes(left)
    done = BoardFiles(unix_stock.session()).put(str(tmp_path / "x.bin"), data)
    assert (done.how, (tmp_path / "x.bin").read_bytes()) == ("sent", data)


def test_a_file_that_arrives_damaged_is_not_put_into_place(unix_stock: Board, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"old")
    files = BoardFiles(unix_stock.session())
    whole = files.text
    files.text = lambda data: whole(data[:-1] + b"!")
    with pytest.raises(BoardError, match="arrived damaged"):
        files.put(str(tmp_path / "x.bin"), b"x" * 600)
    assert [(path.name, path.read_bytes()) for path in tmp_path.glob("x*")] == [("x.bin", b"old")]


def test_a_board_without_hashlib_and_binascii(unix_stock: Board, tmp_path: Path) -> None:
    session = unix_stock.session()
    session.exec("import sys\nsys.modules['hashlib'] = sys.modules['binascii'] = sys")
    data = bytes(range(256)) * 5
    done = BoardFiles(session).put(str(tmp_path / "x.bin"), data)
    assert (done.hash, (tmp_path / "x.bin").read_bytes()) == ("crc32", data)


def test_fat(flash: Board, order: Order) -> None:
    session = flash.session()
    session.exec("import vfs, flash\nvfs.umount('/')\nvfs.VfsFat.mkfs(flash)\nvfs.mount(flash, '/')")
    put(session, order, form="mpy")
    files = BoardFiles(session)
    assert files.put("ebnn_model.mpy", b"other").how == "sent"  # over the old one, which FAT does not do by itself
    done = put(session, order, form="mpy")
    assert [sent.how for sent in done.sent] == ["unchanged", "sent"]
    assert session.eval("sorted(__import__('os').listdir())") == ["ebnn.mpy", "ebnn_model.mpy"]


def test_a_read_only_file_system(flash: Board, order: Order) -> None:
    session = flash.session()
    session.exec("import vfs, flash\nvfs.umount('/')\nvfs.VfsFat.mkfs(flash)\nvfs.mount(flash, '/', readonly=True)")
    with pytest.raises(BoardError, match="cannot write ebnn.mpy: its file system is read-only"):
        install(BoardFiles(session), order)


# --- ROMFS ---


def test_images_are_aligned_and_read_back() -> None:
    files = {"a": b"", "ebnn_model.bin": b"x" * 300, "lib/b.py": b"y" * 7, "lib/deep/c": b"z" * 20000, "d" * 200: b"1"}
    image = romfs.build(files)
    assert romfs.parse(image) == files
    assert (romfs.image_size(image[: romfs.HEAD]), len(image) % 2) == (len(image), 0)
    for data in files.values():
        assert not data or len(data) < 5 or image.index(data) % romfs.ALIGNMENT == 0
    assert romfs.image_size(b"\xff" * romfs.HEAD) == 0
    for end in range(romfs.HEADER_SIZE, len(image) - 1, 97):
        with pytest.raises(BoardError, match="ROMFS is damaged"):
            romfs.parse(image[:end])


def test_micropython_reads_our_images(unix_stock: Board) -> None:
    files = {"a.txt": b"first", "lib/b.txt": b"second", "lib/deep/c.txt": b"", "x.bin": bytes(700)}
    session = unix_stock.session()
    session.exec(f"import vfs, os\nvfs.mount(vfs.VfsRom({romfs.build(files)!r}), '/rom')")
    assert session.eval("sorted(os.listdir('/rom')), sorted(os.listdir('/rom/lib'))".join("()")) == (
        ["a.txt", "lib", "x.bin"], ["b.txt", "deep"],
    )  # fmt: skip
    for path, data in files.items():
        assert session.eval(f"open('/rom/{path}', 'rb').read()") == data


def test_what_others_have_in_the_romfs_stays(flash: Board, order: Order) -> None:
    session = flash.session()
    files = BoardFiles(session)
    files.put_rom({"theirs.py": b"x = 7\n", "lib/more.txt": b"more", "ebnn_model.bin": b"an old one"})
    assert paths(put(session, order)) == ["ebnn.mpy", "ebnn_model.mpy"], "not without being asked"
    assert paths(put(session, order, form="romfs")) == ["ebnn.mpy", "rom"]
    assert session.eval("(__import__('theirs').x, open('/rom/lib/more.txt').read())") == (7, "more")
    assert "ebnn_model.mpy" not in session.eval("__import__('os').listdir()"), "it would hide the one in ROMFS"


def test_a_board_with_nothing_but_a_romfs(flash: Board, order: Order) -> None:
    session = flash.session()
    put(session, order, form="romfs")
    session.exec("import vfs, os\nos.remove('ebnn.mpy')\nvfs.umount('/')")
    done = install(BoardFiles(session), replace(order, model=None))
    assert (paths(done), done.check["ebnn"][2]) == (["rom"], "/rom/ebnn.mpy")
    assert session.eval("__import__('ebnn').load().selftest()"), "the model that was there has stayed"


def test_an_interrupted_romfs_is_written_anew(flash: Board, order: Order) -> None:
    session = flash.session()

    class Stop(Exception):
        pass

    def stop(path: str, done: int, _: int) -> None:
        if path == "/rom" and done == PIECE:
            raise Stop

    with pytest.raises(Stop):
        install(BoardFiles(session, stop), order)
    assert [sent.how for sent in put(session, order).sent] == ["unchanged", "sent"]


def test_a_romfs_that_is_too_small(flash: Board, order: Order) -> None:
    files = BoardFiles(flash.session())
    with pytest.raises(BoardError, match="the ROMFS has 131,072 bytes, 140,0.. are needed"):
        files.put_rom({"big": bytes(140_000)})


def test_a_romfs_on_a_block_device(flash: Board) -> None:
    session = flash.session()
    # As on the ESP32: the segment is an object with blocks to erase and to write. What is not erased stays.
    session.exec("""
class Device(bytearray):
    def ioctl(self, request, block):
        if request == 6:
            self[block * 4096:(block + 1) * 4096] = b"\\xff" * 4096
        return {4: 4, 5: 4096}.get(request, 0)
    def writeblocks(self, block, data, offset):
        at = block * 4096 + offset
        self[at:at + len(data)] = bytes(a & b for a, b in zip(self[at:at + len(data)], data))
class Fake:
    device = Device(4 * 4096)
    rom_ioctl = lambda request, *rest: Fake.device
    umount = lambda path: None
import sys
sys.modules["vfs"] = Fake
""")
    files = BoardFiles(session)
    assert files.facts["rom"] == (16384, 4096)
    wanted = {"a": b"abc", "big": os.urandom(9000)}
    assert files.put_rom(wanted).how == "sent"
    assert files.put_rom(wanted).how == "unchanged"
    assert files.rom_files() == wanted


# --- ports and the command line ---


def test_which_port_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Port("/dev/ttyX", "a board", "1", True, None, (), usb=True)
    found = [replace(one, device="/dev/ttyS0", usb=False)]
    monkeypatch.setattr(installer, "ports", lambda: found)
    with pytest.raises(BoardError, match="no board on USB: plug one in, or name its port"):
        find_port()
    found.append(one)
    assert find_port() == "/dev/ttyX"
    found.append(replace(one, device="/dev/ttyY"))
    with pytest.raises(BoardError, match=r"several boards on USB: /dev/ttyX \(a board\), /dev/ttyY .*choose one"):
        find_port()
    found[:] = [replace(one, holders=("7 minicom",))]
    with pytest.raises(BoardError, match="/dev/ttyX is in use by 7 minicom: end that program first"):
        find_port()
    found[:] = [replace(one, accessible=False, group="dialout")]
    with pytest.raises(BoardError, match="no permission .* usermod -aG dialout"):
        find_port()


def test_the_command(unix_stock: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.ebnn"
    path.write_bytes(CASE.blob)
    order = ["install", "--board", "unix", "--image", str(unix_stock.image), "--python"]
    assert main([*order, "--folder", f"{tmp_path}/lib", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"  {tmp_path}/lib/ebnn_model.mpy: " in said and "self-test passed" in said
    assert main(["install", "--port", str(tmp_path / "none"), str(path)]) == 1
    assert "no such port (is the board plugged in?)" in capsys.readouterr().err


def test_a_silent_port(capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)

    def take() -> None:
        with contextlib.suppress(OSError):  # the other end was closed
            while os.read(master, 4096):
                pass

    taker = threading.Thread(target=take)
    taker.start()
    try:
        assert main(["install", "--port", os.ttyname(slave)]) == 1
    finally:
        os.close(slave)
        taker.join()
        os.close(master)
    said = capsys.readouterr().err
    assert "no raw REPL within 10 s: it said nothing: is this the board's port, and does it run MicroPython?" in said
