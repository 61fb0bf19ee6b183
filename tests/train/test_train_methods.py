"""Methods of training: their formulas, and that the integers are the trainer's whatever is chosen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from adversarial import images, make_adversarial

import ebnn
from ebnn.errors import ConfigError, ExportError, NetworkError
from ebnn.train import (
    BatchNorm,
    BinaryConv2D,
    BinaryDense,
    Config,
    PReLU,
    RPReLU,
    Scores,
    Shift,
    build,
    chainer,
    data,
    estimators,
    functions,
    max_pool,
    optimizers,
    predict_scores,
    sign,
    stage,
    train,
    weights,
)
from ebnn.train.config import ORDERS
from ebnn.train.freeze import Freezer
from ebnn.train.lower import lower
from ebnn.train.model import binary_links

NETS = [
    ("9c3p1-p2-12c3-p2-7-5", (13, 14, 2)),  # a hidden dense layer
    ("9c3-p3s2-7c2p1-p3s1p1-4", (11, 12, 1)),  # pools that overlap, one with padding
    ("6c2-p2-p2s1-5", (9, 9, 1)),  # a pool of features too
    ("33c1x5p0x2-p1x2-5c1x3s1x2-3", (1, 32, 1)),
    ("5c3-p17-4", (19, 20, 1)),  # a pool of more positions than a byte tells apart
]


def silent(line: str) -> None:
    pass


def assert_exact(chain: chainer.Chain, x: np.ndarray) -> ebnn.Network:
    """Trainer and simulator give the same scores."""
    network = lower(chain, x)
    assert np.array_equal(ebnn.Simulator(network).run(x), predict_scores(chain, x))
    return network


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ["none", "prelu", "rprelu"])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize(("text", "shape"), NETS)
def test_every_composition_is_exact(order: str, activation: str, more: bool, text: str, shape: tuple) -> None:
    chosen = Config(arch=text, order=order, activation=activation, learnable_shift=more, gain=more)
    x = images(shape)
    for seed, kind in enumerate(("clip", "standard", "magnitude")):
        chain = build(chosen, shape, seed=seed, weights=kind)
        make_adversarial(chain, x, seed)
        assert_exact(chain, x)


@pytest.mark.parametrize("order", ORDERS)
def test_order_costs_the_device_nothing(order: str) -> None:
    """One node a convolution, its pool inside."""
    chain = build(Config(arch="4c3-p2-5c3-p3s2-10", order=order), (20, 20, 1))
    assert [node.op for node in lower(chain, images((20, 20, 1))).nodes] == ["conv", "conv", "dense"]


def test_falling_channels_before_a_pool_negate_weights_behind_it_they_flip() -> None:
    for order, turned in (("pool-norm-sign", False), ("norm-pool-sign", True), ("norm-sign-pool", True)):
        chain, x = build(Config(arch="4c3-p2-2", order=order), (6, 6, 1)), images((6, 6, 1))
        chain(x)
        chain.bn1.gamma.array[1] = -1
        node = assert_exact(chain, x).nodes[0]
        assert (node.flips is None) == turned
        assert np.array_equal(node.weights[1], -chain.conv1.signs[1] if turned else chain.conv1.signs[1])


class Own(chainer.Chain):
    """Falls before the pool and falls after it: a batch norm on either side."""

    def __init__(self) -> None:
        super().__init__()
        with self.init_scope():
            self.conv, self.bn1, self.bn2 = BinaryConv2D(1, 16, 3, gain=True), BatchNorm(16), BatchNorm(16)
            self.act, self.shift = RPReLU(16, 9.0), Shift(16)
            self.dense, self.scores = BinaryDense(3 * 3 * 16, 4), Scores(4)

    def forward(self, x: np.ndarray) -> chainer.Variable:
        h = max_pool(self.bn1(self.conv(x)), 3, 1, 1)
        h = sign(self.shift(self.bn2(self.act(h))))
        return self.scores(self.dense(max_pool(h, 2)))


@pytest.mark.parametrize("seed", range(6))
def test_functions_on_both_sides_of_a_pool(seed: int) -> None:
    np.random.seed(seed)
    chain, x = Own(), images((8, 8, 1))
    make_adversarial(chain, x, seed)
    for norm in (chain.bn1, chain.bn2):  # so that bits still differ
        norm.gamma.array[:8] = np.random.default_rng(seed).choice(np.float32([-1, 1]), 8)
        norm.beta.array[:8], norm.variance[:8] = 0, 1
    network = assert_exact(chain, x)
    assert [node.op for node in network.nodes] == ["conv", "pool", "dense"]


@pytest.mark.parametrize(
    "chosen",
    [
        Config(estimator="approxsign", weights="standard", gain=True, learnable_shift=True),
        Config(estimator="swishsign", activation="rprelu", order="norm-pool-sign", two_stage=0.5),
        Config(estimator="error-decay", weights="magnitude", optimizer="sgd", lr=0.1, bnn_plus=1e-4),
        Config(estimator="reste", activation="prelu", order="norm-sign-pool", optimizer="bop", schedule="linear"),
        Config(estimator="error-decay", two_stage=0.25, freeze=0.1, lr=0.03),
        Config(estimator="ste", ste_clip=0.5, schedule="step", reestimate=False, augment="shift1", copies=2),
    ],
)
def test_trained_network_is_exact(digits: data.Dataset, chosen: Config) -> None:
    result = train(digits, chosen.replace(arch="8c3p1-p2-12c3-10", epochs=4, batch=32), None, silent)
    network = assert_exact(result.chain, digits.x_test)
    found = ebnn.Simulator(network).run(digits.x_test).argmax(axis=1)
    assert (found == digits.y_test).mean() == result.metrics["test_accuracy"] > 0.3


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    """scikit-learn's digits."""
    return data.load("digits")


