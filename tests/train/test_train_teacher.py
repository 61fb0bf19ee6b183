"""Distillation and the float twin: the loss against plain NumPy, kept answers against fresh ones, resuming, errors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ebnn.cli import main
from ebnn.errors import ConfigError
from ebnn.train import Config, augment, chainer, checkpoint, data, losses, stage, teacher
from ebnn.train.loop import CHECKPOINT, train
from ebnn.train.runs import Wish, load_run, train_and_export

FLOAT = Config(arch="8c3-p2-10", epochs=2, batch=32, lr=0.03, weights="float", features="relu")
STUDENT = Config(arch="4c3-p2-10", epochs=2, batch=32, lr=0.03, seed=3, temperature=3.0)


@pytest.fixture(scope="module")
def taught(few: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with floats."""
    folder = tmp_path_factory.mktemp("float")
    train_and_export(few, FLOAT, folder, silent)
    return folder


def student(named: object, **changes: object) -> Config:
    """Learns from the teacher that is ``named``."""
    return STUDENT.replace(**({"teacher": str(named), "distill": 0.5} | changes))


def silent(line: str) -> None:
    pass


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logits_of(chain: chainer.Chain, images: np.ndarray) -> np.ndarray:
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        return chain(images).array


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits, answers = generator.normal(0, 5, (2, 7, 10)).astype(np.float32)
    learner = chainer.Variable(logits)
    found = losses.divergence(learner, answers, temperature)
    p, q = softmax(np.float64(answers) / temperature), softmax(np.float64(logits) / temperature)
    assert found.item() == pytest.approx(temperature**2 * (p * np.log(p / q)).sum() / 7, rel=1e-4)
    found.backward()
    assert learner.grad == pytest.approx(temperature * (q - p) / 7, abs=1e-5)
    same = losses.divergence(chainer.Variable(answers), answers, temperature)
    assert same.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_labels(smoothing: float) -> None:
    generator = np.random.default_rng(1)
    logits, classes = generator.normal(0, 3, (7, 5)).astype(np.float32), generator.integers(0, 5, 7).astype(np.int32)
    learner = chainer.Variable(logits)
    found = losses.smoothed_cross_entropy(learner, classes, smoothing)
    targets, q = (1 - smoothing) * np.eye(5)[classes] + smoothing / 5, softmax(np.float64(logits))
    assert found.item() == pytest.approx(-(targets * np.log(q)).sum() / 7, rel=1e-5)
    found.backward()
    assert learner.grad == pytest.approx((q - targets) / 7, abs=1e-6)


def test_shares_of_the_loss(few: data.Dataset, taught: Path) -> None:
    rows, logits = np.arange(30), np.random.default_rng(0).normal(0, 1, (30, 10)).astype(np.float32)
    batch = (chainer.Variable(logits), few.x_train[rows], few.y_train[rows], (rows, losses.FRESH))
    answers = logits_of(load_run(taught), few.x_train[rows])

    def loss(share: float) -> float:
        config = student(taught, distill=share, smoothing=0.1)
        return losses.objective(config, few, None, silent)(*batch).item()

    labelled = losses.smoothed_cross_entropy(batch[0], batch[2], 0.1).item()
    known = losses.divergence(batch[0], answers, 3.0).item()
    assert loss(0.0) == pytest.approx(labelled)
    assert loss(1.0) == pytest.approx(known, rel=1e-5)
    assert loss(0.3) == pytest.approx(0.7 * labelled + 0.3 * known, rel=1e-5)


def test_kept_answers_are_those_to_the_copies(few: data.Dataset, taught: Path, tmp_path: Path) -> None:
    config = student(taught, augment="shift1", copies=2)
    chain, rows = load_run(taught), np.array([5, 0, 199, 60])
    asked = teacher.find(config, few, tmp_path, silent)
    for copy in (0, 1, 0):
        images = augment.copy_of(few.x_train, "shift1", config.seed, copy)[rows]
        assert asked.logits(np.zeros_like(images), (rows, copy)) == pytest.approx(logits_of(chain, images), abs=1e-4)
    assert sorted(path.name for path in (tmp_path / teacher.ANSWERS).iterdir()) == ["0.npz", "1.npz"]


