"""The verb search."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ebnn import estimate
from ebnn.cli.models import add_board_option, add_data_options, chosen_board, positive
from ebnn.cli.screen import Screen
from ebnn.cli.train import assignment
from ebnn.errors import ConfigError
from ebnn.plan import FITS

if TYPE_CHECKING:
    from ebnn.search.halving import Search, Standing
    from ebnn.search.limits import Candidate
    from ebnn.train.config import Config
    from ebnn.train.data import Dataset

LIVE_ROWS, FINAL_ROWS = 10, 20


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add search."""
    search = verbs.add_parser(
        "search",
        help="find an architecture for limits of bytes, arena and cycles",
        description="Draw architectures that are within limits, train all for a few epochs, the better third of them "
        "for more, and so on. Held-out training images decide. A search that was stopped goes on when the same "
        "command is given again.",
    )
    add_data_options(search)
    search.add_argument("--bytes", type=positive, required=True, help="of the model file, without labels, at most")
    search.add_argument("--arena", type=positive, metavar="BYTES", help="arena at most (any)")
    search.add_argument("--cycles", type=positive, help="estimated for --core or the board's core, at most (any)")
    search.add_argument("--core", choices=sorted(estimate.rates()["cores"]), help="of the bench (default: m0)")
    add_board_option(search)
    search.add_argument("--fit", choices=FITS, default="small", help="least memory, a compromise, most speed (small)")
    search.add_argument("--count", type=positive, default=40, help="architectures that are tried (%(default)s)")
    search.add_argument(
        "--also", action="append", default=[], metavar="ARCH", help="try this one, too; it must be within the limits"
    )
    search.add_argument("--epochs", type=_rungs, default=(2, 6, 18), metavar="N,N,...", help="by rung (2,6,18)")
    search.add_argument("--images", type=positive, default=0, metavar="N", help="train on so many only (all)")
    search.add_argument("--jobs", type=positive, default=1, help="processes (1)")
    search.add_argument("--seed", type=int, default=0, help="of the drawing and the trainings (%(default)s)")
    search.add_argument("--config", type=Path, help="all but architecture, epochs and seed (default: the data set's)")
    search.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any field of config.toml")
    search.add_argument("--plan", action="store_true", help="list what would be tried, and train nothing")
    search.add_argument("--out", type=Path, required=True, help="folder of the runs and the results")
    search.set_defaults(run=run_search)


def _rungs(text: str) -> tuple[int, ...]:
    return tuple(map(positive, text.split(",")))


def run_search(options: argparse.Namespace) -> None:
    """ebnn search."""
    from ebnn.search import halving, results
    from ebnn.search.limits import Limits
    from ebnn.train import data
    from ebnn.train.pool import Source

    dataset = data.load(options.dataset, options.data_dir)
    bounds = Limits(options.bytes, options.arena, options.cycles, _core(options), options.fit)
    source = Source(options.dataset, options.data_dir, options.images)
    search = halving.Search(source, _config(options, dataset), bounds, options.epochs, options.out)
    screen = Screen(sys.stdout)
    found = _candidates(search, dataset, options, screen)
    if options.plan:
        print(results.candidate_table(search, found).text())
        return
    standings = _conduct(search, dataset, found, options.jobs, screen)
    print(results.table(search, standings, FINAL_ROWS).text())
    best = results.write(search, standings)
    print(f"the best: {best}; all: {results.PAGE_FILE} beside it; next: {results.next_command(search, options.jobs)}")


def _candidates(search: Search, dataset: Dataset, options: argparse.Namespace, screen: Screen) -> list[Candidate]:
    """Those that a person names, then those that are drawn; each once."""
    from ebnn.search.limits import candidates, named

    asked = [named(dataset, search.base, search.limits, text) for text in options.also]
    screen.status(f"drawing {options.count} architectures")
    drawn = islice(candidates(dataset, search.base, search.limits), options.count)
    found = list(dict.fromkeys([*asked, *drawn]))
    screen.close()
    if not found:
        raise ConfigError(f"no architecture that was drawn takes {search.limits}, and most of the bytes")
    screen.line(f"{len(found)} architectures of {search.limits}")
    return found


def _conduct(search: Search, dataset: Dataset, found: list[Candidate], jobs: int, screen: Screen) -> list[Standing]:
    """Train, with a table of the best that changes."""
    from ebnn.search import halving, results
    from ebnn.train.pool import Pool
    from ebnn.train.worker import without_test

    seen = without_test(dataset, search.source.images).sha256

    def show(standings: list[Standing]) -> None:
        screen.show(results.table(search, standings, LIVE_ROWS).text())

    with screen.training(search.folder), Pool(search.folder, jobs, screen.line, screen.status, seen) as pool:
        return halving.conduct(search, found, pool, show)


def _config(options: argparse.Namespace, dataset: Dataset) -> Config:
    """What all architectures are trained with."""
    from ebnn.train import config, recipes

    values = asdict(config.read(options.config) if options.config else recipes.default(dataset))
    values |= {"seed": options.seed} | dict(assignment(text, values) for text in options.set)
    return config.from_dict(values | {"dataset": options.dataset, "arch": ""}, "the configuration")


def _core(options: argparse.Namespace) -> str:
    """The core whose cycles are estimated; raises ConfigError for a board of another one than those of the bench."""
    board = chosen_board(options)
    if options.core or board is None:
        return options.core or "m0"
    if board.cpu not in estimate.CORES:
        raise ConfigError(f"{board.title}: no cycles are known of {board.cpu}: name a core by --core")
    return estimate.CORES[board.cpu]
