"""Searching architectures: drawing, what they take, halving, and what is left for a person."""

from __future__ import annotations

import json
import re
import shlex
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ebnn import arch, cli, read_model
from ebnn.bundle import build_model
from ebnn.errors import ConfigError
from ebnn.search import halving, limits
from ebnn.search.draw import CONVS, draw
from ebnn.search.limits import Candidate, Limits
from ebnn.train import config, data
from ebnn.train.config import Config
from ebnn.train.pool import Pool, Source

FORMS = ((14, 14, 1), (8, 8, 1), (1, 64, 1), (12, 10, 3))
LIMITS = Limits(600, 200)
RUNGS = (1, 2, 4)


def blank(shape: tuple[int, int, int], classes: int = 10) -> data.Dataset:
    """A data set of that form."""
    images, answers = np.zeros((classes, *shape), np.uint8), np.arange(classes, dtype=np.int32)
    return data.Dataset("blank", images, answers, images, answers, tuple(map(str, range(classes))))


def search_in(few_file: Path, folder: Path) -> halving.Search:
    """A search in those."""
    return halving.Search(
        Source(str(few_file)), Config(dataset=str(few_file), batch=16, lr=0.06), LIMITS, RUNGS, folder
    )


@pytest.fixture(scope="module")
def nine(few_file: Path) -> list[Candidate]:
    """Candidates for them."""
    base = Config(dataset=str(few_file), batch=16, lr=0.06)
    return list(islice(limits.candidates(data.load(str(few_file)), base, LIMITS), 9))


