"""Functions and links: exact integers against a naive loop, gradients against differences and against Chainer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ebnn.errors import ConfigError, NetworkError
from ebnn.train import BatchNorm, BinaryConv2D, BinaryDense, Scores, chainer, max_pool, sign
from ebnn.train.estimators import ApproxSign, ClippedSTE


def naive_conv(x: np.ndarray, link: BinaryConv2D) -> np.ndarray:
    """Integer sums of one image, by the definition."""
    geometry, weights = link.geometry, link.signs.astype(int)
    top, left, bottom, right = geometry.pad
    values = 2 * x.astype(int) - 255 if x.dtype == np.uint8 else x.astype(int)
    border = geometry.border * (255 if x.dtype == np.uint8 else 1)
    height, width, channels = x.shape
    padded = np.full((height + top + bottom, width + left + right, channels), border)
    padded[top : top + height, left : left + width] = values
    (kh, kw), (sh, sw) = geometry.kernel, geometry.stride
    rows, columns = (padded.shape[0] - kh) // sh + 1, (padded.shape[1] - kw) // sw + 1
    sums = np.zeros((rows, columns, len(weights)), int)
    for y, x_, f in itertools.product(range(rows), range(columns), range(len(weights))):
        for ky, kx, c in itertools.product(range(kh), range(kw), range(channels)):
            sums[y, x_, f] += weights[f, ky, kx, c] * padded[y * sh + ky, x_ * sw + kx, c]
    return sums


def naive_pool(x: np.ndarray, window: tuple, stride: tuple, pad: tuple) -> np.ndarray:
    """Maximum of each window of one map, by the definition."""
    height, width, channels = x.shape
    rows = (height + 2 * pad[0] - window[0]) // stride[0] + 1
    columns = (width + 2 * pad[1] - window[1]) // stride[1] + 1
    y = np.empty((rows, columns, channels))
    for row, column in itertools.product(range(rows), range(columns)):
        top, left = row * stride[0] - pad[0], column * stride[1] - pad[1]
        inside = x[max(top, 0) : top + window[0], max(left, 0) : left + window[1]]
        y[row, column] = inside.reshape(-1, channels).max(axis=0)
    return y


def signs(generator: np.random.Generator, shape: tuple) -> np.ndarray:
    return generator.choice(np.float32([-1, 1]), shape)


def backward(y: chainer.Variable, seed: int = 99) -> np.ndarray:
    """Run back from ``y`` with a random gradient and return that gradient."""
    y.grad = np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
    gy = y.grad
    y.backward()
    return gy


CONVS = [
    # channels, filters, kernel, stride, pad, border
    (1, 3, 3, 1, 0, -1),
    (1, 2, 5, 2, 2, 1),
    (3, 4, (1, 3), (1, 2), (0, 1), -1),
    (5, 2, (3, 2), (2, 1), (2, 1), 1),
    (16, 3, 2, 3, 1, -1),
]


@pytest.mark.parametrize("arguments", CONVS)
@pytest.mark.parametrize("bytes_", [True, False])
@pytest.mark.parametrize("pool", [1, 2, (1, 3)])
def test_conv_equals_naive_integers(arguments: tuple, bytes_: bool, pool: int | tuple) -> None:
    generator, link = np.random.default_rng(1), BinaryConv2D(*arguments)
    shape = (3, 9, 11, arguments[0])
    x = generator.integers(0, 256, shape, dtype=np.uint8) if bytes_ else signs(generator, shape)
    window = (pool, pool) if isinstance(pool, int) else pool
    expected = [naive_pool(naive_conv(image, link), window, window, (0, 0)) for image in x]
    assert np.array_equal(link(x, pool=pool).array, np.stack(expected))


def test_conv_uses_its_latent_signs_with_zero_as_plus() -> None:
    link = BinaryConv2D(1, 1, 1)
    link.W.array[...] = 0
    assert link(np.full((1, 1, 1, 1), 200, np.uint8)).array.item() == 145
    link.W.array[...] = -1e-30
    assert link(np.full((1, 1, 1, 1), 200, np.uint8)).array.item() == -145


@pytest.mark.parametrize("bytes_", [True, False])
def test_dense_equals_naive_integers(bytes_: bool) -> None:
    generator, link = np.random.default_rng(2), BinaryDense(2 * 3 * 4, 5)
    shape = (6, 2, 3, 4)
    x = generator.integers(0, 256, shape, dtype=np.uint8) if bytes_ else signs(generator, shape)
    values = (2 * x.astype(int) - 255 if bytes_ else x.astype(int)).reshape(6, -1)
    assert np.array_equal(link(x).array, values @ link.signs.astype(int).T)


def dense_conv_gradients(link: BinaryConv2D, x: np.ndarray, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of weights and input by Chainer's own convolution with the binarized weights, channels first."""
    weights = chainer.Variable(link.signs.astype(np.float32).transpose(0, 3, 1, 2))
    variable = chainer.Variable(x)
    top, left, bottom, right = link.geometry.pad
    pads = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = chainer.functions.pad(variable, pads, "constant", constant_values=float(link.geometry.border))
    y = chainer.functions.convolution_2d(padded.transpose(0, 3, 1, 2), weights, stride=link.geometry.stride)
    y.grad = gy.transpose(0, 3, 1, 2)
    y.backward()
    return weights.grad.transpose(0, 2, 3, 1), variable.grad


