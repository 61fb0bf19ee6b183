"""What a report says, in order: the facts, computed figures and words that every output shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ebnn import cost
from ebnn.tables import Table

WRONG_SHOWN = 12  # wrong answers listed in text
KEYS = {"flips": "flipped", "clipped": "at the clip"}  # of a watched layer
WATCHED = ("flips", "latents")  # figures of watched weights
CONFUSION_SHOWN = 12  # classes up to which the matrix is printed

WHO = {
    "trainer": "trainer (Chainer)",
    "simulator": "simulator (NumPy)",
    "c_engine": "C engine on this computer",
    "device": "on the board",
}
PAIRS = {
    "simulator_vs_trainer": ("simulator and trainer", "images, all scores"),
    "c_vs_simulator": ("C engine and simulator", "images, all scores"),
    "device_vs_simulator": ("board and simulator", "images, all scores"),
    "traces": ("board and simulator", "images, every node"),
    "trainer_nodes": ("simulator and trainer", "images, every bit of every node"),
}
PLACES = {
    "model": ("model", "flash"),
    "code": ("code of ebnn", "flash"),
    "arena": ("arena", "RAM"),
    "input": ("input buffer", "RAM"),
    "stack": ("stack of a run", "RAM"),
    "heap_free": ("free heap after loading", "RAM that is left"),
}


@dataclass(frozen=True)
class Code:
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class Note:
    """A sentence."""

    text: str


@dataclass(frozen=True)
class Steps:
    """What to do next: pairs of a text and a command."""

    items: tuple[tuple[str, str], ...]


Block = Table | Code | Note | Steps


@dataclass(frozen=True)
class Section:
    """A heading with its blocks; ``words`` stand in text and Markdown only, ``figures`` in HTML only."""

    title: str
    blocks: tuple[Block, ...] = ()
    words: tuple[Block, ...] = ()
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether all implementations agreed: ``state`` is good, bad or none."""

    state: str
    text: str


@dataclass(frozen=True)
class Tile:
    """One of the figures at the top."""

    name: str
    value: str
    note: str


def sections(report: Mapping) -> list[Section]:
    """Every section that the report has the facts for."""
    found = [make(report) for make in _SECTIONS]
    return [section for section in found if section is not None]


# --- numbers ---


