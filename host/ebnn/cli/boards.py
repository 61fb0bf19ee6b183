"""Verbs on boards: firmware, flash, repl, bench."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from ebnn.cli.models import add_data_options, check_fits, model_path, positive, progress_line
from ebnn.errors import BoardError

DEFAULT_BOARD = "mps2-an385"
TRACES = 32  # images of a bench whose every node is compared


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add firmware, flash, repl and bench."""
    firmware = verbs.add_parser("firmware", help="build MicroPython with ebnn and a frozen model for a board")
    add_board_option(firmware)
    firmware.add_argument("--model", type=Path, help="model.ebnn to freeze, or a folder that holds one")
    firmware.add_argument("--samples", metavar="SOURCE", help="freeze test images of this data set as ebnn_samples")
    firmware.add_argument("--frozen", type=Path, nargs="+", default=[], help="more Python files to freeze")
    firmware.add_argument("--stock", action="store_true", help="MicroPython without ebnn, to load it as a native .mpy")
    firmware.add_argument("--micropython", metavar="VERSION", help="another release of firmware/versions.toml")
    firmware.add_argument("--json", action="store_true", help="print what was built as JSON")
    firmware.set_defaults(run=run_firmware)

    flash = verbs.add_parser("flash", help="put the built firmware onto a board, boot it, ask for its version")
    add_board_option(flash)
    flash.add_argument("--image", type=Path, help="another image (default: the last one built for the board)")
    flash.add_argument("--json", action="store_true", help="print what is on the board as JSON")
    flash.set_defaults(run=run_flash)

    repl = verbs.add_parser("repl", help="a board's prompt in this terminal (Ctrl-] leaves)")
    add_board_option(repl)
    add_port_options(repl)
    repl.set_defaults(run=run_repl)

    bench = verbs.add_parser("bench", help="classify test images on a board; accuracy, mismatches, instructions")
    add_board_option(bench)
    add_port_options(bench)
    add_data_options(bench)
    bench.add_argument("--model", type=Path, required=True, help="the model that is on the board")
    bench.add_argument("--limit", type=positive, default=1000, help="images to classify (default: 1000)")
    bench.add_argument("--out", type=Path, help="results, a JSON line each (default: build/bench/BOARD.jsonl)")
    bench.add_argument("--fresh", action="store_true", help="start anew instead of going on with --out")
    bench.add_argument("--json", action="store_true", help="print the summary as JSON")
    bench.set_defaults(run=run_bench)


def add_board_option(parser: argparse.ArgumentParser) -> None:
    """--board."""
    parser.add_argument("--board", default=DEFAULT_BOARD, help=f"a name from boards/ (default: {DEFAULT_BOARD})")


def add_port_options(parser: argparse.ArgumentParser) -> None:
    """--port and --baud, for a line instead of a board file's."""
    parser.add_argument("--port", help="a serial port or pyserial URL instead of the board's own line")
    parser.add_argument("--baud", type=int, default=115200, help="its rate (default: 115200)")


def open_session(options: argparse.Namespace, counting: bool = False):
    """A session with the board or port that the options name."""
    from ebnn.board.link import open_port
    from ebnn.board.session import Session, connect
    from ebnn.board.targets import load_target

    if options.port:
        return Session(open_port(options.port, options.baud))
    return connect(load_target(options.board), counting=counting)


def run_firmware(options: argparse.Namespace) -> None:
    """ebnn firmware."""
    from ebnn import firmware

    model = model_path(options.model) if options.model else None
    variant = firmware.Variant(options.stock, options.micropython)
    built = firmware.build(options.board, model, _samples(options.samples), options.frozen, variant=variant)
    image = f" --image {built.image}" if options.micropython else ""
    following = str(built.image) if options.stock else f"next: ebnn flash --board {options.board}{image}"
    print(json.dumps(built.report, indent=2) if options.json else following)


def _samples(source: str | None) -> str | None:
    from ebnn import firmware
    from ebnn.train import data

    if source is None:
        return None
    found = data.load(source)
    return firmware.render_samples(found.x_test, found.y_test, found.labels)


def run_flash(options: argparse.Namespace) -> None:
    """ebnn flash."""
    from ebnn.board.flash import flash
    from ebnn.board.targets import load_target
    from ebnn.files import repo_root

    target = load_target(options.board)
    built = repo_root() / "build" / "firmware" / target.name / "make" / target.build.image
    done = flash(target, options.image or built)
    if options.json:
        print(json.dumps({"board": target.name, "image": str(done.path), "sha256": done.sha256, "ebnn": done.ebnn}))
        return
    print(f"{target.name}: {done.path.name} flashed (sha256 {done.sha256[:16]}...), it answers as ebnn {done.ebnn}")
    print(f"next: ebnn repl --board {target.name}")