@pytest.fixture(scope="module")
def searched(few_file: Path, nine: list[Candidate]) -> tuple[halving.Search, list[halving.Standing], list[str], list]:
    """A search by two processes, stopped once on the way; with its lines, and the standings that were shown."""
    search, lines, shown = search_in(few_file, few_file.parent / "search"), [], []

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith("1 epochs 4 of 9"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Pool(search.folder, 2, stop) as pool:
        halving.conduct(search, nine, pool)
    with Pool(search.folder, 2, lines.append) as pool:
        return search, halving.conduct(search, nine, pool, shown.append), lines, shown


# --- drawing and measuring ---


@pytest.mark.parametrize("shape", FORMS, ids=str)
def test_the_fast_bounds_refuse_nothing_that_is_within_limits(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEAST_BITS", 0)
    generator, images, checked = np.random.default_rng(0), blank(shape), 0
    tight = Limits(10**9)
    while checked < 15:
        text = draw(generator, CONVS[checked % len(CONVS)], shape, 10)
        try:
            parsed = arch.parse(text)
            shapes = [shape, *parsed.shapes(shape)]
        except ConfigError:
            assert not tight.may_hold(text, shape)
            continue
        found = limits.measure(images, Config(arch=text), tight)
        checked += 1
        assert limits.fewest_bytes(parsed, shapes) <= found.bytes
        assert limits.named(images, Config(), tight, text) == found
        for size in (found.bytes, int(found.bytes / limits.LEAST_SHARE)):
            exact = Limits(size, found.arena, found.cycles)
            assert exact.holds(found) and exact.may_hold(text, shape)
        others = (
            Limits(found.bytes - 1), Limits(found.bytes, found.arena - 4),
            Limits(found.bytes, None, found.cycles - 1),
        )  # fmt: skip
        assert not any(other.holds(found) for other in others)
        for far in (Limits(found.bytes // 2), Limits(4 * found.bytes)):
            assert not far.may_hold(text, shape)


@pytest.mark.parametrize("shape", FORMS, ids=str)
def test_candidates(shape: tuple[int, int, int]) -> None:
    images, bound = blank(shape), Limits(700, 900, 20_000_000)
    found = list(islice(limits.candidates(images, Config(), bound), 15))
    assert len({candidate.arch for candidate in found}) == len(found) == 15
    assert found[:6] == list(islice(limits.candidates(images, Config(), bound), 6))
    assert found[:6] != list(islice(limits.candidates(images, Config(seed=1), bound), 6))
    assert len({candidate.arch.count("c") for candidate in found}) >= 2
    for candidate in found:
        assert 0.7 * 700 <= candidate.bytes <= 700 and candidate.arena <= 900 and candidate.cycles <= 20_000_000
        layers = arch.parse(candidate.arch).layers[:-1]
        windows = [getattr(layer, "kernel", None) or getattr(layer, "window", None) for layer in layers]
        assert all(window is None or window[0] == 1 for window in windows) == (shape[0] == 1)


def test_no_candidate_is_a_bottleneck() -> None:
    assert Limits(900).may_hold("24c4p1-p3-8c1-p2-8c3p1-10", (28, 28, 1))  # 128 bits and more in every map
    assert not Limits(900).may_hold("24c4p1-p3-8c1-p3-8c3p1-10", (28, 28, 1))  # 72


def test_candidates_end_where_there_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_DRAWS", 60)
    found = list(limits.candidates(blank((1, 4, 1), 2), Config(), Limits(184)))
    assert 0 < len(found) == len({candidate.arch for candidate in found}) < 100


# --- halving ---


def test_the_better_third_goes_on(searched: tuple, nine: list[Candidate]) -> None:
    search, standings, lines, _ = searched
    begins = [line for line in lines if "to train" in line]
    assert begins[0] == "1 epochs: 9 runs, 9 to train"
    assert re.fullmatch(r"1 epochs: 9 runs, [345] to train", begins[1])
    assert begins[2:] == ["2 epochs: 3 runs, 3 to train", "4 epochs: 1 runs, 1 to train"]
    assert {standing.candidate for standing in standings} == set(nine)
    assert [len(standing.accuracies) for standing in standings] == [3, 2, 2, *[1] * 6]
    first = {standing.candidate: standing.accuracies[0] for standing in standings}
    assert min(first[standing.candidate] for standing in standings[:3]) >= max(
        first[standing.candidate] for standing in standings[3:]
    )
    assert standings[0].accuracies[1] == max(standing.accuracies[1] for standing in standings[:3])


def test_each_run_is_one_of_its_own_schedule(searched: tuple) -> None:
    search, standings, _, _ = searched
    for rung, epochs in enumerate(RUNGS):
        task = search.task(standings[0].candidate, epochs)
        assert config.read(task.folder / "config.toml") == task.config
        assert (task.config.epochs, task.config.arch) == (epochs, standings[0].candidate.arch)
        assert task.metrics["held_out_accuracy"] == standings[0].accuracies[rung]
        assert not any("test" in name for name in task.metrics)
        assert len((task.folder / "log.jsonl").read_text().splitlines()) == epochs


def test_models_are_within_what_was_told_before(searched: tuple) -> None:
    search, standings, _, _ = searched
    for standing in standings:
        model = read_model(search.task(standing.candidate, 1).folder / "model.ebnn")
        small = build_model(model.network, "small")
        assert standing.candidate.bytes - 40 < len(small) <= standing.candidate.bytes <= LIMITS.bytes


def test_what_is_shown_grows(searched: tuple) -> None:
    _, standings, _, shown = searched
    assert shown[-1] == standings
    counts = [sum(len(standing.accuracies) for standing in found) for found in shown]
    assert counts == sorted(counts) and counts[-1] == 13 and all(counts)


def test_a_larger_search_trains_only_what_is_new(searched: tuple, nine: list[Candidate]) -> None:
    search, standings, _, _ = searched
    lines: list[str] = []
    with Pool(search.folder, 1, lines.append) as pool:
        assert halving.conduct(search, nine, pool) == standings
    assert all(line.endswith("0 to train") for line in lines) and not pool.workers


def test_a_model_that_grew_too_large_is_out(few_file: Path, tmp_path: Path, nine: list[Candidate]) -> None:
    search = search_in(few_file, tmp_path)
    for extra, candidate in enumerate(nine[:2]):
        folder = search.task(candidate, 1).folder
        folder.mkdir(parents=True)
        figures = {"model_bytes": LIMITS.bytes + extra, "held_out_accuracy": 0.5 + 0.1 * extra}
        (folder / "metrics.json").write_text(json.dumps(figures))
    assert search.standings(nine) == [halving.Standing(nine[0], (0.5,))]


def test_a_rung_in_which_all_fail(few_file: Path, tmp_path: Path, nine: list[Candidate]) -> None:
    base = Config(dataset=str(few_file), batch=16, lr=1e30)
    search = halving.Search(Source(str(few_file)), base, LIMITS, (1,), tmp_path)
    with (
        pytest.raises(ConfigError, match="none of 2 candidates ended 1 epochs"),
        Pool(tmp_path, 1, lambda line: None) as pool,
    ):
        halving.conduct(search, nine[:2], pool)


# --- the command ---


def test_the_command(few_file: Path, searched: tuple, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    search, standings, _, _ = searched
    out = search.folder
    options = ["search", "--dataset", str(few_file), "--bytes", "600", "--arena", "200", "--epochs", "1,2,4"]
    options += ["--count", "9"]
    options += ["--set", "batch=16", "--set", "lr=0.06", "--set", "warmup=1.0", "--out", str(out)]
    base = ["--config", str(out / "runs" / search.task(standings[0].candidate, 4).folder.name / "config.toml")]
    assert cli.main([*options, *base]) == 0
    said = capsys.readouterr().out
    assert said.count(" 0 to train") == 3  # the same runs as those above
    rows = [line.split() for line in said.splitlines() if re.match(r"\d+c", line)]
    assert [row[0] for row in rows] == [standing.candidate.arch for standing in standings]
    assert rows[0][5:] == [f"{100 * share:.2f}" for share in standings[0].accuracies]
    assert config.read(out / "best.toml").arch == rows[0][0]
    assert all(f"| {row[0]} |" in (out / "search.md").read_text() for row in rows)
    assert (out / "search.svg").read_text().startswith("<?xml")
    command = shlex.split(said.rpartition("next: ")[2])
    assert command[:2] == ["ebnn", "train"]
    assert cli.main([*command[1:], "--epochs", "1", "--seeds", "2", "--out", str(tmp_path)]) == 0
    assert read_model(tmp_path / "model.ebnn").plan.arena_size == standings[0].candidate.arena


def test_runs_of_other_data_are_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole, path = data.load("digits"), tmp_path / "few.npz"
    parts = {name: getattr(whole, name)[:150] for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(path, **parts)
    options = ["search", "--dataset", str(path), "--bytes", "500", "--count", "1", "--epochs", "1"]
    options += ["--images", "100", "--out", str(tmp_path / "out")]
    assert cli.main(options) == 0
    parts["x_test"] = 255 - parts["x_test"]  # no run has seen them
    np.savez(path, **parts)
    assert cli.main(options) == 0 and "1 epochs: 1 runs, 0 to train" in capsys.readouterr().out
    parts["x_train"] = 255 - parts["x_train"]
    np.savez(path, **parts)
    assert cli.main(options) == 1
    assert "few.npz held other data: name another folder" in capsys.readouterr().err


def test_the_plan_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["search", "--dataset", "digits", "--bytes", "500", "--board", "mps2-an386", "--count", "3", "--plan"]
    assert cli.main([*options, "--also", "8c3-p2-10", "--out", str(tmp_path / "none")]) == 0
    said = capsys.readouterr().out
    assert "cycles, m4" in said
    found = re.findall(r"^\d+c\S+", said, re.MULTILINE)
    assert len(found) == 4 and found[0] == "8c3-p2-10"
    assert not (tmp_path / "none").exists()


WRONG = [
    (["--bytes", "40"], "no architecture that was drawn takes at most 40 bytes"),
    (["--epochs", "4,2"], "epochs must rise from rung to rung, got 4, 2"),
    (["--set", "weights=float"], "a float network"),
    (["--also", "64c3-p2-10"], "64c3-p2-10 is not within at most 500 bytes, fit small: 1,"),
    (["--also", "8c3-p2-3"], "8c3-p2-3 has 3 classes, digits has 10"),
    (["--set", "lr=-1"], "lr must be above 0"),
    (["--set", "arch=8c3-10", "--set", "lrr=1"], "unknown lrr"),
]


@pytest.mark.parametrize(("more", "says"), WRONG)
def test_what_cannot_be_searched(
    more: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_DRAWS", 200)
    assert cli.main(["search", "--dataset", "digits", "--bytes", "500", "--out", str(tmp_path), *more]) == 1
    assert says in capsys.readouterr().err
