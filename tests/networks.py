"""Random networks by seed, adversarial inputs for them, and the record of which cases occurred.

``python tests/networks.py`` prints the coverage table of the seeds that the tests run.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

import oracle
from ebnn import ops
from ebnn.bits import pack_maps, pixel_stride
from ebnn.geometry import Geometry, Shape, Value, acc_bound, is_or, map_size, output_shape, row_bits, value_bytes
from ebnn.network import Network, Node, dense_node
from ebnn.plan import FITS, Fit, Limit, Plan, choices, kernel_name, make_plan, rows_between

SEEDS = range(700)
SHRINKING = range(150)
LEAST = range(60)
MAX_MACS = 8000  # of one node: what keeps the oracle quick
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 24, 31, 32, 33, 48, 48, 63, 64, 65, 70)
TRIES = 12
OPERATORS = ("conv", "conv", "conv", "depthwise", "depthwise", "dense", "dense", "pool", "pool")
HIDDEN = ("bits", "bits", "bits", "u8", "i8", "i16")
I8 = (-128, 127)
I16 = (-(1 << 15), (1 << 15) - 1)
I32 = (-(1 << 31), (1 << 31) - 1)


class Builder:
    """Grows one random network; ``maps`` are its values ``[y][x][c]`` for one input, which the oracle works out.

    Thresholds, shifts and offsets are drawn about the sums that really occur.
    """

    def __init__(self, seed: int | list[int], most_filters: int = 70) -> None:
        self.rng = np.random.default_rng(seed)
        self.most_filters = most_filters
        self.nodes: list[Node] = []
        self.values: list[Value] = []
        self.maps: list[list] = []

    def pick(self, choices: Iterable):
        """One of ``choices``."""
        choices = list(choices)
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def below(self, most: int) -> int:
        """A number from 1 to ``most``."""
        return int(self.rng.integers(1, most + 1))

    def channels(self, most: int) -> int:
        """A number of channels, favouring the neighbours of powers of two."""
        return self.below(most) if self.chance(0.3) else self.pick(c for c in CHANNELS if c <= most)

    def start(self, value: Value, seed: int) -> None:
        """Make the input; ``maps`` are those of the random one among ``random_inputs`` of this seed."""
        self.values.append(value)
        self.maps.append(images(value, seed)[2].tolist())

    def source(self) -> Value:
        """The value that the next node reads: mostly the newest, now and then an earlier one."""
        return self.pick(self.values) if self.chance(0.15) else self.values[-1]

    # --- sources and pools ---

    def weights(self, shape: tuple[int, ...], is_int8: bool) -> np.ndarray:
        """Weights of ``shape``: random, all the same, sparse, alternating, small, at the ends of int8."""
        if is_int8:
            low, high = self.pick((I8, I8, (-3, 3), (-1, 1)))
            found = self.rng.integers(low, high + 1, shape)
            kind = self.pick(("random", "random", "sparse", "ends", "least"))
            if kind == "sparse":
                return np.where(self.rng.random(shape) < 0.1, found, 0)
            ends = self.rng.choice(np.array(I8), shape)
            return {"random": found, "ends": ends, "least": np.full(shape, I8[0])}[kind]
        kind = self.pick(("random",) * 5 + ("plus", "minus", "sparse", "alternating"))
        if kind == "random":
            return self.rng.choice(np.array([-1, 1]), shape)
        if kind == "sparse":
            return np.where(self.rng.random(shape) < 0.05, 1, -1)
        if kind == "alternating":
            return (np.arange(np.prod(shape)) % 2 * 2 - 1).reshape(shape)
        return np.full(shape, 1 if kind == "plus" else -1)

    def windows(self, value: Value, limit: int) -> tuple:
        """(window, stride, pad) that fits into a value; the window's sides are at most ``limit``."""
        size, channels = value.shape[:2], value.shape[2]
        kind = self.pick(("plain", "plain", "stride", "uneven"))
        window = tuple(self.below(min(limit, side + 1)) for side in size)
        whole = [pair for pair in itertools.product(range(1, 5), range(1, 9)) if math.prod(pair) * channels % 32 == 0]
        if value.dtype != "bits" and whole and self.chance(0.4):  # rows of weights that end with a word
            window = self.pick(whole)
        pad = (0, 0, 0, 0)
        if self.chance(0.6):
            pad = tuple(int(self.rng.integers(0, window[axis % 2])) for axis in range(4))
        step = self.pick((2, 3))
        stride = {"plain": (1, 1), "stride": (step, step), "uneven": self.pick(((1, 2), (2, 1), (3, 2)))}[kind]
        return window, stride, pad

    def one_window(self, size: tuple[int, int]) -> tuple:
        """(window, stride, pad) of which ``size`` holds a single position."""
        pad = [0, 0, 0, 0]
        if self.chance(0.3):
            pad = [int(side) for side in self.rng.integers(0, 3, 4)]
        step = self.below(3)
        stride = (step, step) if self.chance(0.6) else (self.below(3), self.below(3))
        window = []
        for axis, side in enumerate(size):
            slack = int(self.rng.integers(0, stride[axis]))
            window.append(max(1, side + pad[axis] + pad[axis + 2] - slack))
        if self.chance(0.5) and not any(pad):
            stride = tuple(window) if self.chance(0.5) else tuple(side + 1 for side in window)
        return tuple(window), stride, tuple(min(side, window[axis % 2] - 1) for axis, side in enumerate(pad))

    def pool_windows(self, size: tuple[int, int]) -> tuple:
        """(window, stride, pad) of a pool of one of the kinds that ``pool_kind`` tells apart."""
        kind = self.pick(ALL["pool"])
        window = [self.below(min(3, side + 1)) for side in size]
        pad = [0, 0, 0, 0]
        if kind == "none":
            return (1, 1), (1, 1), tuple(pad)
        if kind == "padded":
            pad = [int(self.rng.integers(0, window[axis % 2])) for axis in range(4)]
        stride = [self.below(2) for _ in size]
        if kind in ("overlap", "disjoint"):
            longer = int(size[1] > size[0])
            window[longer] = min(1 + self.below(2), max(2, size[longer]))
        if kind == "overlap":
            stride = [int(self.rng.integers(1, max(side, 2))) for side in window]
        if kind == "disjoint":
            stride = window
        if kind == "gaps":
            stride = [side + self.below(2) for side in window]
        return tuple(window), tuple(stride), tuple(pad)

    def geometry(self, op: str, value: Value, is_last: bool) -> Geometry | None:
        """Windows of a node on a value, of which the last node's make one position; None where they do not fit."""
        if op == "dense":
            return Geometry()
        size, geometry = value.shape[:2], Geometry()
        if op != "pool":
            is_whole = is_last and self.chance(0.45)
            kernel, stride, pad = self.one_window(size) if is_whole else self.windows(value, 4)
            border = self.pick({"bits": (-1, 1, 0), "u8": (-1, 1)}.get(value.dtype, (-1,))) if any(pad) else -1
            geometry = Geometry(kernel, stride, pad, border)
            size = map_size(size, kernel, stride, pad)
        if min(size) < 1 or max(geometry.kernel) > 30:
            return None
        is_whole = is_last and size != (1, 1) or is_last and self.chance(0.5)
        pool, stride, pad = self.one_window(size) if is_whole else self.pool_windows(size)
        out = map_size(size, pool, stride, pad)
        if min(out) < 1 or (is_last and out != (1, 1)):
            return None
        return replace(geometry, pool=pool, pool_stride=stride, pool_pad=pad, pool_sum=self.chance(0.4))

    def part(self, op: str, value: Value, geometry: Geometry, filters: int | None = None) -> Node | None:
        """A node up to its ending; None where it would be too much work."""
        height, width, channels = value.shape
        size = (1, 1) if op == "dense" else (height, width)
        if op in ("conv", "depthwise"):
            size = map_size(size, geometry.kernel, geometry.stride, geometry.pad)
        kernel = {"dense": (height, width), "pool": (1, 1)}.get(op, geometry.kernel)
        taps = math.prod(kernel) * (channels if op in ("conv", "dense") else 1)
        step = channels if op in ("depthwise", "pool") else 1
        most = min(MAX_MACS // (math.prod(size) * taps), max(self.most_filters, 4 * step)) // step
        if most < 1:
            return None
        if filters is None:
            filters = step * min(most, self.pick((1, 1, 2, 3, 4, 4))) if step > 1 else self.channels(most)
        if filters % step or filters > step * most:
            return None
        node = Node(op, (value.id,), geometry, "i32", filters=filters)
        if op != "pool":
            shape = (filters, *kernel, 1 if op == "depthwise" else channels)
            node = replace(node, weights=self.weights(shape, self.chance(0.45)))
        if acc_bound(node, value) > ops.MAX_SUM and op != "pool":
            node = replace(node, weights=self.weights(node.weights.shape, is_int8=False))
        return node if acc_bound(node, value) <= ops.MAX_SUM else None

    # --- endings ---

    def bits(self, node: Node, sums: np.ndarray, bound: int, levels: int) -> Node:
        """An ending of bits: thresholds at sums that occur, never or always reached, at the ends of their range."""
        count = levels * node.filters
        occurs = sums[self.rng.integers(0, len(sums), count), np.arange(count) % node.filters]
        near = occurs + self.rng.integers(-1, 2, count)
        edges = self.rng.choice(np.array([-bound, 1 - bound, bound, bound + 1, *I16, 0]), count)
        found = np.choose(self.rng.choice([0, 0, 1, 1, 2], count), (occurs, near, edges))
        if self.chance(0.3):
            found[self.rng.integers(count)] = self.pick((*I32, I16[0] - 1, I16[1] + 1))
        elif self.chance(0.7):
            found = np.clip(found, *I16)
        exclusive = levels > 1 and self.chance(0.5)
        channels = node.filters if exclusive else count
        kind = self.pick(("none", "some", "all"))
        flips = {"none": None, "some": self.rng.random(channels) < 0.5, "all": np.ones(channels, bool)}[kind]
        return replace(node, thresholds=found, levels=levels, exclusive=exclusive, flips=flips)

    def integers(self, node: Node, sums: np.ndarray, bound: int, addend: int) -> Node:
        """An ending of integers, of which some are clamped; ``addend`` is the largest that the second input adds."""
        room, gains = I32[1] - addend, None
        if self.chance(0.5):
            limit = min(1 << 15, room // bound, self.pick((2, 100, 1 << 15)))
            gains = np.minimum(self.rng.integers(-limit, limit + 1, node.filters), I16[1])
        scaled = sums * (1 if gains is None else gains)
        most = ops.DTYPE[node.output].largest * self.pick((0.2, 1, 4))
        shift = max(0, round(math.log2(max(1, int(np.abs(scaled).max())) / most)))
        shift = min(31, self.pick((0, shift, shift, shift + 1, shift + self.below(4))))
        spread = int(min(most, 1 << 20)) << min(shift, 10)
        offsets = self.rng.integers(-spread, spread + 1, node.filters)
        offsets -= np.median(scaled, axis=0).astype(np.int64) * self.rng.integers(0, 2, node.filters)
        if self.chance(0.5):
            offsets = np.clip(offsets, *I16)
        limits = room - bound * np.abs(1 if gains is None else gains.astype(np.int64)) * np.ones(node.filters, int)
        if self.chance(0.1):
            offsets = limits * self.rng.choice(np.array([-1, 1]), node.filters)
        return replace(node, offsets=np.clip(offsets, -limits, limits), gains=gains, shift=shift)

    def second(self, shape: Shape, output: str) -> Value | None:
        """A second input for an output of ``shape``: a value that there is, or a node of its own; None without one."""
        height, width, filters = shape
        fit = [
            value
            for value in self.values[1:]
            if value.dtype in ops.SECOND_DTYPES and value.shape[:2] == (height, width) and value.shape[2] <= filters
        ]
        if fit and self.chance(0.6):
            return self.pick(fit)
        is_same = output in ops.SECOND_DTYPES and self.chance(0.5)
        return self.shortcut(shape, output if is_same else self.pick(ops.SECOND_DTYPES))

    def shortcut(self, shape: Shape, output: str) -> Value | None:
        """A node that makes a map of the size of ``shape`` with as many channels or fewer; None where it cannot be."""
        value = self.source()
        stride = tuple(max(1, side // wanted) for side, wanted in zip(value.shape, shape[:2], strict=False))
        window = tuple(value.shape[axis] - (shape[axis] - 1) * stride[axis] for axis in range(2))
        if min(window) < 1 or max(window) > 30:
            return None
        times = shape[2] // value.shape[2]
        if times and (shape[2] % value.shape[2] == 0 or self.chance(0.5)):
            geometry = Geometry(pool=window, pool_stride=stride, pool_sum=self.chance(0.7))
            part = self.part("pool", value, geometry, value.shape[2] * (times if self.chance(0.7) else 1))
        else:
            filters = shape[2] if self.chance(0.6) else self.below(shape[2])
            part = self.part("conv", value, Geometry(window, stride), filters)
        if part is not None:
            self.end(part, value, output, None)
        return None if part is None else self.values[-1]

    def end(self, part: Node, value: Value, output: str, second: Value | None, levels: int | None = None) -> None:
        """Give a node its ending and append it; ``levels`` are drawn where they are not given."""
        naive = naive_node(part, value)
        pooled = oracle.pooled_map(naive, self.maps[value.id], value.shape[2])
        sums, bound = np.array(pooled).reshape(-1, part.filters), acc_bound(part, value)
        node = replace(part, output=output, inputs=(value.id,) if second is None else (value.id, second.id))
        if is_or(node, value):
            node = replace(node, filters=value.shape[2])
        elif output == "bits":
            node = self.bits(node, sums, bound, levels or self.pick((1, 2, 3)))
        else:
            node = self.integers(node, sums, bound, 0 if second is None else ops.DTYPE[second.dtype].largest)
        naive = naive_node(node, value)
        if naive.filters != part.filters:
            pooled = [[pixel[: naive.filters] for pixel in row] for row in pooled]
        self.maps.append(oracle.ended_map(naive, pooled, None if second is None else self.maps[second.id]))
        self.nodes.append(node)
        self.values.append(Value(len(self.values), output_shape(node, value), output))

    def node(self, op: str, is_last: bool = False) -> bool:
        """Append a node; False where what was drawn does not fit."""
        value = self.source()
        geometry = self.geometry(op, value, is_last)
        part = None if geometry is None else self.part(op, value, geometry)
        if part is None:
            return False
        output, second = self.pick(ops.SCORE_DTYPES if is_last else HIDDEN), None
        if output != "bits" and self.chance(0.5):
            second = self.second(output_shape(part, value), output)
        self.end(part, value, output, second)
        return True

    def hits(self) -> bool:
        """Append a convolution for the fast kernels; False where what was drawn does not fit."""
        value = self.source()
        geometry = self.geometry("conv", value, is_last=False)
        if geometry is None or value.dtype not in ("bits", "u8"):
            return False
        geometry = replace(geometry, border=geometry.border or 1, pool_sum=False)
        part = self.part("conv", value, geometry)
        if part is None:
            return False
        self.end(replace(part, weights=self.weights(part.weights.shape, is_int8=False)), value, "bits", None, 1)
        return True

    def try_node(self, op: str, is_last: bool = False) -> bool:
        """The same, where several draws may be needed."""
        if op == "conv" and not is_last and self.chance(0.5) and any(self.hits() for _ in range(TRIES)):
            return True
        return any(self.node(op, is_last) for _ in range(TRIES))


def naive_node(node: Node, value: Value) -> oracle.Node:
    """A node that reads ``value`` as the oracle knows it; what its ending does not have yet is left out."""
    g = node.geometry
    border = {"bits": g.border, "u8": 255 if g.border == 1 else 0}.get(value.dtype, 0)
    constants = node.thresholds if node.offsets is None else node.offsets
    is_bits, outputs = node.output == "bits", output_shape(node, value)[2]
    return oracle.Node(
        node.op, value.id, node.second or 0, value.dtype, node.output, node.filters,
        value.shape[:2] if node.op == "dense" else g.kernel, g.stride, g.pad, g.pool, g.pool_stride, g.pool_pad,
        border, g.pool_sum, node.levels if is_bits else 0, node.exclusive, node.shift,
        [] if node.weights is None else node.weights.reshape(node.filters, -1).tolist(),
        [0] * node.filters if constants is None else constants.tolist(),
        [1] * node.filters if node.gains is None else node.gains.tolist(),
        [0] * outputs if node.flips is None else node.flips.astype(int).tolist(),
    )  # fmt: skip


@functools.cache
def random_network(seed: int) -> Network:
    """The network of ``seed``, small enough for the oracle."""
    build = Builder(seed)
    dtype = build.pick((*ops.INPUT_DTYPES, "bits", "u8"))
    height, width = (int(side) for side in build.rng.integers(1, 12, 2))
    if build.chance(0.15):
        height, width = 1, build.below(24)
    channels = build.channels(70) if dtype == "bits" else build.pick((1, 1, 2, 3, 4, 5, 8, 16))
    build.start(Value(0, (height, width, channels), dtype), seed)
    for _ in range(int(build.rng.integers(0, 5))):
        build.try_node(build.pick(OPERATORS))
    while not build.try_node(build.pick(ops.BY_NAME), is_last=True):
        pass
    labels = [f"label {k}" for k in range(build.values[-1].shape[2])] if build.chance(0.3) else []
    return Network(build.values[0], build.nodes, labels)


@functools.cache
def shrinking_network(seed: int) -> Network:
    """A network whose nodes make fewer bytes than they read, so that an output can lie over an input."""
    build = Builder([seed, 2], most_filters=16)
    height, width = (int(side) for side in build.rng.integers(2, 10, 2))
    shape = (height, width, build.pick((16, 24, 32, 40, 64)))
    build.start(Value(0, shape, "bits"), seed)
    build.end(build.part("pool", build.values[0], Geometry(), shape[2]), build.values[0], build.pick(HIDDEN), None)
    for _ in range(3):
        build.try_node(build.pick(("conv", "conv", "depthwise", "pool")))
    while not build.try_node(build.pick(("dense", "conv", "pool")), is_last=True):
        pass
    return Network(build.values[0], build.nodes)


@functools.cache
def least_network(seed: int) -> Network:
    """A network for the engine for the least memory: hits, no padding, disjoint pools, small offsets."""
    build = Builder([seed, 3], most_filters=40)
    height, width = (int(side) for side in build.rng.integers(3, 16, 2))
    build.start(Value(0, (height, width, build.pick((1, 2, 3, 8, 20))), build.pick(("bits", "u8"))), seed)
    for index in range(1 + build.below(3)):
        value = build.values[-1]
        kernel, pool = (tuple(build.below(min(3, side)) for side in value.shape[:2]) for _ in range(2))
        stride, is_dense = (build.below(2), build.below(2)), index > 1 and build.chance(0.5)
        geometry = Geometry() if is_dense else Geometry(kernel, stride, pool=pool, pool_stride=pool)
        part = build.part("dense" if is_dense else "conv", value, geometry)
        if part is None or min(output_shape(part, value)) < 1:
            break
        signs = build.weights(part.weights.shape, is_int8=False)
        build.end(replace(part, weights=signs), value, "bits", None, 1)
    classes, last = build.below(12), build.values[-1]
    if last.dtype != "bits":
        return least_network(seed + len(SEEDS))
    scores = dense_node(
        last.id, build.weights((classes, *last.shape), is_int8=False), offsets=build.rng.integers(*I16, classes)
    )
    return Network(build.values[0], (*build.nodes, scores))


def images(value: Value, seed: int) -> list[np.ndarray]:
    """Elements (h, w, c) for an input: all least, all largest, random, sparse."""
    rng = np.random.default_rng([seed, 1])
    dtype = ops.DTYPE[value.dtype]
    if value.dtype == "bits":
        random, rest = rng.choice(np.array([-1, 1]), value.shape), -1
    else:
        random, rest = rng.integers(dtype.least, dtype.most + 1, value.shape), 0
    if value.dtype == "i16":
        random //= rng.choice([1, 16, 256])
    sparse = np.where(rng.random(value.shape) < 0.1, random, rest)
    return [np.full(value.shape, dtype.least), np.full(value.shape, dtype.most), random, sparse]


def random_inputs(network: Network, seed: int) -> list[bytes]:
    """Inputs as the device gets them."""
    return [input_bytes(network.input, image) for image in images(network.input, seed)]


def input_bytes(value: Value, image: np.ndarray) -> bytes:
    """Elements (h, w, c) of a value as the device gets them."""
    if value.dtype == "bits":
        return pack_maps(image[None] > 0)[0].tobytes()
    return image.astype({"u8": "u1", "i8": "i1", "i16": "<i2"}[value.dtype]).tobytes()


def random_fit(network: Network, seed: int) -> Fit:
    """The fit of the random network of ``seed``: those of the exporter, the plain kernels alone, half of the way."""
    kinds = (*FITS, "fast", "plain", "half")
    kind = kinds[seed % len(kinds)]
    if kind == "plain":
        return Limit(scratch=0)
    if kind == "half":
        return Limit(arena=sum(make_plan(network, fit).arena_size for fit in ("small", "fast")) // 2)
    return kind


def tight_plan(network: Network, has_most: bool) -> Plan:
    """Each output as far over an input as the SPEC allows, with the most scratch that a node can use or the least.

    The exporter lets them overlap only where this makes the arena smaller, which is seldom.
    """
    spans: list[list[int]] = []  # start and end of what lies over each other
    places: list[tuple[int, int]] = []  # of each output: which of them, and where in it
    for index, (node, value) in enumerate(zip(network.nodes, network.values[1:], strict=True)):
        gaps = {read: rows_between(network, index, read) for read in node.inputs if read}
        over = [read for read, gap in gaps.items() if gap is not None]
        if over:
            read = over[-1 if has_most else 0]
            span, start = places[read - 1]
            places.append((span, start - gaps[read]))
        else:
            span = len(spans)
            spans.append([0, 0])
            places.append((span, 0))
        end = places[-1][1] + -(-value_bytes(value) // 4) * 4
        spans[span] = [min(spans[span][0], places[-1][1]), max(spans[span][1], end)]
    ends = list(itertools.accumulate(end - start for start, end in spans))
    outputs = tuple(ends[span] - spans[span][1] + place for span, place in places)
    found = [choices(node, network.values[node.inputs[0]]) for node in network.nodes]
    scratch = [sizes[-1 if has_most else 0].scratch for sizes in found]
    return Plan(outputs, tuple((ends[-1], size) for size in scratch), ends[-1] + max(scratch))


# --- coverage ---

ALL = {
    "reads": ("input", "value"),
    "input": ops.INPUT_DTYPES,
    "weights": ("bits", "int8"),
    "border": ("none", "minus", "plus", "nocount"),
    "row": ("full", "word", "gap"),  # no unused bits; the last word has some; every pixel has some
    "stride": ("one", "more", "uneven"),
    "pool": ("none", "disjoint", "overlap", "padded", "gaps"),
    "join": ("largest", "sum"),
    "times": ("one", "more"),  # filters a channel
    "output": tuple(ops.DTYPE),
    "levels": ("one", "more", "exclusive"),
    "out": ("full", "gap"),
    "flip": ("none", "some", "all"),
    "params": ("i16", "i32", "none"),
    "gains": ("no", "yes"),
    "shift": ("no", "yes"),
    "second": ("none", "same", "fewer"),  # as many channels as the output, or fewer
    "place": ("hidden", "last"),
    "kernel": ("plain", "lanes", "bytes"),
}
ENDING = ("output", "levels", "out", "flip", "params", "gains", "shift", "second", "place")
HAS = {
    "conv": ("reads", "input", "weights", "border", "row", "stride", "pool", "join", *ENDING, "kernel"),
    "depthwise": ("reads", "input", "weights", "border", "row", "stride", "pool", "join", "times", *ENDING),
    "dense": ("reads", "input", "weights", "row", *ENDING),
    "pool": ("reads", "input", "row", "pool", "join", "times", *ENDING),
}
INTEGERS = ("u8", "i8", "i16", "i32")
# What an attribute's value asks of others; "pool" is of the pool operator only.
NEEDS = {
    ("border", "minus"): {"input": ("bits", "u8")},
    ("border", "plus"): {"input": ("bits", "u8")},
    ("border", "nocount"): {"input": ("bits", "i8", "i16")},
    ("row", "gap"): {"input": ("bits",), "weights": ("bits",)},
    **{(name, value): {"output": ("bits",)} for name in ("levels", "out", "flip") for value in ALL[name]},
    **{(name, value): {"output": INTEGERS} for name in ("gains", "shift", "second") for value in ALL[name]},
    ("place", "hidden"): {"output": ("bits", "u8", "i8", "i16")},
    ("place", "last"): {"output": ops.SCORE_DTYPES},
    ("kernel", "lanes"): {
        "input": ("bits",), "weights": ("bits",), "border": ("none", "minus", "plus"), "output": ("bits",),
        "levels": ("one",), "join": ("largest",),
    },
    ("kernel", "bytes"): {
        "input": ("u8",), "weights": ("bits",), "output": ("bits",), "levels": ("one",), "join": ("largest",),
    },
    ("params", "none"): {
        "input": ("bits",), "output": ("bits",), "join": ("largest",), "times": ("one",), "levels": ("one",),
        "flip": ("none",),
    },
}  # fmt: skip


def possible(op: str) -> dict[str, tuple[str, ...]]:
    """The attributes of an operator with the values that they can take."""
    found = {name: ALL[name] for name in HAS[op]}
    if op == "pool":
        found["row"] = ("full", "gap")
    else:
        found["params"] = ("i16", "i32")
    return found


def agree(left: tuple[str, str], right: tuple[str, str]) -> bool:
    """Whether a node can have both of two attribute values."""
    asked: dict[str, set[str]] = {}
    for name, value in (left, right):
        for key, values in (NEEDS.get((name, value), {}) | {name: (value,)}).items():
            asked[key] = asked.get(key, set(values)) & set(values)
    return all(asked.values())


def row_kind(node: Node, value: Value) -> str:
    """Where a row of a node's weights (of a pool: a pixel of its input) has bits that belong to no tap."""
    channels = value.shape[2]
    if value.dtype == "bits" and not node.has_int8 and pixel_stride(channels) != channels:
        return "gap"
    return "word" if node.op != "pool" and row_bits(node, value) % 32 else "full"


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


def border_kind(geometry: Geometry, dtype: str) -> str:
    """What padding holds."""
    if not any(geometry.pad):
        return "none"
    return "nocount" if dtype in ("i8", "i16") else {-1: "minus", 1: "plus", 0: "nocount"}[geometry.border]


def ending_facts(network: Network, index: int) -> dict[str, str]:
    """The attributes of the ending of node ``index``."""
    node, value = network.nodes[index], network.values[index + 1]
    found = {"output": node.output, "place": "last" if index == len(network.nodes) - 1 else "hidden"}
    params = node.thresholds if node.offsets is None else node.offsets
    found["params"] = "none"
    if params is not None:
        found["params"] = "i16" if I16[0] <= params.min() and params.max() <= I16[1] else "i32"
    if node.output == "bits":
        found["levels"] = "exclusive" if node.exclusive else "one" if node.levels == 1 else "more"
        found["out"] = "full" if pixel_stride(value.shape[2]) == value.shape[2] else "gap"
        return found | {"flip": "none" if node.flips is None else "all" if node.flips.all() else "some"}
    found |= {"gains": "no" if node.gains is None else "yes", "shift": "yes" if node.shift else "no"}
    second = None if node.second is None else network.values[node.second].shape[2]
    return found | {"second": "none" if second is None else "same" if second == value.shape[2] else "fewer"}


def facts(network: Network, plan: Plan, index: int) -> dict[str, str]:
    """The attributes of node ``index`` that its operator has, where ``plan`` gives it its scratch."""
    node = network.nodes[index]
    value = network.values[node.inputs[0]]
    geometry = node.geometry
    found = {
        "reads": "value" if node.inputs[0] else "input",
        "input": value.dtype,
        "weights": "int8" if node.has_int8 else "bits",
        "border": border_kind(geometry, value.dtype),
        "row": row_kind(node, value),
        "stride": stride_kind(geometry.stride),
        "pool": pool_kind(geometry),
        "join": "sum" if geometry.pool_sum else "largest",
        "times": "one" if node.filters == value.shape[2] else "more",
        "kernel": kernel_name(node, value, plan.scratch[index][1]),
    } | ending_facts(network, index)
    return {name: value for name, value in found.items() if name in HAS[node.op]}


class Coverage:
    """Counts every pair of attribute values an operator."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple] = Counter()
        self.singles: Counter[tuple] = Counter()

    def add(self, network: Network, plan: Plan) -> None:
        """Count the nodes of a network that is laid out like this."""
        for index, node in enumerate(network.nodes):
            found = [item for item in facts(network, plan, index).items() if item[1] in possible(node.op)[item[0]]]
            found.sort(key=lambda item: HAS[node.op].index(item[0]))
            self.singles.update((node.op, *item) for item in found)
            self.pairs.update((node.op, *pair) for pair in itertools.combinations(found, 2))

    def missing(self) -> list[tuple]:
        """Every pair that is possible and did not occur."""
        return [pair for op in ops.BY_NAME for pair in _pairs(op) if not self.pairs[pair]]

    def table(self) -> str:
        """Rows: attribute values; columns: operators; a cell: nodes, and the rarest pair they are part of."""
        lines = [f"{'':17}" + "".join(f"{op:>11}" for op in ops.BY_NAME)]
        for name, value in ((name, value) for name, values in ALL.items() for value in values):
            cells = "".join(f"{self._cell(op, name, value):>11}" for op in ops.BY_NAME)
            lines.append(f"{name + ' ' + value:17}" + cells)
        lines.append("nodes/times of its rarest pair with any other attribute; - is not possible")
        return "\n".join(lines)

    def _cell(self, op: str, name: str, value: str) -> str:
        if value not in possible(op).get(name, ()):
            return "-"
        mine = [self.pairs[pair] for pair in _pairs(op) if (name, value) in pair]
        return f"{self.singles[(op, name, value)]}/{min(mine)}"


def _pairs(op: str) -> Iterator[tuple]:
    for (a, a_values), (b, b_values) in itertools.combinations(possible(op).items(), 2):
        for pair in itertools.product(((a, value) for value in a_values), ((b, value) for value in b_values)):
            if agree(*pair):
                yield op, *pair


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
