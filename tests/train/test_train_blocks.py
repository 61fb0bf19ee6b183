"""Layers beyond convolution, pool and dense: their gradients, and that integers are the trainer's on whatever input."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from adversarial import images, make_adversarial

import ebnn
import oracle
from ebnn import fold
from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.errors import ConfigError
from ebnn.train import (
    BatchNorm,
    BinaryConv2D,
    BinaryDense,
    BinaryDepthwise2D,
    Config,
    Levels,
    MapNorm,
    PReLU,
    Scores,
    average,
    build,
    chainer,
    data,
    max_pool,
    optimizers,
    polish,
    predict_scores,
    sign,
    stage,
    thermometer,
    train,
)
from ebnn.train.compare import compare
from ebnn.train.config import ORDERS
from ebnn.train.functions import FreePReLUFunction, LevelsFunction, ThermometerFunction, sum_pool
from ebnn.train.lower import lower
from ebnn.train.maps import (
    MOST_GAIN,
    MOST_PRODUCT,
    MOST_SHIFT,
    AverageFunction,
    FixedPoint,
    Grid,
    RoundFunction,
    shortcut_window,
)
from ebnn.train.weights import INT8

RANDOM_CHAINS = 40


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


# --- maps of integers ---

RESIDUAL = [
    ("8c3p1+-8c3p1+-10", (8, 9, 3), {}),
    ("8c3s2p1+-8c3p1+-20c3s2p1+-d3p1+-a-10", (13, 12, 3), {"learnable_shift": True}),
    ("8c3p1+-8c3p1+-p2-16c3p1+-a-10", (13, 12, 3), {"shortcut": "repeat", "maps": "i8"}),
    ("8c3p1-p2-16c3p1+-8c1-16c3p1+-7-10", (12, 12, 1), {"order": "norm-sign-pool"}),
    ("7c3p1+-p3s2p1-21c3s3p1+-21c1+-a-9-10", (14, 15, 1), {"shortcut": "repeat"}),
]


@pytest.mark.parametrize(("text", "shape", "more"), RESIDUAL)
def test_chains_with_maps_are_exact(text: str, shape: tuple, more: dict) -> None:
    for network in assert_every_chain_exact(Config(arch=text, **more), shape):
        assert sum(node.output == more.get("maps", "i16") for node in network.nodes) >= 2


def test_blocks_take_no_node_more_than_they_need() -> None:
    """A convolution that adds, and sign; where the map shrinks one sum; more channels that begin at 0 need nothing."""
    network = lower(build("8c3p1+-8c3p1+-16c3p1+-16c3s2p1+-10", (8, 8, 1)), images((8, 8, 1)))
    assert [(node.op, node.output, node.second) for node in network.nodes] == [
        ("conv", "i16", None), ("pool", "bits", None), ("conv", "i16", 1), ("pool", "bits", None),
        ("conv", "i16", 3), ("pool", "bits", None), ("pool", "i16", None), ("conv", "i16", 7), ("pool", "bits", None),
        ("dense", "i32", None),
    ]  # fmt: skip


def test_fixed_point_is_close_and_stays_within_32_bits() -> None:
    generator = np.random.default_rng(2)
    for reach, size in ((9, 0.3), (144, 0.08), (19125, 1e-3), (1 << 23, 1e-6), (9, 1e9), (9, 0)):
        scale, base = size * generator.standard_normal((2, 50))
        fixed = FixedPoint.of(scale, base, reach, 8)
        products = np.abs(fixed.gains) * reach
        assert (2 * products + products + np.abs(fixed.offsets)).max() + (1 << 15) < 1 << 31
        assert (fixed.gains == np.rint(fixed.gains)).all() and np.abs(fixed.gains).max() < 1 << 14
        sums = generator.integers(-reach, reach + 1, (200, 50)).astype(np.float32)
        if size < 1:
            error = np.abs(fixed(sums) - (sums * scale + base) * 256)
            assert error.max() <= 0.5 + (reach + 1) / 2 ** (fixed.shift + 1)
            assert fixed.shift == MOST_SHIFT or np.abs(fixed.gains).max() > min(MOST_GAIN, MOST_PRODUCT // reach) / 4


@pytest.mark.parametrize("dtype", ["i16", "i8"])
def test_map_outside_of_training_is_the_devices(dtype: str) -> None:
    """clamp(floor((v gain + offset) / 2^shift) + r), with r in the first channels only."""
    generator, link = np.random.default_rng(3), MapNorm(6, 30, dtype)
    link.mean[...], link.variance[...] = generator.standard_normal((2, 6)) ** 2
    link.gamma.array[...] = 30 * generator.standard_normal(6)
    sums, least = generator.integers(-30, 31, (4, 2, 3, 6)), -128 if dtype == "i8" else -32768
    before = generator.integers(least, -least, (4, 2, 3, 5))
    with chainer.using_config("train", False):
        fraction = link.grid.fraction
        y = link(chainer.Variable(sums.astype(np.float32)), chainer.Variable(np.float32(before * 2.0**-fraction)))
    fixed = y.creator.fixed
    wanted = (sums * fixed.gains.astype(int) + fixed.offsets.astype(int)) >> fixed.shift
    wanted[..., :5] += before
    assert (y.array * 2**fraction == wanted.clip(least, -least - 1)).all()
    assert (wanted < least).any() and (wanted >= -least).any()


def test_map_while_training_is_that_of_the_same_statistics() -> None:
    """Up to one step of the grid, by which the fixed point may round otherwise."""
    generator, link = np.random.default_rng(4), MapNorm(5, 100)
    sums = chainer.Variable(generator.integers(-100, 101, (8, 3, 3, 5)).astype(np.float32))
    trained = link(sums).array
    link.mean, link.variance = sums.array.mean(axis=(0, 1, 2)), sums.array.var(axis=(0, 1, 2))
    with chainer.using_config("train", False):
        assert np.abs(link(sums).array - trained).max() <= 2.0**-8
    assert (trained * 256 == np.rint(trained * 256)).all()


def test_gradients_of_rounding_equal_differences_over_whole_steps() -> None:
    generator, grid = np.random.default_rng(5), Grid.of("i16")
    y = generator.standard_normal((3, 2, 2, 4)).astype(np.float32)
    r = np.rint(256 * generator.standard_normal((3, 2, 2, 3))).astype(np.float32) / 256
    gy = generator.standard_normal(y.shape).astype(np.float32)

    def add(a: chainer.Variable, b: chainer.Variable) -> chainer.Variable:
        return RoundFunction(grid).apply((a, b))[0]

    for found, wanted in zip(gradients(add, [y, r], gy), differences(add, [y, r], gy, 0.25), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    (found,) = gradients(
        lambda a: RoundFunction(grid).apply((a,))[0], [np.float32([[-200, 3, 200]])], np.ones((1, 3), "f")
    )
    assert found.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(("windows", "times"), [(((2, 2), (2, 2), (0, 0, 0, 1)), 1), (((2, 4), (2, 4), (0,) * 4), 3)])
def test_gradients_of_averages_equal_differences(windows: tuple, times: int) -> None:
    generator = np.random.default_rng(6)
    x = np.rint(256 * generator.standard_normal((2, 4, 5, 3))).astype(np.float32) / 256

    def shrink(a: chainer.Variable) -> chainer.Variable:
        return AverageFunction(windows, Grid.of("i16"), times).apply((a,))[0]

    gy = generator.standard_normal(shrink(chainer.Variable(x)).shape).astype(np.float32)
    np.testing.assert_allclose(gradients(shrink, [x], gy)[0], differences(shrink, [x], gy, 1.0)[0], atol=1e-4)


def test_averages_by_hand() -> None:
    """A half is rounded up; what lies outside does not count; bits keep their sum in finer steps."""
    x = np.float32([[3, 4, 5], [6, 8, 1]]).reshape(1, 2, 3, 1) / 256
    windows = ((2, 2), (2, 2), (0, 0, 0, 1))
    y = AverageFunction(windows, Grid.of("i16"), 2).apply((chainer.Variable(x),))[0]
    assert (256 * y.array).tolist() == [[[[5, 5], [2, 2]]]]
    bits = np.float32([[1, 1, -1], [1, 1, -1]]).reshape(1, 2, 3, 1)
    assert average(chainer.Variable(bits)).array.tolist() == [[[[2 / 8]]]]


@pytest.mark.parametrize(
    ("before", "after", "window"),
    [
        ((8, 8), (8, 8), ((1, 1), (0, 0, 0, 0))),
        ((9, 8), (5, 4), ((2, 2), (0, 0, 1, 0))),
        ((9, 9), (4, 3), ((2, 3), (0, 0, 0, 0))),
        ((16, 16), (14, 16), None),
    ],
)
def test_windows_of_shortcuts(before: tuple, after: tuple, window: tuple | None) -> None:
    assert shortcut_window(before, after) == window


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ("8c3p1+-8c3+-10", {}, r"token 2 \('8c3\+'\): it makes 10x10x8, the map before is 12x12x8"),
        ("8c3p1+-4c3p1+-10", {}, r"token 2 \('4c3p1\+'\): it makes 12x12x4"),
        ("8c3p1+-10", {"gain": True}, "gain must be false where layers add to a map"),
        ("8c3p1+-10", {"activation": "prelu"}, "activation must be none where layers add to a map"),
        ("8c3p1+-10", {"maps": "i32"}, "maps must be one of i16, i8"),
        ("8c3p1+-10", {"shortcut": "conv"}, "shortcut must be one of zeros, repeat"),
    ],
)
def test_faults_of_maps_are_named(text: str, changes: dict, said: str) -> None:
    with pytest.raises(ebnn.EbnnError, match=said):
        build(text, (12, 12, 1), **changes)


def test_own_chains_with_maps() -> None:
    """A map is read by sign, by a block and by an average; between sums and map only a pool can stand."""

    class Own(chainer.Chain):
        def __init__(self) -> None:
            super().__init__()
            with self.init_scope():
                self.conv, self.first = BinaryConv2D(1, 6, 3, pad=1), MapNorm(6, 9 * 255)
                self.second, self.map, self.norm = BinaryConv2D(6, 6, 3, pad=1), MapNorm(6, 54), BatchNorm(6)
                self.dense, self.scores = BinaryDense(6, 3), Scores(3)
                self.bad = False

        def forward(self, x: np.ndarray) -> chainer.Variable:
            r = self.first(self.conv(x))
            sums = self.second(sign(self.norm(r)))
            r = self.map(self.norm(sums) if self.bad else sums, r)
            return self.scores(self.dense(average(r, r.creator.grid)))

    chain, x = Own(), images((6, 7, 1))
    make_adversarial(chain, x, 1)
    network = assert_exact(chain, x)
    assert [node.output for node in network.nodes] == ["i16", "bits", "i16", "i16", "i32"]
    chain.bad = True
    with pytest.raises(ebnn.EbnnError, match=r"/norm \(BatchNorm\): sign must follow it"):
        lower(chain, x)


def test_residual_network_learns_and_resumes(digits: data.Dataset, tmp_path: Path) -> None:
    config = Config(arch="8c3p1+-8c3p1+-16c3s2p1+-16c3p1+-a-10", epochs=3, batch=32, lr=0.03, estimator="approxsign")
    whole = train(digits, config, tmp_path / "whole", silent)
    with pytest.raises(KeyboardInterrupt):
        train(digits, config, tmp_path / "parts", stop_after_two_epochs())
    again = train(digits, config, tmp_path / "parts", silent)
    assert build_model(assert_exact(again.chain, digits.x_test)) == build_model(lower(whole.chain, digits.x_test))
    assert again.metrics["test_accuracy"] > 0.5


def stop_after_two_epochs():
    """A report that ends a run as Ctrl-C does, when two epochs are saved."""

    def report(line: str) -> None:
        if line.lstrip().startswith("2 "):
            raise KeyboardInterrupt

    return report


# --- weights of a byte ---


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("12i5p2-p2-8c3-10", {"activation": "rprelu"}),
        ("12i5p2-a2-8i3-10", {"gain": True, "border": 1}),
        ("9i3p1+-9c3p1+-10", {}),
        ("d3-5i3s2p1-6c1-a", {"order": "norm-pool-sign", "border": 0}),
    ],
)
def test_chains_with_weights_of_a_byte_are_exact(text: str, more: dict) -> None:
    for network in assert_every_chain_exact(Config(arch=text, **more), (13, 12, 3)):
        kinds = ["i" in token for token in text.split("-") if token[-1] != "a" and token not in ("p2", "a2")]
        assert [node.has_int8 for node in network.nodes if node.weights is not None] == kinds


def test_weights_of_a_byte_are_rounded_latents() -> None:
    latent, g = np.float32([[-1.25, -1, -0.5, 0.0039], [0.004, 0.49, 1, 2]]), np.ones((2, 4), np.float32)
    assert INT8.values(latent).tolist() == [[-127, -127, -64, 0], [1, 62, 127, 127]]
    assert (INT8.gradient(latent, g) == 127).all()


def test_weights_of_a_byte_keep_their_binarizer_and_optimizer() -> None:
    """They are no floats in the first of two stages, no signs for Bop, and polishing leaves them alone."""
    config = Config(arch="4i3-4c3-10", optimizer="bop")
    chain, x = build(config, (8, 8, 1)), images((8, 8, 1), 20)
    with stage.at(0, True):
        first, second = chain.conv1(x).array, chain.conv2(np.ones((1, 6, 6, 4), np.float32)).array
    assert (first == np.rint(first)).all() and (second != np.rint(second)).any()
    optimizers.setup(chain, config, 10)
    assert set(np.unique(chain.conv2.W.array)) == {-1, 1} and len(np.unique(chain.conv1.W.array)) == 36
    before = chain.conv1.signs.copy()
    polish.epoch(chain, x, np.arange(20) % 10)
    assert (chain.conv1.signs == before).all()
    twin = build(config.replace(optimizer="adam", weights="float"), (8, 8, 1))
    assert not twin.conv1.is_integer


# --- average pooling ---


@pytest.mark.parametrize(
    ("text", "shape", "more"),
    [
        ("8c3p1-a2-8c3p1-a2x3-10", (13, 12, 3), {"gain": True, "activation": "prelu", "order": "norm-sign-pool"}),
        ("8c3p1-p2-6c1-a", (13, 12, 3), {"gain": True}),
        ("6c3p1-a", (13, 12, 3), {"border": 1}),
        ("6c3-p2-8c1-a-7-10", (12, 12, 1), {}),
        ("8c3p1+-a2-d3p1+-a2-a-10", (12, 12, 1), {}),
        ("8c3p1+-8c3p1+-p2-a-10", (12, 12, 1), {}),
        ("8c3p1+-p2-p2-a-10", (12, 12, 1), {}),
    ],
)
def test_chains_with_averages_are_exact(text: str, shape: tuple, more: dict) -> None:
    tokens = [token[0] for token in text.split("-")]
    for network in assert_every_chain_exact(Config(arch=text, **more), shape):
        assert sum(node.geometry.pool_sum for node in network.nodes) >= tokens.count("a")


def test_offsets_finer_than_their_sums_are_named() -> None:
    chain = build("4c3-a-3", (6, 6, 1))
    chain.scores.step = 2.0**-5
    chain.scores.bias.array[...] = 2.0**-6
    with pytest.raises(ebnn.EbnnError, match=r"/scores \(Scores\): its step 0.03125 is finer than its sums"):
        lower(chain, images((6, 6, 1)))


def test_sum_pool_by_hand_and_by_differences() -> None:
    x = np.arange(30, dtype=np.float32).reshape(1, 3, 5, 2)
    y = sum_pool(chainer.Variable(x), (3, 2))
    assert y.array.tolist() == [[[[66, 72], [90, 96]]]]
    gy = np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    pool = functools.partial(sum_pool, window=(3, 2))
    np.testing.assert_allclose(gradients(pool, [x], gy)[0], differences(pool, [x], gy, 1.0)[0], atol=1e-3)
    with pytest.raises(ebnn.EbnnError, match="does not fit"):
        sum_pool(chainer.Variable(x), 4)


# --- levels ---


@pytest.mark.parametrize(
    ("text", "shape", "more"),
    [
        ("8c3p1l3-8c3l2-p2-4d2l2-10", (9, 9, 3), {"learnable_shift": True}),
        ("8c3p1l3-p2-8c3l2-p2-10", (13, 14, 3), {"order": "norm-sign-pool", "activation": "rprelu"}),
        ("8c3p1l3-p2-8c3l2-p2-10", (13, 14, 3), {"order": "norm-pool-sign", "activation": "prelu"}),
        ("8c3p1+-8c3p1l3+-8c3p1+-10", (9, 9, 3), {}),
        ("t7-12c3p1-p2-10", (13, 12, 1), {}),
        ("t3-12c3p1l2-2d3-10", (9, 9, 3), {"border": 0}),
        ("t1-10", (5, 4, 3), {}),
    ],
)
def test_chains_with_levels_are_exact(text: str, shape: tuple, more: dict) -> None:
    for network in assert_every_chain_exact(Config(arch=text, **more), shape):
        assert "l" not in text or any(node.levels > 1 for node in network.nodes)


def test_thermometer_by_hand() -> None:
    """Thresholds are even; levels come one after the other, in each channel after channel."""
    x = np.uint8([[0, 255], [64, 63], [128, 191], [192, 127]]).reshape(4, 1, 1, 2)
    assert thermometer(x, 3).array.reshape(4, 6).tolist() == [
        [-1, 1, -1, 1, -1, 1],
        [1, -1, -1, -1, -1, -1],
        [1, 1, 1, 1, -1, -1],
        [1, 1, 1, -1, 1, -1],
    ]
    network = lower(build("t3-4c1-2", (1, 1, 2)), x)
    assert network.nodes[0].thresholds.tolist() == [64, 64, 128, 128, 192, 192]
    assert ThermometerFunction(2).thresholds == [86, 171]


def test_levels_begin_evenly_and_learn() -> None:
    generator, link = np.random.default_rng(1), Levels(2, 4)
    assert link.shift.array.tolist() == [[-0.75] * 2, [-0.25] * 2, [0.25] * 2, [0.75] * 2]
    x = generator.standard_normal((3, 2, 2)).astype(np.float32)
    gy = generator.standard_normal((3, 2, 8)).astype(np.float32)

    def levels(a: chainer.Variable, shift: chainer.Variable) -> chainer.Variable:
        return LevelsFunction().apply((a, shift))[0]

    arrays = [x, link.shift.array]
    for found, wanted in zip(gradients(levels, arrays, gy), differences(levels, arrays, gy), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    np.testing.assert_allclose(link(chainer.Variable(x)).array[..., 2:4], x + 0.25)


# --- slopes of any sign ---


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("8c3p1-p2-8c3-9-10", {"activation": "prelu"}),
        ("d3p1-8i3-p3s1p1-8c3-10", {"activation": "rprelu", "gain": True, "border": 0}),
        ("8c3-a2-8c3-10", {"activation": "rprelu", "gain": True}),
    ],
)
def test_slopes_of_any_sign_take_two_thresholds(text: str, more: dict) -> None:
    for network in assert_every_chain_exact(Config(arch=text, negative_slopes=True, **more), (13, 14, 3)):
        assert all(node.exclusive and node.levels == 2 for node in network.nodes[:-1])
        first, second = np.split(network.nodes[0].thresholds, 2)
        highest = max(first.max(), second.max())
        assert (second < highest).any()  # some bits do switch twice


def test_interval_finds_two_switches_and_refuses_three() -> None:
    def bits(sums: np.ndarray) -> np.ndarray:
        columns = [sums >= 3, abs(sums) <= 5, abs(sums) > 1500, sums > -9999, sums > 9999]
        return np.concatenate(columns, axis=1)

    first, second, begins = fold.interval(bits, -2001, 2001, 2)
    assert first.tolist() == [3, -5, -1499, 2003, 2003] and second.tolist() == [2003, 7, 1501, 2003, 2003]
    assert begins.tolist() == [False, False, True, True, False]
    with pytest.raises(ValueError, match="channel 0 switches more than twice"):
        fold.interval(lambda sums: (abs(sums) <= 5) | (sums > 50), -100, 100)


def test_gradients_of_slopes_of_any_sign_equal_differences() -> None:
    generator = np.random.default_rng(2)
    arrays = [generator.choice(np.float32([-2, -1, 1, 2]), (4, 3)), np.float32([-0.5, 0, 2])]
    gy = generator.standard_normal((4, 3)).astype(np.float32)

    def bend(x: chainer.Variable, slope: chainer.Variable) -> chainer.Variable:
        return FreePReLUFunction().apply((x, slope))[0]

    for found, wanted in zip(gradients(bend, arrays, gy), differences(bend, arrays, gy), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_pool_behind_bits_that_switch_twice_is_a_node_of_its_own() -> None:
    class Own(chainer.Chain):
        def __init__(self, late: bool) -> None:
            super().__init__()
            with self.init_scope():
                self.conv, self.act, self.norm = BinaryConv2D(1, 6, 3), PReLU(6, free=True), BatchNorm(6)
                self.dense, self.scores = BinaryDense(3 * 3 * 6, 3), Scores(3)
            self.late = late

        def forward(self, x: np.ndarray) -> chainer.Variable:
            h = self.norm(self.act(self.conv(x)))
            return self.scores(self.dense(max_pool(sign(h), 2) if self.late else sign(max_pool(h, 2))))

    chain, x = Own(True), images((8, 8, 1), 12)
    make_adversarial(chain, x, 0)
    assert [node.op for node in assert_exact(chain, x).nodes] == ["conv", "pool", "dense"]
    with pytest.raises(ebnn.EbnnError, match="MaxPoolFunction after /norm .*: must stand right after the convolution"):
        lower(Own(False), x)


# --- borders ---


@pytest.mark.parametrize("border", [-1, 0, 1])
def test_borders_of_a_configuration(border: int) -> None:
    config = Config(arch="8c3p1-p2-8c3p1-d5p2-10", border=border, learnable_shift=True)
    for network in assert_every_chain_exact(config, (8, 9, 2)):
        assert [node.geometry.border for node in network.nodes[:3]] == [border or -1, border, border]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"border": 2}, "border must be -1, 0 or 1"),
        ({"negative_slopes": True}, "negative_slopes must be false without an activation"),
        ({"negative_slopes": True, "activation": "prelu", "order": "norm-sign-pool"}, "negative_slopes must be false"),
        ({"negative_slopes": True, "activation": "prelu", "arch": "8c3l2-10"}, "false .* with levels"),
    ],
)
def test_faults_of_fields_are_named(changes: dict, said: str) -> None:
    with pytest.raises(ebnn.EbnnError, match=said):
        Config(**{"arch": "8c3-10"} | changes)


@pytest.mark.parametrize(
    "config",
    [
        Config(arch="12i3p1-a2-16c3p1l2-10c1-a", border=0),
        Config(arch="t5-12c3p1-p2-16c3-10", activation="rprelu", negative_slopes=True, two_stage=0.25),
    ],
    ids=["averages", "thermometer"],
)
def test_networks_of_other_numbers_learn(digits: data.Dataset, config: Config) -> None:
    assert_learns(digits, config)


# --- several bases ---


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("6c3p1m3-p2-8c3m2-10", {"learnable_shift": True, "order": "norm-sign-pool"}),
        ("6i3m2-a2-8c3p1m2l2-10", {"maps": "i8"}),
        ("6c3p1m2+-8c3p1m2+-d3s2p1m2+-a-10", {}),
    ],
)
def test_chains_with_bases_are_exact(text: str, more: dict) -> None:
    bases = sum(int(token[token.index("m") + 1]) for token in text.split("-") if "m" in token)
    for network in assert_every_chain_exact(Config(arch=text, **more), (10, 11, 2)):
        assert sum(node.op in ("conv", "depthwise") for node in network.nodes) == bases
        assert network.nodes[1].inputs == (0, 1)


def test_bases_cannot_pool_windows_that_overlap() -> None:
    with pytest.raises(ebnn.EbnnError, match=r"token 2 \('p3s2'\): windows overlap"):
        build("8c3m2-p3s2-10", (12, 12, 1))


# --- everything at once ---


def random_config(rng: np.random.Generator) -> Config:
    """Any tokens of the grammar in a row, with any fields that go with them."""
    has_maps = bool(rng.random() < 0.5)
    tokens = [f"t{rng.integers(1, 6)}"] if rng.random() < 0.2 else []
    for _ in range(int(rng.integers(1, 5))):
        tokens += random_layer(rng, has_maps)
    ends = [["10"], ["7", "10"], ["a", "10"], ["a", "6", "10"], ["10c1", "a"], ["9i2", "a"]]
    tokens += ends[int(rng.choice(len(ends)))]
    fields = {
        "order": str(rng.choice(ORDERS)),
        "learnable_shift": bool(rng.random() < 0.5),
        "border": int(rng.integers(-1, 2)),
        "maps": str(rng.choice(["i16", "i8"])),
        "shortcut": str(rng.choice(["zeros", "repeat"])),
        "weights": str(rng.choice(["clip", "standard", "magnitude"])),
    }
    if not has_maps:
        fields |= {"activation": str(rng.choice(["none", "prelu", "rprelu"])), "gain": bool(rng.random() < 0.5)}
        bends = fields["activation"] != "none" and fields["order"] == "pool-norm-sign"
        fields["negative_slopes"] = bends and bool(rng.random() < 0.7)
    return Config(arch="-".join(tokens), seed=int(rng.integers(1 << 30)), **fields)


def random_layer(rng: np.random.Generator, has_maps: bool) -> list[str]:
    """A convolution of any kind that keeps or halves its map, and perhaps a pool."""
    kind, adds = str(rng.choice(["c", "c", "d", "i"])), has_maps and bool(rng.random() < 0.7)
    count = 36 if adds and kind != "d" else int(rng.choice([1, 2] if kind == "d" else [5, 8, 33]))
    bases = int(rng.choice([1, 1, 2])) if has_maps else 1
    text = f"{count}{kind}3{rng.choice(['', 's2'])}p1" + (f"m{bases}" if bases > 1 else "")
    text += (f"l{rng.integers(2, 4)}" if rng.random() < 0.2 else "") + ("+" if adds else "")
    pools = ["", "", "p2", "a2", *([] if bases > 1 else ["p3s2p1"])]
    return list(filter(None, [text, str(rng.choice(pools))]))


def random_chain(seed: int) -> tuple[chainer.Chain, tuple[int, int, int]]:
    """The first that fits its input of those that the seed gives."""
    rng = np.random.default_rng(seed)
    while True:
        shape = (int(rng.integers(9, 20)), int(rng.integers(9, 20)), int(rng.integers(1, 4)))
        try:
            return build(random_config(rng), shape), shape
        except ConfigError:
            continue


@pytest.mark.parametrize("seed", range(RANDOM_CHAINS))
def test_random_chains_are_exact(seed: int) -> None:
    """Also by the oracle, on the model's own self-test."""
    chain, shape = random_chain(seed)
    x = images(shape, 6)
    make_adversarial(chain, x, seed)
    model = oracle.decode(build_model(assert_exact(chain, x)))
    assert oracle.selftest(model) == model.selftest_crc


def test_random_chains_cover_what_there_is() -> None:
    configs = [random_chain(seed)[0].config for seed in range(RANDOM_CHAINS)]
    tokens = "-" + "-".join(config.arch for config in configs)
    for part in ("+", "m2", "l2", "d3", "i3", "a2", "p3s2p1", "-t", "-a-", "-a"):
        assert tokens.count(part) >= 3, part
    for field, least in (("negative_slopes", 3), ("gain", 5), ("learnable_shift", 10)):
        assert sum(getattr(config, field) for config in configs) >= least, field
    assert {config.border for config in configs} == {-1, 0, 1} and {config.order for config in configs} == set(ORDERS)