def test_answers_are_read_back_where_they_fit(few: data.Dataset, taught: Path, tmp_path: Path) -> None:
    config = student(taught, augment="shift1", copies=1)
    rows, path = np.arange(9), tmp_path / teacher.ANSWERS / "0.npz"
    answers = teacher.find(config, few, tmp_path, silent).logits(few.x_train[rows], (rows, 0))
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"answers": arrays["answers"] + 1})
    again = teacher.find(config, few, tmp_path, silent)
    assert np.array_equal(again.logits(few.x_train[rows], (rows, 0)), answers + 1)
    taught_otherwise = load_run(taught)
    taught_otherwise.conv1.W.array[...] *= -1
    found = teacher.Teacher(taught_otherwise, few, config, tmp_path).logits(few.x_train[rows], (rows, 0))
    assert np.array_equal(found, logits_of(taught_otherwise, augment.copy_of(few.x_train, "shift1", 3, 0))[rows])
    others = (config.replace(seed=4), config.replace(augment="shift2"))
    for other in others:
        found = teacher.find(other, few, tmp_path, silent).logits(few.x_train[rows], (rows, 0))
        assert not np.allclose(found, answers + 1)
        assert not np.allclose(found, answers)
    path.write_bytes(path.read_bytes()[:-50])
    whole = teacher.find(config, few, tmp_path, silent)
    assert np.array_equal(whole.logits(few.x_train[rows], (rows, 0)), answers)


def test_fresh_images_are_answered_one_by_one(few: data.Dataset, taught: Path, tmp_path: Path) -> None:
    config = student(taught, augment="shift1")
    images, rows = few.x_train[20:40] // 2, np.arange(20)
    found = teacher.find(config, few, tmp_path, silent).logits(images, (rows, losses.FRESH))
    assert found == pytest.approx(logits_of(load_run(taught), images), abs=1e-4)
    assert not (tmp_path / teacher.ANSWERS).exists()
    plain = teacher.find(config.replace(augment=""), few, tmp_path, silent)
    assert plain.logits(images, (rows, losses.FRESH)) == pytest.approx(
        logits_of(load_run(taught), few.x_train[rows]), abs=1e-4
    )


def test_a_binary_teacher_stays_binary_in_the_first_stage(few: data.Dataset, tmp_path: Path) -> None:
    """In a student's first stage weights of every chain would be used as floats."""
    train(few, FLOAT.replace(weights="clip", features="sign"), tmp_path / "binary", silent)
    config = student(tmp_path / "binary", augment="shift1")
    asked, rows = teacher.find(config, few, None, silent), np.arange(10)
    with stage.at(0.0, True), chainer.using_config("train", True):
        found = asked.logits(few.x_train[rows], (rows, losses.FRESH))
        floats = logits_of(asked.chain, few.x_train[rows])
    assert np.array_equal(found, logits_of(load_run(tmp_path / "binary"), few.x_train[rows]))
    assert not np.allclose(found, floats)


def test_a_teacher_is_trained_first(few: data.Dataset, tmp_path: Path) -> None:
    config, lines = student("8c3-p2-10", augment="shift1", copies=2), []
    metrics = train_and_export(few, config, tmp_path, lines.append)
    assert sum(line.startswith("teacher:     ") for line in lines) == 2  # its epochs
    assert (tmp_path / "teacher" / CHECKPOINT).is_file()
    chain = load_run(tmp_path / "teacher")
    right = (logits_of(chain, few.x_test).argmax(axis=1) == few.y_test).mean()
    assert metrics["teacher_test_accuracy"] == right
    assert json.loads((tmp_path / "metrics.json").read_text())["teacher_held_out_accuracy"] <= 1
    again: list[str] = []
    assert train_and_export(few, config, tmp_path, again.append)["teacher_test_accuracy"] == right
    assert any(line.startswith("teacher: going on after epoch 2") for line in again)


def interrupt_at(stop: str, line: str) -> None:
    if line.startswith(stop):
        raise KeyboardInterrupt


def test_a_stopped_run_goes_on_with_its_teacher(few: data.Dataset, tmp_path: Path) -> None:
    config = student("8c3-p2-10", augment="shift1", copies=2, epochs=3)
    whole = train(few, config, None, silent)

    for stop in ("teacher:     2", "    1"):
        with pytest.raises(KeyboardInterrupt):
            train(few, config, tmp_path, partial(interrupt_at, stop))
    resumed = train(few, config, tmp_path, silent)
    states = [checkpoint.state_of(result.chain) for result in (whole, resumed)]
    assert {k: v.tobytes() for k, v in states[0].items()} == {k: v.tobytes() for k, v in states[1].items()}