def derivative(function, x: np.ndarray, step: float = 1e-4) -> np.ndarray:
    return (function(x + step) - function(x - step)) / (2 * step)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


SMOOTH = {
    "approxsign": lambda x, p: np.where(np.abs(x) < 1, 2 * x - np.sign(x) * x * x, np.sign(x)),
    "swishsign": lambda x, p: 2 * logistic(5 * x) * (1 + 5 * x * (1 - logistic(5 * x))) - 1,
    "error-decay": lambda x, p: max(10 ** (1 - 2 * p), 1) * np.tanh(10 ** (2 * p - 1) * x),
    "reste": lambda x, p: np.sign(x) * np.abs(x) ** (1 / (1 + 2 * p)) * (np.abs(x) < 1.5),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_estimators_are_the_derivatives_of_their_functions(name: str, progress: float) -> None:
    x = np.linspace(-1.93, 1.97, 40)
    x = x[np.abs(x) > 0.11] if name == "reste" else x
    with stage.at(progress):
        factor = estimators.find(name)(x.astype(np.float32))
    assert factor.dtype == np.float32
    np.testing.assert_allclose(factor, derivative(lambda v: SMOOTH[name](v, progress), x), rtol=2e-3, atol=2e-4)


def test_estimators_near_zero_and_far_out() -> None:
    with stage.at(1.0):
        np.testing.assert_allclose(
            estimators.ReSTE()(np.float32([0, 0.1, -0.05, 1.6])), [0.1 ** (1 / 3 - 1)] * 3 + [0], 1e-5
        )
    for estimator in estimators.ESTIMATORS.values():
        far = estimator(np.float32([-1e37, -1e4, 1e4, 1e37]))
        assert np.abs(far).max() < 1e-6


def test_band_of_the_straight_through_estimator() -> None:
    x = np.float32([0.4, 0.6])
    assert estimators.find("ste", 0.5)(x).tolist() == [1, 0]
    chain = build(Config(arch="4c3-2", ste_clip=0.5), (5, 5, 1))
    assert chain.estimator == estimators.ClippedSTE(0.5)


def test_annealed_estimators_follow_the_run(digits: data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def note(x: np.ndarray) -> np.ndarray:
        seen.append(stage.progress())
        return np.ones_like(x)

    monkeypatch.setitem(estimators.ESTIMATORS, "reste", note)
    train(digits, Config(arch="4c3-10", epochs=3, estimator="reste"), None, silent)
    assert sorted(set(seen)) == [0, 0.5, 1] and seen == sorted(seen)
    assert stage.progress() == 1


def test_standard_weights_balance_each_filter() -> None:
    latent = np.random.default_rng(0).uniform(-1, 1, (5, 3, 3, 4)).astype(np.float32) + np.float32(0.9)
    values = weights.find("standard").values(latent)
    assert np.abs(values.reshape(5, -1).mean(axis=1)).max() < 0.35 < values.shape[0]
    assert set(values.ravel().tolist()) == {-1, 1}
    assert weights.find("clip").values(latent).mean() > 0.8


def test_gradient_of_standard_weights_is_that_of_standardizing() -> None:
    generator = np.random.default_rng(1)
    latent, g = generator.standard_normal((2, 3, 7)).astype(np.float32)
    found = weights.find("standard").gradient(latent, g)

    def value(w: np.ndarray) -> float:
        return float((g * (w - w.mean(1, keepdims=True)) / w.std(1, keepdims=True)).sum())

    for index in itertools.product(range(3), range(7)):
        step = np.zeros((3, 7))
        step[index] = 1e-5
        expected = (value(latent + step) - value(latent.astype(float) - step)) / 2e-5
        assert found[index] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_gradient_of_magnitude_weights_is_larger_for_small_ones() -> None:
    latent, g = np.float32([[0.5, -0.5], [0.1, 0.1]]), np.float32([[1, 2], [1, 2]])
    np.testing.assert_allclose(weights.find("magnitude").gradient(latent, g), [[2, 4], [10, 20]], rtol=1e-6)
    with pytest.raises(ConfigError, match="weights 'sharp': there are clip, standard, magnitude, float"):
        weights.find("sharp")


def gradients_by_difference(function, arrays: list[np.ndarray], gy: np.ndarray) -> list[np.ndarray]:
    """Central differences of sum(gy * function(arrays))."""
    found = []
    for array in arrays:
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            values = []
            for step in (1e-2, -1e-2):
                moved = [a.copy() for a in arrays]
                moved[next(k for k, a in enumerate(arrays) if a is array)][index] += step
                values.append(float((gy * function().apply(moved)[0].array).sum()))
            gradient[index] = (values[0] - values[1]) / 2e-2
        found.append(gradient)
    return found


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (functions.GainFunction, np.float32([[0.5, -0.25], [0.75, 1], [-0.3, 0.2]])),
        (lambda: functions.ShiftFunction(3.0), np.float32([0.5, -1, 2])),
        (functions.PReLUFunction, np.float32([0.25, 0.5, 2])),
    ],
)
def test_gradients_of_monotone_functions(function, parameter: np.ndarray) -> None:
    generator = np.random.default_rng(2)
    x = generator.choice([-2, -1, 1, 2], (4, 3)).astype(np.float32)
    gy = generator.standard_normal((4, 3)).astype(np.float32)
    variables = [chainer.Variable(x), chainer.Variable(parameter)]
    (y,) = function().apply(variables)
    y.grad = gy
    y.backward()
    expected = gradients_by_difference(function, [x, parameter], gy)
    for variable, by_difference in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.grad, by_difference, rtol=1e-2, atol=1e-3)


