"""Lowering: trainer and simulator agree on every score; what cannot be exported is named."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from adversarial import images, make_adversarial

import ebnn
from ebnn.bundle import build_model
from ebnn.calibrate import DEFAULT_SURE
from ebnn.errors import ConfigError, ExportError
from ebnn.format import Use
from ebnn.prepare import Preparation
from ebnn.train import (
    BatchNorm,
    BinaryConv2D,
    BinaryDense,
    Config,
    Scores,
    build,
    chainer,
    data,
    fit,
    max_pool,
    predict_scores,
    sign,
    train,
)
from ebnn.train.lower import lower
from ebnn.train.recipes import RECIPES
from ebnn.train.runs import Wish, export_run, load_run, read_log, train_and_export

F = chainer.functions


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("10", (5, 5, 1)),
        ("7-5", (3, 4, 2)),
        ("33c3-10", (6, 7, 1)),
        ("16c3-p2-20c3-p2-5", (16, 16, 1)),
        ("16c5p2-p3s1p1-5c3s2p1-p3s2-33-3", (12, 11, 3)),
        ("6c1x5p0x2-p1x2-40c1x3-p1x3s1x2-4", (1, 32, 1)),
        ("8c3p1-p2-p2-9c2-2", (10, 10, 1)),
        ("8c3p1-p2-p3s1p1-9c2-2", (10, 10, 1)),
    ],
)
def test_simulator_computes_the_trainers_scores(text: str, shape: tuple, seed: int) -> None:
    chain, x = build(text, shape, seed=seed), images(shape)
    make_adversarial(chain, x, seed)
    network = lower(chain, x)
    scores = predict_scores(chain, x)
    assert scores.dtype == np.int32
    assert np.array_equal(ebnn.Simulator(network).run(x), scores)
    with chainer.using_config("train", False):
        assert np.array_equal(chain(x).array.argmax(axis=1), scores.argmax(axis=1))


@pytest.mark.parametrize("border", [-1, 1])
def test_borders_and_bit_inputs(border: int) -> None:
    class Net(chainer.Chain):
        def __init__(self) -> None:
            super().__init__()
            with self.init_scope():
                self.conv, self.bn = BinaryConv2D(3, 8, 3, 2, 1, border), BatchNorm(8)
                self.second, self.bn2 = BinaryConv2D(8, 5, 2, 1, 1, border), BatchNorm(5)
                self.dense, self.scores = BinaryDense(4 * 4 * 5, 4), Scores(4)

        def forward(self, x: np.ndarray) -> chainer.Variable:
            h = sign(self.bn(self.conv(x)))
            h = sign(self.bn2(max_pool(self.second(h), 2, 1)))
            return self.scores(self.dense(F.reshape(h, (len(x), -1))))

    chain, x = Net(), images((7, 8, 3))
    make_adversarial(chain, x, 3)
    assert np.array_equal(ebnn.Simulator(lower(chain, x)).run(x), predict_scores(chain, x))
    bits = x > 127
    signs = np.where(bits, np.float32(1), np.float32(-1))
    network = lower(chain, signs)
    assert network.input.dtype == "bits"
    assert np.array_equal(ebnn.Simulator(network).run(bits), predict_scores(chain, signs))


def test_falling_channels_flip_after_a_pool_and_negate_weights_without() -> None:
    for text, flips in (("4c3-p2-2", True), ("4c3-2", False)):
        chain, x = build(text, (6, 6, 1)), images((6, 6, 1))
        chain(x)
        chain.bn1.gamma.array[1] = -1
        node = lower(chain, x).nodes[0]
        assert (node.flips is not None and node.flips.tolist() == [False, True, False, False]) == flips
        assert np.array_equal(node.weights[1], chain.conv1.signs[1] * (1 if flips else -1))


class Row(chainer.Chain):
    """Links and functions one after the other; links are attributes named by position."""

    def __init__(self, *steps) -> None:
        super().__init__()
        self.steps = steps
        with self.init_scope():
            for index, step in enumerate(steps):
                if isinstance(step, chainer.Link):
                    setattr(self, f"step{index}", step)

    def forward(self, x: np.ndarray) -> chainer.Variable:
        for step in self.steps:
            x = step(x)
        return x


def row(*middle) -> Row:
    """A chain for images 6x6x1 that begins well: middle follows the first convolution."""
    return Row(BinaryConv2D(1, 4, 3), *middle)


HEAD = (BinaryDense(64, 3), Scores(3))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((F.relu,), "function ReLU after /step0 (BinaryConv2D): ebnn has no such layer"),
        ((BatchNorm(4), F.relu), "/step1 (BatchNorm): sign must follow it"),
        ((BatchNorm(4), sign, lambda x: F.average_pooling_2d(x, 2)), "AveragePooling2D after /step1 (BatchNorm)"),
        ((chainer.links.Linear(64, 3),), "/step1 (Linear): ebnn has no such layer"),
        ((BatchNorm(4), sign, sign), "function SignFunction after /step1 (BatchNorm): cannot stand here"),
        ((BatchNorm(4), sign, BatchNorm(4)), "/step3 (BatchNorm): cannot stand here"),
        ((BatchNorm(4), sign), "must end with BinaryDense and Scores"),
        ((), "/step0 (BinaryConv2D): nothing follows it"),
        ((BatchNorm(4), sign, HEAD[0]), "/step3 (BinaryDense): nothing follows it"),
        ((BatchNorm(4), sign, *HEAD, F.softmax), "function Softmax after /step4 (Scores): ebnn has no such layer"),
        ((lambda x: x + x,), "function _ + _ after /step0 (BinaryConv2D): reads 2 maps"),
        ((lambda x: F.dropout(x, 0.5), lambda x: F.sum(x)), "function Sum after /step0 (BinaryConv2D)"),
    ],
)
def test_what_cannot_be_exported_is_named(steps: tuple, said: str) -> None:
    with pytest.raises(ExportError) as caught:
        lower(row(*steps), images((6, 6, 1)))
    assert said in str(caught.value)
    assert "ebnn exports" in str(caught.value)


def test_two_pools_before_one_batch_norm() -> None:
    conv = BinaryConv2D(1, 4, 3)
    chain = Row(
        lambda x: conv(x, pool=2), lambda x: max_pool(x, 2, 1), BatchNorm(4), sign, BinaryDense(4, 2), Scores(2)
    )
    chain.add_link("conv", conv)
    with pytest.raises(ExportError, match="MaxPoolFunction after /conv .BinaryConv2D.: .* has a pool already"):
        lower(chain, images((6, 6, 1)))


@pytest.mark.parametrize("text", ["4c3-2", "4c3-p2-2", "4c3-p3s1-2"])
def test_not_finite_batch_norm(text: str) -> None:
    chain = build(text, (6, 6, 1))
    chain.bn1.gamma.array[2] = np.nan
    with pytest.raises(ExportError, match=r"/bn1 \(BatchNorm\): its gamma is not finite"):
        lower(chain, images((6, 6, 1)))


@pytest.mark.parametrize("x", [np.zeros((1, 6, 6), np.uint8), np.zeros((1, 6, 6, 1), np.float32)])
def test_wrong_samples(x: np.ndarray) -> None:
    with pytest.raises(ExportError, match="sample images must be"):
        lower(build("4c3-2", (6, 6, 1)), x)


@pytest.mark.parametrize("x", [None, [[1]], "x_test", np.zeros((0, 6, 6, 1), np.uint8)])
def test_samples_that_are_no_images(x: object, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"sample images must be (a NumPy array )?\(N, H, W, C\)"):
        ebnn.export(build("4c3-2", (6, 6, 1)), x, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_chain_that_returns_no_variable() -> None:
    with pytest.raises(ExportError, match="Row: must return the Variable that Scores makes, got ndarray"):
        lower(Row(lambda x: x), images((6, 6, 1)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[data.Dataset, Path, dict]:
    """A short run on digits and its folder."""
    folder, digits = tmp_path_factory.mktemp("run"), data.load("digits")
    config = Config(arch="8c3p1-p2-16c3-10", epochs=2, batch=32, lr=0.03)
    return digits, folder, train_and_export(digits, config, folder, silent)


def test_run_that_is_exported(finished: tuple) -> None:
    digits, folder, metrics = finished
    model = ebnn.read_model(folder / "model.ebnn")
    scores = ebnn.Simulator(model.network).run(digits.x_test)
    assert np.array_equal(scores, predict_scores(load_run(folder), digits.x_test))
    assert (scores.argmax(axis=1) == digits.y_test).mean() == metrics["test_accuracy"]
    assert metrics["model_bytes"] == (folder / "model.ebnn").stat().st_size
    assert metrics["test_images"] == len(digits.x_test)
    assert [line["epoch"] for line in read_log(folder)] == [1, 2]
    assert model.network.labels == ()


def test_run_exported_again_gives_the_same_bytes(finished: tuple, tmp_path: Path) -> None:
    _, folder, _ = finished
    blob = export_run(folder, tmp_path)
    assert blob == (folder / "model.ebnn").read_bytes() == (tmp_path / "model.ebnn").read_bytes()
    assert (tmp_path / "metrics.json").read_text() == (folder / "metrics.json").read_text()
    assert (tmp_path / "config.toml").read_text() == (folder / "config.toml").read_text()


def test_margin_and_preparation_of_a_run(finished: tuple, tmp_path: Path) -> None:
    digits, folder, metrics = finished
    assert ebnn.read_model(folder / "model.ebnn").use == Use(metrics["margin"])
    assert metrics["sure_wanted"] == DEFAULT_SURE <= metrics["held_out_sure_accuracy"]
    export_run(folder, tmp_path, preparation=Preparation("nearest"))
    assert ebnn.read_model(tmp_path / "model.ebnn").use == Use(metrics["margin"], Preparation("nearest"))
    shutil.copy(folder / "checkpoint.npz", tmp_path)
    export_run(tmp_path, tmp_path / "again")
    assert ebnn.read_model(tmp_path / "again" / "model.ebnn").use == Use(metrics["margin"], Preparation("nearest"))


def test_preparations_that_do_not_fit_are_refused_before_training(tmp_path: Path) -> None:
    x, y = images((4, 4, 2)), np.int32(np.arange(40) % 2)
    things = data.Dataset("things", x, y, x, y, ("left", "right"))
    with pytest.raises(ConfigError, match="preparation none: is for inputs of one channel, this one has 2"):
        train_and_export(things, Config(arch="4c3-2"), tmp_path, silent, Wish(preparation=Preparation("none")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b'{"margin": "3"}', b'{"margin": true}', b'{"prepare": 1}', b'{"prepare": "x"}'])
def test_metrics_of_another_kind_are_named(finished: tuple, tmp_path: Path, content: bytes) -> None:
    shutil.copy(finished[1] / "checkpoint.npz", tmp_path)
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"metrics\.json: (margin|preparation)"):
        export_run(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_damaged_metrics_are_named(finished: tuple, tmp_path: Path, content: bytes) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished[1], run)
    (run / "metrics.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"run/metrics\.json: is (damaged|not a JSON object)"):
        export_run(run, tmp_path / "out")


def test_labels_that_tell_something_are_exported(tmp_path: Path) -> None:
    x, y = images((4, 4, 1)), np.int32(np.arange(40) % 2)
    things = data.Dataset("things", x, y, x, y, ("left", "right"))
    train_and_export(things, Config(arch="4c3-2", epochs=1, batch=8), tmp_path, silent)
    assert ebnn.read_model(tmp_path / "model.ebnn").network.labels == ("left", "right")


def test_folders_that_hold_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no training run"):
        load_run(tmp_path)
    digits = data.load("digits")
    fit(build("10", digits.shape), digits, Config(epochs=1), tmp_path, silent)
    with pytest.raises(ConfigError, match="is of a chain of your own"):
        load_run(tmp_path)


def test_example_script_has_25_lines_and_exports(tmp_path: Path) -> None:
    path = Path(ebnn.__file__).parent / "examples" / "train_mnist.py"
    lines = path.read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
    tree = ast.parse("\n".join(lines))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {"fit", "load", "ebnn"} <= names
    # The script as it stands, on images of MNIST's form that take no download and little time.
    generator, y = np.random.default_rng(0), np.arange(60) % 10
    x = generator.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    text = path.read_text().replace('load("mnist")', 'load("small.npz")').replace("epochs=10", "epochs=1, batch=16")
    (tmp_path / "script.py").write_text(text)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=120)
    network = ebnn.read_model(tmp_path / "build" / "my_mnist" / "model.ebnn").network
    assert [node.op for node in network.nodes] == ["conv", "conv", "dense"]


def test_training_on_a_persons_own_chain(tmp_path: Path) -> None:
    digits = data.load("digits")
    chain = Row(BinaryConv2D(1, 8, 3), BatchNorm(8), sign, BinaryDense(6 * 6 * 8, 10), Scores(10))
    result = fit(chain, digits, Config(epochs=2, lr=0.03, batch=32), None, silent)
    network = ebnn.export(result.chain, digits.x_test, tmp_path, metrics=result.metrics)
    found = ebnn.Simulator(network).run(digits.x_test).argmax(axis=1)
    assert (found == digits.y_test).mean() == result.metrics["test_accuracy"] > 0.3


def test_default_mnist_network_takes_at_most_2300_bytes() -> None:
    chain, x = build(RECIPES["mnist"].arch, (28, 28, 1)), images((28, 28, 1))
    chain(x)
    for link in (link for link in chain.links() if isinstance(link, BatchNorm)):
        link.gamma.array[0] = -1  # a flip word for each layer
    assert len(build_model(lower(chain, x))) <= 2300


@pytest.mark.parametrize(
    "changes", [{"weights": "float"}, {"features": "relu"}, {"weights": "float", "features": "relu"}]
)
def test_float_run_has_metrics_but_no_model(tmp_path: Path, changes: dict) -> None:
    digits, lines = data.load("digits"), []
    config = Config(arch="4c3-p2-10", epochs=1, batch=64, **changes)
    for _ in range(2):  # the second time it is found finished
        metrics = train_and_export(digits, config, tmp_path, lines.append)
        assert "there is no model to export" in lines[-1]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.npz", "config.toml", "log.jsonl", "metrics.json"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    with pytest.raises(ExportError, match="weights are floats" if "weights" in changes else "sign must follow"):
        export_run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_same_seed_same_model_file(tmp_path: Path) -> None:
    digits, blobs = data.load("digits"), []
    for name in ("one", "two"):
        result = train(digits, Config(arch="8c3-p2-10", epochs=1), None, silent)
        ebnn.export(result.chain, digits.x_test, tmp_path / name)
        blobs.append((tmp_path / name / "model.ebnn").read_bytes())
    assert blobs[0] == blobs[1]
