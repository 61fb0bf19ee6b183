"""docs/operators.md: every block of eBNN and every operator of CBin-NN, in every bit what its definition gives."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

import numpy as np
import peer_operators as peers
import pytest

from ebnn.build import Builder, Kernel
from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.errors import ExportError
from ebnn.files import repo_root
from ebnn.network import Network
from ebnn.sim import ELEMENTS, Simulator, memory

# What is given as the input, and what the framework's float of it is: scale * x + offset.
INPUTS = {"bits": ("bits", 1.0, 0.0), "bytes": ("u8", 1.0, 0.0), "pixels": ("u8", 1 / 256, 0.0),
          "centred": ("u8", 1 / 128, -1.0), "signed": ("i8", 1 / 128, 0.0),
          "samples": ("i16", 2.0**-15, 0.0)}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A map, filters, and windows over both: no side need equal the other, no count be a multiple of anything."""

    shape: tuple[int, int, int]
    filters: int
    kernel: peers.Pair
    stride: peers.Pair = (1, 1)
    pad: peers.Pair = (0, 0)


CASES = (
    Case((7, 5, 1), 5, (3, 3), (1, 1), (1, 1)), Case((6, 11, 3), 32, (5, 5), (2, 2), (2, 2)),
    Case((8, 8, 32), 64, (3, 3), (1, 1), (1, 1)), Case((9, 6, 40), 35, (3, 3), (2, 1), (1, 0)),
    Case((5, 8, 70), 3, (1, 3), (2, 1), (0, 1)), Case((6, 7, 17), 9, (2, 2), (1, 3), (1, 1)),
)  # fmt: skip
POINTS = (
    Case((6, 5, 32), 32, (1, 1)), Case((5, 7, 96), 33, (1, 1), (2, 2)), Case((4, 9, 19), 7, (1, 1), (1, 2)),
)  # fmt: skip
VECTORS = ((1, 1, 64), (3, 5, 7), (2, 7, 33))  # at most 512 elements: the sums of 16 bits are exact in float32
UNITS = (32, 13, 70)
# Window, stride and padding of pools.
POOLS = (((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 3), (1, 1), (0, 0)), ((2, 1), (1, 2), (1, 0)))

# Operator: the inputs that it is tried with; of CBin-NN whether its weights are int8, what follows its sums, and cases.
FLOATS = tuple(INPUTS)[1:]
EBNN_CONV = {
    "ConvPoolBNBST": FLOATS,
    "BinaryConvPoolBNBST": ("bits",),
    "ConvBNBST": FLOATS,
    "BinaryConvBNBST": ("bits",),
}
EBNN_LINEAR = {"LinearBNBST": FLOATS, "BinaryLinearBNBST": ("bits",)}
EBNN_SCORES = ("BinaryLinearBNSoftmax", "BinaryLinearSoftmax")
OF_BYTES, OF_BITS = (peers.Scaled, peers.BatchNorm), (peers.Shifted, peers.BatchNorm)
CBIN_CONV = {"QBConv2D": ("bytes", False, OF_BYTES, CASES), "QQConv2D": ("bytes", True, OF_BYTES, CASES),
             "BBConv2D": ("bits", False, OF_BITS, CASES),
             "BBPointwiseConv2D": ("bits", False, OF_BITS, POINTS)}  # fmt: skip
VARIANTS = ("", "_Optimized", "_Optimized_PReLU")


def with_prelu(*names: str) -> list[str]:
    return [name + after for name in names for after in ("", "_PReLU")]