def test_slopes_below_zero_count_as_zero_and_learn_only_upwards() -> None:
    link, x = PReLU(2), chainer.Variable(np.float32([[-2, -2], [4, 4]]))
    link.slope.array[...] = (-0.5, 0.5)
    y = link(x)
    assert y.array.tolist() == [[0, -1], [4, 4]]
    for gy, expected in ((np.float32([[1, 1], [1, 1]]), [-2, -2]), (np.float32([[-1, -1], [1, 1]]), [0, 2])):
        link.cleargrads()
        y = link(x)
        y.grad = gy
        y.backward()
        assert link.slope.grad.tolist() == expected


def bop(digits: data.Dataset, **changes) -> tuple:
    config = Config(arch="4c3-10", optimizer="bop", lr=0.01, bop_rate=0.5, bop_threshold=0.25, **changes)
    chain = build(config, digits.shape)
    return chain, optimizers.setup(chain, config, 10)


def test_bop_flips_what_its_average_opposes(digits: data.Dataset) -> None:
    chain, optimizer = bop(digits)
    w = chain.dense2.W
    assert set(np.unique(w.array)) == {-1, 1}
    w.array.flat[:4] = (1, 1, -1, -1)
    before = w.array.copy()
    chain.cleargrads()
    for param in chain.params():
        param.grad = np.zeros_like(param.array)
    w.grad.flat[:4] = (1, 0.4, -1, 1)
    optimizer.update()
    # The average is half of the gradient: 0.5 and -0.5 pass the threshold, but the last has the other sign.
    assert (w.array * before).flat[:4].tolist() == [-1, 1, -1, 1]
    assert (w.array == before).sum() == w.size - 2
    optimizers.set_rate(optimizer, 0.005)  # half the rate, half of the average's step
    optimizer.update()
    np.testing.assert_allclose(w.update_rule.state["m"].flat[:2], [0.75 * 0.5 + 0.25, 0.75 * 0.2 + 0.1], rtol=1e-6)


def test_pull_moves_latents_towards_one() -> None:
    config = Config(arch="4c3-10", optimizer="sgd", lr=0.5, bnn_plus=0.1)
    chain = build(config, (5, 5, 1))
    optimizer = optimizers.setup(chain, config, 10)
    chain.conv1.W.array.flat[:5] = (0.5, -0.5, 1.5, -1.5, 0)
    before = {name: param.array.copy() for name, param in chain.namedparams()}
    for param in chain.params():
        param.grad = np.zeros_like(param.array)
    optimizer.update()
    moved = (chain.conv1.W.array - before["/conv1/W"]).flat[:5]
    np.testing.assert_allclose(moved, [0.05, -0.05, -0.05, 0.05, 0], rtol=1e-4)
    assert np.array_equal(chain.bn1.gamma.array, before["/bn1/gamma"])


