"""A study: a base configuration, methods as factors of two levels, and how much training each part gets.

It is a TOML file::

    title = "MNIST, 1 KB"
    note = "What it says."          # optional: for the page
    data = "mnist"                  # as ebnn train --dataset takes it
    images = 20000                  # train on so many; 0, the default: on all but the held-out ones
    cores = ["m0", "m4"]            # instructions are counted on these

    [base]                          # fields of config.toml: the level low of every factor
    arch = "16c5-p2-16c3-p2-10"

    [teacher]                       # optional: what differs from the base in a teacher that is trained once;
    arch = "32c3-p2-64c3-p2-10"     # settings that say teacher = "study" learn from it

    [screening]
    epochs = 6
    seeds = [0, 1]
    foldover = false

    [confirmation]
    epochs = 12
    seeds = [0, 1, 2, 3, 4]
    best = 6                        # factors of the screening that are tried alone and left out
    also = ["a name"]               # factors that are tried alone whatever the screening says

    [[factors]]
    name = "ApproxSign"
    kind = "feature binarizer"
    high = { estimator = "approxsign" }
    low = {}                        # optional: where low is not what the base says

    [[factors]]                     # an alternative: not screened, because it cannot stand beside the other
    name = "SwishSign"
    kind = "feature binarizer"
    high = { estimator = "swishsign" }
    instead_of = "ApproxSign"

Factors that several studies share may stand in another file, ``methods = "methods.toml"``, without those that
``without = ["a name"]`` names.

Of two methods that set the same field only one can be screened; no run has both. The others are alternatives to it,
each tried alone on the base. So are methods that contradict others altogether: instead_of = "base".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ebnn.ablate.design import screening
from ebnn.count import cores
from ebnn.errors import ConfigError
from ebnn.files import read_toml
from ebnn.train.config import Config, from_dict
from ebnn.train.pool import changes, run_key

TEACHER = "study"  # the value of the field teacher that means the study's own
BASE = "base"


@dataclass(frozen=True)
class Factor:
    """A method.

    Args:
        name: for tables, unique.
        kind: what sort of method it is.
        high: fields of the configuration with the method.
        low: and without it, where they are not the base's.
        instead_of: name of the factor that is screened in place of this one, or ``BASE``; empty: it is screened itself.
    """

    name: str
    kind: str
    high: dict
    low: dict = field(default_factory=dict)
    instead_of: str = ""


@dataclass(frozen=True)
class Screening:
    """Training of the runs of the design."""

    epochs: int
    seeds: list
    foldover: bool = False


@dataclass(frozen=True)
class Confirmation:
    """Training of the best factors: ``best`` of them, and those in ``also`` alone."""

    epochs: int
    seeds: list
    best: int = 6
    also: list = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        data, images: of the study.
        values: all fields of the configuration that are not the default; ``TEACHER`` may stand for a folder.
    """

    data: str
    images: int
    values: dict

    @property
    def key(self) -> str:
        """What tells it from all other runs: the name of its folder."""
        return run_key(self.data, self.images, self.values)

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return self.values.get("epochs", Config.epochs)

    @property
    def needs_teacher(self) -> bool:
        """Whether the study's teacher must be trained before."""
        return self.values.get("teacher") == TEACHER


