"""``python -m ebnn.count``: count, compare, print, keep."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

from ebnn.count import cases, cores, document, image, results, tables
from ebnn.count.measure import measure, profile
from ebnn.errors import ConfigError, EbnnError
from ebnn.tables import Table


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m ebnn.count", description=__doc__)
    top.add_argument("--core", default="all", help=f"one or more of {', '.join(cores.BY_NAME)}, or all")
    top.add_argument("--group", default="main", help=f"{', '.join(cases.GROUPS)} or all")
    top.add_argument("--case", help="cases by name, joined by commas, instead of a group")
    top.add_argument("--fit", default="all", help=f"one or more of {', '.join(cases.FITS)}, or all")
    top.add_argument("--flags", default=image.DEFAULT_OPTIMIZATION, help="the engine's optimization (-O2)")
    top.add_argument("--out", type=Path, help="the file of results (build/bench.json)")
    top.add_argument("--fresh", action="store_true", help="count again what is in the file")
    top.add_argument("--nodes", action="store_true", help="print every node of the networks, too")
    top.add_argument("--profile", action="store_true", help="print the instructions of every function instead")
    top.add_argument("--docs", action="store_true", help="write docs/bench.md and docs/bench.svg")
    return top


def run(options: argparse.Namespace) -> int:
    """Count what the options say; returns the exit status."""
    wanted = cases.find(options.group, options.case)
    if options.docs and (options.core, options.group, options.case, options.fit) != ("all", "all", None, "all"):
        raise ConfigError("--docs takes the whole bench: make bench GROUP=all ARGS=--docs")
    found = results.Results(options.out or results.results_path())
    engine = image.snapshot()
    rows, fits = [], cases.find_fits(options.fit)
    for core in cores.usable(options.core):
        built = image.build_image(core, engine, options.flags)
        for case, fit in itertools.product(wanted, fits):
            if options.profile:
                _print(tables.profile_table(f"{core.name} {case.name} {fit}", profile(built, case, fit)))
            else:
                rows.append(_count(_about(built, case, fit, engine, options.flags), built, found, options.fresh))
    for group, table in (("main", tables.main_table), ("sweep", tables.cliff_table)):
        chosen = [row for row in rows if cases.BY_NAME[row["case"]].group == group]
        if chosen:
            _print(table(chosen))
    if options.nodes:
        _print(tables.node_table([row for row in rows if cases.BY_NAME[row["case"]].node is None]))
    if options.docs:
        print(f"written: {', '.join(map(str, document.write([*rows])))}")
    return 0


def _print(table: Table) -> None:
    print(f"\n{table.title}\n{table.text()}")


def _about(built: image.Image, case: cases.Case, fit: str, engine: image.Engine, flags: str) -> dict:
    """The part of a row that stands before anything ran."""
    return {
        "core": built.core.name,
        "case": case.name,
        "fit": fit,
        "flags": flags,
        "engine": engine.digest,
        "model": cases.prepare(case, fit).digest,
        "image": image.bench_digest(built.core),
        "compiler": image.compiler_version(built.core),
    }


def _count(about: dict, built: image.Image, found: results.Results, fresh: bool) -> dict:
    """The row of a case: as it is in the file, or counted anew."""
    before = found.last(about)
    kept = None if fresh else found.done(about)
    start = time.monotonic()
    row = kept or {**about, **measure(built, cases.BY_NAME[about["case"]], about["fit"])}
    if not kept:
        found.add(row)
    print(_progress(row, before, "kept" if kept else f"{time.monotonic() - start:.1f} s"), flush=True)
    return row


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
