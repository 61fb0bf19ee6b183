"""The command ``ebnn``: thin verbs over the package. Exit codes: 0 done, 1 an error (one sentence), 2 wrong usage,
130 interrupted, 141 nobody reads the output any more."""

from __future__ import annotations

import argparse
import os
import sys

from ebnn import extras
from ebnn.cli import ablate, boards, demo, doctor, importing, install, models, search, train, zoo
from ebnn.errors import EbnnError
from ebnn.version import __version__

DESCRIPTION = "Train binarized neural networks, export them exactly, and run them on microcontrollers."
EPILOG = "Begin with `ebnn demo`; `ebnn VERB --help` tells all of a verb."


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="ebnn", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"ebnn {__version__}")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)
    for module in (train, models, importing, search, ablate, zoo, boards, install, doctor, demo):
        module.add_verbs(verbs)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # the reader, for example head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell has it for SIGPIPE: the work may not be done
    except (EbnnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {_missing(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _missing(error: ModuleNotFoundError) -> str:
    package = extras.find(error.name or "")
    return f"this needs {package.distribution}: {package.advice}" if package else str(error)
