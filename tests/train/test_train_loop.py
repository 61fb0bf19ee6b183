"""The training loop: the same bytes for the same seed, interrupted or not; clear stops; configuration files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ebnn.errors import ConfigError, DataError
from ebnn.train import BatchNorm, Config, build, chainer, checkpoint, config, data, fit, loop, recipes, train
from ebnn.train.evaluate import accuracy, estimate_statistics
from ebnn.train.schedule import factor

SMALL = Config(arch="4c3-p2-10", epochs=3, batch=32, lr=0.03, seed=7, augment="shift1", smoothing=0.1)


def silent(line: str) -> None:
    pass


def state(chain: chainer.Chain) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in checkpoint.state_of(chain).items()}


def times_removed(epochs: list[loop.Epoch]) -> list[tuple]:
    return [(line.epoch, line.lr, line.loss, line.train_accuracy, line.held_out_accuracy) for line in epochs]


def test_same_seed_same_bytes(few: data.Dataset) -> None:
    one, two = (train(few, SMALL, None, silent) for _ in range(2))
    other = train(few, SMALL.replace(seed=8), None, silent)
    assert state(one.chain) == state(two.chain) != state(other.chain)
    assert times_removed(one.epochs) == times_removed(two.epochs)


STATEFUL = {
    "plain": SMALL,
    "sgd": SMALL.replace(optimizer="sgd", two_stage=0.3, estimator="error-decay", copies=2),
    "bop": SMALL.replace(optimizer="bop", gain=True, activation="rprelu", learnable_shift=True, schedule="step"),
    "two stages": SMALL.replace(two_stage=0.67, estimator="reste", weights="standard", bnn_plus=1e-3),
    "frozen": SMALL.replace(freeze=0.05, two_stage=0.34, lr=0.05),
    "not estimated anew": SMALL.replace(reestimate=False, order="norm-pool-sign", warmup=2),
}


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("stop_after", [1, 2])
def test_resumed_equals_uninterrupted(few: data.Dataset, tmp_path: Path, stop_after: int, name: str) -> None:
    chosen = STATEFUL[name]
    whole = train(few, chosen, tmp_path / "whole", silent)
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.lstrip().startswith(f"{stop_after} "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few, chosen, tmp_path / "parts", interrupt)
    assert f"the state after epoch {stop_after} is kept in" in lines[-1]
    assert "the same call goes on from there" in lines[-1]
    resumed = train(few, chosen, tmp_path / "parts", lines.append)
    assert f"going on after epoch {stop_after}" in "\n".join(lines)
    assert state(resumed.chain) == state(whole.chain)
    assert times_removed(resumed.epochs) == times_removed(whole.epochs)
    final = [checkpoint.load(tmp_path / name / loop.CHECKPOINT)[0] for name in ("whole", "parts")]
    for part in ("chain", "optimizer", "best"):
        assert {k: v.tobytes() for k, v in final[0][part].items()} == {
            k: v.tobytes() for k, v in final[1][part].items()
        }


KILLED = """
import os, signal, sys
from ebnn.train import config, data, loop, train
few = data.load(sys.argv[1])
def kill(line):
    if line.lstrip().startswith("2 "):
        os.kill(os.getpid(), signal.SIGKILL)
