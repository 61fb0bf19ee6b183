"""The facts of a model add up to its file and to the work that the engine does."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import networks
from ebnn import cost, ops
from ebnn.format import Model, SelfTest, encode
from ebnn.geometry import Geometry, Value, conv_size
from ebnn.network import Network, conv_node, dense_node, pool_node
from ebnn.plan import make_plan

SEEDS = range(0, 300, 2)


def model_of(network: Network) -> Model:
    return Model(network, make_plan(network), SelfTest(1, 2))


def facts_of(seed: int) -> tuple[Model, dict]:
    model = model_of(networks.random_network(seed))
    return model, cost.describe(model)


@pytest.fixture(scope="module")
def described() -> list[tuple[Model, dict]]:
    return [facts_of(seed) for seed in SEEDS]


def small() -> Network:
    rng = np.random.default_rng(5)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice(np.array([-1, 1]), shape)

    conv = conv_node(0, signs(5, 3, 3, 1), Geometry(pool=(2, 2), pool_stride=(2, 2)),
                     thresholds=np.zeros(5, int), flips=np.array([1, 0, 0, 0, 0], bool))  # fmt: skip
    dense = dense_node(1, signs(3, 2, 2, 5), offsets=np.array([70_000, 0, 0]))
    return Network(Value(0, (7, 7, 1), "u8"), (conv, dense), ("a", "bb", "ccc"))


def test_parts_add_up_to_the_file(described: list) -> None:
    for model, facts in described:
        size = len(encode(model.network, model.selftest, model.plan))
        totals = facts["totals"]
        parts = ("header", "record", "weights", "thresholds", "gains", "flips", "label")
        assert sum(totals[f"{part}_bytes"] for part in parts) == size == totals["model_bytes"]
        layers = sum(layer["bytes"]["total"] for layer in facts["layers"])
        assert ops.HEADER_SIZE + layers + totals["label_bytes"] == size


def test_every_part_occurs_in_the_networks(described: list) -> None:
    for part in ("record", "weights", "thresholds", "gains", "flips", "label"):
        assert any(facts["totals"][f"{part}_bytes"] for _, facts in described)


def test_padding_is_what_holds_no_weight_threshold_or_flip(described: list) -> None:
    for model, facts in described:
        for node, layer in zip(model.network.nodes, facts["layers"], strict=True):
            assert layer["weights"] == (0 if node.weights is None else node.weights.size)
            padding = layer["padding_bits"]
            wide = layer["weights"] * layer["weight_bits"]
            assert 8 * layer["bytes"]["weights"] == wide + padding["weights"]
            assert {padding["thresholds"], padding["gains"]} <= {0, 16} and 0 <= padding["flips"] < 32


def computed_positions(model: Model, index: int) -> int:
    """Positions of the map before the pool that a window of some output reads, by enumeration."""
    node, values = model.network.nodes[index], model.network.values
    g = node.geometry
    height, width = conv_size(node, values[node.inputs[0]])
    seen = set()
    for y, x in itertools.product(*map(range, values[index + 1].shape[:2])):
        rows = range(y * g.pool_stride[0] - g.pool_pad[0], y * g.pool_stride[0] - g.pool_pad[0] + g.pool[0])
        cols = range(x * g.pool_stride[1] - g.pool_pad[1], x * g.pool_stride[1] - g.pool_pad[1] + g.pool[1])
        seen.update((r, c) for r in rows for c in cols if 0 <= r < height and 0 <= c < width)
    return len(seen)


def test_macs_count_every_computed_tap_once(described: list) -> None:
    for model, facts in described:
        for index, (node, layer) in enumerate(zip(model.network.nodes, facts["layers"], strict=True)):
            positions = computed_positions(model, index)
            wanted = 0 if node.weights is None else positions * node.weights.size
            source = model.network.values[node.inputs[0]]
            name = "macs_binary" if source.dtype == "bits" and not node.has_int8 else "macs_byte"
            assert layer[name] == wanted and layer["macs_byte"] + layer["macs_binary"] == wanted


def test_positions_that_no_window_covers_are_not_counted() -> None:
    # 7x7 and 3x3 make a map of 5x5, of which the 2x2 windows of stride 2 read 4x4.
    assert cost.describe(model_of(small()))["layers"][0]["macs_byte"] == 4 * 4 * 9 * 5


def test_figures_of_a_network_counted_by_hand() -> None:
    facts = cost.describe(model_of(small()))
    conv, dense = facts["layers"]
    assert conv["bytes"] == {"record": 36, "weights": 20, "thresholds": 12, "gains": 0, "flips": 4, "total": 72}
    assert conv["padding_bits"] == {"weights": 5 * 23, "thresholds": 16, "gains": 0, "flips": 27}
    assert dense["bytes"] == {"record": 36, "weights": 12, "thresholds": 12, "gains": 0, "flips": 0, "total": 60}
    assert (conv["float_bytes"], conv["packed_bytes"], conv["ratio"]) == (80, 4, 20)
    totals = facts["totals"]
    assert (totals["model_bytes"], totals["model_bytes_without_labels"]) == (48 + 72 + 60 + 9, 48 + 72 + 60)
    assert (totals["macs_byte"], totals["macs_binary"], totals["weights"]) == (720, 60, 105)


def test_every_operator_occurs(described: list) -> None:
    assert {layer["op"] for _, facts in described for layer in facts["layers"]} == set(ops.BY_NAME)


def test_arena_shares(described: list) -> None:
    for model, facts in described:
        shares = [layer["arena"]["share"] for layer in facts["layers"]]
        assert all(0 < share <= 1 for share in shares)
        assert facts["totals"]["arena_bytes"] == model.plan.arena_size


def test_facts_are_json(described: list) -> None:
    for _, facts in described:
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_text_holds_the_figures() -> None:
    text = cost.render_text(cost.describe(model_of(small())))
    for part in ("189 bytes (180 without labels)", "7x7x1 u8", "3x3, pool 2x2", "a, bb, ccc", "0x00000001", "720"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_windows_in_words() -> None:
    shown = cost._window({"kernel": [3, 5], "stride": [2, 2], "pad": [1, 1, 1, 1], "border": 1, "pool_sum": False,
                          "pool": [3, 3], "pool_stride": [2, 2], "pool_pad": [0, 1, 0, 1]})  # fmt: skip
    assert shown == "3x5 stride 2x2 pad 1 border +1, pool 3x3 stride 2x2 pad 0,1,0,1"
    assert cost._window({"pool_sum": False}) == ""


def test_attributes_in_words() -> None:
    """Three nodes with all that a plain one does not have."""
    ones = np.ones((4, 1, 1, 2), np.int8)
    nodes = (
        conv_node(0, 3 * ones, output="i8", offsets=[0] * 4, gains=[1] * 4, shift=7),
        pool_node(1, output="i8", offsets=[0] * 4, second=1),
        conv_node(2, np.ones((2, 3, 3, 4)), Geometry(pool=(2, 2), pool_stride=(2, 2), pool_sum=True),
                  levels=2, thresholds=[0] * 4, exclusive=True),
        conv_node(3, np.ones((2, 3, 3, 2)), Geometry(pad=(1, 1, 1, 1), border=0), thresholds=[0, 0]),
        dense_node(4, np.ones((2, 2, 2, 2)), offsets=[0, 0]),
    )  # fmt: skip
    facts = cost.describe(model_of(Network(Value(0, (7, 7, 2), "i16"), nodes)))
    rows = cost.tables(facts)[0].rows
    assert [row[0] for row in rows[:3]] == ["0 conv i16 -> i8", "1 pool i8 -> i8", "2 conv i8 -> bits"]
    assert [row[3] for row in rows[1:4]] == ["pool 1x1", "3x3, sum 2x2", "3x3 pad 1 border none"]
    assert [row[4] for row in rows[:4]] == ["gains, shift 7", "+ value 1", "2 levels, exclusive", ""]
    assert [row[6] for row in rows[:4]] == ["8 int8", "0", "72", "36"]
