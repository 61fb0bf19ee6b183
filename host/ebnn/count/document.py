"""docs/bench.md and docs/bench.svg: the last full result, with its date and commit; and the rates of estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ebnn.count import cases, cores, figures, image, rates, tables
from ebnn.files import checkout_commit, repo_root, write_atomic
from ebnn.tables import Table

INTRODUCTION = """# What the engine executes

Written by `make bench GROUP=all ARGS=--docs`. Executed instructions, counted by a QEMU plugin in bare-metal builds of
the engine; each case's scores and every node's output were compared with the simulator in the same run. Nothing is
timed. Cycles are estimates from the counts and a table (`host/ebnn/count/cycles.py`), memory without wait states.
Weights, inputs and thresholds are random, about half of all bits are 1; `host/ebnn/count/cases.py` has the shapes.
"""


def write(rows: Sequence[dict]) -> list[Path]:
    """Write both files, and the rates of estimates, from the rows of a run; returns paths relative to the checkout."""
    from ebnn.report.counts import plot

    folder, data = repo_root() / "docs", figures.load()
    written = [
        write_atomic(folder / "bench.md", render(rows, data)),
        write_atomic(folder / "bench.svg", plot(dots(rows, data), "instructions of one inference")),
        rates.write(rows),
    ]
    return [path.relative_to(repo_root()) for path in written]


def render(rows: Sequence[dict], data: figures.Figures) -> str:
    """The text of docs/bench.md."""
    main = [row for row in rows if cases.BY_NAME[row["case"]].group == "main"]
    sweep = [row for row in rows if cases.BY_NAME[row["case"]].group == "sweep"]
    operators = [row for row in rows if cases.BY_NAME[row["case"]].group == "operators"]
    parts = [INTRODUCTION, _origin(rows)]
    found = [
        case_table(),
        goal_table(main, data),
        peer_table(main, data),
        published_table(data),
        pivot(main, "Instructions of whole networks", lambda row: f"{row['instructions']:,}", networks=True),
        pivot(main, "Instructions per 32 binary MACs, or per byte MAC (first-u8), of single layers", _cost, False),
        pivot(main, "Estimated cycles", _cycles),
        pivot(main, "Arena, bytes", lambda row: f"{row['arena']:,}"),
        pivot(main, "Stack of ebnn_run, bytes, measured", lambda row: f"{row['stack']:,}", networks=True),
        tables.node_table(_nodes_shown(main)),
        operator_table(),
        pivot(operators, "Instructions of operators", _instructions, False),
        pivot(operators, "Estimated cycles of operators", _cycles),
        sweep_table(sweep),
    ]
    for table in found:
        parts.append(f"## {table.title}\n\n{table.markdown()}\n")
        if table.title == PEER_TITLE:
            parts.append("![the same as a plot](bench.svg)\n")
    return "\n".join(parts)


def _nodes_shown(rows: Sequence[dict]) -> list[dict]:
    """Whole networks on the M4 with the fit that is made for speed: enough to see where instructions go."""
    return [
        row for row in rows if cases.BY_NAME[row["case"]].node is None and (row["core"], row["fit"]) == ("m4", "fast")
    ]


def case_table() -> Table:
    """What the names of the main group mean."""
    lines = [
        (case.name, case.arch, "x".join(map(str, case.input)) + f" {case.dtype}",
         "whole network" if case.node is None else "one layer")
        for case in cases.GROUPS["main"]
    ]  # fmt: skip
    note = "Token 32c5p2 is 32 filters 5x5 with padding 2, p3s2 a max pool 3x3 with stride 2, 10 a dense layer."
    return Table("Cases", ("case", "architecture", "input", "counted"), tuple(lines), note, left=4)


def operator_table() -> Table:
    """What the names of the operators' group mean."""
    lines = [
        (case.name, case.arch, "x".join(map(str, case.input)) + f" {case.dtype}") for case in cases.GROUPS["operators"]
    ]
    note = "Counted is this node alone. In front of it bits are copied, or made i16, and two units behind make scores."
    return Table("Operators", ("case", "node", "input"), tuple(lines), note, left=3)


def _origin(rows: Sequence[dict]) -> str:
    commit = checkout_commit() or "unknown"
    dates = sorted(row["date"] for row in rows)
    compilers = sorted({row["compiler"] for row in rows})
    lines = [
        f"Commit {commit}, {dates[0]} to {dates[-1]} UTC. Engine {', '.join(sorted({row['engine'] for row in rows}))},",
        f"compiled with `{', '.join(sorted({row['flags'] for row in rows}))}` ({', '.join(image.FOR_SIZE)}: `-Os`) by",
        f"{'; '.join(compilers)}.",
    ]
    texts = {row["core"]: row["text"] for row in rows}
    sizes = ", ".join(f"{cores.BY_NAME[core].title} {text:,}" for core, text in texts.items())
    return "\n".join([*lines, f"Bytes of the whole engine with these flags: {sizes}.", ""])