def test_a_student_learns_from_answers_alone(few: data.Dataset) -> None:
    """Where distill is 1 the loss knows no labels."""
    learned = train(few, student("8c3-p2-10", distill=1.0, epochs=10, arch="16c3-p2-10"), None, silent)
    assert learned.metrics["teacher_test_accuracy"] > 0.5
    assert learned.metrics["test_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "teacher 'nothing': neither the folder of a training run nor an architecture .*nothing"),
        ("8c3-p2-9", "architecture 8c3-p2-9 has 9 classes, few has 10"),
    ],
)
def test_teachers_that_cannot_be(few: data.Dataset, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        train(few, student(name), tmp_path, silent)


def test_a_teacher_of_other_images_or_classes(few: data.Dataset, taught: Path) -> None:
    colours = [np.repeat(x, 3, axis=3) for x in (few.x_train, few.x_test)]
    coloured = data.Dataset("coloured", colours[0], few.y_train, colours[1], few.y_test, few.labels)
    with pytest.raises(ConfigError, match="teacher .*: is for other images .*input must be"):
        train(coloured, student(taught), None, silent)
    two = data.Dataset("two", few.x_train, few.y_train % 2, few.x_test, few.y_test % 2, ("even", "odd"))
    with pytest.raises(ConfigError, match="teacher .*: knows 10 classes, two has 2"):
        train(two, student(taught, arch="4c3-p2-2"), None, silent)


def test_floats_have_metrics_but_no_model(taught: Path) -> None:
    metrics = json.loads((taught / "metrics.json").read_text())
    assert 0 <= metrics["test_accuracy"] <= 1
    assert "model_bytes" not in metrics
    assert not (taught / "model.ebnn").exists()


def test_the_twin_has_the_same_form_and_images() -> None:
    config = STUDENT.replace(weights="standard", gain=True, optimizer="sgd", augment="shift1", order="norm-pool-sign")
    twin = teacher.floating(config)
    assert (twin.weights, twin.features, twin.distill, twin.gain) == ("float", "relu", 0.0, False)
    for name in ("arch", "epochs", "batch", "seed", "augment", "order"):
        assert getattr(twin, name) == getattr(config, name)


def test_the_twin_s_accuracy_is_kept(few: data.Dataset, tmp_path: Path) -> None:
    config = STUDENT
    first = train_and_export(few, config, tmp_path, silent, Wish(twin=0))
    chain = load_run(tmp_path / "twin")
    assert first["float_twin_test_accuracy"] == (logits_of(chain, few.x_test).argmax(axis=1) == few.y_test).mean()
    assert not np.array_equal(np.abs(chain.conv1.W.array), np.ones_like(chain.conv1.W.array))
    again = train_and_export(few, config, tmp_path, silent)
    assert (again["float_twin_test_accuracy"], again["float_twin_held_out_accuracy"]) == (
        first["float_twin_test_accuracy"],
        first["float_twin_held_out_accuracy"],
    )


def test_floats_have_no_twin(few: data.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no float twin"):
        train_and_export(few, FLOAT, tmp_path, silent, Wish(twin=0))
    assert not list(tmp_path.iterdir())


def test_the_command(few: data.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A float run, then a student of it with its twin."""
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "few.npz", **{name: getattr(few, name) for name in names})
    common = ["train", "--dataset", str(tmp_path / "few.npz"), "--epochs", "1", "--batch", "32", "--arch"]
    floats = ["--set", "weights=float", "--set", "features=relu", "--lr", "0.03"]
    assert main([*common, "8c3-p2-10", *floats, "--out", str(tmp_path / "t")]) == 0
    assert f"ebnn train --set teacher={tmp_path / 't'} --set distill=0.5" in capsys.readouterr().out
    learning = ["--set", f"teacher={tmp_path / 't'}", "--set", "distill=0.5", "--twin", "2"]
    assert main([*common, "4c3-p2-10", *learning, "--out", str(tmp_path / "s")]) == 0
    metrics = json.loads((tmp_path / "s" / "metrics.json").read_text())
    said = capsys.readouterr().out
    assert (metrics["float_twin_epochs"], len((tmp_path / "s" / "twin" / "log.jsonl").read_text().splitlines())) == (
        2,
        2,
    )
    for key, who in (("float_twin", "float twin"), ("teacher", "teacher")):
        assert f"{100 * metrics[f'{key}_test_accuracy']:.2f} % of them by its {who}" in said
