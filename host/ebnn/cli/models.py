"""Verbs on model files: info, export, calibrate, eval."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ebnn import cost, read_model, robust, summary
from ebnn.bundle import DEFAULT_FIT, METRICS_FILE, MODEL_FILE, read_metrics, write_metrics, write_model
from ebnn.calibrate import DEFAULT_SURE, measure
from ebnn.errors import ConfigError
from ebnn.format import decode, encode, read_blob
from ebnn.network import Network
from ebnn.plan import FITS, Fit, Limit, make_plan
from ebnn.prepare import RESIZES, Preparation, parse


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add info, export, calibrate and eval."""
    info = verbs.add_parser("info", help="what is in a model file: layers, bits, bytes, work, memory")
    info.add_argument("model", type=Path, help="model.ebnn, or a folder that holds one")
    add_board_option(info)
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(run=run_info)

    export = verbs.add_parser("export", help="model file or training run -> frozen module, .mpy, C header")
    export.add_argument("source", type=Path, help="model.ebnn or its folder; a run without one (needs ebnn[train])")
    export.add_argument("--out", type=Path, required=True, help="output folder")
    add_fit_option(export)
    add_prepare_option(export)
    export.set_defaults(run=run_export)

    calibrate = verbs.add_parser("calibrate", help="the margin of a sure answer, from held-out images -> model file")
    calibrate.add_argument("model", type=Path, help="model.ebnn, or a folder that holds one")
    add_data_options(calibrate)
    add_sure_option(calibrate)
    calibrate.add_argument("--out", type=Path, help="output folder (default: the model's)")
    calibrate.set_defaults(run=run_calibrate)

    evaluate = verbs.add_parser("eval", help="accuracy of a model file on test images")
    evaluate.add_argument("model", type=Path, help="model.ebnn, or a folder that holds one")
    evaluate.add_argument("--engine", choices=("sim", "c"), default="sim", help="NumPy simulator or the C engine")
    add_data_options(evaluate)
    evaluate.add_argument("--limit", type=positive, help="only the first LIMIT test images")
    add_fault_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=run_eval)


