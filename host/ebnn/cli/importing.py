"""The verb import: networks in files of other frameworks."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from ebnn import cost, summary
from ebnn.bundle import write_bundle
from ebnn.cli.models import add_board_option, add_fit_option, add_prepare_option, chosen_board, chosen_fit
from ebnn.errors import ConfigError
from ebnn.format import Use, decode
from ebnn.ops import INPUT_DTYPES


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add import."""
    parser = verbs.add_parser("import", help="ONNX or QONNX file of a binarized network -> model file and the rest")
    parser.add_argument("source", type=Path, metavar="FILE.onnx")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--input", choices=INPUT_DTYPES, default="", help="what the device is given (default: the file's)"
    )
    parser.add_argument(
        "--scale", type=number, default=1.0, metavar="S", help="the file's float input is S * x + O: 1/255, 1/127.5"
    )
    parser.add_argument("--offset", type=numbers, default=(0.0,), metavar="O[,O...]", help="O, or one O a channel")
    parser.add_argument("--labels", metavar="NAME,NAME...", default="", help="names of the classes")
    parser.add_argument(
        "--head", choices=("exact", "nearest"), default="exact",
        help="scores with float gains: refuse them where integers do not keep their order, or take the nearest",
    )  # fmt: skip
    parser.add_argument(
        "--batch-norm", choices=("divided", "affine", "centered"), default="divided",
        help="order of batch norm's float operations; divided is ONNX's (docs/import.md)",
    )  # fmt: skip
    add_fit_option(parser)
    add_prepare_option(parser)
    add_board_option(parser)
    parser.set_defaults(run=run_import)


def number(text: str) -> float:
    """A number, or a fraction of two: 1/255, 1/127.5."""
    above, _, below = text.partition("/")
    try:
        return float(Fraction(above) / Fraction(below or "1"))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be a number or a fraction, got {text}") from None


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    return tuple(map(number, text.split(",")))


def run_import(options: argparse.Namespace) -> None:
    """ebnn import."""
    from ebnn.importers import Input, read_onnx

    board = chosen_board(options)
    offset = options.offset[0] if len(options.offset) == 1 else options.offset
    source = Input(options.input, options.scale, offset)
    labels = options.labels.split(",") if options.labels else ()
    if not options.source.is_file():
        raise ConfigError(f"{options.source}: no such file")
    found = read_onnx(options.source, source, labels, options.head, options.batch_norm)
    blob = write_bundle(found.network, options.out, fit=chosen_fit(options), use=Use(preparation=options.prepare))
    print(summary.text(cost.describe(decode(blob)), board))
    print(*(f"note: {note}" for note in found.notes), sep="\n", end="\n" if found.notes else "")
    print(f"{options.out}: model of {len(blob)} bytes; next: ebnn info {options.out}")