@dataclass(frozen=True)
class Setting:
    """Factors that are high together, trained with some seeds.

    Args:
        role: ``row`` of the design, ``base``, ``all`` the best, one ``alone`` on the base, or the best ``without`` one.
        factor: the one that it is about, where there is one.
        high: names.
        runs: one a seed.
    """

    role: str
    factor: str
    high: tuple[str, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Study:
    """What ``read`` finds in the file; ``name`` is the file's.

    Raises:
        ConfigError: naming what contradicts itself, or is no setting of the configuration.
    """

    name: str
    title: str
    data: str
    base: dict
    screening: Screening
    confirmation: Confirmation
    factors: list
    note: str = ""
    images: int = 0
    cores: list = field(default_factory=lambda: ["m0", "m4"])
    teacher: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        cores.find(",".join(self.cores))
        self._check_names()
        self._check_conflicts()
        for factor in self.factors:
            self.run([factor.name], self.confirmation, 0)
        for row in range(len(self.design)):
            self.run(self.high_names(row), self.screening, 0)
        if self.teacher:
            self.teacher_run()

    def _check_names(self) -> None:
        names = [factor.name for factor in self.factors]
        screened = [factor.name for factor in self.screened]
        if len(set(names)) < len(names) or not screened:
            raise ConfigError(f"{self.name}: needs factors, each of a name of its own")
        for factor in self.factors:
            if factor.instead_of not in ("", BASE, *screened):
                raise ConfigError(f"{self.name}: {factor.name} stands instead of {factor.instead_of}: not screened")
        unknown = set(self.confirmation.also) - set(names)
        if unknown:
            raise ConfigError(f"{self.name}: confirmation.also names {', '.join(sorted(unknown))}: no factor")
        if not self.screening.seeds or not self.confirmation.seeds:
            raise ConfigError(f"{self.name}: screening and confirmation need at least one seed each")

    def _check_conflicts(self) -> None:
        owners: dict[str, str] = {}
        for factor in self.screened:
            for name in {**factor.low, **factor.high}:
                if name in owners:
                    raise ConfigError(
                        f"{self.name}: {owners[name]} and {factor.name} both set {name}, and a run cannot have both: "
                        f'give one of them instead_of = "..."'
                    )
                owners[name] = factor.name

    @cached_property
    def screened(self) -> tuple[Factor, ...]:
        """The factors of the design, in the order of its columns."""
        return tuple(factor for factor in self.factors if not factor.instead_of)

    @cached_property
    def design(self) -> np.ndarray:
        """int8 (runs, columns) of -1 and +1; the columns behind those of the factors are of none."""
        return screening(len(self.screened), self.screening.foldover)

    def high_names(self, row: int) -> list[str]:
        """The factors that are high in a run of the design."""
        return [factor.name for factor, level in zip(self.screened, self.design[row], strict=False) if level > 0]

    def rows(self) -> list[Setting]:
        """The runs of the design."""
        return [self._setting("row", "", self.high_names(row), self.screening) for row in range(len(self.design))]

    def confirmations(self, best: Sequence[str]) -> list[Setting]:
        """The base, the best factors together, each alone and left out; what else is to be tried alone."""
        others = [f.name for f in self.factors if f.instead_of or f.name in self.confirmation.also]
        alone = dict.fromkeys([*best, *others])
        return [
            self._setting("base", "", [], self.confirmation),
            self._setting("all", "", best, self.confirmation),
            *(self._setting("alone", name, [name], self.confirmation) for name in alone),
            *(self._setting("without", name, [n for n in best if n != name], self.confirmation) for name in best),
        ]

    def _setting(self, role: str, factor: str, high: Sequence[str], part: Screening | Confirmation) -> Setting:
        return Setting(role, factor, tuple(high), tuple(self.run(high, part, seed) for seed in part.seeds))

    def run(self, high: Collection[str], part: Screening | Confirmation, seed: int) -> Run:
        """The run in which the named factors are high and all others low.

        Raises:
            ConfigError: it is no setting of the configuration.
        """
        levels: dict[str, Any] = {}
        for factor in self.screened:
            levels |= factor.low
        for factor in self.factors:
            levels |= factor.high if factor.name in high else {}
        return self._run({**self.base, **levels, "epochs": part.epochs, "seed": seed}, " + ".join(high) or BASE)

    def teacher_run(self) -> Run:
        """The teacher's training."""
        return self._run({**self.base, **self.teacher}, "teacher")

    def _run(self, values: dict, what: str) -> Run:
        config = from_dict(values, f"{self.name}, {what}")
        run = Run(self.data, self.images, changes(config))
        if run.needs_teacher and not self.teacher:
            raise ConfigError(f'{self.name}, {what}: teacher = "{TEACHER}", but there is no table [teacher]')
        return run


_PARTS = {"screening": Screening, "confirmation": Confirmation}
_TYPES = {kind.__name__: kind for kind in (str, int, bool, list, dict)}  # annotations are text


def read(path: str | Path) -> Study:
    """Read a study; raises ConfigError naming the file and what is wrong in it."""
    path, values = Path(path), read_toml(path)
    parts = {name: _record(kind, values.get(name, {}), f"{path}, {name}") for name, kind in _PARTS.items()}
    factors = [_record(Factor, entry, f"{path}, factors") for entry in _entries(path, values)]
    values = {name: value for name, value in values.items() if name not in ("methods", "without")}
    return _record(Study, {**values, **parts, "factors": factors, "name": path.stem}, str(path))


def _entries(path: Path, values: dict) -> list:
    """The tables of the factors: the shared ones, then the study's own."""
    shared = read_toml(path.parent / str(values["methods"])).get("factors") if "methods" in values else []
    own, without = values.get("factors", []), values.get("without", [])
    if not all(isinstance(part, list) for part in (shared, own, without)):
        raise ConfigError(f"{path}: factors are tables [[factors]], without is a list of their names")
    names = [entry.get("name") for entry in shared if isinstance(entry, dict)]
    unknown = [str(name) for name in without if name not in names]
    if unknown:
        raise ConfigError(f"{path}: without names {', '.join(unknown)}: not in {values.get('methods')}")
    return [entry for entry, name in zip(shared, names, strict=True) if name not in without] + own


def _record(kind: type, values: object, where: str) -> Any:
    """A dataclass of named values, with the types that its annotations say."""
    known = {part.name: part for part in dataclasses.fields(kind)}
    if not isinstance(values, dict) or set(values) - set(known):
        raise ConfigError(f"{where}: there are {', '.join(known)}, got {values}")
    for name, part in known.items():
        if name not in values and part.default is part.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {name} is missing")
        if name in values and type(values[name]) is not _TYPES.get(part.type, type(values[name])):
            raise ConfigError(f"{where}: {name} must be of type {part.type}, got {values[name]!r}")
    return kind(**values)
