"""Networks of arrays: every bit, integer and class that the framework's float32 arithmetic gives, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ebnn.build import Builder, Kernel, binarize, head
from ebnn.build.functions import FORMULAS, Add, Multiply, Normalize, Slope, apply
from ebnn.build.switches import Grid, find
from ebnn.build.tensors import common_unit
from ebnn.build.windows import rounded_up, sides
from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.errors import ConfigError, ExportError, NetworkError
from ebnn.examples import larq_like, torch_like
from ebnn.files import repo_root
from ebnn.network import Network
from ebnn.sim import Simulator

CHANNELS = 12


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def signs(*shape: int, seed: int = 0) -> np.ndarray:
    return random(seed).choice(np.float32([-1, 1]), shape)


def bit_images(shape: tuple[int, ...], count: int = 30) -> np.ndarray:
    return random(9).integers(0, 2, (count, *shape)).astype(bool)


def sums_of(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """float32 (N, oh, ow, filters) of booleans (N, h, w, c) and a kernel HWIO, VALID."""
    x = 2 * images.astype(np.float32) - 1
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("nyxcij,ijcf->nyxf", windows, kernel)


def pooled(x: np.ndarray, adds: bool = False) -> np.ndarray:
    n, height, width, channels = x.shape
    parts = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return parts.sum(axis=(2, 4)) / np.float32(4) if adds else parts.max(axis=(2, 4))


def outputs(network: Network, images: np.ndarray) -> list[np.ndarray]:
    return list(Simulator(network).outputs(images))


def finished(net: Builder, x) -> Network:
    """The network with a dense layer after ``x``."""
    units = int(np.prod(x.shape))
    return net.network(net.dense(net.flatten(x), signs(units, 3), name="last"))


# --- the two examples ---


def test_a_network_as_larq_has_them_is_exact() -> None:
    found = larq_like.arrays(2)
    net, network = larq_like.build(found)
    images = random(5).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    assert larq_like.differences(found, network, images) == ([0, 0], 0)
    assert [note.split(":")[0] for note in net.notes] == ["dense"]
    assert net.certificate.wrong < net.certificate.pairs / 100_000
    network.nodes[0].thresholds.setflags(write=True)
    network.nodes[0].thresholds[3] += 2
    assert larq_like.differences(found, network, images)[0][0] > 0


def test_a_network_as_pytorch_has_them_is_exact() -> None:
    found = torch_like.arrays(1)
    net, network = torch_like.build(found)
    images = random(5).integers(0, 256, (60, 1, 28, 28), dtype=np.uint8)
    assert torch_like.differences(found, network, images) == (
        dict.fromkeys(("sign0", "sign1", "added", "pooled"), 0),
        0,
    )
    assert net.notes == ()
    assert {node.exclusive for node in network.nodes} == {False, True}


def test_the_engine_gives_the_simulators_scores() -> None:
    for network in (larq_like.build(larq_like.arrays(2))[1], torch_like.build(torch_like.arrays(1))[1]):
        images = random(6).integers(0, 256, (8, *network.input.shape), dtype=np.uint8)
        assert (CEngine(build_model(network)).run(images) == Simulator(network).run(images)).all()


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    page = (repo_root() / "docs" / "import.md").read_text(encoding="utf-8")
    code = page.split("<!-- builder -->\n```python\n")[1].split("```\n<!-- /builder -->")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/import.md", "exec"), {})
    assert "() the same order of scores for all" in capsys.readouterr().out
    assert (tmp_path / "build" / "net" / "model.ebnn").is_file()


@pytest.mark.parametrize("example", [larq_like, torch_like], ids=lambda example: example.__name__)
def test_the_examples_say_that_nothing_differs(example, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    example.main(str(tmp_path / "net"))
    said = capsys.readouterr().out
    assert "0 classes differ" in said and "next: ebnn info" in said
    assert (tmp_path / "net" / "model.ebnn").is_file()


# --- switches ---


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("seed", range(5))
def test_switches_are_those_of_the_functions_on_every_sum(formula: str, seed: int) -> None:
    draw = random(seed)
    gamma, beta, mean = draw.normal(size=(3, 300)).astype(np.float32) * [[1], [1], [20]]
    gamma[:8] = (0, 0, 1e-30, -1e-30, 1e20, -1e20, 1, -1)
    beta[:8] = (-1, 1, 0, 0, 0, 0, 0, 0)
    mean[4:8] = 4
    statistics = [part.astype(np.float32) for part in (gamma, beta, mean, draw.uniform(0, 300, 300))]
    functions = [Normalize(*statistics, 1e-3, formula), Slope(draw.normal(size=300).astype(np.float32))]
    functions += [Add(np.float32(-1)), Slope(draw.normal(size=300).astype(np.float32))]
    functions += [Multiply(draw.normal(size=300).astype(np.float32)), Add(np.float32(-0.2))]
    grid = Grid(np.full(300, -72), np.full(300, 72), 2)
    found = find(functions, lambda sums: sums.astype(np.float32), lambda values: values >= 0, grid)
    assert found.levels >= 3
    every = np.arange(-72, 73, 2)[:, None]
    wanted = apply(functions, np.broadcast_to(every, (len(every), 300)).astype(np.float32)) >= 0
    for channel, places in enumerate(found.places):
        hits = (every >= np.array(places, int)[None]).sum(axis=1) % 2 == 1
        assert (hits ^ found.first[channel] == wanted[:, channel]).all(), channel


def test_ties_go_to_plus_one_from_both_sides() -> None:
    kernel = signs(3, 3, 2, 4)
    images = bit_images((8, 8, 2), 200)
    sums = sums_of(images, kernel)
    for factor in (1.0, -1.0):
        net = Builder((8, 8, 2), "bits")
        x = net.multiply(net.add_bias(net.conv(net.input, kernel), -4.0), factor)
        assert (sums == 4).any()
        assert (outputs(finished(net, net.sign(x)), images)[0] == ((sums - 4) * factor >= 0)).all()
        net = Builder((8, 8, 2), "bits")
        x = net.multiply(net.add_bias(net.conv(net.input, kernel), -4.0), factor)
        assert (outputs(finished(net, net.sign(x, zero=-1)), images)[0] == ((sums - 4) * factor > 0)).all()


def test_a_sign_of_zero_that_is_zero_is_refused_where_a_sum_gives_it() -> None:
    for bias, fine in ((-4.0, False), (-5.0, True), (-4.5, True)):
        net = Builder((8, 8, 2), "bits")
        x = net.sign(net.add_bias(net.conv(net.input, signs(3, 3, 2, 4), name="tie"), bias), zero=0)
        if fine:
            finished(net, x)
        else:
            with pytest.raises(ExportError, match=r"last: reads tie: .* sign\(0\) = 0"):
                finished(net, x)


# --- orders ---


def chain(net: Builder, x, order: str, statistics: np.ndarray, slope: np.ndarray):
    """Conv's sums through steps: n(orm), m(ax pool), a(verage pool), r (PReLU), s(ign), h(alf subtracted)."""
    steps = {
        "n": lambda x: net.batch_norm(x, statistics), "m": lambda x: net.max_pool(x, 2),
        "a": lambda x: net.average_pool(x, 2), "r": lambda x: net.prelu(x, slope), "s": lambda x: net.sign(x),
        "h": lambda x: net.add_bias(x, -0.5),
    }  # fmt: skip
    for step in order:
        x = steps[step](x)
    return x