train(few, config.read(sys.argv[2]), sys.argv[3], kill)
"""


def test_killed_process_loses_at_most_an_epoch(few: data.Dataset, tmp_path: Path) -> None:
    parts = {name: getattr(few, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "few.npz", **parts)
    (tmp_path / "run.toml").write_text(SMALL.to_toml())
    arguments = [str(tmp_path / name) for name in ("few.npz", "run.toml", "run")]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=os.environ, timeout=120)
    assert done.returncode == -signal.SIGKILL
    lines: list[str] = []
    resumed = train(data.load(arguments[0]), SMALL, arguments[2], lines.append)
    assert "going on after epoch 2" in lines[0]
    assert state(resumed.chain) == state(train(few, SMALL, None, silent).chain)


def test_files_of_a_run(few: data.Dataset, tmp_path: Path) -> None:
    result = train(few, SMALL, tmp_path, silent)
    assert config.read(tmp_path / loop.CONFIG) == SMALL
    logged = [json.loads(line) for line in (tmp_path / loop.LOG).read_text().splitlines()]
    assert [line["epoch"] for line in logged] == [1, 2, 3]
    assert logged[-1]["held_out_accuracy"] == result.epochs[-1].held_out_accuracy
    best = max(line.held_out_accuracy for line in result.epochs)
    metrics = result.metrics
    assert metrics["held_out_accuracy"] == best
    assert result.epochs[metrics["selected_epoch"] - 1].held_out_accuracy == best
    training, held_out = few.split()
    assert best == accuracy(result.chain, few.x_train[held_out], few.y_train[held_out])
    assert metrics["test_accuracy"] == accuracy(result.chain, few.x_test, few.y_test)
    assert metrics["dataset_sha256"] == few.sha256


def test_finished_run_is_taken_as_it_is(few: data.Dataset, tmp_path: Path) -> None:
    first = train(few, SMALL, tmp_path, silent)
    before = (tmp_path / loop.CHECKPOINT).stat().st_mtime_ns
    assert state(train(few, SMALL, tmp_path, silent).chain) == state(first.chain)
    assert (tmp_path / loop.CHECKPOINT).stat().st_mtime_ns == before


def test_folder_of_another_run(few: data.Dataset, tmp_path: Path) -> None:
    train(few, SMALL, tmp_path, silent)
    with pytest.raises(ConfigError, match=r"is of another run \(lr 0.03 instead of 0.01\): name another folder"):
        train(few, SMALL.replace(lr=0.01), tmp_path, silent)


def test_the_same_data_by_another_name_are_gone_on_with(few: data.Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    train(few, SMALL.replace(epochs=1, dataset="few.npz"), tmp_path, silent)
    train(few, SMALL.replace(epochs=1, dataset="moved/few.npz"), tmp_path, lines.append)
    assert lines[0].startswith("going on after epoch 1")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_damaged_checkpoint(few: data.Dataset, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / loop.CHECKPOINT
    if content is None:
        train(few, SMALL, tmp_path, silent)
        content = path.read_bytes()[:-200]
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="checkpoint.npz: not a readable checkpoint"):
        train(few, SMALL, tmp_path, silent)


def changed(name: str, value: object) -> Callable[[dict, dict], None]:
    return lambda parts, facts: facts.update({name: value})


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts, facts: parts.pop("best"),
        lambda parts, facts: parts.update(more={"a": np.zeros(1)}),
        lambda parts, facts: parts["best"].popitem(),
        lambda parts, facts: parts["optimizer"].update({"conv1/W/m": np.zeros((9, 9))}),
        lambda parts, facts: parts["best"].update({"dense2/W": np.zeros(1)}),
        lambda parts, facts: facts.pop("run"),
        lambda parts, facts: facts["run"].pop("data"),
        lambda parts, facts: facts["run"].update(config=3),
        lambda parts, facts: facts["epochs"][0].pop("loss"),
        lambda parts, facts: facts["epochs"][1].update(loss="much"),
        changed("epochs", [3]),
        changed("shape", [8, 8]),
        changed("shape", [8, 8, "1"]),
        changed("labels", [1, 2]),
    ],
)
def test_checkpoint_of_another_form(few: data.Dataset, tmp_path: Path, damage: Callable[[dict, dict], object]) -> None:
    path = tmp_path / loop.CHECKPOINT
    train(few, SMALL.replace(epochs=2), tmp_path, silent)
    parts, facts = checkpoint.load(path)
    damage(parts, facts)
    checkpoint.save(path, parts, facts)
    with pytest.raises(ConfigError, match="checkpoint.npz: (not a readable checkpoint|holds no state|its dense2/W)"):
        train(few, SMALL.replace(epochs=2), tmp_path, silent)


def test_checkpoint_whose_facts_are_no_table(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", {}, [])
    with pytest.raises(ConfigError, match="a.npz: not a readable checkpoint .its facts are no table"):
        checkpoint.load(tmp_path / "a.npz")


def untrainable(data_: data.Dataset, folder: Path) -> str:
    """What is said of a folder before the first epoch."""
    lines: list[str] = []
    with pytest.raises(ConfigError) as caught:
        train(data_, SMALL, folder, lines.append)
    assert lines == []
    return str(caught.value)


def test_folder_that_cannot_be_written_is_told_before_training(few: data.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"{folder}: cannot be written to" in untrainable(few, folder)


def test_folder_on_a_full_disk(few: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.tempfile, "TemporaryFile", full)
    assert f"{tmp_path}: cannot be written to (No space left on device)" in untrainable(few, tmp_path)


@pytest.mark.parametrize(("name", "content"), [("config.toml", "speed = 3\n"), ("metrics.json", "{}")])
def test_folder_of_another_program(few: data.Dataset, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    said = untrainable(few, tmp_path)
    assert str(tmp_path) in said and name in said and "not of a run of ebnn" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_with_a_configuration_of_ours(few: data.Dataset, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("epochs = 2\n")
    assert len(train(few, SMALL, tmp_path, silent).epochs) == SMALL.epochs


class Exploding(chainer.Chain):
    """A chain whose logits become NaN after a number of calls while training."""

    def __init__(self, inner: chainer.Chain, calls: int) -> None:
        super().__init__()
        self.calls = calls
        with self.init_scope():
            self.inner = inner

    def forward(self, x: np.ndarray) -> chainer.Variable:
        self.calls -= chainer.config.enable_backprop
        logits = self.inner(x)
        return logits if self.calls >= 0 else logits * np.float32("nan")


def test_loss_that_is_not_finite(few: data.Dataset, tmp_path: Path) -> None:
    steps = len(few.split()[0]) // SMALL.batch
    chain = Exploding(build(SMALL.arch, few.shape), steps)
    with pytest.raises(ConfigError, match="the loss became nan in epoch 2 at learning rate .* take a lower lr") as e:
        fit(chain, few, SMALL, tmp_path, silent)
    assert "the state after epoch 1 is kept in" in str(e.value)
    parts, facts = checkpoint.load(tmp_path / loop.CHECKPOINT)
    assert len(facts["epochs"]) == 1
    assert all(np.isfinite(array).all() for array in parts["chain"].values())


def test_training_learns_and_keeps_latents_inside(few: data.Dataset) -> None:
    result = train(few, SMALL.replace(epochs=25, augment="", latent_clip=0.5), None, silent)
    assert result.metrics["test_accuracy"] > 0.6
    assert all(np.abs(link.W.array).max() <= 0.5 for link in loop.model.binary_links(result.chain))


def test_statistics_are_those_of_the_final_weights(few: data.Dataset) -> None:
    chain = build("4c3-p2-10", few.shape)
    estimate_statistics(chain, few.x_train)
    norm = next(link for link in chain.links() if isinstance(link, BatchNorm))
    sums = chain.conv1(few.x_train, pool=2).array
    np.testing.assert_allclose(norm.mean, sums.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(norm.variance, sums.var(axis=(0, 1, 2)), rtol=1e-3)
    assert norm.decay == 0.9


def test_wrong_number_of_classes(few: data.Dataset) -> None:
    with pytest.raises(ConfigError, match="architecture 4c3-7 has 7 classes, few has 10"):
        train(few, Config(arch="4c3-7"), None, silent)


def test_too_few_images(few: data.Dataset) -> None:
    tiny = data.Dataset("tiny", few.x_train[:2], np.int32([0, 1]), few.x_test[:2], np.int32([0, 1]), ("a", "b"))
    with pytest.raises(DataError, match="2 training images, at least 10 are needed"):
        tiny.split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = 0", "epochs must be 1 or more, got 0"),
        ("seed = 4294967296", "seed must be 0 to 4294967295, got 4294967296"),
        ("seed = -1", "seed must be 0 to 4294967295, got -1"),
        ("lr = 0.0", "lr must be above 0"),
        ("smoothing = 1.0", "smoothing must be at least 0 and below 1"),
        ('epochs = "ten"', "epochs must be of type int, got 'ten'"),
        ("epochs = true", "epochs must be of type int"),
        ('estimator = "best"', "estimator 'best': there are ste, approxsign"),
        ('arch = "16q3-10"', "token 1 ('16q3')"),
        ("speed = 3", "unknown speed; there are "),
        ("epochs = ", "run.toml"),
    ],
)
def test_configuration_errors_name_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "run.toml").write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        config.read(tmp_path / "run.toml")
    assert said in str(caught.value)
    assert "run.toml" in str(caught.value)


def test_configuration_reads_back(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(SMALL.to_toml())
    assert config.read(tmp_path / "run.toml") == SMALL


@pytest.mark.parametrize("shape,classes", [((28, 28, 1), 4), ((9, 9, 1), 10)])
def test_a_known_name_on_other_data_gets_no_recipe(shape, classes):
    x, y = np.zeros((40, *shape), np.uint8), np.arange(40, dtype=np.int32) % classes
    labels = tuple(f"class {index}" for index in range(classes))
    chosen = recipes.default(data.Dataset("mnist", x, y, x, y, labels))
    assert chosen != recipes.RECIPES["mnist"]
    assert build(chosen, shape)(x[:1]).shape == (1, classes)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (1, 64, 1), (1, 1, 5), (96, 64, 3)])
def test_every_form_of_image_has_a_recipe(shape: tuple[int, int, int]) -> None:
    generator, y = np.random.default_rng(0), np.int32(np.arange(20) % 4)
    x = generator.integers(0, 256, (20, *shape), dtype=np.uint8)
    chosen = recipes.default(data.Dataset("mine", x, y, x, y, ("a", "b", "c", "d")))
    assert build(chosen.arch, shape)(x).shape == (20, 4)


def test_schedule() -> None:
    factors = [factor("cosine", step, 10, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9]
    assert factors[50] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.001
    for name, (first, middle, last) in {
        "linear": (1, 0.5, 0.01),
        "step": (1, 0.1, 0.01),
        "geometric": (1, 0.001**0.5, 0.001**0.99),
        "constant": (1, 1, 1),
    }.items():
        assert [factor(name, step, 0, 100) for step in (0, 50, 99)] == pytest.approx([first, middle, last])


def test_statistics_are_estimated_anew_where_that_is_wanted(few: data.Dataset) -> None:
    for wanted in (True, False):
        chain = train(few, SMALL.replace(epochs=1, reestimate=wanted), None, silent).chain
        kept = state(chain)
        estimate_statistics(chain, few.x_train[few.split()[0]])
        assert (state(chain) == kept) == wanted


def test_a_checkpoint_of_other_images_is_refused(few: data.Dataset, tmp_path: Path) -> None:
    train(few, SMALL.replace(epochs=1), tmp_path, silent)
    other = data.Dataset("few", 255 - few.x_train, few.y_train, few.x_test, few.y_test, few.labels)
    with pytest.raises(ConfigError, match=r"is of another run \(data "):
        train(other, SMALL.replace(epochs=1), tmp_path, silent)
