"""The zoo: every figure of every model against its file, its data, the emulated cores; and what adding one refuses.

A new folder in firmware/models is tested without new code.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ebnn import arch, cli
from ebnn.bundle import MODEL_FILE
from ebnn.cengine import CEngine
from ebnn.cli.models import chosen_fit
from ebnn.errors import ConfigError, DataError, EbnnError, ExportError
from ebnn.files import repo_root
from ebnn.plan import make_plan
from ebnn.zoo import add, models, page
from ebnn.zoo.models import Entry

ROOT = repo_root()
ENTRIES = models.entries()
MOTION = ROOT / "firmware" / "models" / "motion"
COUNT_TOLERANCE = 0.05  # of instructions, where engine or compiler are others than those of the figure
QUICK = 20  # seconds of training: such models are trained again
SPREAD = 0.02  # of test accuracy between machines
SIMULATED = 200  # images; all were when the model was added
COMMANDS = ("train", "eval", "install")


@pytest.fixture(params=ENTRIES, ids=str)
def entry(request: pytest.FixtureRequest) -> Entry:
    """Each model."""
    return request.param


def test_the_file_is_what_its_figures_say(entry: Entry) -> None:
    facts = models.file_facts(entry.blob)
    assert facts == {key: entry.metrics[key] for key in facts}
    assert CEngine(entry.blob).selftest()
    assert entry.model.use.margin == entry.metrics.get("margin", 0)


def test_its_shapes_are_those_of_its_architecture(entry: Entry) -> None:
    values = entry.model.network.values
    known = iter([values[0].shape, *arch.parse(entry.config["arch"]).shapes(values[0].shape)])
    assert all(value.shape in known for value in values)  # in this order; a pool in a convolution has no value


def test_its_figures_agree_with_each_other(entry: Entry) -> None:
    figures, seeds = entry.metrics, entry.metrics["seeds"]
    assert figures["seed"] == entry.config["seed"]
    assert 1 <= figures["selected_epoch"] <= entry.config["epochs"] + entry.config.get("polish", 0)
    assert figures["last_epoch_held_out_accuracy"] <= figures["held_out_accuracy"]
    if seeds:
        assert figures["seed"] in seeds["numbers"] and len(set(seeds["numbers"])) == len(seeds["numbers"]) > 1
        assert seeds["least"] <= figures["test_accuracy"] <= seeds["most"]
        assert seeds["least"] <= seeds["mean"] <= seeds["most"]


def test_its_accuracy_by_the_c_engine(entry: Entry) -> None:
    try:
        dataset = add.load(entry)
    except DataError as missing:
        pytest.skip(f"its data are not here: {missing}")
    found = add.check(entry, dataset, SIMULATED)
    assert found == {key: entry.metrics[key] for key in found}
    assert len(dataset.x_test) == entry.metrics["test_images"]


def test_its_instructions(entry: Entry) -> None:
    found = add.count(entry.blob, entry.name)
    same = found["counted_with"] == entry.metrics["counted_with"]
    for core, number in found["instructions"].items():
        recorded = entry.metrics["instructions"][core]
        assert abs(number - recorded) <= (0 if same else COUNT_TOLERANCE * recorded), f"{core}: ebnn zoo --refresh"


def test_its_commands_are_understood_and_give_the_same_plan(entry: Entry) -> None:
    listed = [shlex.split(command) for command in models.commands(entry)]
    ours = [command[1:] for command in listed if command[0] == "ebnn"]
    assert tuple(command[0] for command in ours) == COMMANDS
    options = [cli.parser().parse_args(command) for command in ours]
    assert (ROOT / options[0].config).samefile(entry.folder / "config.toml")
    assert make_plan(entry.model.network, chosen_fit(options[0])) == entry.model.plan
    assert not Path(entry.config["dataset"]).is_absolute()
    for program, *arguments in listed:
        assert program != "python" or (ROOT / arguments[0]).is_file()


@pytest.mark.parametrize("quick", [entry for entry in ENTRIES if entry.metrics["train_seconds"] < QUICK], ids=str)
def test_it_is_trained_again_by_its_command(
    quick: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    commands = [shlex.split(command) for command in models.commands(quick)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "firmware" / "models").mkdir(parents=True)
    (tmp_path / "build").mkdir()
    shutil.copytree(quick.folder, tmp_path / "firmware" / "models" / quick.name)
    for program, *arguments in commands[:-2]:  # before ebnn eval and ebnn install
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True)
        else:
            assert cli.main(arguments) == 0, capsys.readouterr().err
    found = Entry(tmp_path / "build" / "train" / quick.name)
    # The same bytes on the same machine; other machines may round gradients otherwise.
    if found.blob != quick.blob:
        assert len(found.blob) == pytest.approx(len(quick.blob), rel=0.02)
        assert found.metrics["test_accuracy"] == pytest.approx(quick.metrics["test_accuracy"], abs=SPREAD)


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8") == page.markdown(ENTRIES)
    plot = (ROOT / "docs" / "zoo.svg").read_text(encoding="utf-8")
    names = [point[0] for series in page.panels(ENTRIES).values() for point in series["ebnn"]]
    assert names and [name for name in names if f">{name}<" not in plot] == []


def test_a_goal_counts_only_what_keeps_its_limits() -> None:
    figures = {"dataset": "mnist@14x14", "model_bytes_without_labels": 1000, "arena_bytes": 600}
    small = Entry(Path("small"))
    small.__dict__.update(metrics=figures | {"held_out_accuracy": 0.9, "test_accuracy": 0.97}, config={"arch": "10"})
    large = Entry(Path("large"))
    large.__dict__.update(
        metrics=figures | {"arena_bytes": 601, "held_out_accuracy": 0.95, "test_accuracy": 0.96}, config={"arch": "10"}
    )
    both = (small, large)
    assert page.reached(page.Goal("", "mnist", 1000, 600), both) is small
    assert page.reached(page.Goal("", "mnist"), both) is large
    assert page.reached(page.Goal("", "mnist", bytes=999), both) is None
    assert page.reached(page.Goal("", "mnist", arch="20"), both) is None
    assert page.reached(page.Goal("", "cifar10"), both) is None
    assert page.front(both) == (small,)  # as many bytes, and the test accuracy is higher


def test_every_goal_of_the_page_has_a_line() -> None:
    table = page.goal_table(ENTRIES)
    assert [row[0] for row in table.rows] == [goal.title for goal in page.goals()]
    assert all(re.fullmatch(r"(\d+\.\d( (reached|missed))?)?", cell) for row in table.rows for cell in row[3:])


def test_the_verb_lists_and_shows(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["zoo", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == [entry.name for entry in ENTRIES]
    assert cli.main(["zoo"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{entry.name} " in shown for entry in ENTRIES)
    assert cli.main(["zoo", "motion"]) == 0
    assert "ebnn train --config firmware/models/motion/config.toml" in capsys.readouterr().out
    assert cli.main(["zoo", "nothing"]) == 1
    assert "no model nothing in the zoo; there are" in capsys.readouterr().err
    assert cli.main(["zoo", "--add", "build"]) == 1
    assert "needs the model's name" in capsys.readouterr().err


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the zoo's motion, as if it had just been trained."""
    return Path(shutil.copytree(MOTION, tmp_path / "run"))


