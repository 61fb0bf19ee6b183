"""``python -m ebnn.count.size``: bytes and stack of the engine, function by function, beside the last recorded ones.

Compiled as firmware is (-Os), linked with nothing: library functions are neither in the bytes nor in the stack. The
stack is the deepest chain of calls that the compiler knows; the bench measures what a run really takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ebnn.cengine import engine_sources
from ebnn.count import cores, image
from ebnn.count.cores import Core
from ebnn.errors import DataError, EbnnError
from ebnn.files import repo_root, write_atomic
from ebnn.footprint import deepest_stack, run_tool
from ebnn.tables import Table

FLAGS = "-Os"
ROOTS = ("ebnn_open", "ebnn_run")
SCHEMA = 1


@dataclass(frozen=True)
class Sizes:
    """The engine on one core, in bytes.

    Args:
        objects: code and constants of each object file.
        symbols: of each function and table of constants; what is inlined is part of its caller.
        stack: of the deepest chain of calls below each of ``ROOTS``.
    """

    objects: dict[str, int]
    symbols: dict[str, int]
    stack: dict[str, int]

    @property
    def text(self) -> int:
        """Code and constants of the whole engine."""
        return sum(self.objects.values())


def measure(core: Core, flags: str = FLAGS) -> Sizes:
    """Compile the engine for a core.

    Raises:
        BuildError: the compiler is missing or fails.
    """
    objects: dict[str, int] = {}
    symbols: dict[str, int] = {}
    graphs = []
    with tempfile.TemporaryDirectory(prefix="ebnn-size-") as folder:
        for source in (path for path in engine_sources() if path.suffix == ".c"):
            target = Path(folder) / f"{source.stem}.o"
            command = [f"{core.prefix}gcc", *image.CFLAGS, *flags.split(), *core.flags, "-fcallgraph-info=su", "-c"]
            run_tool([*command, str(source), "-o", str(target)])
            size = run_tool([f"{core.prefix}size", str(target)])
            objects[target.name] = int(size.splitlines()[1].split()[0])
            symbols.update(_symbols(run_tool([f"{core.prefix}nm", "-S", str(target)])))
            graphs.append(target.with_suffix(".ci").read_text(encoding="utf-8"))
    graph = "\n".join(graphs)
    return Sizes(objects, symbols, {root: deepest_stack(graph, root) for root in ROOTS})


def _symbols(listing: str) -> dict[str, int]:
    """Sizes of the symbols with code (t) or constants (r) in what nm -S prints."""
    found = {}
    for line in listing.splitlines():
        parts = line.split()
        if len(parts) == 4 and parts[2] in "tTrR":
            found[parts[3]] = found.get(parts[3], 0) + int(parts[1], 16)
    return found


def record_path() -> Path:
    """docs/size.json of the checkout."""
    return repo_root() / "docs" / "size.json"


def read_record(path: Path) -> dict[str, Sizes]:
    """The recorded sizes by core's name; empty where nothing was recorded.

    Raises:
        DataError: the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: Sizes(**sizes) for name, sizes in content["cores"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: not the sizes that make size records; check it out again") from None


def render_record(found: Mapping[str, Sizes], flags: str) -> str:
    """The text of docs/size.json."""
    content = {
        "schema": SCHEMA,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "flags": flags,
        "compilers": {name: image.compiler_version(cores.BY_NAME[name]) for name in found},
        "cores": {name: asdict(sizes) for name, sizes in found.items()},
    }
    return json.dumps(content, indent=1) + "\n"


def table(found: Mapping[str, Sizes], before: Mapping[str, Sizes]) -> Table:
    """A line a function, object and root of the stack, a column a core; a difference to the record in brackets."""
    lines, strong = [], []
    for title, pick in (("", "symbols"), ("object ", "objects"), ("stack of ", "stack")):
        parts = {name: getattr(sizes, pick) for name, sizes in found.items()}
        old = {name: getattr(sizes, pick) for name, sizes in before.items()}
        for key in _keys(parts, old):
            values = (_cell(parts[core].get(key), old.get(core, {}).get(key), core in old) for core in found)
            lines.append((title + key, *values))
        if pick == "objects":
            strong.append(len(lines))
            totals = ((sizes.text, before[core].text if core in before else None) for core, sizes in found.items())
            lines.append(("text", *(_cell(now, was, was is not None) for now, was in totals)))
    head = ("bytes", *(cores.BY_NAME[core].title for core in found))
    note = "Of the stack: a call through a pointer counts as the deepest function that it could reach."
    return Table("Size of the engine", head, tuple(lines), note, emphasis=tuple(strong))


def _keys(parts: Mapping[str, dict[str, int]], old: Mapping[str, dict[str, int]]) -> list[str]:
    """Names of any core, the largest first; what was recorded and is gone stands last."""
    largest: dict[str, int] = {}
    for sizes in (*parts.values(), *(old[core] for core in old if core in parts)):
        for key in sizes:
            largest[key] = max(largest.get(key, 0), *(part.get(key, 0) for part in parts.values()))
    return sorted(largest, key=lambda key: (-largest[key], key))


def _cell(now: int | None, was: int | None, recorded: bool) -> str:
    if not recorded or now == was:
        return "" if now is None else f"{now:,}"
    return f"{now or 0:,} ({(now or 0) - (was or 0):+,})"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m ebnn.count.size", description=__doc__)
    top.add_argument("--core", default="all", help=f"one or more of {', '.join(cores.BY_NAME)}, or all")
    top.add_argument("--flags", default=FLAGS, help="the engine's optimization (-Os); other flags have no record")
    top.add_argument("--record", action="store_true", help="write docs/size.json")
    return top


def run(options: argparse.Namespace) -> int:
    """Print the table and, if asked, record it; returns the exit status."""
    chosen = cores.usable(options.core)
    found = {core.name: measure(core, options.flags) for core in chosen}
    before = read_record(record_path()) if options.flags == FLAGS else {}
    shown = table(found, {name: before[name] for name in found if name in before})
    print(f"{shown.title}, {options.flags}; in brackets the difference to the record\n{shown.text()}")
    if options.record:
        write_atomic(record_path(), render_record({**before, **found}, options.flags))
        print(f"written: {record_path().relative_to(repo_root())}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.record and options.flags != FLAGS:
        print(f"error: the record is of {FLAGS}", file=sys.stderr)
        return 1
    try:
        return run(options)
    except (EbnnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
