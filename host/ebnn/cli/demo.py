"""The verb demo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ebnn.cli.boards import add_board_option
from ebnn.cli.models import add_data_options, positive
from ebnn.errors import EbnnError


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add demo."""
    demo = verbs.add_parser("demo", help="train, export, build, boot, classify on a board, report: the whole path")
    add_board_option(demo)
    add_data_options(demo)
    demo.add_argument("--limit", type=positive, default=1000, help="images that the board classifies (default: 1000)")
    demo.add_argument("--out", type=Path, help="output folder (default: build/demo)")
    demo.add_argument("--json", action="store_true", help="print the report as JSON")
    demo.set_defaults(run=run_demo)


def run_demo(options: argparse.Namespace) -> None:
    """ebnn demo."""
    from ebnn import report
    from ebnn.board.targets import load_target
    from ebnn.demo import Order, Run, demo_folder

    folder = options.out or demo_folder()
    order = Order(load_target(options.board), folder, options.dataset, options.data_dir, options.limit)
    progress = sys.stderr if options.json else sys.stdout
    found = Run(order, lambda line: print(line, file=progress, flush=True)).complete()
    page = report.write_report(found, folder)
    print((folder / "report.json").read_text(encoding="utf-8") if options.json else report.render_text(found))
    print(f"\n{page} shows all of it.", file=progress)
    if any(part["different"] for part in found["mismatches"].values()):
        raise EbnnError("implementations differ: see the mismatches above")