def add_fault_options(parser: argparse.ArgumentParser) -> None:
    """--flip-bits and what belongs to it."""
    parser.add_argument(
        "--flip-bits", type=_shares, metavar="P[,P...]", help="flip bits of weights, and of feature maps, at random"
    )
    parser.add_argument(
        "--draws", type=positive, default=robust.DEFAULT_DRAWS, help="of the flipped bits (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the flipped bits (%(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="accuracy over the share of flipped bits")


def _shares(text: str) -> list[float]:
    return sorted({share(part) for part in text.split(",")})


def add_board_option(parser: argparse.ArgumentParser) -> None:
    """--board: whom cycles and room are told for."""
    parser.add_argument("--board", metavar="NAME", help="estimate cycles for this board, and whether all fits into it")


def chosen_board(options: argparse.Namespace) -> summary.Board | None:
    """The board that --board names; None without.

    Raises:
        BoardError: there is no such board.
    """
    if options.board is None:
        return None
    from ebnn.board.targets import load_target

    target = load_target(options.board)
    return summary.Board(target.title, target.cpu, target.clock_hz, target.rom, target.ram)


def add_fit_option(parser: argparse.ArgumentParser) -> None:
    """--fit, --arena and --scratch: memory for speed."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--fit", choices=FITS, help=f"least memory, a compromise, most speed (default: {DEFAULT_FIT})")
    group.add_argument("--arena", type=int, metavar="BYTES", help="most speed within so much arena")
    group.add_argument("--scratch", type=int, metavar="BYTES", help="most speed within so much scratch a layer")


def chosen_fit(options: argparse.Namespace) -> Fit:
    """What --fit, --arena or --scratch says, else the default."""
    if options.arena is None and options.scratch is None:
        return options.fit or DEFAULT_FIT
    return Limit(options.arena, options.scratch)


def add_prepare_option(parser: argparse.ArgumentParser) -> None:
    """--prepare: what the model records of its pictures."""
    parser.add_argument(
        "--prepare", type=_preparation, metavar="HOW",
        help=f"record how a picture becomes the input: {', '.join(RESIZES)}, with ,invert and ,threshold=N",
    )  # fmt: skip


def _preparation(text: str) -> Preparation:
    try:
        return parse(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_sure_option(parser: argparse.ArgumentParser, more: str = "") -> None:
    """--sure: what a margin is calibrated for."""
    parser.add_argument(
        "--sure", type=share, default=DEFAULT_SURE, metavar="SHARE",
        help=f"how many of the sure answers should be right (default: {DEFAULT_SURE}){more}",
    )  # fmt: skip


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """--dataset and --data-dir, the same for every verb that reads data."""
    parser.add_argument(
        "--dataset",
        default="mnist",
        metavar="SOURCE",
        help="mnist, cifar10, digits, FILE.npz, FILE.csv or a folder of images; @16x16 behind it averages images",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the files of mnist and cifar10 lie (else EBNN_DATA_DIR, cache, web)"
    )


def positive(text: str) -> int:
    """A whole number: 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return int(text)


def share(text: str) -> float:
    """A share: 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be 0 to 1, got {text}")
    return value


def model_path(path: Path) -> Path:
    """The model file that a person means: itself, or the one in a folder.

    Raises:
        ConfigError: there is none.
    """
    found = path / MODEL_FILE if path.is_dir() else path
    if not found.is_file():
        raise ConfigError(f"{path}: " + ("holds no model.ebnn" if path.is_dir() else "no such file"))
    return found


def run_info(options: argparse.Namespace) -> None:
    """ebnn info."""
    facts, board = cost.describe(read_model(model_path(options.model))), chosen_board(options)
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        print(f"{cost.render_text(facts)}\n\n{summary.text(facts, board)}")


def run_export(options: argparse.Namespace) -> None:
    """ebnn export."""
    if options.source.is_file() or (options.source / MODEL_FILE).is_file():
        blob = planned_again(read_blob(model_path(options.source)), options)
        write_model(blob, options.out)
    else:
        from ebnn.train.runs import export_run

        blob = export_run(options.source, options.out, chosen_fit(options), options.prepare)
    print(f"{options.out}: model of {len(blob)} bytes; next: ebnn info {options.out}")


def planned_again(blob: bytes, options: argparse.Namespace) -> bytes:
    """The model file, with its memory laid out anew where one of --fit, --arena and --scratch asks for it.

    Where --prepare is given, it records that.
    """
    fits = (options.fit, options.arena, options.scratch) != (None, None, None)
    if not fits and options.prepare is None:
        return blob
    model = decode(blob)
    plan = make_plan(model.network, chosen_fit(options)) if fits else model.plan
    use = replace(model.use, preparation=options.prepare) if options.prepare else model.use
    return encode(model.network, model.selftest, plan, use)


def run_calibrate(options: argparse.Namespace) -> None:
    """ebnn calibrate."""
    from ebnn.train import data
    from ebnn.train.runs import calibrate, calibration_metrics

    path = model_path(options.model)
    model, folder = read_model(path), options.out or path.parent
    dataset = data.load(options.dataset, options.data_dir)
    check_fits(model.network.input.shape, dataset.shape, path)
    found = calibrate(model.network, dataset, options.sure)
    if found is None:
        raise ConfigError(f"{path}: no margin makes {100 * options.sure:g} % of the sure answers right: ask for less")
    metrics = (read_metrics(path.parent / METRICS_FILE) or {}) | calibration_metrics(found, options.sure)
    write_metrics(metrics, folder)
    write_model(encode(model.network, model.selftest, model.plan, replace(model.use, margin=found.margin)), folder)
    print(f"held-out images of {dataset.name}: {found}; next: ebnn eval {folder}")


def run_eval(options: argparse.Namespace) -> None:
    """ebnn eval."""
    from ebnn.train import data

    path = model_path(options.model)
    check_fault_options(options)
    dataset = data.load(options.dataset, options.data_dir)
    images, labels = dataset.x_test[: options.limit], dataset.y_test[: options.limit]
    engine, model = make_engine(options.engine, path), read_model(path)
    check_fits(model.network.input.shape, dataset.shape, path)
    scores = engine.run(images, progress_line(len(images)))
    correct = int((scores.argmax(axis=1) == labels).sum())
    result = {"model": str(path), "engine": options.engine, "dataset": dataset.name, "images": len(images)}
    result |= {"correct": correct, "accuracy": correct / len(images)}
    said = f"{100 * result['accuracy']:.2f} % of {len(images)} test images of {dataset.name} ({options.engine})"
    if model.use.margin:
        found = measure(scores, labels, model.use.margin)
        result |= {"margin": found.margin, "coverage": found.coverage, "sure_accuracy": found.accuracy}
        said += f"\n{found}"
    if options.flip_bits is not None:
        faults = flip_bits(model.network, images, labels, options)
        result["flip_bits"] = [asdict(part) for part in faults]
        said += f"\n\n{robust.table(faults).text()}"
    print(json.dumps(result) if options.json else said)


def check_fault_options(options: argparse.Namespace) -> None:
    """Raise ConfigError where --plot has nothing to draw or nowhere to go, or --seed cannot be."""
    if options.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, got {options.seed}")
    if options.plot is None:
        return
    if options.flip_bits is None:
        raise ConfigError("--plot draws accuracy over --flip-bits: give some, for example --flip-bits 0,0.001,0.01,0.1")
    from ebnn.report import faults

    faults.check(options.plot)


def flip_bits(
    network: Network, images: np.ndarray, classes: np.ndarray, options: argparse.Namespace
) -> list[robust.Faults]:
    """Accuracy with flipped bits, on the simulator; drawn where --plot asks for it."""
    total = len(robust.KINDS) * len(options.flip_bits) * options.draws
    how, show = (options.draws, options.seed), progress_line(total, 1)
    found = robust.sweep(network, images, classes, options.flip_bits, how, show)
    if options.plot is not None:
        from ebnn.report import faults

        faults.save(found, f"{options.model.name}: {len(images):,} images of {options.dataset}", options.plot)
    return found


def make_engine(name: str, path: Path):
    """The simulator or the C engine for a model file."""
    if name == "c":
        from ebnn.cengine import CEngine

        return CEngine(read_blob(path))
    from ebnn.sim import Simulator

    return Simulator(read_model(path).network)


def check_fits(wanted: tuple, found: tuple, path: Path) -> None:
    """Raise ConfigError where the images have another shape than the model's input."""
    if tuple(wanted) != tuple(found):
        raise ConfigError(f"{path} takes images of {wanted}, the data set's are {found}: name its own with --dataset")


def progress_line(total: int, step: int = 64):
    """A function of the number done that redraws a line every ``step`` on a terminal, and prints nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        if done == total or done % step == 0:
            print(f"\r{done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
