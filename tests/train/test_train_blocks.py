"""Layers beyond convolution, pool and dense: their gradients, and that integers are the trainer's on whatever input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adversarial import images, make_adversarial

import ebnn
from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.train import BinaryDepthwise2D, Config, build, chainer, data, predict_scores, train
from ebnn.train.compare import compare
from ebnn.train.config import ORDERS
from ebnn.train.lower import lower


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    """scikit-learn's digits."""
    return data.load("digits")


def assert_exact(chain: chainer.Chain, x: np.ndarray) -> ebnn.Network:
    """Trainer, simulator and C engine give the same scores, trainer and simulator the same values everywhere."""
    network, trained = lower(chain, x), predict_scores(chain, x)
    assert np.array_equal(ebnn.Simulator(network).run(x), trained)
    assert np.array_equal(CEngine(build_model(network)).run(x), trained)
    assert compare(chain, network, x).nodes == (0,) * len(network.nodes)
    return network


def assert_every_chain_exact(config: Config, shape: tuple[int, int, int]) -> list[ebnn.Network]:
    """Three chains of adversarial parameters each."""
    found, x = [], images(shape, 12)
    for seed in range(3):
        chain = build(config, shape, seed=seed)
        make_adversarial(chain, x, seed)
        found.append(assert_exact(chain, x))
    return found


def assert_learns(digits: data.Dataset, config: Config, folder: Path | None = None) -> ebnn.Network:
    """A short run on digits is far better than guessing, and exact."""
    result = train(digits, config.replace(epochs=4, batch=32, lr=0.03), folder, silent)
    assert result.metrics["test_accuracy"] > 0.5
    return assert_exact(result.chain, digits.x_test)


def gradients(function, arrays: list[np.ndarray], gy: np.ndarray) -> list[np.ndarray]:
    """What ``function`` of variables gives back for the gradient gy."""
    variables = [chainer.Variable(array) for array in arrays]
    y = function(*variables)
    y.grad = gy
    y.backward()
    return [variable.grad for variable in variables]


def differences(function, arrays: list[np.ndarray], gy: np.ndarray, step: float = 1e-2) -> list[np.ndarray]:
    """Central differences of sum(gy * function(arrays))."""
    found = [np.zeros(array.shape) for array in arrays]
    for number, array in enumerate(arrays):
        for index in np.ndindex(array.shape):
            values = []
            for move in (step, -step):
                moved = [a.copy() for a in arrays]
                moved[number][index] += move
                values.append(float((gy * function(*map(chainer.Variable, moved)).array).sum()))
            found[number][index] = (values[0] - values[1]) / (2 * step)
    return found


# --- depthwise ---


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("text", ["d3s2p1-p2-16c1-2d3p1-8c1-5", "6c3-2d3p1-p3s1p1-7c1-2d1x3-p2-10"])
def test_depthwise_chains_are_exact(order: str, text: str) -> None:
    config = Config(arch=text, order=order, activation="rprelu", learnable_shift=True, gain=True)
    for network in assert_every_chain_exact(config, (14, 13, 3)):
        assert sum(node.op == "depthwise" for node in network.nodes) == 2


def test_depthwise_sums_by_hand() -> None:
    """Two filters of each of two channels; filter f reads channel f mod 2; padding is -1."""
    link = BinaryDepthwise2D(2, 2, (1, 2), pad=(0, 1))
    link.W.array[...] = np.float32([[1, 1], [1, -1], [-1, 1], [-1, -1]]).reshape(4, 1, 2, 1)
    x = np.float32([[1, -1], [1, 1]]).reshape(1, 1, 2, 2)
    assert link(x).array.reshape(3, 4).tolist() == [[0, 0, 2, 2], [2, -2, 0, 0], [0, 2, -2, 0]]
    assert link(x, pool=(1, 3)).array.ravel().tolist() == [2, 2, 2, 2]


def test_depthwise_gradients_equal_differences() -> None:
    generator, link = np.random.default_rng(1), BinaryDepthwise2D(2, 2, 2, stride=(2, 1), pad=1, binarizer="float")
    x = generator.standard_normal((2, 3, 2, 2)).astype(np.float32)
    gy = generator.standard_normal(link(x).shape).astype(np.float32)
    (gx,), (wanted,) = gradients(link, [x], gy), differences(link, [x], gy)
    np.testing.assert_allclose(gx, wanted, atol=1e-3)
    link.cleargrads()
    gradients(link, [x], gy)
    for index in np.ndindex(link.W.shape):
        before, values = link.W.array[index], []
        for move in (1e-2, -1e-2):
            link.W.array[index] = before + np.float32(move)
            values.append(float((gy * link(x).array).sum()))
        link.W.array[index] = before
        assert link.W.grad[index] == pytest.approx((values[0] - values[1]) / 2e-2, abs=2e-3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: BinaryDepthwise2D(0, 1, 3), r"BinaryDepthwise2D\(0, 1\): channels must be 1 or more"),
        (lambda: BinaryDepthwise2D(4, 1, 3, pad=3), r"BinaryDepthwise2D\(4, 1\): kernel"),
        (lambda: BinaryDepthwise2D(2, 1, 3)(np.zeros((1, 5, 5, 4), np.uint8)), r"\(N, H, W, 2\)"),
        (lambda: BinaryDepthwise2D(2, 1, 3)(np.zeros((1, 5, 2, 2), np.uint8)), "no window fits"),
    ],
)
def test_depthwise_faults_are_named(call, said: str) -> None:
    with pytest.raises(ebnn.EbnnError, match=said):
        call()


def test_separable_network_learns(digits: data.Dataset) -> None:
    network = assert_learns(digits, Config(arch="16c3p1-d3p1-24c1-p2-10"))
    assert [node.op for node in network.nodes] == ["conv", "depthwise", "conv", "dense"]
