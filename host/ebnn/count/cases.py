"""What the bench runs: shapes of layers, whole networks, and the sweep that looks for cliffs.

Weights and inputs are random bits; thresholds lie where about half of each layer's bits become 1. Everything follows
from the case's name, so a case is the same on every computer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist

import numpy as np

from ebnn import arch, cost
from ebnn.bundle import build_model
from ebnn.count import operators
from ebnn.errors import ConfigError
from ebnn.format import decode
from ebnn.geometry import Geometry, Shape, Value, output_shape
from ebnn.network import Network, Node, conv_node, dense_node, pool_node
from ebnn.plan import FITS as PLAN_FITS
from ebnn.plan import Fit, Limit
from ebnn.sim import ELEMENTS, Simulator, memory

FITS = (*PLAN_FITS, "4096")  # a number: the most speed within so many bytes of arena; whole networks only

BYTE_MEAN, BYTE_SPREAD = 127.5, 73.9  # of uniform bytes


@dataclass(frozen=True)
class Case:
    """A network to count.

    Args:
        name: unique; also the seed.
        arch: as ``ebnn.arch`` reads it; a single layer has two units behind it, for scores. Of the group ``operators``
            words.
        input: height, width, channels.
        dtype: of the input, u8 or bits.
        group: ``main``, ``sweep`` or ``operators``.
        node: index of the one node that the case is about; None: the whole network.
        reference: name of the case whose cost per MAC this one's is compared with (sweep only).
    """

    name: str
    arch: str
    input: Shape
    dtype: str = "u8"
    group: str = "main"
    node: int | None = None
    reference: str | None = None

    @property
    def fits(self) -> tuple[str, ...]:
        """The fits that differ."""
        return FITS[:1] if self.group == "operators" else FITS


@dataclass(frozen=True)
class Prepared:
    """A case as it runs: model file, input, and what must come out.

    Args:
        model: the model file.
        image: the input in the device's format.
        scores: int32 (K,).
        outputs: bytes of every node's output.
        facts: what ``cost.describe`` says of the model.
    """

    model: bytes
    image: bytes
    scores: np.ndarray
    outputs: tuple[bytes, ...]
    facts: dict

    @property
    def digest(self) -> str:
        """SHA-256 of model and input, 16 digits."""
        return hashlib.sha256(self.model + self.image).hexdigest()[:16]


def layer(name: str, token: str, shape: Shape, **more) -> Case:
    """A case about one layer that reads bits.

    A copying node before it brings the input to where feature maps lie: value 0 may be misaligned, so kernels may
    treat it apart. Two units behind it make scores.
    """
    return Case(name, token, shape, "bits", node=1, **more)


NETWORKS = (
    Case("smallcifar", "32c5p2-p2-32c5p2-p2-64c5p2-p2-10", (32, 32, 3)),
    Case("n1", "10c3s2-p3s2-10", (28, 28, 1)),
    Case("n2", "10c3s2-p3s2-10", (28, 28, 1), "bits"),
    Case("n3", "10c3s2-p3s2-10", (32, 32, 3)),
    Case("n4", "10c5-p3s2-10c5p2-p3s2-10c3p1-10c3p1-10c3p1-p3s2-10", (28, 28, 1)),
    Case("n5", "2c3p1-p3s1p1-10", (28, 28, 1)),
    Case("n6", "2c3p1-p3s1p1-2c3p1-p3s1p1-10", (28, 28, 1)),
    Case("mnist-16c3", "16c3-p2-16c3-p2-10", (28, 28, 1)),
    Case("mnist-16c5", "16c5-p2-32c3-p2-10", (28, 28, 1)),
)
LAYERS = (
    layer("conv64", "64c3", (16, 16, 64)),
    layer("conv64-pad", "64c3p1", (16, 16, 64)),
    layer("conv32", "32c3", (16, 16, 32)),
    layer("dense1024", "64", (1, 1, 1024)),
    Case("first-u8", "32c5p2", (32, 32, 3), node=0),
)
CHANNELS = (1, 3, 8, 16, 24, 32, 48, 64, 96, 128)
WIDTHS = (5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 17, 20, 24, 28, 31, 32)


def _multiple(channels: int) -> int:
    return -(-channels // 32) * 32


def _sweep() -> tuple[Case, ...]:
    """One thing varies at a time; the reference has it rounded up to a multiple of 32."""

    def row(name: str, token: str, shape: Shape, reference: str) -> Case:
        return layer(name, token, shape, group="sweep", reference=None if reference == name else reference)

    found = []
    for c in CHANNELS:
        up = _multiple(c)
        found += [
            row(f"channels-{c}", "32c3", (16, 16, c), f"channels-{up}"),
            row(f"filters-{c}", f"{c}c3", (16, 16, 32), f"filters-{up}"),
            row(f"stride2-{c}", "32c3s2", (17, 17, c), f"stride2-{up}"),
            row(f"pointwise-{c}", "32c1", (16, 16, c), f"pointwise-{up}"),
        ]
    for w in WIDTHS:
        found += [
            row(f"width-{w}", "32c3", (8, w, 32), f"width-{_multiple(w)}"),
            row(f"width-pad-{w}", "32c3p1", (8, w, 32), f"width-pad-{_multiple(w)}"),
        ]
    found += [_bytes(channels, w) for channels in (1, 3) for w in WIDTHS]
    return tuple(found)


def _bytes(channels: int, width: int) -> Case:
    reference = f"bytes{channels}-{_multiple(width)}" if width % 32 else None
    name = f"bytes{channels}-{width}"
    return Case(name, "32c5p2", (8, width, channels), "u8", "sweep", node=0, reference=reference)


OPERATORS = tuple(
    Case(name, words, shape, dtype, "operators", node)
    for name, (words, shape, dtype, node, _) in operators.CASES.items()
)
GROUPS = {"main": NETWORKS + LAYERS, "operators": OPERATORS, "sweep": _sweep()}
BY_NAME = {case.name: case for group in GROUPS.values() for case in group}


def find(group: str, names: str | None = None) -> tuple[Case, ...]:
    """The cases of a group (``all``: every one), or those named, joined by commas.

    Raises:
        ConfigError: no such group or case.
    """
    if names:
        for name in names.split(","):
            if name not in BY_NAME:
                raise ConfigError(f"no case {name}; there are {', '.join(BY_NAME)}")
        return tuple(BY_NAME[name] for name in names.split(","))
    if group == "all":
        return tuple(BY_NAME.values())
    if group not in GROUPS:
        raise ConfigError(f"no group {group}; there are {', '.join(GROUPS)}, and all")
    return GROUPS[group]


def find_fits(names: str) -> tuple[str, ...]:
    """Fits by name, joined by commas; ``all`` is every one; a number is a limit of the arena in bytes.

    Raises:
        ConfigError: no such fit.
    """
    chosen = FITS if names == "all" else tuple(names.split(","))
    for name in chosen:
        if name not in FITS and not name.isdigit():
            raise ConfigError(f"no fit {name}; there are {', '.join(FITS)}, and all")
    return chosen


def plan_fit(name: str) -> Fit:
    """The plan's fit of a name."""
    return Limit(arena=int(name)) if name.isdigit() else name