@pytest.mark.parametrize("arguments", CONVS)
def test_conv_gradients_equal_chainers(arguments: tuple) -> None:
    generator, link = np.random.default_rng(3), BinaryConv2D(*arguments)
    x = chainer.Variable(signs(generator, (4, 9, 11, arguments[0])))
    y = link(x)
    link.cleargrads()
    gy = backward(y)
    gweights, gx = dense_conv_gradients(link, x.array, gy)
    np.testing.assert_allclose(link.W.grad, gweights, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(x.grad, gx, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arguments", CONVS)
@pytest.mark.parametrize("bytes_", [True, False])
def test_pool_inside_of_conv_has_the_gradients_of_pool_after_conv(arguments: tuple, bytes_: bool) -> None:
    compare_pools(arguments, bytes_, 2, (7, 11, 13, arguments[0]))


@pytest.mark.parametrize("pool", [16, 17, (2, 130)])
def test_pool_of_more_positions_than_a_byte_tells_apart(pool: int | tuple) -> None:
    compare_pools((1, 4, 3, 1, 1, -1), False, pool, (2, 20, 133, 1))


def compare_pools(arguments: tuple, bytes_: bool, pool: int | tuple, shape: tuple) -> None:
    """Gradients of ``pool`` inside and after a convolution of images of ``shape``."""
    generator, link = np.random.default_rng(4), BinaryConv2D(*arguments)
    image = generator.integers(0, 256, shape, dtype=np.uint8) if bytes_ else signs(generator, shape)
    grads = []
    for inside in (True, False):
        x = chainer.Variable(image, requires_grad=not bytes_)
        y = link(x, pool=pool) if inside else max_pool(link(x), pool)
        link.cleargrads()
        backward(y)
        grads.append((link.W.grad.copy(), x.grad))
    np.testing.assert_allclose(grads[0][0], grads[1][0], rtol=1e-4, atol=1e-2)
    if not bytes_:
        np.testing.assert_allclose(grads[0][1], grads[1][1], rtol=1e-4, atol=1e-4)


def test_dense_gradients_equal_chainers() -> None:
    generator, link = np.random.default_rng(6), BinaryDense(12, 5)
    x = chainer.Variable(signs(generator, (4, 3, 2, 2)))
    y = link(x)
    link.cleargrads()
    gy = backward(y)
    np.testing.assert_allclose(link.W.grad, gy.T @ x.array.reshape(4, -1), rtol=1e-5)
    np.testing.assert_allclose(x.grad.reshape(4, -1), gy @ link.signs, rtol=1e-5)


@pytest.mark.parametrize("windows", [(2, None, 0), (3, 2, 0), (3, 1, 1), ((1, 2), (2, 1), (0, 1))])
def test_max_pool(windows: tuple) -> None:
    generator = np.random.default_rng(7)
    x = chainer.Variable(generator.permutation(5 * 7 * 3 * 2).reshape(2, 5, 7, 3).astype(np.float32))
    y = max_pool(x, *windows)
    window, stride, pad = (part if isinstance(part, tuple) else (part, part) for part in windows)
    stride = window if stride == (None, None) else stride
    assert np.array_equal(y.array, [naive_pool(image, window, stride, pad) for image in x.array])
    gy = backward(y)
    other = chainer.Variable(x.array.transpose(0, 3, 1, 2))
    pooled = chainer.functions.max_pooling_2d(other, window, stride, pad, cover_all=False)
    pooled.grad = gy.transpose(0, 3, 1, 2)
    pooled.backward()
    np.testing.assert_allclose(x.grad, other.grad.transpose(0, 2, 3, 1), rtol=1e-5)


def test_max_pool_gives_a_tie_to_the_first() -> None:
    x = chainer.Variable(np.ones((1, 2, 2, 1), np.float32))
    y = max_pool(x, 2)
    y.grad = np.ones_like(y.array)
    y.backward()
    assert x.grad.ravel().tolist() == [1, 0, 0, 0]


def test_batch_norm_equals_chainers() -> None:
    generator, link = np.random.default_rng(8), BatchNorm(3, eps=1e-3)
    link.gamma.array[...], link.beta.array[...] = generator.standard_normal((2, 3))
    x = chainer.Variable(generator.standard_normal((4, 5, 2, 3)).astype(np.float32) * 3 + 1)
    y = link(x)
    link.cleargrads()
    gy = backward(y)
    other, gamma, beta = (chainer.Variable(a.array.copy()) for a in (x, link.gamma, link.beta))
    expected = chainer.functions.batch_normalization(other, gamma, beta, eps=1e-3, axis=(0, 1, 2))
    expected.grad = gy
    expected.backward()
    np.testing.assert_allclose(y.array, expected.array, rtol=1e-4, atol=1e-5)
    for mine, theirs in ((x, other), (link.gamma, gamma), (link.beta, beta)):
        np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


def test_batch_norm_outside_of_training() -> None:
    link = BatchNorm(2)
    link.mean[...], link.variance[...] = (1, -2), (4, 9)
    link.gamma.array[...], link.beta.array[...] = (2, -3), (0.5, 1)
    x = np.float32([[3, 1], [1, -2]])
    with chainer.using_config("train", False):
        y = link(chainer.Variable(x)).array
    np.testing.assert_allclose(y, [[2.5, -2], [0.5, 1]], rtol=1e-4)


def test_sign_of_zero_is_plus() -> None:
    assert sign(chainer.Variable(np.float32([-1, -1e-38, -0.0, 0.0, 2]))).array.tolist() == [-1, -1, 1, 1, 1]


def test_estimators() -> None:
    x = np.float32([-1.3, -1.25, -0.5, 0, 1, 1.2, 2])
    assert ClippedSTE()(x).tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert ClippedSTE(1.0)(x).tolist() == [0, 0, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(ApproxSign()(x), [0, 0, 1, 2, 0, 0, 0])
    variable = chainer.Variable(x)
    y = sign(variable, "approxsign")
    y.grad = np.full_like(x, 3)
    y.backward()
    np.testing.assert_allclose(variable.grad, [0, 0, 3, 6, 0, 0, 0])
    with pytest.raises(ConfigError, match="estimator 'none': there are ste, approxsign"):
        sign(variable, "none")


def test_gradient_of_sign_in_any_order_of_memory() -> None:
    """What a person's own chain hands over may be a view: turned, or with steps."""
    values = np.random.default_rng(11).uniform(-2, 2, (4, 5, 6)).astype(np.float32)
    for view in (values.transpose(1, 0, 2), values[:, ::-1], values[:, :, ::2]):
        x = chainer.Variable(view)
        gy = backward(sign(x))
        assert np.array_equal(x.grad, gy * (np.abs(view) <= 1.25))


def test_scores_are_scaled_integers() -> None:
    link = Scores(3)
    link.bias.array[...] = (0.6, -1.2, 0.2)
    assert link.offsets.tolist() == [2, -2, 0]
    sums = chainer.Variable(np.float32([[4, 8, 5], [-3, 1, -1]]))
    logits = link(sums)
    scale = np.exp(link.log_scale.array)
    np.testing.assert_allclose(logits.array / scale, [[6, 6, 5], [-1, -1, -1]])
    assert logits.array.argmax(axis=1).tolist() == [0, 0]


def test_scores_of_finer_sums_have_finer_offsets() -> None:
    link = Scores(3, scale=1.0, step=0.25)
    link.bias.array[...] = (0.6, -1.2, 0.05)
    assert link.offsets.tolist() == [1.25, -2.5, 0]
    assert link(chainer.Variable(np.float32([[0.5, 1, 0]]))).array.tolist() == [[1.75, -1.5, 0]]


def test_scores_gradients_equal_differences() -> None:
    link, generator = Scores(3), np.random.default_rng(9)
    sums = chainer.Variable(generator.integers(-9, 9, (4, 3)).astype(np.float32))
    logits = link(sums)
    link.cleargrads()
    gy = backward(logits)
    scale = np.exp(link.log_scale.array)
    np.testing.assert_allclose(sums.grad, gy * scale, rtol=1e-5)
    np.testing.assert_allclose(link.bias.grad, 2 * (gy * scale).sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(link.log_scale.grad, [(gy * logits.array).sum()], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: BinaryConv2D(1, 16, 3, border=2), r"border must be -1, 0 or \+1, got 2"),
        (lambda: BinaryConv2D(1, 16, 3, pad=3), "padding"),
        (lambda: BinaryConv2D(0, 16, 3), "channels must be 1 or more"),
        (lambda: BinaryDense(1 << 24, 1), "only integers below 16777216 are exact"),
        (lambda: BinaryDense(70_000, 1)(np.zeros((1, 70_000), np.uint8)), "values up to 255"),
        (lambda: BinaryConv2D(2, 3, 3)(np.zeros((1, 5, 5, 1), np.uint8)), r"\(N, H, W, 2\)"),
        (lambda: BinaryConv2D(1, 3, 3)(np.zeros((1, 2, 5, 1), np.uint8)), "no window fits"),
        (lambda: BinaryConv2D(1, 3, 3)(np.zeros((1, 5, 5, 1))), "float64"),
        (lambda: BinaryDense(5, 3)(np.zeros((1, 4), np.uint8)), r"\(N, 5\)"),
        (lambda: BatchNorm(4)(chainer.Variable(np.zeros((2, 3), np.float32))), "4 channels"),
        (lambda: BinaryConv2D(1, 3, 3)(np.zeros((1, 5, 5, 1), np.uint8), pool=0), "each must be 1 to 255"),
        (lambda: max_pool(chainer.Variable(np.zeros((1, 2, 2, 1), np.float32)), 3), "does not fit"),
        (lambda: max_pool(chainer.Variable(np.zeros((1, 4, 4, 1), np.float32)), 2, 2, 2), "below the window's size"),
    ],
)
def test_errors_of_links(call, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        call()


def test_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, results = np.random.default_rng(10), []
    link, x = BinaryConv2D(16, 32, 3), signs(generator, (96, 14, 14, 16))
    for count in ("1", "2", "3"):
        monkeypatch.setenv("EBNN_THREADS", count)
        variable = chainer.Variable(x)
        y = link(variable, pool=2)
        link.cleargrads()
        backward(y)
        results.append([array.tobytes() for array in (y.array, link.W.grad, variable.grad)])
    assert results[0] == results[1] == results[2]


def test_wrong_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBNN_THREADS", "many")
    with pytest.raises(ConfigError, match="EBNN_THREADS must be 1 to 64, got 'many'"):
        BinaryConv2D(1, 1, 1)(np.zeros((1, 1, 1, 1), np.uint8))