class Trial:
    """One operator on random inputs: floats and the builder's tensor side by side, step by step."""

    def __init__(self, shape: tuple[int, int, int], given: str, seed: int, count: int = 8, head: str = "exact") -> None:
        self.random = np.random.default_rng(seed)
        dtype, scale, offset = INPUTS[given]
        self.net = Builder(shape, dtype, scale=scale, offset=offset, head=head)
        self.tensor = self.net.input
        info = np.iinfo(ELEMENTS[dtype]) if dtype != "bits" else None
        low, high = (info.min, info.max + 1) if info else (0, 2)
        self.images = self.random.integers(low, high, (count, *shape)).astype(ELEMENTS[dtype])
        self.x = self.images.astype(np.float32)
        self.x = 2 * self.x - 1 if dtype == "bits" else self.x * np.float32(scale) + np.float32(offset)

    def kernel(self, *shape: int, int8: bool = False) -> np.ndarray:
        """Weights, float32."""
        return (self.random.integers(-128, 128, shape) if int8 else self.random.choice([-1, 1], shape)).astype(
            np.float32
        )

    def conv(self, case: Case, int8: bool = False) -> None:
        kernel = self.kernel(*case.kernel, case.shape[2], case.filters, int8=int8)
        self.x = peers.conv(self.x, kernel, case.stride, case.pad)
        self.tensor = self.net.conv(self.tensor, Kernel(kernel) if int8 else kernel, case.stride, case.pad)

    def dense(self, units: int) -> None:
        kernel = self.kernel(math.prod(self.x.shape[1:]), units)
        self.x = peers.dense(self.x, kernel)
        self.tensor = self.net.dense(self.net.flatten(self.tensor), kernel)

    def max_pool(self, pool: tuple[peers.Pair, peers.Pair, peers.Pair]) -> None:
        self.x = peers.max_pool(self.x, *pool)
        self.tensor = self.net.max_pool(self.tensor, *pool)

    def prelu(self) -> None:
        """Slopes of both signs, and one of 0."""
        slope = peers.gammas(self.random, self.x.shape[3])
        slope[1] = 0
        self.x, self.tensor = peers.prelu(self.x, slope), self.net.prelu(self.tensor, slope)

    def sign(self, ending: type, ties: bool) -> None:
        """Batch norm of some kind, and sign; with ``ties`` 0 comes out of it for some sums of every channel."""
        drawn = ending.draw(self.x, ties, self.random)
        values = drawn(self.x)
        assert (values == 0).any(axis=(0, 1, 2)).all() or not ties
        self.x = np.where(values >= 0, np.float32(1), np.float32(-1))
        assert abs(self.x.mean()) < 1
        self.tensor = self.net.sign(drawn.build(self.net, self.tensor))

    def check(self, source: str) -> Network:
        """Every bit of the tensor, and scores behind it, from simulator and C engine; ``source`` made the bits."""
        bits, kernel = self.x, self.kernel(math.prod(self.x.shape[1:]), 3)
        network = self.net.network(self.net.dense(self.net.flatten(self.tensor), kernel))
        stored = self.net.stored(self.tensor)
        assert (stored.dtype, stored.scale, network.nodes[stored.id - 1].op) == ("bits", 1, source)
        assert not stored.offset.any() and self.net.notes == ()
        outputs, engine = list(Simulator(network).outputs(self.images)), CEngine(build_model(network))
        assert (outputs[stored.id - 1] == (bits > 0)).all()
        assert (outputs[-1] == peers.dense(bits, kernel)).all()
        for index, image in enumerate(self.images):
            trace = engine.trace(memory(image[None]))
            assert trace[stored.id - 1] == memory(bits[index : index + 1] > 0)
            assert trace == [memory(output[index : index + 1]) for output in outputs]
        return network

    def check_scores(self) -> np.ndarray:
        """The scores of simulator and C engine: in the order of the floats, or as near as the certificate says."""
        network, floats, every = self.net.network(self.tensor), self.x[:, 0, 0], np.arange(len(self.images))
        scores = Simulator(network).run(self.images)
        assert (CEngine(build_model(network)).run(self.images) == scores).all()
        if self.net.head == "nearest":
            lost = floats.max(axis=1) - floats[every, scores.argmax(axis=1)]
            assert lost.max() <= self.net.certificate.worst
        else:
            order = (np.argsort(-values, axis=1, kind="stable") for values in (floats, scores.astype(np.int64)))
            assert np.array_equal(*order)
        return scores


both = pytest.mark.parametrize("ties", [False, True], ids=["random", "ties"])


# --- eBNN ---


@both
@pytest.mark.parametrize("name", EBNN_CONV)
def test_ebnn_conv(name: str, ties: bool) -> None:
    for seed, (given, case) in enumerate(itertools.product(EBNN_CONV[name], CASES)):
        trial = Trial(case.shape, given, seed)
        trial.conv(case)
        if "Pool" in name:
            trial.max_pool(POOLS[seed % len(POOLS)])
        trial.sign(peers.Divided, ties)
        trial.check("conv")


@both
@pytest.mark.parametrize("name", EBNN_LINEAR)
def test_ebnn_linear(name: str, ties: bool) -> None:
    for seed, (given, shape) in enumerate(itertools.product(EBNN_LINEAR[name], VECTORS)):
        trial = Trial(shape, given, seed)
        trial.dense(UNITS[seed % len(UNITS)])
        trial.sign(peers.Divided, ties)
        trial.check("dense")


@both
@pytest.mark.parametrize("name", EBNN_SCORES)
def test_ebnn_scores(name: str, ties: bool) -> None:
    """Ties: all classes have the same numbers, so equal sums are equal scores."""
    is_norm = name == "BinaryLinearBNSoftmax"
    for seed, shape in enumerate(((1, 1, 40), *VECTORS)):
        is_large = is_norm and not ties and math.prod(shape) > 64
        trial = Trial(shape, "bits", seed, 300, "nearest" if is_large else "exact")
        trial.dense(10)
        drawn = peers.Divided.draw(trial.x, ties, trial.random)
        if ties:
            drawn = peers.Divided(*(np.full_like(values, values[0]) for values in vars(drawn).values()))
        ending = drawn if is_norm else peers.Shifted(drawn.bias)
        trial.x, trial.tensor = ending(trial.x), ending.build(trial.net, trial.tensor)
        assert ties == (np.diff(np.sort(trial.x[:, 0, 0])[:, -2:]) == 0).any()
        trial.check_scores()