def build_network(case: Case) -> Network:
    """The case's network."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(case.name.encode()).digest()[:8], "little"))
    source, nodes = Value(0, case.input, case.dtype), []
    if case.group == "operators":
        return operators.build(rng, source, operators.CASES[case.name][-1])
    if case.node == 1:
        nodes.append(pool_node(0, (1, 1), (1, 1), name="copy"))
        source = Value(1, case.input, case.dtype)
    layers = arch.parse(case.arch if case.node is None else f"{case.arch}-2").layers
    for token, after in zip(layers, [*layers[1:], None], strict=True):
        if not isinstance(token, arch.Pool):
            node = _node(rng, source, token, after)
            nodes.append(node)
            source = Value(len(nodes), output_shape(node, source), node.output)
    return Network(Value(0, case.input, case.dtype), tuple(nodes))


def _node(rng: np.random.Generator, source: Value, token: arch.Layer, after: arch.Layer | None) -> Node:
    """The node of a layer; a pool behind a convolution belongs to its node."""
    if isinstance(token, arch.Dense):
        weights = _signs(rng, (token.units, *source.shape))
        if after is None:
            offsets = rng.integers(-20, 21, token.units)
            return dense_node(source.id, weights, offsets=offsets)
        return dense_node(source.id, weights, thresholds=_thresholds(rng, source, weights, 1))
    geometry = _geometry(token, after if isinstance(after, arch.Pool) else None)
    weights = _signs(rng, (token.filters, *token.kernel, source.shape[2]))
    thresholds = _thresholds(rng, source, weights, geometry.pool[0] * geometry.pool[1])
    return conv_node(source.id, weights, geometry, thresholds=thresholds)


def _geometry(conv: arch.Conv, pool: arch.Pool | None) -> Geometry:
    convolution = Geometry(kernel=conv.kernel, stride=conv.stride, pad=(*conv.pad, *conv.pad))
    if pool is None:
        return convolution
    return replace(convolution, pool=pool.window, pool_stride=pool.stride, pool_pad=(*pool.pad, *pool.pad))


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 2 * rng.integers(0, 2, shape, np.int8) - 1


def _thresholds(rng: np.random.Generator, source: Value, weights: np.ndarray, window: int) -> np.ndarray:
    """int32 (filters,): where the OR of ``window`` independent sums of random inputs is 1 half of the time."""
    mean, spread = (BYTE_MEAN, BYTE_SPREAD) if source.dtype == "u8" else (0.0, 1.0)
    rows = weights.reshape(len(weights), -1).astype(int)
    sigma = spread * rows.shape[1] ** 0.5
    level = NormalDist().inv_cdf(0.5 ** (1 / window)) + 0.3 * rng.standard_normal(len(rows))
    return np.round(mean * rows.sum(axis=1) + sigma * level).astype(np.int32)


@cache
def prepare(case: Case, fit: str = "small") -> Prepared:
    """Build the model for a fit and simulate it (some tenths of a second, once)."""
    network = build_network(case)
    blob = build_model(network, plan_fit(fit))
    rng = np.random.default_rng(len(blob))
    elements = rng.integers(0, 256 if case.dtype == "u8" else 2, (1, *case.input))
    return prepare_model(blob, memory(elements.astype(ELEMENTS[case.dtype])))


def prepare_model(blob: bytes, data: bytes) -> Prepared:
    """Simulate any model on an input in the device's format; raises ModelError where ``blob`` is no sound model."""
    model = decode(blob)
    simulator = Simulator(model.network)
    return Prepared(blob, data, simulator.scores(data), tuple(simulator.trace(data)), cost.describe(model))