def floats(x: np.ndarray, order: str, statistics: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The same in float32."""
    gamma, beta, mean, variance = statistics
    a = gamma / np.sqrt(variance + np.float32(1e-3))
    steps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "n": lambda x: x * a + (beta - mean * a), "m": pooled, "a": lambda x: pooled(x, True),
        "r": lambda x: np.where(x >= 0, x, x * slope), "s": lambda x: np.where(x >= 0, 1, -1).astype(np.float32),
        "h": lambda x: x - np.float32(0.5),
    }  # fmt: skip
    for step in order:
        x = steps[step](x)
    return x


# Falling values are pooled by negated weights, and -128 has no negative: two steps, which a turn after them forbids.
REFUSED = {("least", "nmrhs")}
ORDERS = (
    "s",
    "ns",
    "nms",
    "mns",
    "nsm",
    "nrhs",
    "nrhms",
    "mnrhs",
    "nrmns",
    "nmrhs",
    "ans",
    "nsans",
    "nsns",
    "nsmns",
    "anrhs",
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["signs", "int8", "least"])
def test_every_order_gives_the_bits_of_its_floats(order: str, kind: str) -> None:
    draw = random(len(order))
    kernel = signs(3, 3, 3, CHANNELS, seed=1)
    if kind != "signs":
        kernel = draw.integers(-127, 128, kernel.shape).astype(np.float32)
    if kind == "least":  # such a weight has no negative in int8
        kernel[0, 0] = -128
    spread = 4 if kind == "signs" else 300
    statistics = np.stack([*(draw.normal(size=(3, CHANNELS)) * [[1], [0.5], [spread]]),
                           draw.uniform(0.5, 1.5, CHANNELS) * spread**2]).astype(np.float32)  # fmt: skip
    if order in ("nsans", "nsns", "nsmns"):  # the second norm is of bits or their averages
        statistics[2:] = np.abs(statistics[2:]) / spread / 8
    slope = draw.normal(size=CHANNELS).astype(np.float32)
    images = bit_images((10, 10, 3))
    net = Builder((10, 10, 3), "bits")
    x = chain(net, net.conv(net.input, kernel), order, statistics, slope)
    if (kind, order) in REFUSED:
        with pytest.raises(ExportError, match="negative slope after a max pool"):
            finished(net, x)
        return
    found = outputs(finished(net, x), images)[-2]
    assert (found == (floats(sums_of(images, kernel), order, statistics, slope) >= 0)).all()


@pytest.mark.parametrize(("order", "text"), [
    ("n", "no exact integers"), ("na", "no exact integers"), ("nrmrhs", "negative slope after a max pool"),
    ("nsr", None),
])  # fmt: skip
def test_orders_without_exact_integers_are_refused(order: str, text: str | None) -> None:
    draw = random(3)
    statistics = np.stack([*draw.normal(size=(3, CHANNELS)), draw.uniform(1, 2, CHANNELS)]).astype(np.float32)
    net = Builder((10, 10, 3), "bits")
    slope = np.full(CHANNELS, -0.5, np.float32)

    def build() -> None:
        finished(net, chain(net, net.conv(net.input, signs(3, 3, 3, CHANNELS), name="first"), order, statistics, slope))

    if text:
        with pytest.raises(ExportError, match=f"first: .*{text}"):
            build()
    else:
        build()


# --- windows and inputs ---


@pytest.mark.parametrize(("dtype", "scale", "offset", "value", "output"), [
    ("bits", 1, 0, 0, None), ("bits", 1, 0, 1, None), ("bits", 1, 0, -1, None), ("bits", 0.5, 0.5, 0, None),
    ("u8", 1, 0, 0, None), ("u8", 1 / 128, -1, 127 / 128, None), ("u8", 1 / 128, -1, 0, "i8"),
    ("u8", 1 / 2, -63.75, 0, "i16"), ("i8", 0.25, 0, 0, None), ("i8", 1, 0, 1, "i16"), ("i16", 2, 0, 0, None),
    ("u8", -1, 255, 0, None), ("u8", 1, (0, -128, -3), 0, "i16"),
])  # fmt: skip
def test_padding_is_what_the_framework_pads_with(dtype, scale, offset, value, output) -> None:
    kernel = signs(3, 3, 3, CHANNELS)
    draw = random(1)
    limits = {"bits": (0, 2), "u8": (0, 256), "i8": (-128, 128), "i16": (-3000, 3000)}[dtype]
    images = draw.integers(*limits, (20, 9, 7, 3)).astype({"bits": bool, "u8": "u1", "i8": "i1", "i16": "<i2"}[dtype])
    x = (2 * images.astype(int) - 1 if dtype == "bits" else images.astype(int)) * scale + np.array(offset)
    x = np.pad(x, ((0, 0), (0, 1), (1, 1), (0, 0)), constant_values=value).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2]
    sums = np.einsum("nyxcij,ijcf->nyxf", windows, kernel)
    limit = np.median(sums, axis=(0, 1, 2)) + np.float32(scale) / 4
    net = Builder((9, 7, 3), dtype, scale=scale, offset=offset)
    stored = net.conv(net.input, kernel, (2, 2), (0, 1, 1, 1), value)
    network = finished(net, net.sign(net.add_bias(stored, -limit.astype(np.float32))))
    found = outputs(network, images)
    assert (found[-2] == (sums - limit.astype(np.float32) >= 0)).all()
    assert [node.output for node in network.nodes[:-2]] == ([output] if output else [])
    assert net.notes == ()


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("window", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_is_that_of_tensorflow(size: int, window: int, stride: int) -> None:
    top, left, bottom, right = sides("same", (size, size), (window, window), (stride, stride))
    assert (top, bottom) == (left, right) and bottom - top in (0, 1)
    count = (size + top + bottom - window) // stride + 1
    if window >= stride or (size - 1) % stride < window:
        assert count == -(-size // stride)
    assert top + bottom == max((-(-size // stride) - 1) * stride + window - size, 0)


def test_rounding_up_keeps_the_last_window_that_begins_inside() -> None:
    assert rounded_up((0, 0, 0, 0), (7, 8), (2, 2), (2, 2)) == (0, 0, 1, 0)
    assert rounded_up((1, 1, 1, 1), (5, 6), (3, 3), (2, 2)) == (1, 1, 1, 2)
    assert rounded_up((0, 0, 0, 0), (4, 4), (1, 1), (3, 3)) == (0, 0, 0, 0)


def test_a_normalization_whose_zero_is_no_integer_is_refused_with_padding_only() -> None:
    scale, offset = 1 / 255 / 0.3081, -0.1307 / 0.3081
    net = Builder((28, 28, 1), "u8", "NCHW", scale, offset)
    with pytest.raises(ExportError, match="conv7: pads with 0, which is 33.3.* no whole number"):
        net.conv(net.input, signs(4, 1, 3, 3), padding=1, name="conv7")
    finished_net = Builder((28, 28, 1), "u8", "NCHW", scale, offset)
    x = finished_net.conv(finished_net.input, signs(4, 1, 3, 3))
    assert finished_net.sign(x).shape == (26, 26, 4)


def test_sums_that_the_framework_rounds_are_noted_where_they_decide() -> None:
    kernel = signs(5, 5, 1, 4)
    for offset, doubtful in ((0.0, True), (1 / 255 / 3, False)):
        net = Builder((8, 8, 1), "u8", scale=1 / 255)
        limit = np.float32(kernel.reshape(-1, 4).sum(axis=0) * 10 / 255 + offset)
        finished(net, net.sign(net.add_bias(net.conv(net.input, kernel, name="first"), -limit)))
        assert [note.split(":")[0] for note in net.notes] == (["first"] if doubtful else [])


def test_the_range_of_sums_holds_where_taps_do_not_count() -> None:
    net = Builder((3, 3, 1), "u8")
    sums = net.conv(net.input, np.ones((3, 3, 1, 1)), padding=1, pad_value=300).sums
    assert (sums.source.least, sums.source.most) == (-300, -45)
    assert (sums.least.tolist(), sums.most.tolist()) == ([-2700], [0])


def test_flattened_orders_differ() -> None:
    images, weights = bit_images((4, 5, 6)), signs(120, 7)
    x = 2 * images.astype(np.float32) - 1
    for layout, flat in (("NHWC", x.reshape(len(x), -1)), ("NCHW", x.transpose(0, 3, 1, 2).reshape(len(x), -1))):
        net = Builder((4, 5, 6), "bits", layout)
        kernel = weights if layout == "NHWC" else weights.T
        network = net.network(net.dense(net.flatten(net.input), kernel))
        assert (Simulator(network).run(images) == flat @ weights).all()


# --- residuals and averages ---


def test_residuals_of_dyadic_gains_are_exact() -> None:
    images = bit_images((6, 6, 8))
    kernel = signs(1, 1, 8, 8)
    x = 2 * images.astype(np.float32) - 1
    sums = np.einsum("nyxc,cf->nyxf", x, kernel[0, 0])
    gains = np.float32(2.0) ** random(1).integers(-3, 2, 8)
    wanted = x + (sums * gains - np.float32(0.125))
    net = Builder((6, 6, 8), "bits")
    made = net.add_bias(net.multiply(net.conv(net.input, kernel), gains), -0.125)
    total = net.add(net.input, made)
    network = finished(net, net.sign(total))
    stored = net.stored(total)
    found = outputs(network, images)
    assert (found[stored.id - 1] * stored.scale == wanted).all()
    assert (found[-2] == (wanted >= 0)).all()


def test_residuals_that_round_or_do_not_fit_are_refused() -> None:
    net = Builder((6, 6, 8), "bits")
    made = net.conv(net.input, signs(1, 1, 8, 8))
    with pytest.raises(ExportError, match="sum3: its values are no whole multiples|sum3: .*16 bits"):
        net.add(net.multiply(made, 0.3), net.input, name="sum3")
    with pytest.raises(ExportError, match="sum4: .*16 bits"):
        net.add(net.multiply(made, 2.0**-20), net.input, name="sum4")
    with pytest.raises(ExportError, match="sum5: adds"):
        net.add(made, net.conv(net.input, signs(1, 1, 8, 9)), name="sum5")


# --- scores ---


def test_a_head_is_certified_or_refused_with_the_worst_case() -> None:
    kernel, bias = signs(8, 3), np.float32([0.3, -1.7, 2])
    statistics = (np.float32([1, 1.01, 0.7]), bias, np.zeros(3), np.ones(3))
    net = Builder((1, 1, 8), "bits")
    net.network(net.add_bias(net.dense(net.input, kernel), bias))
    assert net.certificate.wrong == 0 and net.certificate.pairs == 3 * 81
    images = np.array([[bool(number >> bit & 1) for bit in range(8)] for number in range(256)]).reshape(-1, 1, 1, 8)
    net = Builder((1, 1, 8), "bits", head="nearest")
    network = net.network(net.batch_norm(net.dense(net.input, kernel), statistics))
    a = statistics[0] / np.sqrt(np.float32(1) + np.float32(1e-3))
    wanted = (2 * images.reshape(-1, 8).astype(np.float32) - 1) @ kernel * a + bias
    assert (Simulator(network).run(images).argmax(axis=1) == wanted.argmax(axis=1)).all()
    many = random(0).normal(size=(4, 6)).astype(np.float32) ** [[1], [1], [1], [2]]
    net = Builder((1, 1, 3000), "bits")
    with pytest.raises(ExportError, match=r"last: no 16-bit gains .* of \d+ pairs .* classes \d and \d"):
        net.network(net.batch_norm(net.dense(net.input, signs(3000, 6), name="last"), many))
    net = Builder((1, 1, 3000), "bits", head="nearest")
    net.network(net.batch_norm(net.dense(net.input, signs(3000, 6), name="last"), many))
    assert net.certificate.wrong > 0 and "last: another order" in net.notes[0]


def test_a_certificate_counts_what_a_loop_over_all_pairs_counts() -> None:
    draw = random(2)
    grid = Grid(np.array([-9, -5, -7]), np.array([9, 5, 7]), 2)
    sums = [np.arange(low, high + 1, 2) for low, high in zip(grid.least, grid.most, strict=True)]
    for _ in range(50):
        gains, offsets = draw.normal(size=(2, 3))
        integers, shifts = np.rint(3 * gains), np.rint(3 * offsets)
        scores = [
            (gain * column + offset).astype(np.float32)
            for gain, column, offset in zip(gains, sums, offsets, strict=True)
        ]
        found = head.certify(scores, integers, shifts, grid)
        wrong = pairs = 0
        for j in range(3):
            for k in range(j + 1, 3):
                ours = [(integers[i] * sums[i] + shifts[i]) for i in (j, k)]
                differ = (scores[j][:, None] >= scores[k]) != (ours[0][:, None] >= ours[1])
                wrong, pairs = wrong + differ.sum(), pairs + differ.size
        assert (found.wrong, found.pairs) == (wrong, pairs)


# --- weights and what is refused ---


def test_weights_of_all_kinds() -> None:
    assert binarize([-1e-9, 0.0, -0.0, 2]).tolist() == [-1, 1, 1, 1]
    images = bit_images((4, 4, 2))
    latent = random(0).normal(size=(4 * 4 * 2, 5)).astype(np.float32)
    alpha = np.float32([0.5, 2, 1, 0.25, 4])
    integers = random(0).integers(-128, 128, latent.shape)
    x = (2 * images.astype(np.float32) - 1).reshape(len(images), -1)
    for kernel, wanted in ((binarize(latent) * alpha, x @ (binarize(latent) * alpha)), (integers, x @ integers),
                           (Kernel(integers, alpha), x @ (integers * alpha))):  # fmt: skip
        net = Builder((4, 4, 2), "bits")
        network = net.network(net.dense(net.flatten(net.input), kernel))
        assert (Simulator(network).run(images).argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize(("make", "text"), [
    (lambda net, x: net.conv(x, np.full((3, 3, 3, 2), np.nan), name="c"), "c: weights must be finite"),
    (lambda net, x: net.conv(x, np.linspace(-1, 1, 54).reshape(3, 3, 3, 2), name="c"), "c: weights must be -1"),
    (lambda net, x: net.conv(x, signs(3, 3, 4, 2), name="c"), "c: weights .* do not fit an input of 3 channels"),
    (lambda net, x: net.conv(x, signs(3, 3, 3, 2), padding="full", name="c"), "c: padding 'full'"),
    (lambda net, x: net.conv(x, signs(3, 3, 3, 2), padding=3, name="c"), "c: window"),
    (lambda net, x: net.conv(x, signs(9, 9, 3, 2), name="c"), "c: window .* larger than its map"),
    (lambda net, x: net.dense(x, signs(192, 2), name="d"), "d: reads a map"),
    (lambda net, x: net.dense(net.flatten(x), signs(191, 2), name="d"), "d: weights are for 191 inputs"),
    (lambda net, x: net.batch_norm(x, (1, 0, 0, 0), 0, name="b"), "b: variance plus epsilon 0 must be above 0"),
    (lambda net, x: net.batch_norm(x, (1, np.inf, 0, 1), name="b"), "b: beta must be finite"),
    (lambda net, x: net.batch_norm(x, (np.ones(4), 0, 0, 1), name="b"), "b: parameters are .* there are 3 channels"),
    (lambda net, x: net.divide(x, 0.0, name="q"), "q: divides by 0"),
    (lambda net, x: net.network(net.conv(x, signs(3, 3, 3, 2), name="c")), "c: the scores are a map of 6x6"),
    (lambda net, x: net.conv(net.multiply(x, np.float32([1, 2, 3])), signs(3, 3, 3, 2), name="c"), "c: .* gain"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_the_layers_name(make: Callable, text: str) -> None:
    net = Builder((8, 8, 3), "bits")
    with pytest.raises((ExportError, NetworkError), match=text):
        make(net, net.input)


def test_wrong_options_are_refused() -> None:
    for options in ({"layout": "CHWN"}, {"dtype": "f32"}, {"head": "some"}, {"scale": 0}, {"offset": np.nan}):
        with pytest.raises(ConfigError):
            Builder((8, 8, 3), **options)
    with pytest.raises(ConfigError):
        Builder((8, 8), "u8")


def test_units_of_dyadic_numbers() -> None:
    assert common_unit([0.75, -0.5, 0]) == 0.25
    assert common_unit([6, 4]) == 2
    assert common_unit([0.0]) == 1
