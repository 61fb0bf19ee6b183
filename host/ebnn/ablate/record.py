"""What a study found, as plain data: ``docs/studies/NAME.json`` beside its TOML file; all pages come of it.

| key | holds |
|---|---|
| ``schema``, ``date``, ``commit`` | of the file, and where and when it was written |
| ``sha256`` | hash of the study's factors and trainings: a file that was changed afterwards is noticed |
| ``dataset_sha256`` | of the data set without its test images |
| ``best`` | names of the factors that were confirmed, the best first |
| ``settings`` | ``role``, ``factor``, ``high`` and ``runs`` of each setting (``study.Setting``) |

A run has its ``seed``, ``held_out_accuracy`` (0 to 1) of the selected epoch and of the last one, ``selected_epoch``,
``train_seconds``, and, where it ended up confirmed, what ``devices.Meter`` reads; it is null where it failed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ebnn.ablate import effects
from ebnn.ablate.devices import Meter
from ebnn.ablate.runner import Place
from ebnn.ablate.study import Setting, Study
from ebnn.bundle import MODEL_FILE
from ebnn.errors import DataError
from ebnn.files import checkout_commit

SCHEMA = 1
KEPT = ("held_out_accuracy", "last_epoch_held_out_accuracy", "selected_epoch", "train_seconds")


@dataclasses.dataclass(frozen=True)
class Screened:
    """Effects of a screening, in percentage points of held-out accuracy.

    Args:
        effects: by factor's name, in the order of the columns; NaN where too many runs failed.
        unused: those of the columns of no factor: nothing but chance and what factors do together.
        margin: Lenth's margin over all of them.
        spread: half width of the 95 % interval by seeds; None with one seed.
    """

    effects: dict[str, float]
    unused: tuple[float, ...]
    margin: float
    spread: float | None

    def best(self, count: int) -> list[str]:
        """The factors with the largest effects above 0, the largest first."""
        good = [name for name, effect in self.effects.items() if effect > 0]
        return sorted(good, key=lambda name: -self.effects[name])[:count]


def screen(study: Study, rows: Sequence[dict]) -> Screened:
    """Effects from the settings of role ``row``, in their order.

    Raises:
        ConfigError: too few runs ended.
    """
    groups = [accuracies(row) for row in rows]
    found = effects.main_effects(study.design, [sum(group) / len(group) if group else None for group in groups])
    count = len(study.screened)
    named = {factor.name: float(effect) for factor, effect in zip(study.screened, found, strict=False)}
    unused = tuple(float(effect) for effect in found[count:])
    return Screened(named, unused, effects.margin_of_error(found), effects.spread_margin(groups))


def accuracies(setting: dict) -> list[float]:
    """Held-out accuracies in percent of the runs that ended."""
    return [100 * run["held_out_accuracy"] for run in setting["runs"] if run]


def describe(setting: Setting, place: Place, meter: Meter | None = None) -> dict:
    """A setting with what its runs came to; with a ``meter`` also with what their models take."""
    runs = []
    for run in setting.runs:
        metrics = place.metrics(run)
        if metrics is None:
            runs.append(None)
            continue
        cost = meter.read(place.of(run) / MODEL_FILE) if meter else {}
        runs.append({"seed": run.values.get("seed", 0), **{name: metrics[name] for name in KEPT}, **cost})
    return {"role": setting.role, "factor": setting.factor, "high": list(setting.high), "runs": runs}


def make(study: Study, settings: Iterable[dict], best: Sequence[str], dataset_sha256: str) -> dict:
    """The record."""
    return {
        "schema": SCHEMA,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": checkout_commit(),
        "sha256": digest(study),
        "dataset_sha256": dataset_sha256,
        "best": list(best),
        "settings": list(settings),
    }


def digest(study: Study) -> str:
    """Hash of what decides a study's runs: all but its words."""
    values = dataclasses.asdict(study)
    for name in ("name", "title", "note", "cores"):
        del values[name]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def render(record: dict) -> str:
    """The file's text, a setting a line."""
    head = {name: value for name, value in record.items() if name != "settings"}
    lines = ",\n".join(json.dumps(setting) for setting in record["settings"])
    return f'{json.dumps(head)[:-1]}, "settings": [\n{lines}\n]}}\n'


def read(path: Path, study: Study) -> dict:
    """A record that belongs to a study.

    Raises:
        DataError: the file is damaged, or of a study that was changed.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        schema, sha256 = found["schema"], found["sha256"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not the results of a study: ebnn ablate --docs writes them") from None
    if (schema, sha256) != (SCHEMA, digest(study)):
        raise DataError(f"{path}: is of another version of {study.name}.toml: run ebnn ablate --docs again")
    return found
