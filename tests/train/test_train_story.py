"""Before and after training: the preview's bytes, the comparison of every bit, and the report of a run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebnn import cli, cost, summary
from ebnn.bundle import build_model
from ebnn.format import decode
from ebnn.network import Network
from ebnn.report import validate
from ebnn.train import Config, build, data, story, train
from ebnn.train.compare import compare
from ebnn.train.lower import lower, predict_scores
from ebnn.train.preview import preview, text
from ebnn.train.runs import train_and_export

ARCH = "6c3p1-p2-8c3-p2-12-10"
CHAINS = (
    {},
    {"order": "norm-sign-pool"},
    {"order": "norm-pool-sign", "activation": "rprelu"},
    {"weights": "standard", "learnable_shift": True, "gain": True},
    {"arch": "6c3p1-p3s2-p2-10"},
    {"arch": "12-8-10"},
    {"arch": "6c3p1-2d3p1-p2-8c1-10"},
    {"arch": "6c3p1+-8c3s2p1+-d3p1+-8c3-12c3p1+-a-10", "learnable_shift": True},
    {"arch": "6c3p1-p2-8c3p1+-8c3p1+-12-10", "maps": "i8"},
    {"arch": "6i3p1-a2-8c3p1l2-10c1-a", "border": 0},
    {"arch": "6c3p1m2-p2-8c3m2l2-10"},
    {"arch": "t3-8c3-p2-8c3-10", "activation": "rprelu", "negative_slopes": True},
)


def silent(line: str) -> None:
    pass


def with_a_wrong_bit(network: Network, index: int) -> Network:
    """The network with one channel of a node inverted."""
    nodes = list(network.nodes)
    flips = np.zeros(nodes[index].filters, bool) if nodes[index].flips is None else nodes[index].flips.copy()
    flips[0] = not flips[0]
    nodes[index] = replace(nodes[index], flips=flips)
    return replace(network, nodes=tuple(nodes))


@pytest.mark.parametrize("changes", CHAINS, ids=str)
def test_trainer_and_integers_agree_in_every_bit(few: data.Dataset, changes: dict) -> None:
    config = Config(arch=ARCH, epochs=1, batch=50, lr=0.05).replace(**changes)
    chain = train(few, config, None, silent).chain
    network = lower(chain, few.x_test)
    found = compare(chain, network, few.x_test)
    assert found.images == 0 and found.nodes == (0,) * len(network.nodes)
    assert (found.trained == predict_scores(chain, few.x_test)).all() and found.trained.shape == (50, 10)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_wrong_bit_is_found_where_it_is(few: data.Dataset, index: int) -> None:
    chain = build(ARCH, few.shape)
    wrong = with_a_wrong_bit(lower(chain, few.x_test), index)
    found = compare(chain, wrong, few.x_test)
    images, nodes = found.images, found.nodes
    first = wrong.values[index + 1].shape
    assert images == len(few.x_test) and nodes[:index] == (0,) * index
    assert nodes[index] == len(few.x_test) * first[0] * first[1]


@pytest.mark.parametrize("changes", CHAINS, ids=str)
def test_the_preview_has_the_bytes_of_the_trained_model(few: data.Dataset, tmp_path: Path, changes: dict) -> None:
    config = Config(arch=ARCH, epochs=1, batch=50, lr=0.05).replace(**changes)
    before = preview(few, config)
    metrics = train_and_export(few, config, tmp_path, silent)
    after = cost.describe(decode((tmp_path / "model.ebnn").read_bytes()))
    assert 0 <= metrics["model_bytes"] - before["totals"]["model_bytes"] <= summary.growth(before)
    same = ("arena_bytes", "weights", "macs_binary", "macs_byte", "input_bytes", "scratch_bytes", "weights_bytes")
    assert {key: before["totals"][key] for key in same} == {key: after["totals"][key] for key in same}
    assert text(before).startswith("Summary")


def test_all_that_training_may_add() -> None:
    """A filter that falls behind a pool, and thresholds beyond 16 bits."""
    images, classes = np.zeros((10, 16, 16, 1), np.uint8), np.arange(10, dtype=np.int32)
    blank, config = (
        data.Dataset("blank", images, classes, images, classes, tuple("0123456789")),
        Config(arch="40c12-p2-10"),
    )
    before, chain = preview(blank, config), build(config, blank.shape)
    chain.conv1.W.array[...] = 0.5
    chain.bn1.mean[...], chain.bn1.gamma.array[0] = 36_000, -1
    added = len(build_model(lower(chain, images[:1]))) - before["totals"]["model_bytes"]
    assert added == summary.growth(before) == 8 + 40 * 2


def test_floats_have_no_preview(few: data.Dataset) -> None:
    assert preview(few, Config(arch=ARCH, weights="float", features="relu")) is None


def test_the_story_of_a_run(few: data.Dataset, tmp_path: Path) -> None:
    config = Config(arch=ARCH, epochs=3, batch=50, lr=0.05)
    metrics = train_and_export(few, config, tmp_path, silent)
    report = story.tell(tmp_path, few, metrics, "the summary")
    validate(report)
    right = round(metrics["test_accuracy"] * 50)
    assert report["accuracy"]["trainer"]["correct"] == report["accuracy"]["simulator"]["correct"] == right
    for pair in ("simulator_vs_trainer", "trainer_nodes"):
        assert report["mismatches"][pair] == {"compared": 50, "different": 0}
    confusion = np.array(report["confusion"])
    assert confusion.sum(axis=1).tolist() == np.bincount(few.y_test, minlength=10).tolist()
    assert confusion.trace() == right and report["bytes"]["model"] == metrics["model_bytes"]
    told = report["training"]
    assert told["epochs"] == len(told["history"]) == len(told["weights"]) == 3
    assert told["selected_epoch"] == metrics["selected_epoch"] and told["latent_clip"] == config.latent_clip
    assert all(sum(layer["histogram"]) == layer["weights"] for layer in told["weights"][2]["layers"].values())


def run(folder: Path, *more: str) -> int:
    return cli.main(
        ["train", "--dataset", "digits", "--arch", "4c3-p2-10", "--epochs", "1", "--out", str(folder), *more]
    )


def test_the_command_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("matplotlib")
    assert run(tmp_path, "--board", "microbit") == 0
    out = capsys.readouterr().out
    assert out.index("Summary") < out.index("epoch ") < out.index("report: ") and "at 16 MHz, estimated" in out
    page = (tmp_path / "report.html").read_text()
    assert "0 mismatches" in page and page.count("<svg") == 7 and "micro:bit" in page
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept["mismatches"]["trainer_nodes"]["different"] == 0


def test_without_matplotlib_the_text_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(tmp_path) == 0
    assert "no report.html (the HTML report needs matplotlib" in capsys.readouterr().out
    assert "0 mismatches" in (tmp_path / "report.md").read_text() and not (tmp_path / "report.html").exists()
