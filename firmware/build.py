"""Build MicroPython with the ebnn user module, and a frozen model, for one board.

    python firmware/build.py --board mps2-an385 --model build/mnist/model.ebnn

The image and firmware.json (what went in, sizes, where the model lies) end up in build/firmware/BOARD. A
second run with the same inputs builds nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import align
import inputs
import source
import tools
from ebnn.board.targets import Target, load_target
from ebnn.errors import BuildError, EbnnError
from ebnn.files import repo_root, write_atomic
from ebnn.freeze import render_module
from elf import Image, Sizes
from versions import Pins, load_pins

MODEL_MODULE = "ebnn_model"
REPORT = "firmware.json"
LOG = "make.log"
TAIL_LINES = 25
# What a build may see of the caller's environment: MAKEFLAGS, CFLAGS and such would change the firmware.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR")


@dataclass(frozen=True)
class Order:
    """What is to be built: for which board, the model's bytes (or None), more modules to freeze (file by name of
    the module), where to."""

    target: Target
    model: bytes | None
    frozen: dict[str, Path]
    out: Path
    jobs: int


@dataclass(frozen=True)
class Kit:
    """What it is built with."""

    pins: Pins
    source: source.Source
    mpy_cross: Path
    compiler: str
    usermod: Path


class Clock:
    """Prints one line a step on stderr, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """Print one step."""
        print(f"[{self.elapsed:6.1f} s] {text}", file=sys.stderr, flush=True)


def build(order: Order, clock: Clock) -> dict:
    """Build, unless nothing changed, and return the content of firmware.json.

    Raises EbnnError (BuildError, ConfigError) with a sentence that says what to do.
    """
    _check_paths(order)
    pins = load_pins()
    compiler = tools.compiler_version(order.target.build.toolchain)
    mpy_cross = tools.mpy_cross(pins)
    found = source.obtain(pins, clock.say)
    clock.say(found.summary)
    kit = Kit(pins, found, mpy_cross, compiler, repo_root() / "usermod")
    with _lock(order.out, clock):
        key = _inputs_key(order, kit)
        report = _reusable(order, key)
        if report is not None:
            clock.say(f"{order.target.name}: nothing changed, the image is {order.out / report['image']}")
            return report
        return _build_locked(order, kit, clock, key)


def _build_locked(order: Order, kit: Kit, clock: Clock, key: str) -> dict:
    _clean_if_settings_changed(order, kit, clock)
    (order.out / LOG).write_bytes(b"")
    placement = _make_aligned(order, kit, clock)
    report = _report(order, kit, placement, key)
    report["seconds"] = round(clock.elapsed, 1)
    write_atomic(order.out / REPORT, json.dumps(report, indent=2) + "\n")
    sizes = report["sizes"]
    clock.say(f"{order.target.name}: text {sizes['text']}, data {sizes['data']}, bss {sizes['bss']} bytes")
    clock.say(f"image {order.out / report['image']}")
    return report


def _make_aligned(order: Order, kit: Kit, clock: Clock) -> align.Placement | None:
    image = order.out / "make" / order.target.build.image

    def link(pad: int) -> Path:
        _freeze(order, pad)
        clock.say(f"make {order.target.name}" + (f", model padded by {pad}" if order.model else ""))
        _make(order, kit)
        return image

    if order.model is None:
        link(0)
        return None
    placement = align.align(link, order.model, _last_pad(order))
    clock.say(f"the model lies at 0x{placement.address:08x}, a multiple of 4")
    return placement