def milliseconds(value: float) -> str:
    """Milliseconds with three digits that count."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} ms"


def megahertz(hertz: float) -> str:
    """A clock."""
    return f"{hertz / 1e6:g} MHz"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _kilobytes(count: int) -> str:
    return f"{count / 1024:.1f} KB"


# --- the top ---


def about(report: Mapping) -> list[tuple[str, str]]:
    """Name and value of what identifies the run."""
    board, dataset, commit = report.get("board", {}), report.get("dataset", {}), report.get("commit")
    clock = board.get("clock_hz")
    chip = ", ".join([*([board["cpu"]] if board.get("cpu") else []), *([megahertz(clock)] if clock else [])])
    facts = [
        ("board", board and f"{board.get('title', board['name'])}" + (f" ({chip})" if chip else "")),
        ("data", dataset and f"{dataset['name']}, {dataset['test_count']:,} test images"),
        ("note", dataset.get("note")),
        ("network", report.get("arch")),
        ("date", report["date"]),
        ("commit", commit),
    ]
    return [(name, value) for name, value in facts if value]


def verdict(report: Mapping) -> Verdict:
    """One sentence over all comparisons."""
    pairs = [
        (*PAIRS[key], pair)
        for key, pair in report.get("mismatches", {}).items()
        if key in PAIRS and pair and pair["compared"] and pair["different"] is not None
    ]
    wrong = [
        f"{who} differ in {pair['different']:,} of {pair['compared']:,} {what}"
        for who, what, pair in pairs
        if pair["different"]
    ]
    if wrong:
        return Verdict("bad", "MISMATCH: " + "; ".join(wrong))
    if not pairs:
        return Verdict("none", "Nothing was compared with another implementation.")
    compared = "; ".join(f"{who}: {pair['compared']:,} {what}" for who, what, pair in pairs)
    return Verdict("good", f"0 mismatches. {compared}.")


def headline(report: Mapping) -> list[Tile]:
    """The figures that a person looks for first."""
    found = []
    score = _best_known(report)
    if score:
        key, part = score
        share = f"{part['correct']:,} of {part['count']:,} images"
        found.append(Tile(f"accuracy, {WHO[key]}", _percent(part), share))
    sizes = report.get("bytes", {})
    if sizes.get("model"):
        found.append(Tile("model", f"{sizes['model']:,} bytes", "as a file, all included"))
    ram = _sum(sizes, "RAM")
    if ram:
        found.append(Tile("RAM of a run", f"{ram[1]:,} bytes", " + ".join(ram[0])))
    return found + _speed_tiles(report)


def _speed_tiles(report: Mapping) -> list[Tile]:
    found = []
    if report.get("instructions"):
        median = _count(report["instructions"]["median"])
        found.append(Tile("instructions", median, "median of an inference, counted"))
    if report.get("estimated_ms") is not None:
        value, *clock = _estimate(report).split(" at ")
        rule = ", ".join([*(f"at {hertz}" for hertz in clock), "one instruction a cycle"])
        found.append(Tile("time, estimated", f"\N{ALMOST EQUAL TO} {value}", rule))
    if report.get("timed_us"):
        value = milliseconds(report["timed_us"]["median"] / 1e3)
        found.append(Tile("time, measured", value, "median of an inference, by the board's clock"))
    return found


def _percent(part: Mapping) -> str:
    return f"{part['percent']:.2f} %"


def _estimate(report: Mapping) -> str:
    clock = report.get("board", {}).get("clock_hz")
    return milliseconds(report["estimated_ms"]) + (f" at {megahertz(clock)}" if clock else "")


def _best_known(report: Mapping) -> tuple[str, Mapping] | None:
    """The accuracy that is nearest to the board's."""
    parts = report.get("accuracy", {})
    return next(((key, parts[key]) for key in reversed(WHO) if parts.get(key)), None)


def _sum(sizes: Mapping, place: str) -> tuple[list[str], int] | None:
    """Names and sum of the known sizes in flash or RAM."""
    known = [key for key, (_, where) in PLACES.items() if where == place and sizes.get(key) is not None]
    return ([PLACES[key][0] for key in known], sum(sizes[key] for key in known)) if known else None


# --- sections ---


def _summary(report: Mapping) -> Section | None:
    return Section("Summary", (Code(report["summary"]),)) if report.get("summary") else None


def _prompt(report: Mapping) -> Section | None:
    lines = report.get("transcript")
    return Section("At the prompt", (Code("\n".join(lines)),)) if lines else None


def _accuracy(report: Mapping) -> Section | None:
    parts = [(WHO[key], part) for key, part in report.get("accuracy", {}).items() if key in WHO and part]
    if not parts:
        return None
    rows = tuple((who, _count(p["count"]), _count(p["correct"]), _percent(p)) for who, p in parts)
    few = min(p["count"] for _, p in parts)
    note = "" if all(p["count"] == few for _, p in parts) else f"Where {few:,} are counted: the first of them."
    return Section("Accuracy", (Table("", ("who", "test images", "correct", "accuracy"), rows, note),))


def _agreement(report: Mapping) -> Section | None:
    rows = tuple(
        (*PAIRS[key], _count(pair["compared"]), "?" if pair["different"] is None else _count(pair["different"]))
        for key, pair in report.get("mismatches", {}).items()
        if key in PAIRS and pair
    )
    head = ("compared", "what", "how many", "different")
    return Section("Agreement, bit for bit", (Table("", head, rows, left=2),)) if rows else None