def test_gains_of_each_class_behind_many_inputs_are_refused_or_nearly_kept() -> None:
    """What the page says of BinaryLinearBNSoftmax."""
    trial = Trial((1, 1, 360), "bits", 0)
    trial.dense(10)
    drawn = peers.Divided.draw(trial.x, False, trial.random)
    with pytest.raises(ExportError, match="no 16-bit gains give the float scores' order"):
        trial.net.network(drawn.build(trial.net, trial.tensor))
    net = Builder((1, 1, 360), "bits", head="nearest")
    net.network(drawn.build(net, net.dense(net.input, trial.kernel(360, 10))))
    assert 0 < net.certificate.wrong < net.certificate.pairs / 100_000


# --- CBin-NN ---


@both
@pytest.mark.parametrize("name", with_prelu(*CBIN_CONV))
def test_cbin_conv(name: str, ties: bool) -> None:
    given, int8, endings, cases = CBIN_CONV[name.removesuffix("_PReLU")]
    for seed, (ending, case) in enumerate(itertools.product(endings, cases)):
        trial = Trial(case.shape, given, seed)
        trial.conv(case, int8)
        if name.endswith("_PReLU"):
            trial.prelu()
        trial.sign(ending, ties)
        trial.check("conv")


@pytest.mark.parametrize("name", ["BMaxPool2D"])
def test_cbin_pool(name: str) -> None:
    """Of the input, and of what a convolution makes: a node of its own only behind a PReLU that turns."""
    for seed, (pool, case) in enumerate(itertools.product(POOLS, CASES)):
        alone = Trial(case.shape, "bits", seed)
        alone.max_pool(pool)
        alone.check("pool")
        for turns in (False, True):
            behind = Trial(case.shape, "bits", seed)
            behind.conv(case)
            if turns:
                behind.prelu()
            behind.sign(peers.BatchNorm, False)
            behind.max_pool(pool)
            assert len(behind.check("pool" if turns else "conv").nodes) == (3 if turns else 2)


@both
@pytest.mark.parametrize("name", with_prelu("BBFC"))
def test_cbin_dense(name: str, ties: bool) -> None:
    for seed, (ending, shape) in enumerate(itertools.product(OF_BITS, VECTORS)):
        trial = Trial(shape, "bits", seed)
        trial.dense(UNITS[seed % len(UNITS)])
        if name.endswith("_PReLU"):
            trial.prelu()
        trial.sign(ending, ties)
        trial.check("dense")


@both
@pytest.mark.parametrize("name", ["BBQFC"])
def test_cbin_scores(name: str, ties: bool) -> None:
    """With whole offsets the scores are the floats themselves."""
    for seed, shape in enumerate(VECTORS):
        trial = Trial(shape, "bits", seed, 300)
        trial.dense(10)
        drawn = peers.Shifted.draw(trial.x, ties, trial.random)
        trial.x, trial.tensor = drawn(trial.x), drawn.build(trial.net, trial.tensor)
        scores = trial.check_scores()
        assert (scores == trial.x[:, 0, 0]).all() or not ties


def test_a_prelu_of_scores_is_refused() -> None:
    """What the page says of BBQFC_Optimized_PReLU."""
    trial = Trial((1, 1, 64), "bits", 0)
    trial.dense(10)
    trial.prelu()
    with pytest.raises(ExportError, match="scores may go through gains, offsets and batch norm only"):
        trial.net.network(trial.tensor)


# --- the page ---


def proven() -> set[str]:
    """The tests of this file that are of an operator, as the page names them: ``test_x[operator]``."""
    tests = {key: test for key, test in globals().items() if key.startswith("test_")}
    marks = [(key, mark.args) for key, test in tests.items() for mark in getattr(test, "pytestmark", ())]
    return {f"{key}[{name}]" for key, args in marks if args[0] == "name" for name in args[1]}


def test_every_operator_has_its_row_and_its_test() -> None:
    page = (repo_root() / "docs" / "operators.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*?`(test_\w+)\[(\w+)\]` \|", page, re.MULTILINE)
    blocks = [*EBNN_CONV, *EBNN_LINEAR, *EBNN_SCORES]
    operators = [name + variant for name in (*CBIN_CONV, "BBFC", "BBQFC") for variant in VARIANTS]
    operators += ["BMaxPool2D", "BMaxPool2D_Optimized"]
    assert sorted(row[0] for row in rows) == sorted(blocks + operators)
    assert {f"{test}[{name}]" for _, test, name in rows} == proven()
    for operator, _, name in rows:  # of the one that is excepted the published code has no PReLU
        assert name == ("BBQFC" if operator == "BBQFC_Optimized_PReLU" else operator.replace("_Optimized", ""))
