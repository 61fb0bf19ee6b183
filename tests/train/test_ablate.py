"""Studies of methods: reading them, training their runs, going on after a stop, what is recorded and shown."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ebnn import cli, read_model
from ebnn.ablate import document, record, study, tables
from ebnn.ablate.phases import conduct
from ebnn.ablate.runner import Place, Runner
from ebnn.count import cores
from ebnn.errors import ConfigError, DataError
from ebnn.files import repo_root
from ebnn.intervals import interval
from ebnn.train import data, worker

STUDY = """
title = "Tiny"
data = "{data}"
images = 120
cores = ["m4"]

[base]
arch = "4c3-p2-10"
batch = 16
lr = 0.06

[teacher]
weights = "float"
features = "relu"
epochs = 1

[screening]
epochs = 1
seeds = [0, 1]

[confirmation]
epochs = 2
seeds = [3, 4]
best = 2
also = ["gain"]

[[factors]]
name = "ApproxSign"
kind = "feature binarizer"
high = {{ estimator = "approxsign" }}

[[factors]]
name = "SwishSign"
kind = "feature binarizer"
high = {{ estimator = "swishsign" }}
instead_of = "ApproxSign"

[[factors]]
name = "gain"
kind = "scaling factor"
high = {{ gain = true }}

[[factors]]
name = "distillation"
kind = "teacher-student"
high = {{ teacher = "study", distill = 0.5 }}

[[factors]]
name = "rate"
kind = "rate"
low = {{ lr = 0.03 }}
high = {{ lr = 0.12 }}

[[factors]]
name = "absurd rate"
kind = "rate"
high = {{ lr = 1e30 }}
instead_of = "base"
"""


@pytest.fixture(scope="module")
def written(few_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study above, about 300 of scikit-learn's digits."""
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text(STUDY.format(data=few_file))
    return path


@pytest.fixture(scope="module")
def conducted(written: Path) -> tuple[study.Study, Place, dict, list[str]]:
    """That study from begin to end by two processes, stopped once on the way; its record, and what was printed."""
    lack = cores.missing(cores.BY_NAME["m4"])
    if lack:
        pytest.skip(lack)
    part, place, lines = study.read(written), Place(written.parent / "runs"), []

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith("screening 5 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Runner(part, place, 2, stop) as runner:
        conduct(runner)
    assert all(worker.process.poll() is not None for worker in runner.workers)
    with Runner(part, place, 2, lines.append) as runner:
        found = conduct(runner)
    return part, place, found, lines


# --- reading ---


def test_levels_of_runs(written: Path) -> None:
    part = study.read(written)
    assert part.design.shape == (12, 11)
    assert part.run([], part.screening, 0).values["lr"] == 0.03  # the level low of a factor, not the base's
    for row, setting in enumerate(part.rows()):
        levels = dict(zip(["ApproxSign", "gain", "distillation", "rate"], part.design[row] > 0, strict=False))
        assert set(setting.high) == {name for name, high in levels.items() if high}
        assert [run.values.get("seed", 0) for run in setting.runs] == [0, 1]
        for run in setting.runs:
            assert run.values["lr"] == (0.12 if levels["rate"] else 0.03)
            assert ("gain" in run.values, run.needs_teacher) == (levels["gain"], levels["distillation"])
            assert run.values.get("estimator", "ste") == ("approxsign" if levels["ApproxSign"] else "ste")


def test_confirmations(written: Path) -> None:
    found = study.read(written).confirmations(["rate", "ApproxSign"])
    assert [(setting.role, setting.factor, setting.high) for setting in found] == [
        ("base", "", ()),
        ("all", "", ("rate", "ApproxSign")),
        *(("alone", name, (name,)) for name in ("rate", "ApproxSign", "SwishSign", "gain", "absurd rate")),
        ("without", "rate", ("ApproxSign",)),
        ("without", "ApproxSign", ("rate",)),
    ]
    assert found[3].runs == found[7].runs  # of two, one left out is the other alone: trained once
    assert {run.key for run in found[3].runs}.isdisjoint(run.key for run in found[4].runs)


WRONG = [
    ('instead_of = "ApproxSign"\n', "", "ApproxSign and SwishSign both set estimator, and a run cannot have both"),
    ('instead_of = "ApproxSign"', 'instead_of = "SwishSign"', "SwishSign stands instead of SwishSign"),
    ("gain = true", "gain = 3", "gain: gain must be of type bool, got 3"),
    ("gain = true", "gains = true", "unknown gains"),
    ("seeds = [0, 1]", "seeds = 0", "seeds must be of type list, got 0"),
    ("epochs = 1\nseeds", "seeds", "epochs is missing"),
    ('also = ["gain"]', 'also = ["gains"]', "confirmation.also names gains: no factor"),
    ('name = "gain"', 'name = "rate"', "each of a name of its own"),
    ('[teacher]\nweights = "float"\nfeatures = "relu"\nepochs = 1', "", "there is no table [teacher]"),
    ('["m4"]', '["z80"]', "no core z80"),
    ("title =", "titel =", "there are name, title"),
    ("title =", 'methods = "nowhere.toml"\ntitle =', "nowhere.toml: no such file"),
]


@pytest.mark.parametrize(("old", "new", "says"), WRONG)
def test_what_a_study_cannot_say(old: str, new: str, says: str, tmp_path: Path) -> None:
    path, text = tmp_path / "wrong.toml", STUDY.format(data="digits")
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(says)):
        study.read(path)