def test_a_weight_that_oscillates_is_frozen_on_the_side_where_it_was_most() -> None:
    config = Config(arch="4c3-10", epochs=2, freeze=0.01)
    link, steps = build(config, (5, 5, 1)).conv1, 200
    link.W.update_rule = chainer.optimizer.UpdateRule()
    freezer, latent = Freezer(link, config.freeze, 0, steps), link.W.array
    latent.flat[:2] = (0.1, -0.1)
    frozen_at = []
    for step in range(steps):
        link.W.update_rule.t = step + 1
        freezer.before(link.W.update_rule, link.W)
        latent.flat[0] = -0.2 if step % 3 == 2 else 0.1  # two steps of three it is +1
        freezer.after(link.W.update_rule, link.W)
        if link.frozen.flat[0] != 0:
            frozen_at.append(step)
    # It flips in two steps of three: at 0.5 * (0.01 / 0.5) ** share that is too often once the average has risen.
    assert 20 < frozen_at[0] < steps - 20
    assert frozen_at == list(range(frozen_at[0], steps))
    assert latent.flat[0] > 0
    assert latent.flat[1] == np.float32(-0.1)
    assert np.count_nonzero(link.frozen) == 1


def test_two_stages(digits: data.Dataset) -> None:
    config = Config(arch="8c3p1-p2-10", epochs=4, batch=32, two_stage=0.5, lr=0.03)
    chain = build(config, digits.shape)
    with stage.at(0, True):
        floats = chain.conv1(digits.x_test[:2]).array
    assert (floats != np.rint(floats)).any()
    assert np.array_equal(chain.conv1(digits.x_test[:2]).array % 1, np.zeros_like(floats))
    result = train(digits, config, None, silent)
    assert result.metrics["selected_epoch"] in (3, 4)
    rates = [line.lr for line in result.epochs]
    assert rates[0] == rates[2] and rates[1] == rates[3]  # each stage has its own schedule
    best = [line.best_accuracy for line in result.epochs]
    assert best[2] == result.epochs[2].held_out_accuracy and best[1] == max(best[0], best[1])
    held_out = digits.split()[1]
    network = lower(result.chain, digits.x_test)
    found = ebnn.Simulator(network).run(digits.x_train[held_out]).argmax(axis=1)
    assert (found == digits.y_train[held_out]).mean() == result.metrics["held_out_accuracy"]


def test_float_twin_learns_and_is_refused(digits: data.Dataset) -> None:
    config = Config(arch="8c3p1-p2-8c3p1-10", epochs=3, batch=32, lr=0.01, weights="float", features="relu")
    result = train(digits, config, None, silent)
    assert result.metrics["test_accuracy"] > 0.8
    assert result.chain.conv2.geometry.border == 0
    with pytest.raises(ExportError, match=r"/conv1 \(BinaryConv2D\): its weights are floats: a float network cannot"):
        lower(result.chain, digits.x_test)
    signs_of_floats = build(config.replace(features="sign"), digits.shape)
    with pytest.raises(ExportError, match=r"/conv1 \(BinaryConv2D\): its weights are floats: a float network cannot"):
        lower(signs_of_floats, digits.x_test)
    with pytest.raises(NetworkError, match=r"conv1 \(BinaryConv2D\): its weights are floats"):
        _ = signs_of_floats.conv1.signs
    assert not any(link.is_binary for link in binary_links(signs_of_floats))


def test_gain_before_scores_is_refused() -> None:
    class Head(chainer.Chain):
        def __init__(self) -> None:
            super().__init__()
            with self.init_scope():
                self.dense, self.scores = BinaryDense(25, 3, gain=True), Scores(3)

        def forward(self, x: np.ndarray) -> chainer.Variable:
            return self.scores(self.dense(x))

    with pytest.raises(ExportError, match=r"/dense \(BinaryDense\): sign must follow it"):
        lower(Head(), images((5, 5, 1)))


def test_shifts_of_rprelu_come_in_steps_of_the_sums_deviation() -> None:
    """Bytes spread evenly count as -255 to 255; features are -1 or +1."""
    chain, generator = build("8c5-16c3-10", (12, 12, 1), activation="rprelu"), np.random.default_rng(0)
    values = 2 * generator.integers(0, 256, (2000, 5 * 5)) - 255, generator.choice((-1, 1), (2000, 3 * 3 * 8))
    for inputs, link, unit in zip(values, (chain.conv1, chain.conv2), (chain.act1.unit, chain.act2.unit), strict=True):
        assert unit == pytest.approx((inputs @ link.signs.reshape(len(link.W), -1).T).std(), rel=0.05)
