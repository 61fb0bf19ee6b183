"""The tables of a study, from its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ebnn.ablate import record
from ebnn.ablate.study import Factor, Study
from ebnn.count import cores
from ebnn.intervals import Interval, interval
from ebnn.tables import Table

PAPER = ("feature binarizer", "feature normalization", "double residual")  # de Putter and Corporaal's three best


@dataclass(frozen=True)
class Confirmed:
    """What one factor does, in percentage points; intervals are over seeds, of the differences seed by seed.

    Args:
        factor: the method.
        screened: effect in the screening; None for an alternative.
        alone: with it on the base, minus the base.
        left_out: the best together, minus the same without it.
    """

    factor: Factor
    screened: float | None
    alone: Interval | None
    left_out: Interval | None


class Findings:
    """A record, read with its study.

    Args:
        study: as it was read.
        found: its record.
    """

    def __init__(self, study: Study, found: dict) -> None:
        self.study, self.found = study, found
        self.settings = {(entry["role"], entry["factor"]): entry for entry in found["settings"]}
        self.rows = [entry for entry in found["settings"] if entry["role"] == "row"]
        self.screened = record.screen(study, self.rows)
        self.factors = sorted(map(self._confirmed, study.factors), key=_order)

    def _confirmed(self, factor: Factor) -> Confirmed:
        alone, without = (self.settings.get((role, factor.name)) for role in ("alone", "without"))
        base, best = self.settings["base", ""], self.settings["all", ""]
        return Confirmed(
            factor,
            self.screened.effects.get(factor.name),
            _difference(alone, base) if alone else None,
            _difference(best, without) if without else None,
        )

    def of_kind(self, kind: str) -> list[Confirmed]:
        """The factors of a kind, in the table's order."""
        return [entry for entry in self.factors if entry.factor.kind == kind]


def _order(entry: Confirmed) -> float:
    known = entry.screened is not None and not math.isnan(entry.screened)
    return -entry.screened if known else math.inf  # the sort keeps the order of alternatives


def _pairs(left: dict, right: dict) -> list[tuple[dict, dict]]:
    """Runs of the same seed that both ended."""
    return [(one, two) for one, two in zip(left["runs"], right["runs"], strict=True) if one and two]


def _difference(left: dict, right: dict) -> Interval | None:
    pairs = _pairs(left, right)
    values = [100 * (one["held_out_accuracy"] - two["held_out_accuracy"]) for one, two in pairs]
    return interval(values) if values else None


def _flat(run: dict) -> list[int]:
    """What a run's model takes, in the order of the table."""
    return [run["model_bytes"], run["arena_bytes"], *run["instructions"].values()]


def _costs(left: dict, right: dict) -> list[str]:
    """What models of one setting take more than the other's of the same seed."""
    differences = [
        [one - two for one, two in zip(_flat(run), _flat(other), strict=True)] for run, other in _pairs(left, right)
    ]
    return [_range(values, "+,") for values in zip(*differences, strict=True)]


def _base_costs(base: dict) -> list[str]:
    runs = [_flat(run) for run in base["runs"] if run]
    return [_range(values, ",") for values in zip(*runs, strict=True)]


def _range(values: Sequence[int], form: str) -> str:
    """Least and most; one figure where they are the same."""
    ends = dict.fromkeys([min(values), max(values)])
    return " to ".join(format(value, form if value else "") for value in ends)


def _layers(left: dict, right: dict) -> str:
    """Whether models of two settings have the same layers, seed by seed."""
    pairs = _pairs(left, right)
    same = sum(one["layers"] == two["layers"] for one, two in pairs)
    return "" if not pairs else "same" if same == len(pairs) else f"{same} of {len(pairs)} the same"


def method_table(findings: Findings) -> Table:
    """Every method: effect in the screening, alone, left out, and its cost on the device."""
    names = [cores.BY_NAME[name].title for name in findings.study.cores]
    head = ("method", "kind", "alone it", "layers", "screening", "alone", "left out", "bytes", "arena",
            *(f"instructions, {name}" for name in names))  # fmt: skip
    base, best = findings.settings["base", ""], findings.settings["all", ""]
    gain = _difference(best, base)
    rows = [
        ("base", "", "", "", "", _mean(base), "", *_base_costs(base)),
        ("the best together", "", _verdict(gain), _layers(best, base), "", f"{_mean(best)} ({_points(gain)})", "",
         *_costs(best, base)),
        *(_method_row(entry, findings) for entry in findings.factors),
    ]  # fmt: skip
    width = len(head)
    filled = tuple((*row, *[""] * (width - len(row))) for row in rows)
    return Table("Methods", head, filled, _note(findings), left=4, emphasis=(0, 1))