def test_shared_methods(tmp_path: Path) -> None:
    head, *entries = STUDY.format(data="digits").split("[[factors]]")
    (tmp_path / "shared.toml").write_text("[[factors]]".join(["", *entries[:3]]))
    own = "[[factors]]".join([head, *entries[3:]])
    path = tmp_path / "own.toml"
    path.write_text('methods = "shared.toml"\nwithout = ["SwishSign"]\n' + own)
    names = [factor.name for factor in study.read(path).factors]
    assert names == ["ApproxSign", "gain", "distillation", "rate", "absurd rate"]
    path.write_text('methods = "shared.toml"\nwithout = ["rate"]\n' + own)
    with pytest.raises(ConfigError, match="without names rate: not in shared.toml"):
        study.read(path)


@pytest.mark.parametrize(
    "path", sorted((repo_root() / "docs" / "studies").glob("*-*.toml")), ids=lambda path: path.stem
)
def test_studies_of_the_house(path: Path) -> None:
    part = study.read(path)
    assert len(part.design) == 20 and part.design.shape[1] > len(part.screened)
    assert part.confirmation.best == 6 and len(part.confirmation.seeds) == 5


def test_a_run_has_the_same_folder_whatever_else_is_configured(written: Path) -> None:
    part = study.read(written)
    run = part.run(["distillation"], part.screening, 1)
    assert set(run.values) == {"arch", "epochs", "batch", "lr", "seed", "teacher", "distill"}
    assert run.key == study.Run(run.data, run.images, dict(reversed(run.values.items()))).key
    others = [part.run(["distillation"], part.screening, 2), part.run(["gain"], part.screening, 1)]
    assert len({run.key, *(other.key for other in others), study.Run(run.data, 0, run.values).key}) == 4


# --- data ---


def test_nothing_is_left_of_the_test_images() -> None:
    whole = data.load("digits")
    for images in (0, 200):
        seen = worker.without_test(whole, images)
        assert seen.x_test.shape == (1, 8, 8, 1) and not seen.x_test.any()
        (training, held_out), (mine, mine_out) = whole.split(), seen.split()
        training = training[:images] if images else training
        for ours, theirs in ((mine, training), (mine_out, held_out)):
            assert (seen.x_train[ours] == whole.x_train[theirs]).all()
            assert (seen.y_train[ours] == whole.y_train[theirs]).all()


# --- running ---


def test_a_stopped_study_goes_on(conducted: tuple) -> None:
    part, place, _, lines = conducted
    begins = [line for line in lines if "to train" in line]
    runs = len({run.key for setting in part.rows() for run in setting.runs})  # rows of so few factors repeat
    assert begins[:2] == ["teacher: 1 runs, 1 to train", f"screening: {runs} runs, {runs} to train"]
    assert begins[2] == "teacher: 1 runs, 0 to train"
    missing = int(re.fullmatch(rf"screening: {runs} runs, (\d+) to train", begins[3])[1])
    assert runs - 7 <= missing <= runs - 5  # five had ended, and those of two processes may have
    assert sum(line.startswith("screening ") for line in lines) == 5 + missing
    assert all("time left" in line or "left" in line for line in lines if " of " in line and "held-out" in line)
    ended = [place.metrics(run) for setting in part.rows() for run in setting.runs]
    assert all(0 <= metrics["held_out_accuracy"] <= 1 for metrics in ended)
    assert not any("test" in name for metrics in ended for name in metrics)


def test_models_of_runs(conducted: tuple) -> None:
    part, place, found, _ = conducted
    (setting,) = [entry for entry in found["settings"] if entry["role"] == "base"]
    for run, line in zip(part.confirmations([])[0].runs, setting["runs"], strict=True):
        blob = (place.of(run) / "model.ebnn").read_bytes()
        model = read_model(place.of(run) / "model.ebnn")
        assert (line["model_bytes"], line["arena_bytes"]) == (len(blob), model.plan.arena_size)
        assert line["instructions"]["m4"] > 1000
        assert line["seed"] == run.values["seed"]


def test_a_failed_run_is_left_out(conducted: tuple) -> None:
    part, _, found, lines = conducted
    assert sum("take a lower lr" in line for line in lines) == 2
    findings = tables.Findings(part, found)
    (absurd,) = [entry for entry in findings.factors if entry.factor.name == "absurd rate"]
    assert absurd.alone is None
    assert findings.settings["alone", "absurd rate"]["runs"] == [None, None]


