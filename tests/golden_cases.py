"""The networks of the golden cases, made by hand: a family a function, a case (name, note, network)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ebnn.geometry import Geometry, Shape, Value, output_shape
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node
from networks import I8, I16, I32, input_bytes

POOL = {"pool": (2, 2), "pool_stride": (2, 2)}
OVERLAP = {"pool": (3, 2), "pool_stride": (2, 1), "pool_pad": (1, 1, 2, 0)}
SIDES = {"pad": (1, 3, 2, 0)}  # four different ones, for kernels of 3 x 4
AROUND = {"pad": (1, 1, 1, 1)}
RANGES = {"bits": (-1, 1), "u8": (0, 255), "i8": I8, "i16": I16}

Named = tuple[str, str, Network]


class Hand:
    """Draws one case's numbers; the name is the seed, so that a new case changes no other."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(list(name.encode()))

    def signs(self, *shape: int) -> np.ndarray:
        """Random -1 and +1."""
        return self.rng.choice(np.array([-1, 1]), shape)

    def int8(self, *shape: int) -> np.ndarray:
        """Random weights of all of int8, both ends among them."""
        found = self.rng.integers(I8[0], I8[1] + 1, shape)
        found.flat[:2] = I8
        return found

    def near(self, count: int, spread: int) -> np.ndarray:
        """Integers from -spread to spread."""
        return self.rng.integers(-spread, spread + 1, count)

    def thresholds(self, weights: np.ndarray, dtype: str, levels: int = 1) -> np.ndarray:
        """Thresholds near the middle of the sums."""
        rows = weights.reshape(len(weights), -1).astype(np.int64)
        low, high = RANGES[dtype]
        spread = int(np.abs(rows).max() * max(1, high // 2) * rows.shape[1] ** 0.5) + 1
        middle = rows.sum(1) * (0 if dtype == "bits" else (low + high) // 2)
        return np.concatenate([middle + self.near(len(rows), spread) for _ in range(levels)])

    def images(self, value: Value) -> list[bytes]:
        """All low, all high, random."""
        low, high = RANGES[value.dtype]
        random = self.rng.integers(low, high + 1, value.shape)
        if value.dtype == "bits":
            random = self.signs(*value.shape)
        return [input_bytes(value, image) for image in (np.full(value.shape, low), np.full(value.shape, high), random)]


def scored(name: str, source: Value, *nodes: Node, classes: int = 3, labels: tuple[str, ...] = ()) -> Network:
    """A network of nodes, then scores of the last one's output."""
    hand = Hand(name + " scores")
    shapes = [source]
    for node in nodes:
        read = shapes[node.inputs[0]]
        full = replace(node, filters=node.filters or read.shape[2])
        shapes.append(Value(len(shapes), output_shape(full, read), node.output))
    last = shapes[-1]
    return Network(
        source, (*nodes, dense_node(last.id, hand.signs(classes, *last.shape), offsets=hand.near(classes, 5))), labels
    )


def conv(name: str, dtype: str, shape: Shape, weights: Shape, **options) -> Network:
    """A conv node of ``weights`` (filters, kernel_h, kernel_w) that makes bits, then scores.

    Options: signs, thresholds, flips, and the fields of Geometry.
    """
    hand = Hand(name)
    signs = options.pop("signs", hand.signs(*weights, shape[2]))
    params = {
        "thresholds": options.pop("thresholds", hand.thresholds(signs, dtype)),
        "flips": options.pop("flips", None),
    }
    return scored(name, Value(0, shape, dtype), conv_node(0, signs, Geometry(**options), **params))


def attributes() -> Iterator[Named]:
    """Every attribute of a convolution, on every dtype."""
    some = np.array([1, 0, 0, 1, 1], bool)
    for dtype, shape in (("u8", (6, 5, 2)), ("bits", (6, 5, 3)), ("i8", (6, 5, 2)), ("i16", (6, 5, 1))):
        plus = {"border": 1} if dtype in ("u8", "bits") else {}
        for name, note, options in (
            ("plain", "no padding, stride 1, no pool", {}),
            ("border_minus", "other padding on each side, border -1, or not counted", SIDES),
            ("border_plus", "other padding on each side, border +1", {**SIDES, **plus}),
            ("stride", "strides 2 and 3 with padding", {**SIDES, "stride": (2, 3)}),
            ("pool", "pool 2x2", {**SIDES, **POOL}),
            ("pool_padded", "overlapping pool whose padding never counts", {**SIDES, **OVERLAP}),
            ("flips", "flips without a pool", {"flips": some}),
            ("flips_pool", "the flip comes after the pool", {**SIDES, **OVERLAP, "flips": some}),
            ("stride_pool_plus", "all together", {
                **SIDES, **POOL, "stride": (1, 2), **plus, "flips": some, "pool_stride": (1, 2),
            }),
            ("sum", "the sum over a padded pool", {**SIDES, **OVERLAP, "pool_sum": True}),
            ("int8", "weights of all of int8", {**SIDES, "signs": Hand(dtype).int8(5, 3, 4, shape[2])}),
        ):  # fmt: skip
            if plus or "plus" not in name:
                yield _named(f"conv_{dtype}_{name}", note, dtype, shape, (5, 3, 4), **options)
    for name, signs in (("nocount", {}), ("nocount_int8", {"signs": Hand("nocount").int8(5, 3, 4, 3)})):
        options = {**SIDES, "border": 0, **signs}
        yield _named(f"conv_bits_{name}", "padding does not count", "bits", (6, 5, 3), (5, 3, 4), **options)
        pool = {**options, **OVERLAP}
        yield _named(f"conv_bits_{name}_pool", "the same with a pool", "bits", (6, 5, 3), (5, 3, 4), **pool)


def _named(name: str, note: str, dtype: str, shape: Shape, weights: Shape, **options) -> Named:
    return name, note, conv(name, dtype, shape, weights, **options)


def byte_boundaries() -> Iterator[Named]:
    """Channels around the pixel strides, rows of weights around whole words, pixels across words."""
    for channels in (1, 2, 3, 5, 8, 9, 16, 17, 32, 33, 70):
        note = f"{channels} channels in, {channels} filters out"
        yield _named(f"conv_bits_c{channels}", note, "bits", (3, 5, channels), (channels, 2, 2))
    for taps, kernel, channels in ((31, (1, 31), 1), (32, (4, 4), 2), (33, (1, 11), 3), (64, (8, 8), 1)):
        shape = (kernel[0] + 1, kernel[1] + 1, channels)
        yield _named(f"conv_u8_taps{taps}", f"{taps} taps on bytes", "u8", shape, (3, *kernel))
    for dtype, channels in (("bits", 33), ("u8", 3), ("i8", 5), ("i16", 2)):
        name = f"conv_{dtype}_int8_rows"
        signs = Hand(name).int8(3, 1, 3, channels)
        yield _named(
            name, "rows of int8 weights that end inside of a word", dtype, (2, 4, channels), (3, 1, 3), signs=signs
        )


def extremes() -> Iterator[Named]:
    """Sums at and beyond the bounds of lanes and of 16 bits; thresholds at ties and at the ends of their range."""
    for channels, kernel in ((15, (2, 17)), (16, (2, 16)), (3, (1, 86)), (257, (1, 1)), (129, (2, 1))):
        taps = kernel[0] * kernel[1] * channels
        name = f"conv_u8_ones_{kernel[0]}x{kernel[1]}x{channels}"
        plus = {"signs": np.stack([np.full((*kernel, channels), sign) for sign in (1, 1, -1, -1)])}
        ties = np.array([255 * taps, 255 * taps + 1, -255 * taps, 1 - 255 * taps])
        note = f"all +1 and all -1 over {taps} taps: ties at the largest sums"
        yield _named(name, note, "u8", (kernel[0], kernel[1] + 1, channels), (4, *kernel), **plus, thresholds=ties)
    for side in (1, 4, 5):
        taps = 9 * side
        signs = np.stack([np.full((3, 3, side), sign) for sign in (1, 1, -1, -1)])
        ties = np.array([taps, taps + 1, -taps, 1 - taps])
        yield _named(
            f"conv_bits_ones_{side}", f"all +1 and all -1 over {taps} taps, border +1", "bits", (4, 3, side),
            (4, 3, 3), signs=signs, thresholds=ties, pad=(1, 1, 1, 1), border=1,
        )  # fmt: skip
    for dtype in ("u8", "bits"):
        yield _named(
            f"conv_{dtype}_never_always", "thresholds at the ends of 16 bits", dtype, (3, 3, 1), (4, 2, 2),
            thresholds=np.array([*I16, 0, 1]), flips=np.array([0, 0, 1, 1], bool),
        )  # fmt: skip
        yield _named(
            f"conv_{dtype}_wide", "thresholds at the ends of 32 bits", dtype, (3, 3, 2), (5, 2, 2),
            thresholds=np.array([*I32, I16[0] - 1, I16[1] + 1, 0]), flips=np.array([0, 0, 1, 1, 0], bool),
        )  # fmt: skip
    ones = np.stack([np.full((32, 32, 32), sign) for sign in (1, -1)])
    node = dense_node(0, ones, offsets=np.array([1, -1]))
    yield "dense_scores_32768", "sums beyond 16 bits", Network(Value(0, (32, 32, 32), "bits"), (node,))
    ones = np.stack([np.full((30, 30, 1), sign) for sign in (1, -1)])
    node = dense_node(0, ones, offsets=np.array([(1 << 31) - 1 - 255 * 900, -(1 << 30)]))
    yield "dense_u8_scores_limit", "scores up to 2**31 - 1", Network(Value(0, (30, 30, 1), "u8"), (node,))


def bounds() -> Iterator[Named]:
    """Sums, gains and offsets as large as the SPEC allows, and what a wrong width would make of them."""
    most = (1 << 30) - 1
    ends = np.stack([np.full((16, 16, 1), end) for end in (*I8, I8[0])])
    node = dense_node(0, ends, offsets=np.array([most, most, -most]))
    note = "256 taps of i16 times -128 are 2**30, with the largest offsets 2**31 - 1"
    yield "dense_i16_int8_limit", note, Network(Value(0, (16, 16, 1), "i16"), (node,))
    node = conv_node(0, ends[:2], Geometry(), thresholds=np.array([1 << 30, -(1 << 30) + (1 << 23)]))
    yield "conv_i16_int8_limit", "ties at 2**30", scored("conv_i16_int8_limit", Value(0, (16, 17, 1), "i16"), node)
    limit = (1 << 31) - 1 - 32767 * 9
    gains, offsets = np.array([32767, -32767, I16[0], 0]), np.array([limit, -limit, limit - 9, I32[1]])
    node = dense_node(0, np.ones((4, 3, 3, 1), int), gains=gains, offsets=offsets)
    yield "gains_limit", "the largest gains and offsets", Network(Value(0, (3, 3, 1), "bits"), (node,))
    for name, node in (
        ("i16", pool_node(0, (4, 8), (4, 8), pool_sum=True, offsets=np.array([0, -5]), filters=2)),
        ("u8", pool_node(0, (4, 8), (4, 8), pool_sum=True, offsets=np.array([-4000, -1]), shift=31)),
    ):
        note = "the sum over all positions is the score"
        yield f"pool_sum_{name}", note, Network(Value(0, (4, 8, len(node.offsets)), name), (node,))
    odd = np.array([-1, -2, -3, -4, -5, 4, 5])
    for shift in (1, 2, 31):
        node = pool_node(0, offsets=odd, shift=shift, output="i8")
        note = "shifts of sums below 0 round down"
        yield f"shift_{shift}", note, Network(Value(0, (1, 1, 7), "i8"), (node,))
    for output in ("u8", "i8", "i16"):
        name = f"clamps_{output}"
        weights = Hand(name).int8(6, 2, 2, 2)
        offsets = np.array([0, 1, -1, 500_000, -500_000, 128])
        node = conv_node(0, weights, Geometry(), output=output, offsets=offsets, shift=1)
        yield name, "most integers are clamped", scored(name, Value(0, (3, 4, 2), "i16"), node)


def borders() -> Iterator[Named]:
    """Kernels and windows that are larger than their input."""
    for dtype, channels in (("bits", 3), ("u8", 2), ("i8", 2), ("i16", 1)):
        for border in {"bits": (0, 1), "u8": (-1, 1)}.get(dtype, (-1,)):
            name = f"larger_{dtype}_{('none', 'plus', 'minus')[border]}"
            geometry = Geometry(pad=(4, 3, 2, 4), border=border, pool=(4, 3), pool_stride=(3, 2), pool_pad=(3, 2, 1, 2))
            weights = Hand(name).signs(5, 5, 5, channels)
            node = conv_node(0, weights, geometry, thresholds=Hand(name).thresholds(weights, dtype))
            source = Value(0, (2, 2, channels), dtype)
            yield name, "a kernel that is larger than its input on every side", scored(name, source, node)
    for join in (False, True):
        name = f"depthwise_larger_{'sum' if join else 'largest'}"
        geometry = Geometry(
            pad=(2, 2, 2, 2), border=0, pool=(3, 3), pool_stride=(2, 2), pool_pad=(2, 2, 2, 2), pool_sum=join
        )
        weights = Hand(name).signs(6, 3, 3, 1)
        node = depthwise_node(0, weights, geometry, output="i8", offsets=Hand(name).near(6, 2))
        yield name, "the same of single channels", scored(name, Value(0, (1, 2, 3), "bits"), node)


def depthwise() -> Iterator[Named]:
    """Depthwise convolutions: multipliers, tails of words, every dtype, every ending."""
    for dtype, channels, times in (
        ("bits", 1, 3), ("bits", 3, 1), ("bits", 5, 2), ("bits", 32, 1), ("bits", 33, 2), ("u8", 3, 2),
        ("i8", 5, 1), ("i16", 2, 3),
    ):  # fmt: skip
        name = f"depthwise_{dtype}_c{channels}x{times}"
        weights = Hand(name).signs(channels * times, 3, 2, 1)
        geometry = Geometry(pad=(1, 1, 2, 0), stride=(1, 2), **POOL)
        node = depthwise_node(0, weights, geometry, thresholds=Hand(name).thresholds(weights, dtype))
        note = f"{times} filters for each of {channels} channels"
        yield name, note, scored(name, Value(0, (5, 6, channels), dtype), node)
        name = f"depthwise_{dtype}_c{channels}x{times}_int8"
        weights = Hand(name).int8(channels * times, 2, 3, 1)
        params = {"offsets": Hand(name).near(len(weights), 2000), "shift": 14 if dtype == "i16" else 5}
        node = depthwise_node(0, weights, Geometry(pad=(0, 2, 1, 0)), output="i8", **params)
        yield name, f"{note}, int8 weights to i8", scored(name, Value(0, (3, 4, channels), dtype), node)


def endings() -> Iterator[Named]:
    """Levels, exclusive hits, gains, second inputs, on sources of each kind."""
    for levels, exclusive in ((3, False), (2, True), (3, True)):
        kind = "exclusive" if exclusive else "levels"
        for dtype, shape in (("u8", (4, 5, 2)), ("bits", (4, 5, 7))):
            name = f"conv_{dtype}_{kind}{levels}"
            hand, flips = Hand(name), np.arange(11 * (1 if exclusive else levels)) % 3 == 0
            weights = hand.signs(11, 2, 3, shape[2])
            params = {"levels": levels, "exclusive": exclusive, "flips": flips}
            params["thresholds"] = hand.thresholds(weights, dtype, levels)
            node = conv_node(0, weights, Geometry(**AROUND, **POOL), **params)
            yield name, f"{levels} levels of 11 filters, {kind}, flips", scored(name, Value(0, shape, dtype), node)
    for name, dtype, node in (
        ("thermometer", "u8", pool_node(0, thresholds=np.arange(1, 9) * 28, levels=8)),
        ("binary_code", "u8", pool_node(0, thresholds=np.arange(256)[1:], levels=255, exclusive=True)),
        ("largest_of_i8", "i8", pool_node(0, **OVERLAP, output="i8", offsets=np.array([-3]))),
        ("bits_to_u8", "bits", pool_node(0, **OVERLAP, output="u8", offsets=np.array([1]), gains=np.array([100]))),
        ("sum_of_bits", "bits", pool_node(0, **OVERLAP, pool_sum=True, thresholds=np.array([1, -1]), levels=2)),
    ):
        yield f"pool_{name}", "a pool that encodes", scored(name, Value(0, (5, 4, 1), dtype), node)
    for dtype in ("bits", "u8", "i8", "i16"):
        name = f"gains_{dtype}"
        hand = Hand(name)
        params = {"gains": hand.near(7, 900), "offsets": hand.near(7, 70_000), "shift": 9}
        node = conv_node(0, hand.signs(7, 2, 2, 3), Geometry(**POOL), output="i16", **params)
        yield name, "gains and offsets of integers", scored(name, Value(0, (4, 5, 3), dtype), node)
    for output in ("i8", "i16", "i32"):
        for op in ("dense", "conv", "depthwise", "pool"):
            yield f"scores_{op}_{output}", f"{op} makes the scores", _scores(f"scores_{op}_{output}", op, output)


def _scores(name: str, op: str, output: str) -> Network:
    """A single node that makes scores of bytes."""
    hand, shape = Hand(name), (3, 2, 4)
    params = {"output": output, "offsets": hand.near(4, 300), "shift": 2 if output == "i8" else 0}
    node = {
        "dense": lambda: dense_node(0, hand.signs(4, *shape), **params),
        "conv": lambda: conv_node(0, hand.signs(4, 2, 2, 4), Geometry(pool=(2, 1)), **params),
        "depthwise": lambda: depthwise_node(0, hand.int8(4, 3, 2, 1), **params),
        "pool": lambda: pool_node(0, (3, 2), pool_sum=True, **params),
    }[op]()
    return Network(Value(0, shape, "u8"), (node,))


def dense() -> Iterator[Named]:
    """Dense operators on the input and on values."""
    for name, dtype, shape in (
        ("dense_u8_bits", "u8", (3, 5, 3)),
        ("dense_bits", "bits", (3, 5, 3)),
        ("dense_i8_bits", "i8", (3, 5, 3)),
        ("dense_i16_bits", "i16", (3, 5, 1)),
    ):
        hand = Hand(name)
        for kind, weights in (("input", hand.signs(9, *shape)), ("int8", hand.int8(9, *shape))):
            flips = hand.rng.random(9) < 0.5
            node = dense_node(0, weights, thresholds=hand.thresholds(weights, dtype), flips=flips)
            full = f"{name}_{kind}"
            yield full, "hidden dense layer on the input", scored(full, Value(0, shape, dtype), node)
    hand = Hand("dense")
    for channels in (1, 3, 32, 40):
        shape = (3, 3, channels)
        node = dense_node(0, hand.signs(4, *shape), offsets=hand.near(4, 40000))
        note = "scores right from the input, wide offsets"
        yield f"dense_scores_c{channels}", note, Network(Value(0, shape, "bits"), (node,))
    node = dense_node(0, hand.signs(10, 4, 8, 1), offsets=hand.near(10, 30000))
    yield "dense_u8_scores", "scores right from bytes", Network(Value(0, (4, 8, 1), "u8"), (node,))
    same = dense_node(0, np.ones((4, 2, 2, 1), int), offsets=np.array([0, 7, 7, 7]))
    yield "prediction_tie", "the lowest index among equal scores", Network(Value(0, (2, 2, 1), "u8"), (same,))
    same = dense_node(0, np.ones((4, 2, 2, 1), int), offsets=np.array([-1100, 7, 9, 8]), output="i8")
    yield "prediction_clamped", "scores that are equal when clamped", Network(Value(0, (2, 2, 1), "u8"), (same,))
    most = (1 << 31) - 6
    far = dense_node(0, hand.signs(3, 2, 2, 1), offsets=np.array([-most, most, 1 - most]))
    yield "margin_beyond_int32", "scores almost 2^32 apart", Network(Value(0, (2, 2, 1), "bits"), (far,))
    one = dense_node(0, hand.signs(1, 1, 1, 1), offsets=np.array([-3]))
    yield "smallest", "one bit in, one score out", Network(Value(0, (1, 1, 1), "bits"), (one,))


def pools() -> Iterator[Named]:
    """Pools of bits that make bits, on the input."""
    for channels in (1, 6, 33):
        name = f"pool_or_c{channels}"
        node = pool_node(0, (3, 2), (2, 1), (1, 1, 2, 0))
        yield name, "overlapping pool with padding", scored(name, Value(0, (5, 6, channels), "bits"), node)
    name = "pool_or_gaps"
    yield name, "stride above the window", scored(name, Value(0, (7, 9, 2), "bits"), pool_node(0, (1, 2), (3, 4)))


def methods() -> Iterator[Named]:
    """Networks as methods of the literature make them."""
    hand = Hand("methods")
    zeros = np.zeros(6, int)
    first = conv_node(0, hand.int8(6, 3, 3, 1), Geometry(**AROUND), output="i8", offsets=hand.near(6, 9000), shift=8)
    binary = pool_node(1, thresholds=hand.near(6, 20))
    weights = hand.signs(6, 3, 3, 6)
    block = conv_node(2, weights, Geometry(**AROUND, border=0), second=1, output="i8", gains=hand.near(6, 60),
                      offsets=hand.near(6, 200), shift=3)  # fmt: skip
    source = Value(0, (6, 6, 1), "u8")
    yield (
        "residual",
        "int8 first layer, a block that adds its own input",
        scored("residual", source, first, binary, block),
    )
    for name, note, times, filters in (
        ("option_a", "a shortcut with fewer channels: the rest adds 0", 1, 12),
        ("repeated", "a shortcut that repeats its channels", 2, 12),
    ):
        offsets = np.full(6 * times, 2)
        shortcut = pool_node(3, (2, 2), (2, 2), pool_sum=True, output="i8", offsets=offsets, shift=2, filters=6 * times)
        bits = pool_node(3, thresholds=hand.near(6, 20))
        down = conv_node(5, hand.signs(filters, 3, 3, 6), Geometry(stride=(2, 2), **AROUND, border=0), second=4,
                         output="i8", offsets=hand.near(filters, 9))  # fmt: skip
        yield f"downsampling_{name}", note, scored(name, source, first, binary, block, shortcut, bits, down)
    slope = np.concatenate([hand.near(6, 4) - 6, hand.near(6, 4) + 6])
    prelu = conv_node(0, hand.signs(6, 2, 2, 3), Geometry(), thresholds=slope, levels=2, exclusive=True)
    note = "a PReLU of negative slope: between two thresholds"
    yield "prelu_negative", note, scored("prelu_negative", Value(0, (4, 4, 3), "bits"), prelu)
    bases = [
        conv_node(
            0,
            hand.signs(5, 3, 3, 4),
            Geometry(**AROUND),
            output="i16",
            gains=hand.near(5, 80),
            offsets=hand.near(5, 30),
        )
    ]
    for k in (1, 2):
        bases.append(conv_node(0, hand.signs(5, 3, 3, 4), Geometry(**AROUND), second=k, output="i16",
                               gains=hand.near(5, 80), offsets=hand.near(5, 30)))  # fmt: skip
    sign = pool_node(3, (2, 2), (2, 2), thresholds=hand.near(5, 100))
    note = "a convolution of three bases: a chain of second inputs"
    yield "bases", note, scored("bases", Value(0, (4, 4, 4), "bits"), *bases, sign)
    yield from _averages(hand, zeros)


def _averages(hand: Hand, zeros: np.ndarray) -> Iterator[Named]:
    average = pool_node(0, (2, 2), (2, 2), pool_sum=True, output="u8", offsets=np.array([2]), shift=2)
    nearest = pool_node(0, (1, 1), (2, 2), output="u8", offsets=np.array([0]))
    for name, resize in (("average", average), ("nearest", nearest)):
        code = pool_node(1, thresholds=np.arange(1, 6) * 42, levels=5)
        yield (
            f"resize_{name}",
            "an input that is resized, then coded",
            scored(name, Value(0, (6, 8, 1), "u8"), resize, code),
        )
    ninth = {"gains": np.full(6, 7282), "offsets": np.full(6, 1 << 15), "shift": 16}
    window = pool_node(0, (3, 3), (1, 1), (1, 1, 1, 1), pool_sum=True, output="i8", **ninth)
    name = "average_ninth"
    yield name, "a ninth as a gain, with padding that adds nothing", scored(name, Value(0, (4, 4, 6), "i8"), window)
    weights = hand.signs(6, 3, 3, 2)
    last = conv_node(0, weights, Geometry(**AROUND, pool=(5, 4), pool_sum=True), output="i16", offsets=zeros)
    yield "global_average", "the sums of all positions are the scores", Network(Value(0, (5, 4, 2), "u8"), (last,))
    line = conv_node(0, hand.int8(7, 1, 5, 1), Geometry(stride=(1, 2), pad=(0, 2, 0, 2)), output="i8",
                     offsets=hand.near(7, 9_000), shift=16)  # fmt: skip
    code = pool_node(1, (1, 3), (1, 2), thresholds=hand.near(7, 30))
    yield "signal", "height 1, i16", scored("signal", Value(0, (1, 40, 1), "i16"), line, code)


def whole() -> Iterator[Named]:
    """Networks of several layers, branches, labels."""
    hand = Hand("whole")
    first = hand.signs(6, 3, 3, 1)
    second = hand.signs(10, 3, 3, 6)
    hidden = hand.signs(20, 3, 3, 10)
    source = Value(0, (14, 14, 1), "u8")
    nodes = (
        conv_node(
            0, first, Geometry(**POOL),
            thresholds=hand.thresholds(first, "u8"), flips=np.array([1, 0, 0, 0, 1, 0], bool),
        ),
        conv_node(1, second, Geometry(pad=(1, 1, 1, 1), **POOL), thresholds=hand.thresholds(second, "bits")),
        dense_node(2, hidden, thresholds=hand.thresholds(hidden, "bits")),
        dense_node(3, hand.signs(3, 1, 1, 20), offsets=hand.near(3, 9)),
    )  # fmt: skip
    labels = ("zero", "", "zwölf <&>")
    yield "network", "two convolutions, hidden dense layer, labels", Network(source, nodes, labels)
    branch = (nodes[0], pool_node(1, (2, 2), (1, 1)), pool_node(1, (3, 3), (3, 3)), pool_node(2, (5, 5), (1, 1)))
    last = dense_node(3, hand.signs(2, 2, 2, 6), offsets=hand.near(2, 9))
    yield "branches", "nodes that read earlier values, and one that nobody reads", Network(source, (*branch, last))
    line = hand.signs(7, 1, 5, 2)
    node = conv_node(
        0, line, Geometry(stride=(1, 2), pad=(0, 2, 0, 2), pool=(1, 3), pool_stride=(1, 2)),
        thresholds=hand.thresholds(line, "u8"),
    )  # fmt: skip
    yield "one_dimension", "height 1", scored("one_dimension", Value(0, (1, 40, 2), "u8"), node)


FAMILIES = (attributes, byte_boundaries, extremes, bounds, borders, depthwise, endings, dense, pools, methods, whole)
