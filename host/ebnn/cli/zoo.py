"""The verb zoo."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ebnn.errors import ConfigError


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add zoo."""
    zoo = verbs.add_parser("zoo", help="trained models: what they reach, what they take, how to train them again")
    zoo.add_argument("name", nargs="?", help="show this one, with its commands")
    show = zoo.add_mutually_exclusive_group()
    show.add_argument("--json", action="store_true", help="print the figures as JSON")
    show.add_argument("--markdown", action="store_true", help="print docs/zoo.md")
    show.add_argument(
        "--add",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="make a trained run the model NAME; of several seeds the best",
    )
    show.add_argument("--refresh", action="store_true", help="measure all (or NAME) anew, after a change of the engine")
    zoo.add_argument("--data-dir", metavar="DIR", help="where the data lie (else EBNN_DATA_DIR, cache, web)")
    zoo.set_defaults(run=run_zoo)


def run_zoo(options: argparse.Namespace) -> None:
    """ebnn zoo."""
    from ebnn.zoo import models, page

    if options.add or options.refresh:
        return _measure(options)
    found = [models.find(options.name)] if options.name else models.entries()
    if options.json:
        listed = [{"name": e.name, "folder": str(e.folder), "config": e.config, **e.metrics} for e in found]
        print(json.dumps(listed[0] if options.name else listed, indent=2))
    elif options.markdown:
        print(page.markdown(found), end="")
    elif options.name:
        print(page.details(found[0]))
    else:
        print(page.table(found).text())
        print("\nnext: ebnn zoo NAME")


def _measure(options: argparse.Namespace) -> None:
    """Put a run into the zoo, or measure what is in it anew; then write the page."""
    from ebnn.zoo import add, models

    if options.add and not options.name:
        raise ConfigError("--add needs the model's name: ebnn zoo NAME --add RUN")
    if options.add:
        add.add(options.name, options.add, options.data_dir, _to_stderr)
    else:
        for entry in [models.find(options.name)] if options.name else models.entries():
            add.add(entry.name, [entry.folder], options.data_dir, _to_stderr)
    print(f"written: {', '.join(map(str, add.write_page()))}")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
