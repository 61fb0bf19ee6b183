"""The bench's rows as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from ebnn.count import cases, cores
from ebnn.count.cycles import FunctionCount
from ebnn.tables import Table


def per_mac(instructions: int, part: dict) -> float | None:
    """Instructions per 32 binary MACs or per byte MAC; None where a part has both kinds, or none."""
    binary, byte = part["macs_binary"], part["macs_byte"]
    if bool(binary) == bool(byte):
        return None
    return instructions / byte if byte else 32 * instructions / binary


def subject(row: dict) -> dict:
    """What a row is about: its case's node, or the row itself."""
    case = cases.BY_NAME.get(row["case"])
    return row if case is None or case.node is None else row["nodes"][case.node]


def cost(row: dict) -> float | None:
    """The case's instructions per 32 binary MACs or per byte MAC."""
    part = subject(row)
    return per_mac(part["instructions"], part)


HEAD = (
    "core", "case", "fit", "instructions", "binary MACs", "byte MACs", "per 32 binary", "per byte", "cycles (est.)",
    "arena", "scratch", "stack", "text",
)  # fmt: skip


def cells(row: dict) -> tuple[str, ...]:
    """A row of the main table."""
    part, value = subject(row), cost(row)
    ratio = "" if value is None else f"{value:.2f}"
    cycles = part["cycles"]
    return (
        row["core"],
        row["case"],
        row["fit"],
        f"{part['instructions']:,}",
        f"{part['macs_binary']:,}" if part["macs_binary"] else "",
        f"{part['macs_byte']:,}" if part["macs_byte"] else "",
        "" if part["macs_byte"] else ratio,
        ratio if part["macs_byte"] else "",
        "" if cycles is None else f"{cycles:,}",
        f"{row['arena']:,}",
        f"{part['scratch']:,}",
        f"{row['stack']:,}",
        f"{row['text']:,}",
    )


def main_table(rows: Sequence[dict], title: str = "Counted instructions") -> Table:
    """One line a core and case."""
    note = (
        "Of a single layer: its node alone. Arena, scratch, stack and text in bytes; the arena of a single layer holds"
        " a copy of its input, too; stack is what ebnn_run took."
    )
    return Table(title, HEAD, tuple(cells(row) for row in ordered(rows)), note, left=3)


def node_table(rows: Sequence[dict]) -> Table:
    """Every node of the networks."""
    head = (
        "core", "network", "fit", "node", "instructions", "of all", "MACs", "per 32 binary", "per byte",
        "cycles (est.)",
    )  # fmt: skip
    lines = []
    for row in ordered(rows):
        for index, node in enumerate(row["nodes"]):
            value = per_mac(node["instructions"], node)
            ratio = "" if value is None else f"{value:.2f}"
            byte = bool(node["macs_byte"])
            lines.append(
                (row["core"], row["case"], row["fit"], f"{index} {node['op']}", f"{node['instructions']:,}",
                 f"{node['instructions'] / row['instructions']:.0%}", f"{node['macs_binary'] + node['macs_byte']:,}",
                 "" if byte else ratio, ratio if byte else "",
                 "" if node["cycles"] is None else f"{node['cycles']:,}")
            )  # fmt: skip
    return Table("Nodes of the networks", head, tuple(lines), left=4)


CLIFF = 2.5  # times the reference's cost per MAC


def cliff_table(rows: Sequence[dict]) -> Table:
    """The sweep: cost per MAC beside that of the same shape rounded up to a multiple of 32."""
    by_key = {(row["core"], row["fit"], row["case"]): row for row in rows}
    lines, steep = [], []
    for row in ordered(rows):
        reference = by_key.get((row["core"], row["fit"], cases.BY_NAME[row["case"]].reference))
        value, other = cost(row), reference and cost(reference)
        ratio = value / other if other else None
        if ratio and ratio > CLIFF:
            steep.append(len(lines))
        lines.append(
            (row["core"], row["case"], row["fit"], f"{subject(row)['instructions']:,}", f"{value:.2f}",
             reference["case"] if reference else "", f"{other:.2f}" if other else "", f"{ratio:.2f}" if ratio else "",
             "cliff" if ratio and ratio > CLIFF else "")
        )  # fmt: skip
    head = ("core", "case", "fit", "instructions", "cost", "reference", "its cost", "times", "")
    note = f"Cost is instructions per 32 binary MACs or per byte MAC; a cliff is more than {CLIFF} times the reference."
    return Table("Sweep", head, tuple(lines), note, 3, tuple(steep))


def profile_table(title: str, counts: Sequence[FunctionCount]) -> Table:
    """Where the instructions of one run were."""
    total = sum(count.instructions for count in counts)
    lines = [(count.name, f"{count.instructions:,}", f"{count.instructions / total:.1%}") for count in counts]
    return Table(title, ("function", "instructions", "of all"), tuple(lines))


def ordered(rows: Sequence[dict]) -> list[dict]:
    """Rows in the order of cores and cases."""
    by_core, by_case = list(cores.BY_NAME), list(cases.BY_NAME)
    known = [row for row in rows if row["core"] in by_core and row["case"] in by_case]
    fits = {fit: index for index, fit in enumerate(cases.FITS)}
    return sorted(
        known, key=lambda row: (by_core.index(row["core"]), by_case.index(row["case"]), fits.get(row["fit"], -1))
    )