def change(folder: Path, **figures: object) -> Path:
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | figures))
    return folder


def reseed(folder: Path, seed: int, name: str, **figures: object) -> Path:
    other = Path(shutil.copytree(folder, folder.with_name(name)))
    path = other / "config.toml"
    path.write_text(path.read_text().replace("seed = 0", f"seed = {seed}"))
    return change(other, **figures)


def test_a_run_is_measured_and_added(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add, "models_folder", lambda: tmp_path / "zoo")
    path = run / "metrics.json"
    before = Entry(MOTION).metrics
    measured = ("arena_bytes", "model_sha256", "shapes", "instructions", "counted_with", "seed", "seeds")
    path.write_text(json.dumps({key: value for key, value in before.items() if key not in measured}))
    worse = reseed(run, 1, "worse", held_out_accuracy=0.5, test_accuracy=0.25)
    added = add.add("new", [worse, run], None, lambda line: None)
    spread = {"numbers": [1, 0], "mean": (0.25 + before["test_accuracy"]) / 2, "least": 0.25}
    spread |= {"held_out_mean": 0.75, "held_out_least": 0.5, "held_out_most": before["held_out_accuracy"]}
    assert added.metrics == before | {"seeds": spread | {"most": before["test_accuracy"]}} | add.count(
        added.blob, "new"
    )
    assert added.blob == (MOTION / MODEL_FILE).read_bytes()
    assert add.add("new", [added.folder], None, lambda line: None).metrics == added.metrics  # refreshed


def test_what_does_not_agree_is_refused(run: Path) -> None:
    dataset = add.load(Entry(run))
    with pytest.raises(ExportError, match="test_accuracy is 0.99"):
        add.check(Entry(change(run, test_accuracy=0.5)), dataset, 1)
    with pytest.raises(DataError, match="was trained on other data"):
        add.check(Entry(change(run, dataset_sha256="0")), dataset, 1)


def test_seeds_must_be_of_one_run(run: Path) -> None:
    with pytest.raises(ConfigError, match="some are the same"):
        add.spread([Entry(run), Entry(run)])
    other = reseed(run, 1, "other")
    (other / "config.toml").write_text((other / "config.toml").read_text().replace("lr = 0.06", "lr = 0.07"))
    with pytest.raises(ConfigError, match="differs from .* in lr"):
        add.spread([Entry(run), Entry(other)])
    strange = reseed(run, 2, "strange", dataset_sha256="0")
    with pytest.raises(ConfigError, match="in their data"):
        add.spread([Entry(run), Entry(strange)])


def test_a_wheel_holds_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    for name in ("host", "firmware/models"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    packaged = models.entries(tmp_path / "installed" / "ebnn" / "models")
    assert [(entry.name, entry.blob, entry.metrics) for entry in packaged] == [
        (entry.name, entry.blob, entry.metrics) for entry in ENTRIES
    ]

    def bare() -> Path:
        raise EbnnError("no checkout")

    monkeypatch.setattr(models, "repo_root", bare)
    assert models.models_folder() == models.PACKAGED
    assert Path(models.__file__).parents[1] / "models" == models.PACKAGED
    with pytest.raises(ConfigError, match="run it from a checkout"):
        add.add("new", [MOTION])