def _note(findings: Findings) -> str:
    screened, parts = findings.screened, findings.study
    by_seeds = "" if screened.spread is None else f", by the spread of seeds ±{screened.spread:.2f}"
    return (
        f"Points of held-out accuracy (selected epoch). Screening: mean with the method minus mean without it over "
        f"{len(findings.rows)} runs with {len(parts.screening.seeds)} seeds of {parts.screening.epochs} epochs; a "
        f"single effect beyond {screened.margin:.2f} is no chance (Lenth){by_seeds}; the columns of no method gave "
        f"{', '.join(f'{effect:+.2f}' for effect in screened.unused if not math.isnan(effect))}. "
        f"Alone: with the method on the base, minus the base, and left out: the best together minus the same without "
        f"it, each with 95 % t intervals over {len(parts.confirmation.seeds)} seeds of "
        f"{parts.confirmation.epochs} epochs. Layers, bytes, arena, instructions: of the models, beside the base's of "
        f"the same seed; where they differ, the least and the most."
    )


def _method_row(entry: Confirmed, findings: Findings) -> tuple[str, ...]:
    alone, base = findings.settings.get(("alone", entry.factor.name)), findings.settings["base", ""]
    effect = "" if entry.screened is None else f"{entry.screened:+.2f}"
    more = (_layers(alone, base), *_costs(alone, base)) if alone else ("",)
    figures = (effect, _points(entry.alone), _points(entry.left_out))
    return (entry.factor.name, entry.factor.kind, _verdict(entry.alone), more[0], *figures, *more[1:])


def _verdict(found: Interval | None) -> str:
    return found.verdict if found else ""


def _mean(setting: dict) -> str:
    values = record.accuracies(setting)
    return _percent(interval(values)) if values else "failed"


def _percent(found: Interval) -> str:
    return f"{found.mean:.2f} ± {found.half:.2f}"


def _points(found: Interval | None) -> str:
    return "" if found is None else f"{found.mean:+.2f} ± {found.half:.2f}"


def paper_table(all_findings: Sequence[Findings]) -> Table:
    """The paper's three best repairs, a line a method that was tried alone, a column a study."""
    head = ("repair", "method", *(findings.study.title for findings in all_findings))
    rows = []
    for kind in PAPER:
        names = dict.fromkeys(entry.factor.name for findings in all_findings for entry in findings.of_kind(kind))
        rows += [(kind, name, *(_alone(findings, name) for findings in all_findings)) for name in names]
        if not names:
            rows.append((kind, "not tried", *([""] * len(all_findings))))
    return Table("The paper's three best repairs", head, tuple(rows), left=2)


def _alone(findings: Findings, name: str) -> str:
    (found,) = [entry.alone for entry in findings.factors if entry.factor.name == name] or [None]
    return "" if found is None else f"{found.verdict}: {_points(found)}"


def epoch_table(findings: Findings) -> Table:
    """Base and best: selected and last epoch."""
    rows = []
    for role, title in (("base", "base"), ("all", "the best together")):
        runs = [run for run in findings.settings[role, ""]["runs"] if run]
        cells = [_seeds([100 * run[key] for run in runs]) for key in record.KEPT[:2]]
        seconds = sum(run["train_seconds"] for run in runs) / max(1, len(runs))
        rows.append((title, str(len(runs)), *cells, f"{seconds:.0f}"))
    head = ("setting", "seeds", "held-out %, selected epoch", "held-out %, last epoch", "seconds a run")
    return Table("Epochs", head, tuple(rows), "Mean and standard deviation over seeds.")


def _seeds(values: Sequence[float]) -> str:
    if not values:
        return "failed"
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5
    return f"{mean:.2f} ± {deviation:.2f}"