def _speed(report: Mapping) -> Section | None:
    blocks: list[Block] = []
    counted, timed = report.get("instructions"), report.get("timed_us")
    if counted:
        row = ("instructions", *(_count(counted[key]) for key in ("median", "min", "max")), _count(counted["count"]))
        blocks.append(Table("", ("of an inference, counted", "median", "min", "max", "inferences"), (row,)))
    if report.get("estimated_ms") is not None:
        rule = "if every instruction took one cycle; real cores need more"
        blocks.append(Note(f"Estimate, not measured: {_estimate(report)}, {rule}."))
    if report.get("node_instructions") and report.get("network"):
        names = [cost.layer_name(layer) for layer in report["network"]["layers"]]
        rows = zip(names, map(_count, report["node_instructions"]), strict=True)
        blocks.append(Table("", ("layer", "instructions on the first image"), tuple(rows)))
    if timed:
        row = ("time", *(milliseconds(timed[key] / 1e3) for key in ("median", "min", "max")))
        blocks.append(Table("", ("of an inference, measured", "median", "min", "max"), (row,)))
    return Section("Speed", tuple(blocks)) if blocks else None


def _memory(report: Mapping) -> Section | None:
    sizes = report.get("bytes", {})
    rows = [(*PLACES.get(key, (key, "")), _count(size)) for key, size in sizes.items() if size is not None]
    sums = [(place, _sum(sizes, place)) for place in ("flash", "RAM")]
    parts = len(rows)
    rows += [(" + ".join(found[0]), place, _count(found[1])) for place, found in sums if found]
    note = "MicroPython itself is not in these figures."
    table = Table("", ("part", "in", "bytes"), tuple(rows), note, 2, tuple(range(parts, len(rows))))
    return Section("Memory", (table,)) if rows else None


def _comparison(report: Mapping) -> Section | None:
    if "comparison" not in report:
        return None
    others = [
        (row["who"], row.get("data", ""), row["accuracy"], row["memory"], row["time"], "")
        for row in report["comparison"]
    ]
    head = ("who", "data", "accuracy", "memory", "time, measured", "time, estimated")
    table = Table("", head, (*others, _own_row(report)), left=4, emphasis=(len(others),))
    return Section("Beside others", (table,))


def _own_row(report: Mapping) -> tuple[str, ...]:
    """This run, from the report's own figures."""
    board, score, sizes = report.get("board", {}), _best_known(report), report.get("bytes", {})
    sums = [(place, _sum(sizes, place)) for place in ("RAM", "flash")]
    where = board.get("title", board.get("name", "this computer"))
    return (
        f"this run: {where}",
        report["dataset"]["name"] if "dataset" in report else "",
        _percent(score[1]) if score else "",
        ", ".join(f"{_kilobytes(found[1])} {place}" for place, found in sums if found),
        milliseconds(report["timed_us"]["median"] / 1e3) if report.get("timed_us") else "",
        _estimate(report) if report.get("estimated_ms") is not None else "",
    )


def _answers(report: Mapping) -> Section | None:
    names = {"samples": "gallery", "confusion": "confusion"}
    figures = tuple(figure for key, figure in names.items() if report.get(key))
    if not figures:
        return None
    words, shares = [make(report) for make in (_wrong_table, _confusion_table)], _class_table(report)
    return Section("Answers", (shares,) if shares else (), tuple(table for table in words if table), figures)


def _class_table(report: Mapping) -> Table | None:
    """Of each class how many images are found, and with which class they are confused most."""
    counts = report.get("confusion", ())
    rows = tuple(_class_row(report, index, row) for index, row in enumerate(counts) if sum(row))
    head = ("class", "images", "correct", "accuracy", "most taken for")
    return Table("Classes", head, rows) if rows else None


def _class_row(report: Mapping, index: int, row: Sequence[int]) -> tuple[str, ...]:
    wrong = [count if column != index else 0 for column, count in enumerate(row)]
    worst = max(wrong, default=0)
    taken = f"{label_name(report, wrong.index(worst))} ({worst:,})" if worst else ""
    share = f"{100 * row[index] / sum(row):.2f} %"
    return (label_name(report, index), _count(sum(row)), _count(row[index]), share, taken)


