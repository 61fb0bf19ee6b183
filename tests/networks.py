"""Random networks by seed, adversarial inputs for them, and the record of which cases occurred.

``python tests/networks.py`` prints the coverage table of the seeds that the tests run.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from ebnn import ops
from ebnn.bits import pack_maps, pixel_stride
from ebnn.geometry import Geometry, Value, filter_taps, map_size, value_bytes
from ebnn.network import Network, Node, conv_node, dense_node, pool_node
from ebnn.plan import FITS, Fit, Limit, Plan, choices, kernel_name, make_plan, rows_between

SEEDS = range(600)
SHRINKING = range(150)
MAX_MACS = 20_000  # of one node: what keeps the oracle quick
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 70)
FULL_U8 = (((4, 4), 2), ((2, 4), 4), ((4, 8), 1), ((1, 4), 8), ((2, 2), 8), ((1, 1), 32))  # kernel, channels
I16 = (-(1 << 15), (1 << 15) - 1)
I32 = (-(1 << 31), (1 << 31) - 1)


class Builder:
    """Grows one random network; ``values`` are the values that the next node may read."""

    def __init__(self, seed: int | list[int], most_filters: int = 70) -> None:
        self.rng = np.random.default_rng(seed)
        self.most_filters = most_filters
        self.nodes: list[Node] = []
        self.values: list[Value] = []

    def pick(self, choices: Iterable):
        """One of ``choices``."""
        choices = list(choices)
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def channels(self, most: int = 70) -> int:
        """A number of channels, favouring the neighbours of powers of two."""
        if self.chance(0.3):
            return int(self.rng.integers(1, most + 1))
        return self.pick(c for c in CHANNELS if c <= most)

    def add(self, node: Node, shape: tuple[int, int, int]) -> None:
        """Append a node whose output has ``shape``."""
        self.nodes.append(node)
        self.values.append(Value(len(self.values), shape, node.spec.output))

    def source(self, dtype: str = "bits") -> Value | None:
        """The value that the next node reads: mostly the newest, now and then an earlier one."""
        found = [value for value in self.values if value.dtype == dtype]
        if not found:
            return None
        return self.pick(found) if self.chance(0.15) else found[-1]

    def weights(self, count: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Filters (count, *shape): random, or all +1, all -1, sparse, alternating."""
        kind = self.pick(("random",) * 5 + ("plus", "minus", "sparse", "alternating"))
        full = (count, *shape)
        if kind == "random":
            return self.rng.choice(np.array([-1, 1]), full)
        if kind == "sparse":
            return np.where(self.rng.random(full) < 0.05, 1, -1)
        if kind == "alternating":
            return (np.arange(np.prod(full)) % 2 * 2 - 1).reshape(full)
        return np.full(full, 1 if kind == "plus" else -1)

    def thresholds(self, weights: np.ndarray, dtype: str) -> np.ndarray:
        """One threshold a filter: around the usual sums, at sums that occur (ties), never, always, extremes."""
        taps = weights[0].size
        sums = weights.reshape(len(weights), -1).sum(1, dtype=np.int64)
        scale = 255 if dtype == "u8" else 1
        spread = max(1, int(scale * taps**0.5))
        usual = (sums * 127 if dtype == "u8" else 0) + self.rng.integers(-spread, spread + 1, len(weights))
        ties = sums * scale * self.rng.integers(0, 2, len(weights)) + self.rng.integers(0, 2, len(weights))
        bound = taps * scale
        edges = self.rng.choice(np.array([-bound, 1 - bound, bound, bound + 1, *I16, 0]), len(weights))
        found = np.choose(self.rng.choice([0, 0, 0, 1, 2], len(weights)), (usual, ties, edges))
        if self.chance(0.3):
            found[self.rng.integers(len(found))] = self.pick((*I32, I16[0] - 1, I16[1] + 1))
        elif self.chance(0.7):
            found = np.clip(found, *I16)
        return np.clip(found, *I32)

    def flips(self, count: int) -> np.ndarray | None:
        """No flips, some, or all."""
        kind = self.pick(("none", "some", "all"))
        some = self.rng.random(count) < 0.5
        return {"none": None, "some": some, "all": np.ones(count, bool)}[kind]

    def windows(self, size: tuple[int, int], limit: int) -> tuple:
        """(window, stride, pad) that fits into a map of ``size``; the window's sides are at most ``limit``."""
        kind = self.pick(("plain", "plain", "stride", "uneven"))
        window = tuple(int(self.rng.integers(1, min(limit, side + 1) + 1)) for side in size)
        pad = (0, 0, 0, 0)
        if self.chance(0.6):
            pad = tuple(int(self.rng.integers(0, window[axis % 2])) for axis in range(4))
        step = self.pick((2, 3))
        stride = {"plain": (1, 1), "stride": (step, step), "uneven": self.pick(((1, 2), (2, 1), (3, 2)))}[kind]
        return window, stride, pad

    def pool_windows(self, size: tuple[int, int]) -> tuple:
        """(window, stride, pad) of a pool of one of the kinds that ``pool_kind`` tells apart."""
        kind = self.pick(ALL["pool"])
        window = [int(self.rng.integers(1, min(3, side + 1) + 1)) for side in size]
        pad = [0, 0, 0, 0]
        if kind == "none":
            return (1, 1), (1, 1), tuple(pad)
        if kind == "padded":
            pad = [int(self.rng.integers(0, window[axis % 2])) for axis in range(4)]
        stride = [int(self.rng.integers(1, 3)) for _ in size]
        if kind in ("overlap", "disjoint"):
            window[self.rng.integers(2)] = int(self.rng.integers(2, 4))
        if kind == "overlap":
            stride = [int(self.rng.integers(1, max(side, 2))) for side in window]
        if kind == "disjoint":
            stride = window
        if kind == "gaps":
            stride = [side + int(self.rng.integers(1, 3)) for side in window]
        return tuple(window), tuple(stride), tuple(pad)

    def conv(self, kernel: tuple[int, int] | None = None) -> bool:
        """Append a conv node on the newest value of its dtype; False where the drawn windows do not fit."""
        value = self.source("bits") or self.values[0]
        own, stride, pad = self.windows(value.shape[:2], 4)
        kernel = kernel or own
        pad = tuple(min(side, kernel[axis % 2] - 1) for axis, side in enumerate(pad))
        size = map_size(value.shape[:2], kernel, stride, pad)
        pool, pool_stride, pool_pad = self.pool_windows(size)
        out = map_size(size, pool, pool_stride, pool_pad)
        filters = self.channels(self.most_filters)
        macs = size[0] * size[1] * kernel[0] * kernel[1] * value.shape[2]
        if min(*size, *out) < 1 or macs > MAX_MACS:
            return False
        filters = max(1, min(filters, MAX_MACS // macs))
        border = self.pick((-1, 1)) if any(pad) else -1
        geometry = Geometry((1, 1), stride, pad, border, pool, pool_stride, pool_pad)
        weights = self.weights(filters, (*kernel, value.shape[2]))
        node = conv_node(
            f"conv_{'u8_bits' if value.dtype == 'u8' else 'bits'}", value.id, weights, geometry,
            thresholds=self.thresholds(weights, value.dtype), flips=self.flips(filters),
        )  # fmt: skip
        self.add(node, (*out, filters))
        return True

    def pool(self) -> bool:
        """Append a ``pool_or`` node; False where the drawn window does not fit."""
        value = self.source()
        window, stride, pad = self.pool_windows(value.shape[:2])
        out = map_size(value.shape[:2], window, stride, pad)
        if min(out) < 1:
            return False
        self.add(pool_node(value.id, window, stride, pad), (*out, value.shape[2]))
        return True

    def dense(self) -> bool:
        """Append a hidden dense node; False where it would be too large."""
        value = self.source("bits") or self.values[0]
        units = min(self.channels(), MAX_MACS // int(np.prod(value.shape)))
        if units < 1:
            return False
        weights = self.weights(units, value.shape)
        op = "dense_u8_bits" if value.dtype == "u8" else "dense_bits"
        node = dense_node(
            op, value.id, weights,
            thresholds=self.thresholds(weights, value.dtype), flips=self.flips(units),
        )  # fmt: skip
        self.add(node, (1, 1, units))
        return True

    def scores(self) -> None:
        """Append the last node."""
        value = self.source("bits") or self.values[0]
        classes = int(self.rng.integers(1, 13))
        weights = self.weights(classes, value.shape)
        limit = self.pick((1, 100, I16[1], I16[1] + 2, 10**6, (1 << 30) - 1))
        offsets = self.rng.integers(-limit, limit + 1, classes)
        op = "dense_u8_scores" if value.dtype == "u8" else "dense_scores"
        self.add(dense_node(op, value.id, weights, offsets=offsets), (1, 1, classes))

    def start(self, dtype: str, kind: str) -> tuple[int, int] | None:
        """Make the input; returns the first kernel where the input was made for one."""
        kernel = None
        height, width = (int(side) for side in self.rng.integers(1, 12, 2))
        if self.chance(0.15):
            height, width = 1, int(self.rng.integers(1, 24))
        channels = self.pick((1, 1, 2, 3, 4, 5)) if dtype == "u8" else self.channels()
        if dtype == "u8" and self.chance(0.4):
            kernel, channels = self.pick(FULL_U8)
            height, width = height + kernel[0] - 1, width + kernel[1] - 1
            if kind != "conv":
                height, width, kernel = 2 * height, 4, None
        self.values.append(Value(0, (height, width, channels), dtype))
        return kernel


def random_network(seed: int) -> Network:
    """The network of ``seed``, small enough for the oracle."""
    build = Builder(seed)
    dtype = build.pick(("u8", "bits"))
    kind = build.pick(("conv", "conv", "conv", "dense", "scores", "scores" if dtype == "u8" else "pool"))
    kernel = build.start(dtype, kind)
    if kind == "conv":
        while not build.conv(kernel):
            pass
    if kind == "pool":
        while not build.pool():
            pass
    if kind == "dense":
        build.dense()
        kind = build.pick(("dense", "scores"))
    if kind in ("conv", "pool"):
        for _ in range(int(build.rng.integers(0, 4))):
            build.pick((build.conv, build.conv, build.pool))()
    if kind != "scores" and build.chance(0.4):
        build.dense()
    build.scores()
    labels = [f"label {k}" for k in range(build.values[-1].shape[2])] if build.chance(0.3) else []
    return Network(build.values[0], build.nodes, labels)


def shrinking_network(seed: int) -> Network:
    """A network whose convolutions make fewer bits than they read, so that an output can lie over its input."""
    build = Builder([seed, 2], most_filters=16)
    height, width = (int(side) for side in build.rng.integers(2, 14, 2))
    shape = (height, width, build.pick((16, 24, 32, 40, 64)))
    build.values.append(Value(0, shape, "bits"))
    build.add(pool_node(0, (1, 1), (1, 1)), shape)
    while not build.conv():
        pass
    build.pick((build.conv, build.pool))()
    build.scores()
    return Network(build.values[0], build.nodes)


def random_inputs(network: Network, seed: int) -> list[bytes]:
    """Inputs as the device gets them: all low, all high, random, sparse."""
    rng = np.random.default_rng([seed, 1])
    shape = network.input.shape
    random = rng.integers(0, 256, shape, np.uint8)
    sparse = np.where(rng.random(shape) < 0.1, random, 0)
    images = [np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), random, sparse.astype(np.uint8)]
    return [input_bytes(network, image) for image in images]


def input_bytes(network: Network, image: np.ndarray) -> bytes:
    """An image (h, w, c) uint8 as input bytes; for a ``bits`` input values from 128 are +1."""
    if network.input.dtype == "u8":
        return image.tobytes()
    return pack_maps(image[None] >= 128)[0].tobytes()


def random_fit(network: Network, seed: int) -> Fit:
    """The fit of the random network of ``seed``: those of the exporter, the plain kernels alone, half of the way."""
    kinds = (*FITS, "plain", "half")
    kind = kinds[seed % len(kinds)]
    if kind == "plain":
        return Limit(scratch=0)
    if kind == "half":
        return Limit(arena=sum(make_plan(network, fit).arena_size for fit in ("small", "fast")) // 2)
    return kind


def tight_plan(network: Network, has_most: bool) -> Plan:
    """Each output as far over its input as the SPEC allows, with the most scratch that a node can use or the least.

    The exporter lets them overlap only where this makes the arena smaller, which is seldom.
    """
    spans: list[list[int]] = []  # start and end of what lies over each other
    places: list[tuple[int, int]] = []  # of each output: which of them, and where in it
    for node, value in zip(network.nodes, network.values[1:], strict=True):
        gap = rows_between(network, node)
        if gap is None:
            spans.append([0, 0])
        span, start = (len(spans) - 1, 0) if gap is None else places[node.inputs[0] - 1]
        places.append((span, start - (gap or 0)))
        end = places[-1][1] + -(-value_bytes(value) // 4) * 4
        spans[span] = [min(spans[span][0], places[-1][1]), max(spans[span][1], end)]
    ends = list(itertools.accumulate(end - start for start, end in spans))
    outputs = tuple(ends[span] - spans[span][1] + place for span, place in places)
    sources = [network.values[node.inputs[0]] for node in network.nodes]
    pairs = zip(network.nodes, sources, strict=True)
    found = [choices(node.spec, source, node.geometry, node.filters) for node, source in pairs]
    scratch = [sizes[-1 if has_most else 0].scratch for sizes in found]
    return Plan(outputs, tuple((ends[-1], size) for size in scratch), ends[-1] + max(scratch))


# --- coverage ---

ALL = {
    "reads": ("input", "value"),
    "border": ("none", "minus", "plus"),
    "row": ("full", "word", "gap"),  # no unused bits; the last word has some; every pixel has some
    "out": ("full", "gap"),
    "flip": ("none", "some", "all"),
    "stride": ("one", "more", "uneven"),
    "pool": ("none", "disjoint", "overlap", "padded", "gaps"),
    "params": ("i16", "i32"),
    "kernel": ("plain", "lanes", "bytes"),
}
HAS = {
    "conv": ("reads", "border", "row", "out", "flip", "stride", "pool", "params", "kernel"),
    "dense": ("reads", "row", "out", "flip", "params"),
    "pool": ("reads", "row", "pool"),
}


def possible(op: ops.Op) -> dict[str, tuple[str, ...]]:
    """The attributes of an operator with the values that they can take."""
    found = {name: ALL[name] for name in HAS[op.source]}
    if op.input == "u8":
        found["reads"], found["row"] = ("input",), ("full", "word")
    if op.source == "conv":
        found["kernel"] = ("plain", "bytes" if op.input == "u8" else "lanes")
    if op.output == "i32":
        del found["out"], found["flip"]
    if op.source == "pool":
        found["row"] = ("full", "gap")
        found["pool"] = tuple(kind for kind in ALL["pool"] if kind != "none")
    return found


def row_kind(node: Node, value: Value) -> str:
    """Where a row of a node's weights (``pool_or``: a pixel of its map) has bits that belong to no tap."""
    channels = value.shape[2]
    if value.dtype == "bits" and pixel_stride(channels) != channels:
        return "gap"
    if node.spec.source == "pool":
        return "full"
    return "word" if filter_taps(node.spec, value, node.geometry) % 32 else "full"


def pool_kind(geometry: Geometry) -> str:
    """The kind of a pool window, by what makes it hard."""
    if any(geometry.pool_pad):
        return "padded"
    if geometry.pool == (1, 1) and geometry.pool_stride == (1, 1):
        return "none"
    if any(s < w for s, w in zip(geometry.pool_stride, geometry.pool, strict=True)):
        return "overlap"
    return "disjoint" if geometry.pool == geometry.pool_stride else "gaps"


def stride_kind(stride: tuple[int, int]) -> str:
    """One in both directions, more than one in both, or two different."""
    if stride[0] != stride[1]:
        return "uneven"
    return "one" if stride == (1, 1) else "more"


def facts(network: Network, plan: Plan, index: int) -> dict[str, str]:
    """The attributes of node ``index`` that its operator has, where ``plan`` gives it its scratch."""
    node = network.nodes[index]
    value = network.values[node.inputs[0]]
    geometry = node.geometry
    found = {
        "reads": "value" if node.inputs[0] else "input",
        "row": row_kind(node, value),
        "pool": pool_kind(geometry),
        "stride": stride_kind(geometry.stride),
        "border": {-1: "minus", 1: "plus"}[geometry.border] if any(geometry.pad) else "none",
        "out": "full" if pixel_stride(node.filters) == node.filters else "gap",
        "flip": "none" if node.flips is None else "all" if node.flips.all() else "some",
        "kernel": kernel_name(node, value, plan.scratch[index][1]),
    }
    params = node.thresholds if node.offsets is None else node.offsets
    if params is not None:
        found["params"] = "i16" if I16[0] <= params.min() and params.max() <= I16[1] else "i32"
    return {name: found[name] for name in possible(node.spec)}


class Coverage:
    """Counts every pair of attribute values an operator."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple] = Counter()
        self.singles: Counter[tuple] = Counter()

    def add(self, network: Network, plan: Plan) -> None:
        """Count the nodes of a network that is laid out like this."""
        for index, node in enumerate(network.nodes):
            found = facts(network, plan, index)
            self.singles.update((node.op, *item) for item in found.items())
            self.pairs.update((node.op, *pair) for pair in itertools.combinations(found.items(), 2))

    def missing(self) -> list[tuple]:
        """Every pair that is possible and did not occur."""
        return [pair for op in ops.OPS for pair in _pairs(op) if not self.pairs[pair]]

    def table(self) -> str:
        """Rows: attribute values; columns: operators; a cell: nodes, and the rarest pair they are part of."""
        lines = [f"{'':17}" + "".join(f"{op.name:>16}" for op in ops.OPS)]
        for name, value in ((name, value) for name, values in ALL.items() for value in values):
            cells = "".join(f"{self._cell(op, name, value):>16}" for op in ops.OPS)
            lines.append(f"{name + ' ' + value:17}" + cells)
        lines.append("nodes/times of its rarest pair with any other attribute; - is not possible")
        return "\n".join(lines)

    def _cell(self, op: ops.Op, name: str, value: str) -> str:
        if value not in possible(op).get(name, ()):
            return "-"
        mine = [self.pairs[pair] for pair in _pairs(op) if (name, value) in pair]
        return f"{self.singles[(op.name, name, value)]}/{min(mine)}"


def _pairs(op: ops.Op) -> Iterator[tuple]:
    for (a, a_values), (b, b_values) in itertools.combinations(possible(op).items(), 2):
        for left, right in itertools.product(a_values, b_values):
            yield op.name, (a, left), (b, right)


def coverage(seeds: Iterable[int] = SEEDS) -> Coverage:
    """The coverage of the networks of ``seeds``."""
    found = Coverage()
    for seed in seeds:
        network = random_network(seed)
        found.add(network, make_plan(network, random_fit(network, seed)))
    return found


if __name__ == "__main__":
    recorded = coverage()
    print(recorded.table())
    for missed in recorded.missing():
        print("missing", missed)
    sys.exit(bool(recorded.missing()))
