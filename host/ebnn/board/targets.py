"""Targets: what boards/NAME.toml says about a board. Needs nothing but the base install."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebnn.errors import BoardError, ConfigError
from ebnn.files import read_toml, repo_root

KINDS = ("emulated", "unix", "real")
LINES = ("pty", "tcp", "stdio")


@dataclass(frozen=True)
class Build:
    """How the firmware is made (read by firmware/build.py)."""

    port: str
    image: str
    board: str | None = None
    board_dir: str | None = None
    make: tuple[str, ...] = ()
    toolchain: str = ""


@dataclass(frozen=True)
class Flash:
    """How an image gets onto the board."""

    method: str


@dataclass(frozen=True)
class Talk:
    """The serial line: ``spawn`` starts a process that is the board, else ``port`` names a real line.

    ``serial`` says how to reach a process: "pty" and "tcp" (QEMU's -serial, at the placeholder {serial}) or
    "stdio" (its stdin and stdout are the line).
    """

    spawn: tuple[str, ...] | None = None
    serial: str | None = None
    port: str | None = None
    baud: int = 115200


@dataclass(frozen=True)
class Count:
    """How to count instructions: registers of a counter that an emulator drives by executed instructions.

    ``init`` is written once as (address, value) pairs; then, before each reading, 1 is written to ``capture``
    if there is one. ``read`` is a register of ``bits`` bits that counts at ``hz`` (``down``: downwards); one
    instruction is ``insn_ns`` nanoseconds of the emulator's time.
    """

    read: int
    hz: int
    insn_ns: int
    init: tuple[tuple[int, int], ...] = ()
    capture: int | None = None
    bits: int = 32
    down: bool = False
    spawn_extra: tuple[str, ...] = ()

    def instructions(self, ticks: int) -> float:
        """Convert a difference of two readings to executed instructions."""
        return ticks * 1e9 / self.hz / self.insn_ns


@dataclass(frozen=True)
class Target:
    """One board: sizes in bytes, clock in Hz."""

    name: str
    title: str
    kind: str
    cpu: str
    mpy_arch: str
    clock_hz: int
    ram: int
    rom: int
    build: Build
    flash: Flash
    talk: Talk
    note: str = ""
    count: Count | None = None
    root: Path = dataclasses.field(default_factory=repo_root, metadata={"key": False})

    @property
    def slot(self) -> Path:
        """The folder that stands for the board's flash, where the board has none of its own."""
        return self.root / "build" / "boards" / self.name

    @property
    def slot_image(self) -> Path:
        """The installed firmware."""
        return self.slot / Path(self.build.image).name

    def command(self, image: str, serial: str, counting: bool = False) -> list[str]:
        """Return the argument list that starts the board's process, placeholders filled in.

        Raises BoardError if ``counting`` is wanted and the board file has no [count].
        """
        if counting and self.count is None:
            raise BoardError(f"{self.name}: its board file has no [count], so instructions cannot be counted")
        extra = self.count.spawn_extra if counting else ()
        values = {"{image}": image, "{serial}": serial, "{repo}": str(self.root)}
        return [_fill(part, values) for part in (*self.talk.spawn, *extra)]


def _fill(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part


def boards_dir() -> Path:
    """The folder of board files."""
    return repo_root() / "boards"


def list_targets() -> list[str]:
    """Names of all described boards, sorted."""
    return sorted(path.stem for path in boards_dir().glob("*.toml"))


def load_target(name: str) -> Target:
    """Read ``boards/NAME.toml``, or a board file of one's own (a path that ends with .toml).

    Raises BoardError naming the file and the key that is wrong.
    """
    if name.endswith(".toml"):
        return read_target(Path(name))
    path = boards_dir() / f"{name}.toml"
    if name not in list_targets():
        raise BoardError(f"no board {name!r}: there are {', '.join(list_targets()) or 'none'}")
    return read_target(path)


def read_target(path: Path) -> Target:
    """Read one board file; raises BoardError naming the file and the key that is wrong."""
    try:
        table = read_toml(path)
    except ConfigError as error:
        raise BoardError(str(error)) from None
    target = _build(Target, table, f"{path.name}: ")
    _check(target, path)
    return target


def _check(target: Target, path: Path) -> None:
    if target.name != path.stem:
        raise BoardError(f"{path.name}: name is {target.name!r}, it must be the file's name")
    _one_of(path, "kind", target.kind, KINDS)
    if target.talk.spawn is None:
        if target.talk.port is None:
            raise BoardError(f"{path.name}: [talk] needs spawn (a process) or port (a real line)")
        return
    _one_of(path, "[talk] serial", target.talk.serial, LINES)
    if (target.talk.serial != "stdio") != any("{serial}" in part for part in target.talk.spawn):
        raise BoardError(f'{path.name}: [talk] spawn needs the placeholder {{serial}} unless serial = "stdio"')


def _one_of(path: Path, key: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BoardError(f"{path.name}: {key} is {value!r}, it must be one of {', '.join(allowed)}")


def _build(cls: type, table: dict[str, Any], where: str) -> Any:
    """Make a dataclass from a TOML table: every key known, every needed key there, every type right."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.metadata.get("key", True)}
    for key in table:
        if key not in fields:
            raise BoardError(f"{where}unknown key {key!r}; known are {', '.join(fields)}")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise BoardError(f"{where}missing key {name!r}")
    return cls(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in table.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``hint`` wants it: a scalar, a tuple of one kind, or a table's dataclass."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, _table_name(where))
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return _convert_list(typing.get_args(hint), value, where)
    if not isinstance(hint, type) or type(value) is not hint:
        raise BoardError(f"{where} is {value!r}, it must be {_kind(hint)}")
    return value


def _convert_list(parts: tuple, value: list, where: str) -> tuple:
    if parts[-1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise BoardError(f"{where} is {value!r}, it must have {len(parts)} entries")
    return tuple(_convert(part, entry, where) for part, entry in zip(parts, value, strict=True))


def _table_name(where: str) -> str:
    file, _, key = where.rpartition(": ")
    return f"{file}: [{key}] "


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list"
    return {str: "a string", int: "an integer", bool: "true or false"}.get(hint, "a table")