def label_name(report: Mapping, index: int) -> str:
    """The name of a class, or its number."""
    labels = report.get("labels", ())
    return labels[index] if 0 <= index < len(labels) else str(index)


def _wrong_table(report: Mapping) -> Table | None:
    wrong = [sample for sample in report.get("samples", ()) if sample["label"] != sample["answer"]]
    rows = tuple(
        (str(sample["index"]), label_name(report, sample["label"]), label_name(report, sample["answer"]))
        for sample in wrong[:WRONG_SHOWN]
    )
    return Table("Some wrong answers", ("image", "is", "answer"), rows, left=3) if rows else None


def _confusion_table(report: Mapping) -> Table | None:
    counts = report.get("confusion", ())
    if not 0 < len(counts) <= CONFUSION_SHOWN:
        return None
    names = [label_name(report, index) for index in range(len(counts))]
    rows = tuple((name, *map(_count, row)) for name, row in zip(names, counts, strict=True))
    return Table("Confusion (row: the image's class, column: the answer)", ("", *names), rows)


def _network(report: Mapping) -> Section | None:
    facts = report.get("network")
    if not facts:
        return None
    work = "instructions" if report.get("node_instructions") else "macs"
    return Section("Network", (Code(cost.summary(facts)), *cost.tables(facts)), figures=("bytes", work))


def _training(report: Mapping) -> Section | None:
    facts = report.get("training")
    if not facts:
        return None
    text = (
        f"{facts['epochs']} epochs in {facts['seconds']:,.0f} s; epoch {facts['selected_epoch']} was selected"
        " on training images that were held out."
    )
    weights = _weight_table(facts)
    figures = ("training", "loss") if facts["history"] else ()
    return Section(
        "Training", (Note(text), weights) if weights else (Note(text),), figures=figures + WATCHED * bool(weights)
    )


def _weight_table(facts: Mapping) -> Table | None:
    """Flips and clipped latents of each layer, in the first, the selected and the last epoch."""
    records = {record["epoch"]: record["layers"] for record in facts.get("weights", ())}
    epochs = [epoch for epoch in dict.fromkeys((1, facts["selected_epoch"], facts["epochs"])) if epoch in records]
    if not epochs or not records[epochs[0]]:
        return None
    rows = tuple(
        (name, _count(layer["weights"]), *(_share(records[epoch][name], key) for key in KEYS for epoch in epochs))
        for name, layer in records[epochs[0]].items()
    )
    head = ("layer", "weights", *(f"{words}, epoch {epoch}" for words in KEYS.values() for epoch in epochs))
    note = "Flipped: weights with another sign than an epoch before. At the clip: latent weights that grow no further."
    return Table("Weights", head, rows, note)


def _share(layer: Mapping, key: str) -> str:
    return f"{100 * layer[key] / layer['weights']:.2f} %"


def _stages(report: Mapping) -> Section | None:
    stages = report.get("stages")
    if not stages:
        return None
    rows = [(stage["name"], stage.get("note", ""), f"{stage['seconds']:.1f}") for stage in stages]
    rows.append(("total", "", f"{sum(stage['seconds'] for stage in stages):.1f}"))
    return Section("Stages", (Table("", ("stage", "what", "seconds"), tuple(rows), left=2, emphasis=(len(stages),)),))


def _next_steps(report: Mapping) -> Section | None:
    steps = tuple((step["text"], step["command"]) for step in report.get("next_steps", ()))
    return Section("Next", (Steps(steps),)) if steps else None


_SECTIONS: tuple[Callable[[Mapping], Section | None], ...] = (
    _summary,
    _prompt,
    _accuracy,
    _agreement,
    _speed,
    _memory,
    _comparison,
    _answers,
    _network,
    _training,
    _stages,
    _next_steps,
)
