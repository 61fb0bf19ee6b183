"""A trained run becomes a model of the zoo: everything that can be measured is measured, and must agree.

The test images are classified here by simulator and C engine, which must give the same scores, and the accuracy that
the training wrote. Instructions are counted as ``make bench`` counts them: bare-metal builds under QEMU.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ebnn.bundle import CONFIG_FILE, MODEL_FILE, write_metrics
from ebnn.cengine import CEngine
from ebnn.count import cases, cores, image
from ebnn.count.measure import measure_prepared
from ebnn.errors import ConfigError, DataError, ExportError
from ebnn.files import repo_root, write_atomic
from ebnn.footprint import run_tool
from ebnn.format import decode
from ebnn.measure import rows_that_differ
from ebnn.sim import Simulator, memory, selftest_input
from ebnn.train import data, seeds
from ebnn.train.data import Dataset
from ebnn.zoo.models import PACKAGED, SIGNALS_FILE, Entry, entries, file_facts, models_folder
from ebnn.zoo.page import CORES, markdown, panels

Say = Callable[[str], None]


def add(name: str, runs: Sequence[Path], data_dir: str | None = None, say: Say = print) -> Entry:
    """Measure a run and write it to firmware/models.

    Args:
        name: of the model.
        runs: folders of runs that differ in their seeds only; the best one on its held-out images becomes the model.
            One of the zoo itself is measured anew, and what is known of its seeds stays.
        data_dir: where the data lie.
        say: is called with each line.

    Raises:
        ConfigError: the runs do not belong together, or there is no checkout to write to.
        DataError: the data are not those that it was trained on.
        ExportError: simulator, C engine and what the training wrote differ.
        BuildError: the compiler or the emulator of a core is missing.
    """
    if models_folder() == PACKAGED:
        raise ConfigError("adding to the zoo needs the source tree: run it from a checkout")
    found = [Entry(folder) for folder in runs]
    run = max(found, key=lambda entry: entry.metrics["held_out_accuracy"])
    apart = run.metrics.get("seeds") if len(found) == 1 else spread(found)
    figures = run.metrics | file_facts(run.blob) | check(run, load(run, data_dir))
    say(f"{name}: {100 * figures['test_accuracy']:.2f} % of {figures['test_images']} test images, 0 differences")
    figures |= {"seed": run.config["seed"], "seeds": apart} | count(run.blob, name)
    say(f"{name}: {', '.join(f'{core} {number:,}' for core, number in figures['instructions'].items())} instructions")
    folder = models_folder() / name
    for part in (CONFIG_FILE, SIGNALS_FILE):
        if (run.folder / part).exists():
            write_atomic(folder / part, (run.folder / part).read_text(encoding="utf-8"))
    write_atomic(folder / MODEL_FILE, run.blob)
    write_metrics(figures, folder)
    return Entry(folder)


def load(run: Entry, data_dir: str | None = None) -> Dataset:
    """The data set of a run; where a signals.py lies beside it, what that synthesizes."""
    source = run.config.get("dataset") or run.metrics["dataset"]
    program = run.folder / SIGNALS_FILE
    if not program.exists():
        return data.load(source, data_dir)
    with tempfile.TemporaryDirectory(prefix="ebnn-zoo-") as folder:
        made = Path(folder, Path(source).with_suffix(".npz").name)
        run_tool([sys.executable, str(program), str(made)])
        return data.load(str(made))


def check(run: Entry, dataset: Dataset, simulated: int | None = None) -> dict:
    """Classify all held-out and all test images with the C engine; returns its accuracies.

    Args:
        run: has them in its metrics.
        dataset: the run's.
        simulated: so many of each are compared with the simulator; None: all.

    Raises:
        DataError: the data are not those of the run.
        ExportError: two of simulator, C engine and metrics.json differ.
    """
    if dataset.sha256 != run.metrics["dataset_sha256"]:
        raise DataError(f"{run.folder}: was trained on other data than {dataset.name}: see its dataset_sha256")
    _, held_out = dataset.split()
    parts = {
        "held_out_accuracy": (dataset.x_train[held_out], dataset.y_train[held_out]),
        "test_accuracy": (dataset.x_test, dataset.y_test),
    }
    engine, simulator, found = CEngine(run.blob), Simulator(run.model.network), {}
    for key, (images, classes) in parts.items():
        scores = engine.run(images)
        differing = rows_that_differ(scores[:simulated], simulator.run(images[:simulated]))
        if differing:
            raise ExportError(f"{run.folder}: C engine and simulator differ in {differing} images: please report this")
        found[key] = float((scores.argmax(axis=1) == classes).mean())
        if found[key] != run.metrics[key]:
            raise ExportError(f"{run.folder}: {key} is {found[key]}, {run.metrics[key]} when it was trained")
    return found


def count(blob: bytes, name: str) -> dict:
    """Instructions of one inference on each core, on the input of the self-test: it needs no data."""
    model, counted = decode(blob), {}
    elements = selftest_input(model.network.input, model.selftest.seed)
    prepared, engine = cases.prepare_model(blob, memory(elements)), image.snapshot()
    for core in map(cores.BY_NAME.__getitem__, CORES):
        cores.require(core)
        row = measure_prepared(image.build_image(core, engine), prepared, f"{name} on {core.name}")
        counted[core.name] = row["instructions"]
    return {
        "instructions": counted,
        "counted_with": {"engine": engine.digest, "compiler": image.compiler_version(cores.BY_NAME[CORES[0]])},
    }


def spread(found: Sequence[Entry]) -> dict:
    """``train.seeds.spread`` of runs that differ in nothing else; raises ConfigError where they do, or in less."""
    for other in found[1:]:
        _same(found[0], other, {"seed"})
    numbers = [entry.config["seed"] for entry in found]
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"{found[0].folder}: the seeds are {numbers}, some are the same")
    return seeds.spread(numbers, [entry.metrics for entry in found])


def _same(one: Entry, other: Entry, but: set[str]) -> None:
    """Raise ConfigError where two runs differ in more than some fields of their configuration."""
    different = {key for key in {**one.config, **other.config} if one.config.get(key) != other.config.get(key)}
    if different - but or _data(one) != _data(other):
        what = ", ".join(sorted(different - but)) or "their data"
        raise ConfigError(f"{other.folder}: differs from {one.folder} in {what}")


def _data(entry: Entry) -> str:
    return entry.metrics["dataset_sha256"]


def write_page() -> list[Path]:
    """Write docs/zoo.md and docs/zoo.svg; returns their paths."""
    from ebnn.report.pareto import plot

    found, folder = entries(), repo_root() / "docs"
    return [
        write_atomic(folder / "zoo.md", markdown(found)),
        write_atomic(folder / "zoo.svg", plot(panels(found))),
    ]