def test_runs_of_other_data_are_not_taken(conducted: tuple) -> None:
    part, place, _, _ = conducted
    path, lines = Path(part.data), []
    whole = path.read_bytes()
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"x_train": 255 - arrays["x_train"]})
    try:
        with (
            pytest.raises(ConfigError, match="held other data: name another folder"),
            Runner(part, place, 1, lines.append) as runner,
        ):
            conduct(runner)
    finally:
        path.write_bytes(whole)
    assert not lines


def test_a_process_that_dies_is_told(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\necho it broke >&2\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    part = study.read(written)
    with (
        pytest.raises(ConfigError, match=r"a training process died: .*worker-0.log"),
        Runner(part, Place(tmp_path), 1, lambda line: None) as runner,
    ):
        runner.train("rows", part.rows()[0].runs)
    assert (tmp_path / "worker-0.log").read_text() == "it broke\n"


def test_a_data_set_that_is_missing(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY.format(data=tmp_path / "nothing.npz"))
    assert cli.main(["ablate", str(path), "--out", str(tmp_path / "runs")]) == 1
    assert "nothing.npz" in capsys.readouterr().err


# --- what is told ---


def test_effects_are_those_of_the_runs(conducted: tuple) -> None:
    part, place, found, _ = conducted
    findings = tables.Findings(part, found)
    means = [np.mean([100 * place.metrics(run)["held_out_accuracy"] for run in row.runs]) for row in part.rows()]
    for column, factor in enumerate(part.screened):
        high = part.design[:, column] > 0
        by_hand = np.mean(np.array(means)[high]) - np.mean(np.array(means)[~high])
        assert findings.screened.effects[factor.name] == pytest.approx(by_hand)
    best = found["best"]
    assert best == findings.screened.best(2) and len(best) <= 2
    for entry in findings.factors:
        if entry.factor.name == "SwishSign":
            runs = [part.run(high, part.confirmation, seed) for seed in (3, 4) for high in (["SwishSign"], [])]
            a, b, c, d = (100 * place.metrics(run)["held_out_accuracy"] for run in runs)
            by_hand = interval([a - b, c - d])
            assert (entry.alone.mean, entry.alone.half) == pytest.approx((by_hand.mean, by_hand.half))
            assert entry.screened is None and entry.left_out is None


def test_what_folds_costs_nothing(conducted: tuple) -> None:
    part, _, found, _ = conducted
    findings = tables.Findings(part, found)
    alone, base = findings.settings["alone", "gain"], findings.settings["base", ""]
    for one, two in zip(alone["runs"], base["runs"], strict=True):
        assert all(one[name] == two[name] for name in ("model_bytes", "arena_bytes", "layers"))
    table = tables.method_table(findings)
    (row,) = [row for row in table.rows if row[0] == "gain"]
    assert (row[3], row[7], row[8]) == ("same", "0", "0")


def test_the_page_and_the_plot(conducted: tuple) -> None:
    part, _, found, _ = conducted
    findings = tables.Findings(part, json.loads(record.render(found)))
    page = document.page([findings])
    for factor in part.factors:
        assert sum(line.startswith(f"| {factor.name} |") for line in page.splitlines()) == 1, factor.name
    assert "| double residual | not tried |" in page
    assert page.count("| feature binarizer | SwishSign |") == 1
    assert re.search(r"\| feature binarizer \| SwishSign \| (helps|harms|not decided): [+-]\d", page)
    assert document.picture(findings).startswith(b"\x89PNG\r\n")


def test_results_of_another_study_are_refused(conducted: tuple, written: Path, tmp_path: Path) -> None:
    part, _, found, _ = conducted
    path = tmp_path / "tiny.json"
    path.write_text(record.render(found))
    assert record.read(path, part) == found
    (tmp_path / "tiny.toml").write_text(written.read_text().replace("lr = 0.12", "lr = 0.13"))
    with pytest.raises(DataError, match="tiny.json: is of another version of tiny.toml"):
        record.read(path, study.read(tmp_path / "tiny.toml"))
    path.write_text("[]")
    with pytest.raises(DataError, match="not the results of a study"):
        record.read(path, part)


def test_the_verb_plans_and_goes_on(conducted: tuple, written: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["ablate", str(written), "--plan"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Tiny: 4 methods in a design of 12 runs, 2 seeds: 24 runs, 24 epochs; then about")
    assert cli.main(["ablate", str(written), "--out", str(written.parent / "runs"), "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"screening: \d+ runs, 0 to train", said) and "the best together" in said


def test_results_are_written_beside_the_studies(
    conducted: tuple, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, _, found, _ = conducted
    monkeypatch.setattr(document, "repo_root", lambda: tmp_path)
    (tmp_path / "docs" / "studies").mkdir(parents=True)
    for name in ("tiny", "other"):  # of the other there are no results yet
        (tmp_path / "docs" / "studies" / f"{name}.toml").write_text(written.read_text())
    paths = document.write(part, found)
    assert [str(path) for path in paths] == ["docs/studies/tiny.json", "docs/ablation-tiny.png", "docs/ablation.md"]
    (findings,) = document.recorded()
    assert findings.found == found
    page = (tmp_path / "docs" / "ablation.md").read_text()
    assert page == document.page([findings]) and "![effects and intervals](ablation-tiny.png)" in page
