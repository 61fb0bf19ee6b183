"""The models of the zoo as they lie in their folders, and what can be told of one without any data."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ebnn import cost
from ebnn.bundle import CONFIG_FILE, DEFAULT_FIT, METRICS_FILE, MODEL_FILE, read_metrics
from ebnn.calibrate import DEFAULT_SURE
from ebnn.errors import ConfigError, EbnnError
from ebnn.files import read_toml, repo_root
from ebnn.format import Model, decode, read_blob
from ebnn.plan import FITS, make_plan

SIGNALS_FILE = "signals.py"
PACKAGED = Path(__file__).resolve().parents[1] / "models"  # where setup.py puts copies in a wheel


@dataclass(frozen=True)
class Entry:
    """A folder with a model, the configuration that it was trained with, and its figures.

    Args:
        folder: holds config.toml, metrics.json and model.ebnn.
    """

    folder: Path

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def task(self) -> str:
        """The data set's name, without a size that its images were averaged to: mnist, of mnist@14x14."""
        return str(self.metrics.get("dataset", "")).split("@")[0]

    @cached_property
    def config(self) -> dict:
        """config.toml; raises ConfigError where it is missing or damaged."""
        return read_toml(self.folder / CONFIG_FILE)

    @cached_property
    def metrics(self) -> dict:
        """metrics.json; raises ConfigError where it is missing or damaged."""
        found = read_metrics(self.folder / METRICS_FILE)
        if found is None:
            raise ConfigError(f"{self.folder}: holds no {METRICS_FILE}")
        return found

    @cached_property
    def blob(self) -> bytes:
        """The model file."""
        return read_blob(self.folder / MODEL_FILE)

    @cached_property
    def model(self) -> Model:
        """The model file, decoded."""
        return decode(self.blob)


def models_folder() -> Path:
    """firmware/models of the checkout, else the copies of an installed wheel."""
    try:
        return repo_root() / "firmware" / "models"
    except EbnnError:
        return PACKAGED


def entries(folder: Path | None = None) -> tuple[Entry, ...]:
    """Every model, by data set and size."""
    found = [Entry(path.parent) for path in (folder or models_folder()).glob(f"*/{MODEL_FILE}")]
    return tuple(sorted(found, key=lambda entry: (entry.task, len(entry.blob), entry.name)))


def find(name: str) -> Entry:
    """A model by its name; raises ConfigError with the names that there are."""
    for entry in (known := entries()):
        if entry.name == name:
            return entry
    raise ConfigError(f"no model {name} in the zoo; there are {', '.join(entry.name for entry in known)}")


def file_facts(blob: bytes) -> dict:
    """What metrics.json says of a model file that follows from the file alone."""
    facts = cost.describe(decode(blob))
    shapes = [facts["input"], *(layer["output"] for layer in facts["layers"])]
    return {
        "model_bytes": facts["totals"]["model_bytes"],
        "model_bytes_without_labels": facts["totals"]["model_bytes_without_labels"],
        "arena_bytes": facts["totals"]["arena_bytes"],
        "model_sha256": hashlib.sha256(blob).hexdigest(),
        "shapes": [f"{'x'.join(map(str, value['shape']))} {value['dtype']}" for value in shapes],
    }


def commands(entry: Entry) -> list[str]:
    """What a person types to train the model again, to see that it is as good as it says, and to use it."""
    folder = _shown(entry.folder)
    source = shlex.quote(entry.config.get("dataset", entry.metrics.get("dataset", "")))
    made = [f"python {folder}/{SIGNALS_FILE} {source}"] if (entry.folder / SIGNALS_FILE).exists() else []
    options = " ".join(["--config", f"{folder}/{CONFIG_FILE}", *_export_options(entry)])
    return [
        *made,
        f"ebnn train {options} --out build/train/{entry.name}",
        f"ebnn eval {folder} --dataset {source} --engine c",
        f"ebnn install {folder}",
    ]


def _shown(folder: Path) -> str:
    try:
        root = repo_root()
    except EbnnError:
        return shlex.quote(str(folder))
    return shlex.quote(str(folder.relative_to(root) if folder.is_relative_to(root) else folder))


def _export_options(entry: Entry) -> list[str]:
    """What ``ebnn train`` must be told beside the configuration to write the same bytes."""
    sure = entry.metrics.get("sure_wanted", 0)
    use = entry.model.use
    options = [] if sure == DEFAULT_SURE else ["--sure", str(sure)]
    return [*_fit_options(entry.model), *options, *(["--prepare", str(use.preparation)] if use.preparation else [])]


def _fit_options(model: Model) -> list[str]:
    fits = [fit for fit in FITS if make_plan(model.network, fit) == model.plan]
    if DEFAULT_FIT in fits:
        return []
    return ["--fit", fits[0]] if fits else ["--arena", str(model.plan.arena_size)]
