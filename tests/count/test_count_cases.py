"""The cases: what they are, that they are the same each time, and that their bits are mixed."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn import bits
from ebnn.count import cases, figures
from ebnn.errors import ConfigError

MAIN = cases.GROUPS["main"]


@pytest.mark.parametrize("case", MAIN, ids=lambda case: case.name)
def test_about_half_of_the_bits_are_ones(case: cases.Case) -> None:
    found = cases.prepare(case)
    values = cases.build_network(case).values[1:-1]
    for value, output in zip(values, found.outputs, strict=False):
        ones = bits.unpack_maps(np.frombuffer(output, np.uint8)[None], value.shape).mean()
        assert 0.3 < ones < 0.7, value


def test_shapes_of_the_peers_networks() -> None:
    def shapes(name: str) -> list[tuple[int, int, int]]:
        return [value.shape for value in cases.build_network(cases.BY_NAME[name]).values[1:]]

    assert shapes("n1") == shapes("n2") == [(6, 6, 10), (1, 1, 10)]
    assert shapes("n3") == [(7, 7, 10), (1, 1, 10)]
    assert shapes("n4") == [(11, 11, 10), (5, 5, 10), (5, 5, 10), (5, 5, 10), (2, 2, 10), (1, 1, 10)]
    assert shapes("smallcifar") == [(16, 16, 32), (8, 8, 32), (4, 4, 64), (1, 1, 10)]
    assert shapes("n6") == [(28, 28, 2), (28, 28, 2), (1, 1, 10)]


def test_multiplications_of_the_goals() -> None:
    totals = cases.prepare(cases.BY_NAME["smallcifar"]).facts["totals"]
    assert totals["macs_binary"] + totals["macs_byte"] == 12_298_240  # 12.30 M
    layers = cases.prepare(cases.BY_NAME["conv64"]).facts["layers"]
    assert layers[1]["macs_binary"] == 14 * 14 * 9 * 64 * 64


def test_a_case_is_the_same_each_time() -> None:
    case = cases.BY_NAME["n1"]
    again = cases.prepare.__wrapped__(case)
    assert again.digest == cases.prepare(case).digest
    assert again.digest != cases.prepare(cases.BY_NAME["n2"]).digest


def test_single_layers_name_their_node() -> None:
    for case in MAIN + cases.GROUPS["sweep"]:
        if case.node is not None:
            node = cases.build_network(case).nodes[case.node]
            assert node.op.startswith(("conv", "dense")) and node.thresholds is not None


def test_operators_name_their_node() -> None:
    kinds = set()
    for case in cases.GROUPS["operators"]:
        network = cases.build_network(case)
        node = network.nodes[case.node]
        kinds.add((node.op, network.values[node.inputs[0]].dtype, node.output, node.has_int8))
        assert case.node == len(network.nodes) - 2 and case.fits == ("small",)
        found = np.frombuffer(cases.prepare(case).outputs[case.node], np.uint8)
        assert len(np.unique(found)) > 1, case.name
    assert len(kinds) >= 12


def test_references_of_the_sweep_are_whole_words() -> None:
    for case in cases.GROUPS["sweep"]:
        if case.reference:
            reference = cases.BY_NAME[case.reference]
            assert reference.reference is None and reference.name != case.name
            assert int(reference.name.rsplit("-", 1)[1]) % 32 == 0


def test_names_of_cases() -> None:
    assert cases.find("main") == MAIN
    assert [case.name for case in cases.find("main", "n2,conv64")] == ["n2", "conv64"]
    assert set(cases.find("all")) == {case for group in cases.GROUPS.values() for case in group}
    with pytest.raises(ConfigError, match="no case n9"):
        cases.find("main", "n9")
    with pytest.raises(ConfigError, match="no group tiny; there are main, operators, sweep"):
        cases.find("tiny")
    assert cases.find_fits("all") == cases.FITS and cases.find_fits("small") == ("small",)
    with pytest.raises(ConfigError, match="no fit huge; there are small"):
        cases.find_fits("huge")


def test_figures_of_peers_and_goals_belong_to_cases() -> None:
    data = figures.load()
    assert {peer.who for peer in data.peers} == set(data.notes)
    assert all(goal.unit == "instructions" or cases.BY_NAME[goal.case].node is not None for goal in data.goals)