def _cost(row: dict) -> str:
    value = tables.cost(row)
    return "" if value is None else f"{value:.2f}"


def _instructions(row: dict) -> str:
    return f"{tables.subject(row)['instructions']:,}"


def _cycles(row: dict) -> str:
    cycles = tables.subject(row)["cycles"]
    return "" if cycles is None else f"{cycles:,}"


def pivot(rows: Sequence[dict], title: str, cell: Callable[[dict], str], networks: bool | None = None) -> Table:
    """A line a case and fit, a column a core; ``networks`` chooses whole networks, single layers, or (None) both."""
    columns = [core.name for core in cores.CORES if any(row["core"] == core.name for row in rows)]
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in tables.ordered(rows):
        if networks is None or (cases.BY_NAME[row["case"]].node is None) == networks:
            cells.setdefault((row["case"], row["fit"]), {})[row["core"]] = cell(row)
    order = list(cases.BY_NAME)
    lines = [
        (*key, *(cells[key].get(core, "") for core in columns))
        for key in sorted(cells, key=lambda key: order.index(key[0]))  # stable: the fits keep their order
    ]
    head = ("case", "fit", *(cores.BY_NAME[core].title for core in columns))
    return Table(title, head, tuple(lines), left=2)


PEER_TITLE = "Other engines"


def best(rows: Sequence[dict], case: str, core: str) -> int | None:
    """The fewest instructions of a whole case on a core, over the fits."""
    return min((row["instructions"] for row in rows if (row["case"], row["core"]) == (case, core)), default=None)


def peer_table(rows: Sequence[dict], data: figures.Figures) -> Table:
    """Our counts beside the peers'."""
    lines = []
    for peer in data.peers:
        ours = best(rows, peer.network, peer.core)
        if ours is not None:
            lines.append((peer.network, cores.BY_NAME[peer.core].title, f"{ours:,}", peer.who,
                          f"{peer.instructions:,}", f"{peer.instructions / ours:.1f}"))  # fmt: skip
    note = "Not counted by this bench, but once, from the peers' own code under QEMU. " + "; ".join(
        f"{who}: {text}" for who, text in data.notes.items()
    )
    head = ("network", "core", "ebnn", "who", "theirs", "times")
    return Table(PEER_TITLE, head, tuple(lines), note, left=2)


def published_table(data: figures.Figures) -> Table:
    """What others publish; never beside a count."""
    lines = [(entry.who, entry.network, f"{entry.milliseconds}", f"{entry.ram_kb}") for entry in data.published]
    head = ("who", "network", "ms, published", "KB of RAM, published")
    return Table("Published by others, STM32F746 (Cortex-M7) at 216 MHz", head, tuple(lines), left=2)


def goal_table(rows: Sequence[dict], data: figures.Figures) -> Table:
    """Goals and what is reached: a line a goal, a column a core."""
    columns = [core for core in cores.BY_NAME if any(row["core"] == core for row in rows)]
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for goal in data.goals:
        found = figures.reached(goal, rows)
        if found is not None:
            lines.setdefault((goal.title, goal.unit), {})[goal.core] = _beside_goal(goal, found)
    head = ("case", "unit", *(cores.BY_NAME[core].title for core in columns))
    cells = tuple((*key, *(line.get(core, "") for core in columns)) for key, line in lines.items())
    return Table("Goals", head, cells, "What was counted, beside the goal; the best fit that keeps the limit.", left=2)


def _beside_goal(goal: figures.Goal, found: float) -> str:
    digits = ",.0f" if goal.unit == "instructions" else ".2f"
    return f"{found:{digits}} {'<=' if found <= goal.at_most else '>'} {goal.at_most:{digits}}"


def sweep_table(rows: Sequence[dict]) -> Table:
    """The cliffs of the sweep; a line that says so where there is none."""
    full = tables.cliff_table(rows)
    lines = tuple(line for index, line in enumerate(full.rows) if index in full.emphasis)
    note = f"{len(full.rows)} shapes; those above cost more than {tables.CLIFF} times their reference per MAC."
    return Table("Cliffs", full.head[:-1], tuple(line[:-1] for line in lines), note, left=3)


def dots(rows: Sequence[dict], data: figures.Figures) -> list[tuple[str, str, int, int]]:
    """(label, peer, ours, theirs) for the plot."""
    found = []
    for peer in data.peers:
        ours = best(rows, peer.network, peer.core)
        if ours is not None:
            found.append((f"{peer.network}, {cores.BY_NAME[peer.core].title}", peer.who, ours, peer.instructions))
    return found
