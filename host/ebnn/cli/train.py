"""The verb train."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ebnn.cli.models import add_data_options, add_fit_option, add_prepare_option, add_sure_option, chosen_fit
from ebnn.errors import ConfigError, EbnnError
from ebnn.files import repo_root

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
    train.add_argument("--arch", help="architecture, for example 16c3-p2-32c3-p2-10 (default: the data set's)")
    train.add_argument("--epochs", type=int, help="passes over the training images")
    train.add_argument("--batch", type=int, help="images a step")
    train.add_argument("--lr", type=float, help="highest learning rate")
    train.add_argument("--seed", type=int, help="of weights, order and augmentation")
    train.add_argument("--config", type=Path, help="start from this config.toml")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other field of the configuration"
    )
    add_fit_option(train)
    add_prepare_option(train)
    add_sure_option(train, "; 0: no margin")
    train.add_argument("--out", type=Path, help="output folder (default: build/train/DATASET, in a checkout its own)")
    train.add_argument("--json", action="store_true", help="print the metrics as JSON at the end")
    train.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    """ebnn train."""
    from ebnn.train import data
    from ebnn.train.runs import Wish, train_and_export

    dataset = data.load(options.dataset, options.data_dir)
    folder = options.out or train_folder() / dataset.name
    say = _to_stderr if options.json else print
    if dataset.note:
        say(dataset.note)
    wish = Wish(chosen_fit(options), options.prepare, options.sure)
    metrics = train_and_export(dataset, make_config(options, dataset), folder, say, wish)
    if options.json:
        print(json.dumps(metrics))
    else:
        print(f"{100 * metrics['test_accuracy']:.2f} % on {metrics['test_images']} test images")
        print(f"model of {metrics['model_bytes']} bytes in {folder}; next: ebnn info {folder}")


def train_folder() -> Path:
    """build/train of the checkout, else of the working directory: where runs go without ``--out``."""
    try:
        return repo_root() / "build" / "train"
    except EbnnError:
        return Path("build", "train")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def make_config(options: argparse.Namespace, dataset):
    """The effective configuration: the data set's default or --config, changed by the options."""
    from ebnn.train import config, recipes

    base = config.read(options.config) if options.config else recipes.default(dataset)
    changes = {name: getattr(options, name) for name in NAMED if getattr(options, name) is not None}
    changes |= dict(_assignment(text) for text in options.set)
    try:
        return base.replace(**changes)
    except TypeError as error:
        raise ConfigError(f"--set: {error}") from None


def _assignment(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: write NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
