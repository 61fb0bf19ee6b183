"""The verb ablate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ebnn.cli.models import positive
from ebnn.cli.screen import Screen
from ebnn.cli.train import train_folder


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add ablate."""
    ablate = verbs.add_parser(
        "ablate",
        help="find out which methods of training help, and what they cost on a device",
        description="Screen all methods of a study at once, confirm the best alone and left out, count what their "
        "models take. A study that was stopped goes on when the same command is given again.",
    )
    ablate.add_argument("study", type=Path, help="a TOML file, for example docs/studies/mnist-1k.toml")
    ablate.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes (1)")
    ablate.add_argument("--data-dir", help="where the files of the data set lie (default: EBNN_DATA_DIR)")
    ablate.add_argument("--out", type=Path, help="folder of the runs (default: build/train/ablate/STUDY)")
    ablate.add_argument("--plan", action="store_true", help="say what would be trained, and train nothing")
    ablate.add_argument("--docs", action="store_true", help="write the results into docs/ of the checkout")
    ablate.set_defaults(run=run_ablate)


def run_ablate(options: argparse.Namespace) -> None:
    """ebnn ablate."""
    from ebnn.ablate import document, study, tables
    from ebnn.ablate.phases import conduct, plan_text
    from ebnn.ablate.runner import Place, Runner

    part = study.read(options.study)
    print(plan_text(part))
    if options.plan:
        return
    place = Place(options.out or train_folder() / "ablate" / part.name, options.data_dir)
    screen = Screen(sys.stdout)
    with screen.training(place.folder), Runner(part, place, options.jobs, screen.line, screen.status) as runner:
        found = conduct(runner)
    findings = tables.Findings(part, found)
    for table in (tables.method_table(findings), tables.epoch_table(findings)):
        print(f"\n{table.title}\n{table.text()}")
    if options.docs:
        print(f"written: {', '.join(map(str, document.write(part, found)))}")
