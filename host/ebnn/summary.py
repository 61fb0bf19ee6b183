"""A network in one table: what it computes, what it takes, how long it may run, and whether it fits a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ebnn import cost, estimate, ops
from ebnn.bits import row_words
from ebnn.tables import Table

DEFAULT_CORE = "m4"
I16 = 1 << 15


@dataclass(frozen=True)
class Board:
    """A board as its file describes it: sizes in bytes, clock in Hz."""

    title: str
    cpu: str
    clock_hz: int
    rom: int
    ram: int


def core_of(board: Board | None) -> str | None:
    """The core of the bench that a board has; the default one without a board, None for one that was not counted."""
    return DEFAULT_CORE if board is None else estimate.CORES.get(board.cpu)


def text(facts: Mapping, board: Board | None = None) -> str:
    """The table with what is said below it, for a terminal."""
    shown = table(facts, board)
    return "\n".join([shown.title, shown.text(), *notes(facts, board)])


def table(facts: Mapping, board: Board | None = None) -> Table:
    """A row a layer of ``cost.describe``, and the totals."""
    core = core_of(board)
    cycles = _cycles(facts, core)
    rows = [_row(layer, *part) for layer, part in zip(facts["layers"], _estimated(facts, cycles), strict=True)]
    rows.append(_total(facts["totals"], "" if cycles is None else _about(sum(cycles[1]))))
    unit = cycles[0] if cycles else "cycles"
    head = ("layer", "output", "weights / inputs", "parameters", "bytes", "binary MACs", "integer MACs",
            "output bytes", "arena", f"{unit}, estimated" + (f" ({core})" if core else ""))  # fmt: skip
    return Table("Summary", head, tuple(rows), left=3, emphasis=(len(rows) - 1,))


def _cycles(facts: Mapping, core: str | None) -> tuple[str, tuple[float, ...]] | None:
    """What could be estimated, and how much by layer: cycles, else instructions; None: neither."""
    if core is None:
        return None
    found = estimate.estimate(facts, core)
    return ("cycles", found.cycles) if found.cycles else ("instructions", found.instructions)


def _estimated(facts: Mapping, cycles: tuple | None) -> list[tuple[int, str]]:
    """Of each layer the arena's bytes that it takes, and its cycles."""
    arena, layers = facts["totals"]["arena_bytes"], facts["layers"]
    shown = [""] * len(layers) if cycles is None else [_about(value) for value in cycles[1]]
    return [(round(layer["arena"]["share"] * arena), value) for layer, value in zip(layers, shown, strict=True)]


def _about(value: float) -> str:
    """Three digits that count: an estimate has no more."""
    return f"{float(f'{value:.3g}'):,.0f}"


def _row(layer: Mapping, arena: int, cycles: str) -> tuple[str, ...]:
    inputs, weights = ops.DTYPE[layer["input"]["dtype"]].size, layer["weight_bits"]
    output = layer["output"]
    return (
        cost.layer_name(layer),
        f"{'x'.join(map(str, output['shape']))} {output['dtype']}",
        f"{f'{weights} bit' if weights else '-'} / {inputs} bit",
        f"{layer['weights']:,}",
        f"{layer['bytes']['total']:,}",
        f"{layer['macs_binary']:,}",
        f"{layer['macs_byte']:,}",
        f"{layer['packed_bytes']:,}",
        f"{arena:,}",
        cycles,
    )


def _total(totals: Mapping, cycles: str) -> tuple[str, ...]:
    counts = ("weights", "model_bytes", "macs_binary", "macs_byte", "packed_bytes", "arena_bytes")
    return ("total", "", "", *(f"{totals[name]:,}" for name in counts), cycles)


def notes(facts: Mapping, board: Board | None = None) -> list[str]:
    """What the table does not say: header and labels, how sure the estimate is, and whether the board holds it all."""
    totals = facts["totals"]
    rest = totals["header_bytes"] + totals["label_bytes"]
    said = [f"Bytes: the total has {rest:,} of header and labels. Arena: the total is that of all layers together."]
    if core_of(board) is None:
        said.append(f"No cycles: {board.cpu} is none of the cores of docs/bench.md.")
    else:
        said.append("Cycles follow from shapes and rates fitted to counts (docs/bench.md); nothing was run.")
    return said + ([] if board is None else _board_notes(facts, board))


def _board_notes(facts: Mapping, board: Board) -> list[str]:
    core, totals = core_of(board), facts["totals"]
    known = estimate.rates()["cores"].get(core, {})
    code = known.get("text", 0)
    engine = f" + engine {code:,}" if code else ""
    flash, ram = totals["model_bytes"] + code, totals["arena_bytes"] + totals["input_bytes"]
    said = []
    cycles = _cycles(facts, core)
    if board.clock_hz and cycles and cycles[0] == "cycles":
        milliseconds = 1e3 * sum(cycles[1]) / board.clock_hz
        said.append(f"{board.title}: about {milliseconds:.3g} ms at {board.clock_hz / 1e6:g} MHz, estimated.")
    said.append(_room("flash", f"model {totals['model_bytes']:,}{engine}", flash, board.rom))
    said.append(_room("RAM", f"arena {totals['arena_bytes']:,} + input {totals['input_bytes']:,}", ram, board.ram))
    return [*said, "MicroPython itself takes its part of both."]


def _room(place: str, parts: str, needed: int, size: int) -> str:
    if not size:
        return f"{place}: {parts} = {needed:,} bytes; the board's file names no size"
    verdict = "fits" if needed <= size else "DOES NOT FIT"
    return f"{place}: {parts} = {needed:,} of {size:,} bytes ({needed / size:.1%}): {verdict}"


def growth(facts: Mapping) -> int:
    """By how many bytes a trained network's file can be larger than that of the same architecture with random weights.

    A convolution with a pool or levels has a bit a channel once one falls instead of rising, and thresholds and offsets
    beyond 16 bits take twice the room; whether they do is known after training.
    """
    return sum(map(_layer_growth, facts["layers"]))


def _layer_growth(layer: Mapping) -> int:
    ending, output, parts = layer["ending"], layer["output"], layer["bytes"]
    if not layer["weights"]:
        return 0
    may_flip = (
        output["dtype"] == "bits" and not parts["flips"] and ("pool" in layer["geometry"] or ending["levels"] > 1)
    )
    numbers = layer["filters"] * ending["levels"]
    is_narrow = parts["thresholds"] == 4 * row_words(16 * numbers)
    may_widen = is_narrow and (layer["bound"] >= I16 or ending["gains"])
    more = 4 * row_words(output["shape"][2]) if may_flip else 0
    return more + (4 * row_words(32 * numbers) - parts["thresholds"] if may_widen else 0)
