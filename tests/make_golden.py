"""The golden cases: small networks made by hand, their values from the oracle.

``python tests/make_golden.py`` writes ``tests/golden/*.txt`` again; a test says whether that changes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ebnn.files import write_atomic
from ebnn.geometry import Geometry, Shape, Value, output_shape
from ebnn.network import Network, Node, conv_node, dense_node, pool_node
from networks import I16, I32, input_bytes
from vectors import Case, from_text, make_case, to_text

FOLDER = Path(__file__).parent / "golden"
POOL = {"pool": (2, 2), "pool_stride": (2, 2)}
OVERLAP = {"pool": (3, 2), "pool_stride": (2, 1), "pool_pad": (1, 1, 2, 0)}
SIDES = {"pad": (1, 3, 2, 0)}  # four different ones, for kernels of 3 x 4

Named = tuple[str, str, Network]


class Hand:
    """Draws one case's numbers; the name is the seed, so that a new case changes no other."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(list(name.encode()))

    def signs(self, *shape: int) -> np.ndarray:
        """Random -1 and +1."""
        return self.rng.choice(np.array([-1, 1]), shape)

    def near(self, count: int, spread: int) -> np.ndarray:
        """Integers from -spread to spread."""
        return self.rng.integers(-spread, spread + 1, count)

    def thresholds(self, weights: np.ndarray, dtype: str) -> np.ndarray:
        """Thresholds near the middle of the sums."""
        rows = weights.reshape(len(weights), -1)
        spread = int(rows.shape[1] ** 0.5) + 1
        if dtype == "bits":
            return self.near(len(rows), spread)
        return 127 * rows.sum(1) + self.near(len(rows), 64 * spread)

    def images(self, network: Network) -> list[bytes]:
        """All low, all high, random."""
        shape = network.input.shape
        random = self.rng.integers(0, 256, shape, np.uint8)
        chosen = (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), random)
        return [input_bytes(network, image) for image in chosen]


def scored(name: str, source: Value, node: Node, classes: int = 3, labels: tuple[str, ...] = ()) -> Network:
    """A network of a first node and scores."""
    hand = Hand(name + " scores")
    channels = source.shape[2] if node.weights is None else node.filters
    weights = hand.signs(classes, *output_shape(node.spec, source, node.geometry, channels))
    last = dense_node("dense_scores", 1, weights, offsets=hand.near(classes, 5))
    return Network(source, (node, last), labels)


def conv(name: str, dtype: str, shape: Shape, weights: Shape, **options) -> Network:
    """A conv node of ``weights`` (filters, kernel_h, kernel_w), then scores.

    Options: signs, thresholds, flips, and the fields of Geometry.
    """
    hand = Hand(name)
    signs = options.pop("signs", hand.signs(*weights, shape[2]))
    params = {
        "thresholds": options.pop("thresholds", hand.thresholds(signs, dtype)),
        "flips": options.pop("flips", None),
    }
    op = "conv_u8_bits" if dtype == "u8" else "conv_bits"
    return scored(name, Value(0, shape, dtype), conv_node(op, 0, signs, Geometry(**options), **params))


def attributes() -> Iterator[Named]:
    """Every attribute of a convolution, on bytes and on bits."""
    some = np.array([1, 0, 0, 1, 1], bool)
    for dtype, shape in (("u8", (6, 5, 2)), ("bits", (6, 5, 3))):
        for name, note, options in (
            ("plain", "no padding, stride 1, no pool", {}),
            ("border_minus", "other padding on each side, border -1", SIDES),
            ("border_plus", "other padding on each side, border +1", {**SIDES, "border": 1}),
            ("stride", "strides 2 and 3 with padding", {**SIDES, "stride": (2, 3)}),
            ("pool", "pool 2x2", {**SIDES, **POOL}),
            ("pool_padded", "overlapping pool whose padding never counts", {**SIDES, **OVERLAP}),
            ("flips", "flips without a pool", {"flips": some}),
            ("flips_pool", "the flip comes after the pool", {**SIDES, **OVERLAP, "flips": some}),
            ("stride_pool_plus", "all together", {
                **SIDES, **POOL, "stride": (1, 2), "border": 1, "flips": some, "pool_stride": (1, 2),
            }),
        ):  # fmt: skip
            yield _named(f"conv_{dtype}_{name}", note, dtype, shape, (5, 3, 4), **options)


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
    node = dense_node("dense_scores", 0, ones, offsets=np.array([1, -1]))
    yield "dense_scores_32768", "sums beyond 16 bits", Network(Value(0, (32, 32, 32), "bits"), (node,))
    ones = np.stack([np.full((30, 30, 1), sign) for sign in (1, -1)])
    node = dense_node("dense_u8_scores", 0, ones, offsets=np.array([(1 << 31) - 1 - 255 * 900, -(1 << 30)]))
    yield "dense_u8_scores_limit", "scores up to 2**31 - 1", Network(Value(0, (30, 30, 1), "u8"), (node,))


