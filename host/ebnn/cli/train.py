"""The verb train."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ebnn import cost, read_model, summary
from ebnn.bundle import MODEL_FILE
from ebnn.cli.models import (
    add_board_option,
    add_data_options,
    add_fit_option,
    add_prepare_option,
    add_sure_option,
    chosen_board,
    chosen_fit,
    positive,
)
from ebnn.cli.seeds import run_seeds
from ebnn.errors import ConfigError, EbnnError
from ebnn.files import repo_root

if TYPE_CHECKING:
    from ebnn.train.config import Config
    from ebnn.train.data import Dataset

DEFAULT_DATASET = "mnist"
NAMED = ("arch", "epochs", "batch", "lr", "seed")


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add train."""
    train = verbs.add_parser(
        "train",
        help="train a binarized network and export it",
        description="Train a binarized network with Chainer and export it. Without options: a good small model for "
        "MNIST. A run that was stopped goes on when the same command is given again.",
    )
    add_data_options(train)
    train.set_defaults(dataset=None)
    train.add_argument("--arch", help="architecture, for example 16c3-p2-32c3-p2-10 (default: the data set's)")
    train.add_argument("--epochs", type=int, help="passes over the training images")
    train.add_argument("--batch", type=int, help="images a step")
    train.add_argument("--lr", type=float, help="highest learning rate")
    train.add_argument("--seed", type=int, help="of weights, order and augmentation")
    train.add_argument("--config", type=Path, help="start from this config.toml, which may name the data set")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other field of config.toml"
    )
    add_board_option(train)
    add_fit_option(train)
    add_prepare_option(train)
    add_sure_option(train, "; 0: no margin")
    train.add_argument(
        "--twin",
        nargs="?",
        type=positive,
        const=0,
        metavar="EPOCHS",
        help="then train the same network with floats (OUT/twin), to compare with, as many epochs or EPOCHS",
    )
    train.add_argument("--out", type=Path, help="output folder (default: build/train/DATASET, in a checkout its own)")
    train.add_argument("--seeds", type=positive, metavar="N", help="train with N seeds, and export the best of them")
    train.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes for --seeds (1)")
    train.add_argument(
        "--distributed", action="store_true", help="by the processes that `mpiexec -n 2 ebnn train ...` starts"
    )
    train.add_argument("--gpu", action="store_true", help="on the first GPU, through CuPy (EBNN_DEVICE names another)")
    train.add_argument("--json", action="store_true", help="print the metrics as JSON at the end")
    train.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    """ebnn train."""
    from ebnn.train import device, distributed

    if options.gpu:
        os.environ.setdefault(device.VARIABLE, device.FIRST_GPU)  # processes that train inherit it
    if options.jobs > 1 and not options.seeds:
        raise ConfigError("--jobs is of --seeds: give both, or neither")
    if not options.distributed:
        distributed.check_alone()
        return _train(options, _to_stderr if options.json else print)
    if options.gpu:
        raise ConfigError("--distributed computes on the CPU, by ChainerMN's naive communicator: leave --gpu out")
    if options.seeds:
        raise ConfigError("--seeds starts processes of its own: leave --distributed out, and take --jobs")
    with distributed.joined() as team:
        say = (_to_stderr if options.json else print) if team.first else _to_nobody
        say("1 process: mpiexec -n 2 ebnn train ... starts two" if team.size == 1 else f"{team.size} processes")
        _train(options, say)


def _train(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    from ebnn.train import config, data, distributed, preview, recipes, story
    from ebnn.train.pool import Source
    from ebnn.train.runs import Wish, train_and_export
    from ebnn.train.seeds import Seeds

    base = config.read(options.config) if options.config else None
    source = options.dataset or (base.dataset if base else "") or DEFAULT_DATASET
    dataset = data.load(source, options.data_dir)
    chosen = make_config(options, base or recipes.default(dataset)).replace(dataset=source)
    folder = options.out or train_folder() / dataset.name
    if dataset.note:
        say(dataset.note)
    wish = Wish(chosen_fit(options), options.prepare, options.sure, options.twin)
    board = chosen_board(options)
    facts = preview.preview(dataset, chosen, wish.fit)
    if facts:
        say(preview.text(facts, board))
    run = folder
    if options.seeds:
        seeds = Seeds(Source(source, options.data_dir), chosen, options.seeds, folder, wish)
        metrics = run_seeds(seeds, options.jobs, options.json)
        run = seeds.folder_of(metrics["seed"])
    else:
        metrics = train_and_export(dataset, chosen, folder, say, wish)
    if not distributed.team().first:
        return
    if facts:
        write_page(story.tell(run, dataset, metrics, _summary(run, board)), folder, say)
    if options.json:
        print(json.dumps(metrics))
    else:
        print("\n".join(_what_came_out(metrics, dataset, folder)))


def _summary(folder: Path, board: summary.Board | None) -> str:
    """The finished model's summary; it has the bytes that training adds."""
    return summary.text(cost.describe(read_model(folder / MODEL_FILE)), board)


def write_page(report: dict, folder: Path, say: Callable[[str], None]) -> None:
    """Write the run's report; where a package for the page is missing, say which, and that the text is there."""
    from ebnn.report import write_report

    try:
        say(f"report: {write_report(report, folder)}")
    except EbnnError as error:
        say(f"no report.html ({error}); {folder / 'report.md'} has its tables")


def _what_came_out(metrics: dict, dataset: Dataset, folder: Path) -> list[str]:
    """Accuracies, what a device has to do with its samples, and what comes next."""
    lines = [f"{100 * metrics['test_accuracy']:.2f} % on {metrics['test_images']} test images"]
    for who in ("float_twin", "teacher"):
        if f"{who}_test_accuracy" in metrics:
            lines.append(f"{100 * metrics[f'{who}_test_accuracy']:.2f} % of them by its {who.replace('_', ' ')}")
    if dataset.scaling:
        lines.append(str(dataset.scaling))
    if "model_bytes" in metrics:
        return [*lines, f"model of {metrics['model_bytes']} bytes in {folder}; next: ebnn info {folder}"]
    more = f"ebnn train --set teacher={folder} --set distill=0.5"
    return [*lines, f"floats, which no device runs, in {folder}; next: {more}"]


def train_folder() -> Path:
    """build/train of the checkout, else of the working directory: where runs go without ``--out``."""
    try:
        return repo_root() / "build" / "train"
    except EbnnError:
        return Path("build", "train")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _to_nobody(line: str) -> None:
    pass


def make_config(options: argparse.Namespace, base: Config) -> Config:
    """The effective configuration: ``base``, changed by the options."""
    from ebnn.train import config

    values = asdict(base)
    changes = {name: getattr(options, name) for name in NAMED if getattr(options, name) is not None}
    changes |= dict(assignment(text, values) for text in options.set)
    return config.from_dict(values | changes, "the configuration")


def assignment(text: str, values: dict) -> tuple[str, object]:
    """NAME=VALUE; the value is a text where the field of that name is one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: write NAME=VALUE")
    if isinstance(values.get(name), str):
        return name, value
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