def _freeze(order: Order, pad: int) -> None:
    """Write the modules to freeze and their manifest; what an earlier run froze goes."""
    folder = order.out / "frozen"
    for stale in (folder, order.out / "make/frozen_mpy"):
        shutil.rmtree(stale, ignore_errors=True)
    (order.out / "make/frozen_content.c").unlink(missing_ok=True)
    folder.mkdir(parents=True)
    if order.model is not None:
        digest = hashlib.sha256(order.model).hexdigest()
        text = render_module(order.model, pad, f"Model with sha256 {digest}.")
        (folder / f"{MODEL_MODULE}.py").write_text(text, encoding="utf-8")
    for name, path in order.frozen.items():
        shutil.copyfile(path, folder / f"{name}.py")
    lines = [f"freeze({str(folder)!r}, {path.name!r})" for path in sorted(folder.glob("*.py"))]
    (order.out / "manifest.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _make(order: Order, kit: Kit) -> None:
    library = order.out / "nolib"  # the manifests of the port want micropython-lib; ours does not
    library.mkdir(exist_ok=True)
    (library / "README.md").touch()
    command = _make_command(order, kit)
    log = order.out / LOG
    with open(log, "ab") as file:
        file.write((" ".join(command) + "\n").encode())
        file.flush()
        done = subprocess.run(command, stdout=file, stderr=file, env=_environment(kit), check=False)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
        raise BuildError(f"make failed for {order.target.name}; the end of {log}:\n{tail}")


def _make_command(order: Order, kit: Kit) -> list[str]:
    recipe = order.target.build
    settings = {
        "BUILD": order.out / "make",
        "USER_C_MODULES": kit.usermod,
        "MICROPY_MPYCROSS": kit.mpy_cross,
        "MPY_LIB_DIR": order.out / "nolib",
        "FROZEN_MANIFEST": order.out / "manifest.py",
        "PYTHON": sys.executable,
    }
    if recipe.board:
        settings["BOARD"] = recipe.board
    if recipe.board_dir:
        settings["BOARD_DIR"] = repo_root() / recipe.board_dir
    port = kit.source.root / "ports" / recipe.port
    words = [f"{name}={value}" for name, value in settings.items()]
    return ["make", f"-j{order.jobs}", "-C", str(port), *words, *recipe.make]


def _environment(kit: Kit) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {
        **inherited,
        "LC_ALL": "C",
        "PYTHONDONTWRITEBYTECODE": "1",  # the source tree stays as it is
        "SOURCE_DATE_EPOCH": str(kit.pins.released),
        "MICROPY_GIT_TAG": f"v{kit.source.version}",
        "MICROPY_GIT_HASH": "changed" if kit.source.changed else "release",
    }


def _check_paths(order: Order) -> None:
    for path in (order.out, repo_root()):
        if any(letter.isspace() for letter in str(path)):
            raise BuildError(f"{path}: make cannot build in a path with spaces: use --out, or move the checkout")


@contextlib.contextmanager
def _lock(out: Path, clock: Clock) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            clock.say(f"another build works in {out}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _settings_key(order: Order, kit: Kit) -> str:
    """What make does not track: flags, the compiler, and which tree the sources are in."""
    own = order.target.build.board_dir
    return inputs.combine(
        (
            kit.source.root,
            kit.source.identity,
            kit.compiler,
            kit.pins.mpy_cross,
            order.target.build,
            inputs.tree_hash((repo_root() / own).parent) if own else "",
            inputs.tree_hash(kit.usermod, ("**/*.mk",)),
        )
    )


def _inputs_key(order: Order, kit: Kit) -> str:
    here = Path(__file__).parent
    return inputs.combine(
        (
            _settings_key(order, kit),
            inputs.tree_hash(kit.usermod),
            inputs.tree_hash(here, ("*.py", "*.toml")),
            hashlib.sha256(order.model).hexdigest() if order.model else "",
            render_module(b"", 1),
            *(f"{name} {inputs.file_hash(path)}" for name, path in sorted(order.frozen.items())),
        )
    )


def _clean_if_settings_changed(order: Order, kit: Kit, clock: Clock) -> None:
    stamp = order.out / "make/.settings"
    key = _settings_key(order, kit)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        return
    if stamp.parent.is_dir():
        clock.say("source, compiler or flags changed: building from scratch")
        shutil.rmtree(stamp.parent)
    stamp.parent.mkdir(parents=True)
    stamp.write_text(key, encoding="utf-8")


def _last_report(order: Order) -> dict:
    try:
        return json.loads((order.out / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _last_pad(order: Order) -> int:
    """The padding that served last time is the best first guess."""
    model = _last_report(order).get("model") or {}
    return model.get("pad", align.ALIGNMENT)


def _reusable(order: Order, key: str) -> dict | None:
    report = _last_report(order)
    if report.get("inputs") != key:
        return None
    image = order.out / report["image"]
    return report if image.is_file() and inputs.file_hash(image) == report["image_sha256"] else None


def _report(order: Order, kit: Kit, placement: align.Placement | None, key: str) -> dict:
    image = Path("make") / order.target.build.image
    return {
        "board": order.target.name,
        "micropython": {
            "version": kit.source.version,
            "origin": kit.source.origin,
            "identity": kit.source.identity,
            "changed": kit.source.changed,
        },
        "mpy_cross": kit.pins.mpy_cross,
        "compiler": kit.compiler,
        "usermod_sha256": inputs.tree_hash(kit.usermod),
        "model": _model_report(order, placement),
        "frozen": {name: inputs.file_hash(path) for name, path in sorted(order.frozen.items())},
        "sizes": asdict(Image(order.out / image).sizes()),
        "ebnn_objects": asdict(_module_sizes(order.out / "make/ebnn")),
        "image": image.as_posix(),
        "image_sha256": inputs.file_hash(order.out / image),
        "inputs": key,
    }


def _model_report(order: Order, placement: align.Placement | None) -> dict | None:
    if order.model is None or placement is None:
        return None
    return {
        "sha256": hashlib.sha256(order.model).hexdigest(),
        "size": len(order.model),
        **asdict(placement),
    }


def _module_sizes(folder: Path) -> Sizes:
    """Sum over the module's objects, before the linker drops what nothing calls."""
    objects = sorted(folder.rglob("*.o"))
    return sum((Image(path).sizes() for path in objects), Sizes(0, 0, 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--board", required=True, help="a name from boards/, such as mps2-an385")
    parser.add_argument("--model", type=Path, help="model.ebnn to freeze as the module ebnn_model")
    parser.add_argument(
        "--frozen", nargs="+", action="extend", default=[], metavar="[NAME=]FILE.py", help="more modules to freeze"
    )
    parser.add_argument("--out", type=Path, help="output folder (default: build/firmware/BOARD)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parallel compilers")
    parser.add_argument("--json", action="store_true", help="print firmware.json on stdout")
    return parser


def _frozen_modules(words: list[str], taken: set[str]) -> dict[str, Path]:
    """File by module name, from FILE.py (named as the file) and NAME=FILE.py."""
    modules: dict[str, Path] = {}
    for word in words:
        name, _, file = word.rpartition("=")
        path = Path(file).resolve()
        name = name or path.stem
        if not path.is_file() or path.suffix != ".py":
            raise BuildError(f"{file}: --frozen takes Python files that exist")
        if not name.isidentifier():
            raise BuildError(f"{file}: {name!r} is no module name: use NAME={file}")
        if name in modules or name in taken:
            raise BuildError(f"{file}: a second module {name}: frozen modules need different names")
        modules[name] = path
    return modules


def _read_model(path: Path) -> bytes:
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}: --model takes a model file") from None
    if not blob:
        raise BuildError(f"{path}: the model file is empty")
    return blob


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        target = load_target(options.board)
        out = (options.out or repo_root() / "build/firmware" / target.name).resolve()
        model = _read_model(options.model) if options.model else None
        frozen = _frozen_modules(options.frozen, {MODEL_MODULE} if model else set())
        report = build(Order(target, model, frozen, out, options.jobs), Clock())
    except EbnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