def dense() -> Iterator[Named]:
    """Dense operators on the input and on values."""
    for op, dtype, shape in (
        ("dense_u8_bits", "u8", (3, 5, 3)),
        ("dense_bits", "bits", (3, 5, 3)),
    ):
        hand = Hand(op)
        weights = hand.signs(9, *shape)
        flips = hand.rng.random(9) < 0.5
        node = dense_node(op, 0, weights, thresholds=hand.thresholds(weights, dtype), flips=flips)
        yield f"{op}_input", "hidden dense layer on the input", scored(op, Value(0, shape, dtype), node)
    hand = Hand("dense")
    for channels in (1, 3, 32, 40):
        shape = (3, 3, channels)
        node = dense_node("dense_scores", 0, hand.signs(4, *shape), offsets=hand.near(4, 40000))
        note = "scores right from the input, wide offsets"
        yield f"dense_scores_c{channels}", note, Network(Value(0, shape, "bits"), (node,))
    node = dense_node("dense_u8_scores", 0, hand.signs(10, 4, 8, 1), offsets=hand.near(10, 30000))
    yield "dense_u8_scores", "scores right from bytes", Network(Value(0, (4, 8, 1), "u8"), (node,))
    same = dense_node("dense_u8_scores", 0, np.ones((4, 2, 2, 1), int), offsets=np.array([0, 7, 7, 7]))
    yield "prediction_tie", "the lowest index among equal scores", Network(Value(0, (2, 2, 1), "u8"), (same,))
    most = (1 << 31) - 6
    far = dense_node("dense_scores", 0, hand.signs(3, 2, 2, 1), offsets=np.array([-most, most, 1 - most]))
    yield "margin_beyond_int32", "scores almost 2^32 apart", Network(Value(0, (2, 2, 1), "bits"), (far,))
    one = dense_node("dense_scores", 0, hand.signs(1, 1, 1, 1), offsets=np.array([-3]))
    yield "smallest", "one bit in, one score out", Network(Value(0, (1, 1, 1), "bits"), (one,))


def pools() -> Iterator[Named]:
    """``pool_or`` on the input and on a value."""
    for channels in (1, 6, 33):
        name = f"pool_or_c{channels}"
        node = pool_node(0, (3, 2), (2, 1), (1, 1, 2, 0))
        yield name, "overlapping pool with padding", scored(name, Value(0, (5, 6, channels), "bits"), node)
    name = "pool_or_gaps"
    yield name, "stride above the window", scored(name, Value(0, (7, 9, 2), "bits"), pool_node(0, (1, 2), (3, 4)))


def whole() -> Iterator[Named]:
    """Networks of several layers, branches, labels."""
    hand = Hand("whole")
    first = hand.signs(6, 3, 3, 1)
    second = hand.signs(10, 3, 3, 6)
    hidden = hand.signs(20, 3, 3, 10)
    source = Value(0, (14, 14, 1), "u8")
    nodes = (
        conv_node(
            "conv_u8_bits", 0, first, Geometry(**POOL),
            thresholds=hand.thresholds(first, "u8"), flips=np.array([1, 0, 0, 0, 1, 0], bool),
        ),
        conv_node(
            "conv_bits", 1, second, Geometry(pad=(1, 1, 1, 1), **POOL),
            thresholds=hand.thresholds(second, "bits"),
        ),
        dense_node("dense_bits", 2, hidden, thresholds=hand.thresholds(hidden, "bits")),
        dense_node("dense_scores", 3, hand.signs(3, 1, 1, 20), offsets=hand.near(3, 9)),
    )  # fmt: skip
    labels = ("zero", "", "zwölf <&>")
    yield "network", "two convolutions, hidden dense layer, labels", Network(source, nodes, labels)
    branch = (nodes[0], pool_node(1, (2, 2), (1, 1)), pool_node(1, (3, 3), (3, 3)), pool_node(2, (5, 5), (1, 1)))
    last = dense_node("dense_scores", 3, hand.signs(2, 2, 2, 6), offsets=hand.near(2, 9))
    yield "branches", "nodes that read earlier values, and one that nobody reads", Network(source, (*branch, last))
    line = hand.signs(7, 1, 5, 2)
    node = conv_node(
        "conv_u8_bits", 0, line, Geometry(stride=(1, 2), pad=(0, 2, 0, 2), pool=(1, 3), pool_stride=(1, 2)),
        thresholds=hand.thresholds(line, "u8"),
    )  # fmt: skip
    yield "one_dimension", "height 1", scored("one_dimension", Value(0, (1, 40, 2), "u8"), node)


def cases() -> Iterator[Case]:
    """Every golden case."""
    for family in (attributes, byte_boundaries, extremes, dense, pools, whole):
        for name, note, network in family():
            inputs = Hand(name + " input").images(network)
            yield make_case(name, note, network, inputs)


def load() -> list[Case]:
    """The committed golden cases."""
    return [from_text(path.stem, path.read_text(encoding="ascii")) for path in sorted(FOLDER.glob("*.txt"))]


def rendered() -> dict[Path, str]:
    """Every golden file with the content that it should have."""
    return {FOLDER / f"{case.name}.txt": to_text(case) for case in cases()}


def main() -> None:
    """Write the files, and remove those of cases that are gone."""
    wanted = rendered()
    for path in set(FOLDER.glob("*.txt")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        write_atomic(path, text)
    print(f"{len(wanted)} cases, {sum(map(len, wanted.values()))} bytes")


if __name__ == "__main__":
    main()
