"""A study from its begin to its record: screening, the best confirmed, what they take on a device."""

from __future__ import annotations

from collections.abc import Sequence

from ebnn.ablate import record
from ebnn.ablate.devices import Meter
from ebnn.ablate.runner import Runner
from ebnn.ablate.study import Setting, Study
from ebnn.train import data
from ebnn.train.worker import without_test


def conduct(runner: Runner) -> dict:
    """Train what is missing; returns the record (``ebnn.ablate.record``).

    Raises:
        BuildError: instructions cannot be counted here; told before anything is trained.
        ConfigError, KeyboardInterrupt: as ``Runner.train``; runs of the study have ended on other data.
    """
    study, place = runner.study, runner.place
    dataset = without_test(data.load(study.data, place.data_dir), study.images)
    runner.data = dataset.sha256
    meter = Meter(study.cores, dataset.x_train[dataset.split()[1][0]])
    rows = _perform(runner, "screening", study.rows())
    best = record.screen(study, rows).best(study.confirmation.best)
    runner.report(f"the best of the screening: {', '.join(best) or 'none helps'}")
    confirmed = _perform(runner, "confirmation", study.confirmations(best), meter)
    return record.make(study, [*rows, *confirmed], best, runner.data)


def _perform(runner: Runner, title: str, settings: Sequence[Setting], meter: Meter | None = None) -> list[dict]:
    runner.train(title, [run for setting in settings for run in setting.runs])
    return [record.describe(setting, runner.place, meter) for setting in settings]


def plan_text(study: Study) -> str:
    """How many runs a study has, for a person."""
    some = [factor.name for factor in study.screened][: study.confirmation.best]
    screening, confirmation = study.rows(), study.confirmations(some)
    runs = [sum(len(setting.runs) for setting in settings) for settings in (screening, confirmation)]
    epochs = [count * part.epochs for count, part in zip(runs, (study.screening, study.confirmation), strict=True)]
    return (
        f"{study.title}: {len(study.screened)} methods in a design of {len(screening)} runs, "
        f"{len(study.screening.seeds)} seeds: {runs[0]} runs, {epochs[0]:,} epochs; then about {runs[1]} runs, "
        f"{epochs[1]:,} epochs"
    )
