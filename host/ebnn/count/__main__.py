"""``python -m ebnn.count``: count, compare, print, keep."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ebnn.count import cases, cores, document, image, results, tables
from ebnn.count.measure import measure, profile
from ebnn.errors import BoardError, ConfigError, EbnnError
from ebnn.tables import Table


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m ebnn.count", description=__doc__)
    top.add_argument("--core", default="all", help=f"one or more of {', '.join(cores.BY_NAME)}, or all")
    top.add_argument("--group", default="main", help=f"{', '.join(cases.GROUPS)} or all")
    top.add_argument("--case", help="cases by name, joined by commas, instead of a group")
    top.add_argument(
        "--fit", default="all", help=f"one or more of {', '.join(cases.FITS)}, or all; bytes: within so much arena"
    )
    top.add_argument("--flags", default=image.DEFAULT_OPTIMIZATION, help="the engine's optimization (-O2)")
    top.add_argument("--out", type=Path, help="the file of results (build/bench.json)")
    top.add_argument("--fresh", action="store_true", help="count again what is in the file")
    top.add_argument("--nodes", action="store_true", help="print every node of the networks, too")
    top.add_argument("--profile", action="store_true", help="print the instructions of every function instead")
    top.add_argument("--docs", action="store_true", help="write docs/bench.md and docs/bench.svg")
    return top


class Bench:
    """One pass of the command: what it counted, and how many cases failed.

    Args:
        options: what ``parser`` read.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.engine = image.snapshot()
        self.results = results.Results(options.out or results.results_path())
        self.rows: list[dict] = []
        self.failed = 0

    def run(self, chosen: Iterable[cores.Core], wanted: Sequence[cases.Case], fits: Sequence[str]) -> None:
        """Count or profile every case; one that fails is told and does not stop the others."""
        for core in chosen:
            built = image.build_image(core, self.engine, self.options.flags)
            for case, fit in itertools.product(wanted, fits):
                if fit.isdigit() and case.node is not None:
                    continue  # the arena of a single layer holds a copy of its input, too
                if fit in cases.FITS and fit not in case.fits:
                    continue
                try:
                    self._profile(built, case, fit) if self.options.profile else self._count(built, case, fit)
                except BoardError as error:
                    print(f"error: {error}", file=sys.stderr, flush=True)
                    self.failed += 1

    def show(self) -> None:
        """Print the tables."""
        for group, table in (("main", tables.main_table), ("sweep", tables.cliff_table)):
            chosen = [row for row in self.rows if cases.BY_NAME[row["case"]].group == group]
            if chosen:
                _print(table(chosen))
        if self.options.nodes:
            _print(tables.node_table([row for row in self.rows if cases.BY_NAME[row["case"]].node is None]))

    def _profile(self, built: image.Image, case: cases.Case, fit: str) -> None:
        _print(tables.profile_table(f"{built.core.name} {case.name} {fit}", profile(built, case, fit)))

    def _count(self, built: image.Image, case: cases.Case, fit: str) -> None:
        """The row of a case: as it is in the file, or counted anew."""
        about = self._about(built, case, fit)
        before = self.results.last(about)
        kept = None if self.options.fresh else self.results.done(about)
        start = time.monotonic()
        row = kept or {**about, **measure(built, case, fit)}
        if not kept:
            self.results.add(row)
        print(_progress(row, before, "kept" if kept else f"{time.monotonic() - start:.1f} s"), flush=True)
        self.rows.append(row)

    def _about(self, built: image.Image, case: cases.Case, fit: str) -> dict:
        """The part of a row that stands before anything ran."""
        return {
            "core": built.core.name,
            "case": case.name,
            "fit": fit,
            "flags": self.options.flags,
            "engine": self.engine.digest,
            "model": cases.prepare(case, fit).digest,
            "image": image.bench_digest(built.core),
            "compiler": image.compiler_version(built.core),
        }


def run(options: argparse.Namespace) -> int:
    """Count what the options say; returns the exit status."""
    wanted, fits = cases.find(options.group, options.case), cases.find_fits(options.fit)
    if options.docs and (options.core, options.group, options.case, options.fit) != ("all", "all", None, "all"):
        raise ConfigError("--docs takes the whole bench: make bench GROUP=all ARGS=--docs")
    bench = Bench(options)
    bench.run(cores.usable(options.core), wanted, fits)
    bench.show()
    if bench.failed:
        raise BoardError(f"{bench.failed} cases failed, see above")
    if options.docs:
        print(f"written: {', '.join(map(str, document.write(bench.rows)))}")
    return 0


def _print(table: Table) -> None:
    print(f"\n{table.title}\n{table.text()}")


def _progress(row: dict, before: dict | None, took: str) -> str:
    """A line of a case; the change is against what the file held."""
    value, now = tables.cost(row), tables.subject(row)["instructions"]
    ratio = "" if value is None else f"{value:.2f}"
    was = tables.subject(before)["instructions"] if before else now
    change = "" if now == was else f"{now / was - 1:+.1%}"
    return f"{row['core']:8s} {row['case']:16s} {row['fit']:9s} {now:12,} {ratio:>8s} {change:>8s}  {took}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except (EbnnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was counted is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