def run_repl(options: argparse.Namespace) -> None:
    """ebnn repl; builds and flashes an emulated board that has nothing yet."""
    from ebnn.board.targets import load_target
    from ebnn.board.terminal import interact

    if not options.port:
        _prepare(load_target(options.board))
    with open_session(options) as session:
        interact(session, greeting(session))


PASTE = (
    "import ebnn, ebnn_samples as s; buf = s.images[-1]",
    "s.show(buf)",
    "ebnn.infer(buf)",
)


def greeting(session) -> str:
    """How to leave, and what to type where the board has sample images."""
    from ebnn.board.session import RemoteError

    try:
        session.exec("import ebnn_samples")
    except RemoteError:
        return "Ctrl-] leaves. This board has no sample images: ebnn firmware --samples freezes some."
    return "Ctrl-] leaves. Paste, a line at a time:\n" + "\n".join(f"  {line}" for line in PASTE)


def _prepare(target) -> None:
    """Build and flash a board with its model and samples, where that has not been done."""
    from ebnn.demo import prepare_board

    if target.talk.spawn is not None and not target.slot_image.exists():
        print(f"{target.name} has no firmware yet: building one", file=sys.stderr)
        prepare_board(target, lambda line: print(line, file=sys.stderr))


def run_bench(options: argparse.Namespace) -> None:
    """ebnn bench."""
    from ebnn import cost, read_model, report
    from ebnn.board.bench import run_bench as run
    from ebnn.board.targets import load_target
    from ebnn.demo import board_facts
    from ebnn.measure import expect
    from ebnn.train import data

    path = model_path(options.model)
    model, dataset = read_model(path), data.load(options.dataset, options.data_dir)
    check_fits(model.network.input.shape, dataset.shape, path)
    images, labels = dataset.x_test[: options.limit], dataset.y_test[: options.limit]
    wanted = expect(path.read_bytes(), images, TRACES)
    board = {"name": options.port} if options.port else board_facts(load_target(options.board))
    how = bench_options(options, wanted, len(images))
    out = options.out or default_results(options, how)
    with open_session(options, counting=how.count is not None) as session:
        found = run(session, wanted.inputs, labels, out, how)
    facts = {"name": dataset.name, "test_count": len(dataset.x_test)}
    traced = min(TRACES, len(images))
    page = report.bench_report(found.to_json(), board, cost.describe(model), facts, labels, traced)
    print(json.dumps(found.to_json()) if options.json else bench_text(found))
    shown = report.write_report(page, out.with_suffix(""))
    print(f"{shown} shows it; every image is in {out}", file=sys.stderr)
    if found.mismatches or found.node_mismatches:
        raise BoardError(f"the board and the simulator differ: {found.first_mismatch}")


def bench_options(options: argparse.Namespace, wanted, count: int):
    """What the harness compares with, and whether it counts."""
    from ebnn.board.bench import BenchOptions
    from ebnn.board.targets import load_target

    show = progress_line(count)
    return BenchOptions(
        count=None if options.port else load_target(options.board).count,
        expected_scores=wanted.scores,
        expected_nodes=wanted.nodes,
        hashes={"model": wanted.model_sha256, **firmware_hash(options)},
        model_crc=wanted.model_crc,
        fresh=options.fresh,
        progress=(lambda done, _: show(done)) if show else None,
    )


def firmware_hash(options: argparse.Namespace) -> dict[str, str]:
    """What the board runs, where it runs from a file of ours; results of another firmware are not taken over."""
    from ebnn.board.targets import load_target

    image = None if options.port else load_target(options.board).slot_image
    if image is None or not image.exists():
        return {}
    return {"firmware": hashlib.sha256(image.read_bytes()).hexdigest()}


def default_results(options: argparse.Namespace, how) -> Path:
    """One file for each board, model, firmware and number of images: the same call goes on with the same file."""
    from ebnn.files import repo_root

    key = hashlib.sha256(repr((sorted(how.hashes.items()), options.limit)).encode()).hexdigest()[:12]
    return repo_root() / "build" / "bench" / f"{'port' if options.port else options.board}-{key}.jsonl"


def bench_text(found) -> str:
    """A bench's figures for the terminal; counted and timed figures stand on lines of their own."""
    lines = [
        f"{found.board}: {100 * found.accuracy:.2f} % of {found.images} images",
        f"mismatches with the simulator: {found.mismatches} images, {found.node_mismatches} traced images",
    ]
    for name, spread in (("instructions", found.instructions), ("microseconds", found.microseconds)):
        if spread:
            figures = f"{spread.min:,.0f} / {spread.median:,.0f} / {spread.max:,.0f}"
            lines.append(f"{name} per inference: {figures} (min, median, max)")
    lines.append(f"{found.images_per_second:.1f} images/s over the line, {found.retries} retries")
    return "\n".join(lines)
