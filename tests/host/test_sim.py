"""The simulator against sums done by hand: one attribute of docs/SPEC.md, section 2, a test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Value, output_shape
from ebnn.network import Network, Node, conv_node, dense_node, depthwise_node, pool_node
from ebnn.sim import ELEMENTS, Simulator, memory, selftest_elements, selftest_input

DTYPES = {np.dtype(kind): name for name, kind in ELEMENTS.items()}


def outputs(x: np.ndarray, *nodes: Node) -> list:
    """What nodes make of a line of pixels x (width, channels): the last one's output, as a list (width, channels)."""
    x, values = x[None, None], [Value(0, (1, *x.shape), DTYPES[x.dtype])]
    for node in nodes:
        source = values[node.inputs[0]]
        settled = replace(node, filters=node.filters or source.shape[2])
        values.append(Value(len(values), output_shape(settled, source), node.output))
    scores = dense_node(len(nodes), np.ones((1, *values[-1].shape)), offsets=[0])
    return list(Simulator(Network(values[0], (*nodes, scores))).outputs(x))[-2][0, 0].tolist()


def line(*numbers: int, dtype: type = np.int8) -> np.ndarray:
    """Pixels of one channel."""
    return np.array(numbers)[:, None].astype(dtype)


def column(found: list) -> list:
    """The pixels of one channel."""
    return [pixel[0] for pixel in found]


def row(*weights: int) -> np.ndarray:
    """Weights of one filter over a line of one channel."""
    return np.array(weights)[None, None, :, None]


@pytest.mark.parametrize(("border", "sums"), [(-1, [-1, 1, 1]), (1, [1, 1, 3]), (0, [0, 1, 2])])
def test_borders_of_bits(border: int, sums: list[int]) -> None:
    conv = conv_node(0, row(1, 1, 1), Geometry(pad=(0, 1, 0, 1), border=border), output="i8", offsets=[0])
    assert column(outputs(line(0, 1, 1, dtype=bool), conv)) == sums


def test_a_tap_that_does_not_count_is_no_minus_one_either() -> None:
    conv = conv_node(0, row(5, -7), Geometry(pad=(0, 1, 0, 0), border=0), output="i8", offsets=[0])
    assert column(outputs(line(0, 1, dtype=bool), conv)) == [7, -12]


@pytest.mark.parametrize(("border", "sums"), [(-1, [-10, -10]), (1, [245, -10])])
def test_borders_of_bytes(border: int, sums: list[int]) -> None:
    conv = conv_node(0, row(1, -1), Geometry(pad=(0, 1, 0, 0), border=border), output="i16", offsets=[0])
    assert column(outputs(line(10, 20, dtype=np.uint8), conv)) == sums


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_border_of_integers_does_not_count(dtype: type) -> None:
    conv = conv_node(0, row(1, -1), Geometry(pad=(0, 1, 0, 0)), output="i16", offsets=[0])
    assert column(outputs(line(-5, 7, dtype=dtype), conv)) == [5, -12]


def test_weights_of_int8_on_every_dtype() -> None:
    conv = conv_node(0, row(-128, 127), output="i16", offsets=[0])
    assert column(outputs(line(0, 1, dtype=bool), conv)) == [128 + 127]
    assert column(outputs(line(2, 1, dtype=np.uint8), conv)) == [-256 + 127]
    assert column(outputs(line(-2, 1), conv)) == [256 + 127]
    assert column(outputs(line(1, 300, dtype=np.int16), conv_node(0, row(-128, 2), output="i16", offsets=[0]))) == [472]


def test_depthwise_filters_go_round_the_channels() -> None:
    weights = np.array([[1, 1], [1, -1], [2, 0], [-3, 1]])[:, None, :, None]
    node = depthwise_node(0, weights, output="i8", offsets=[0, 0, 0, 100])
    assert outputs(np.array([[1, 2], [3, 5]], np.int8), node) == [[1 + 3, 2 - 5, 2, 100 - 6 + 5]]


def test_a_pool_repeats_its_channels_for_more_filters() -> None:
    node = pool_node(0, output="i8", offsets=[0, 0, 10, 20])
    assert outputs(np.array([[1, 2], [3, 5]], np.int8), node) == [[1, 2, 11, 22], [3, 5, 13, 25]]


@pytest.mark.parametrize(("pool_sum", "found"), [(False, [-5, -7]), (True, [-5, -16])])
def test_pools_take_the_largest_or_the_sum_of_what_lies_inside(pool_sum: bool, found: list[int]) -> None:
    node = pool_node(0, (1, 2), (1, 2), (0, 1, 0, 0), pool_sum, output="i8", offsets=[0])
    assert column(outputs(line(-5, -7, -9), node)) == found


def test_sums_of_a_convolution_are_pooled() -> None:
    geometry = Geometry(pool=(1, 2), pool_stride=(1, 1), pool_sum=True)
    conv = conv_node(0, row(1, -1), geometry, thresholds=[-3], flips=[True])
    # Sums -2, 3, -6; of two of them 1, -3.
    assert column(outputs(line(1, 3, 0, 6), conv)) == [False, False]
    conv = conv_node(0, row(1, -1), geometry, thresholds=[-2])
    assert column(outputs(line(1, 3, 0, 6), conv)) == [True, False]


def test_levels_come_one_after_the_other() -> None:
    node = pool_node(0, levels=2, thresholds=[1, 6, 5, 11])
    assert outputs(line(0, 5, 11, dtype=np.uint8), node) == [
        [False, False, False, False], [True, False, True, False], [True, True, True, True],
    ]  # fmt: skip


def test_exclusive_levels_are_one_bit_of_each_filter_and_flips_come_last() -> None:
    node = pool_node(0, levels=3, thresholds=[1, 6, 5, 11, 9, 90], exclusive=True, flips=[False, True])
    found = outputs(line(0, 3, 6, 10, 100, dtype=np.uint8), node)
    assert [pixel[0] for pixel in found] == [False, True, False, True, True]
    assert [not pixel[1] for pixel in found] == [False, False, True, True, True]


def test_a_pool_of_bits_is_their_or() -> None:
    assert column(outputs(line(0, 0, 0, 1, dtype=bool), pool_node(0, (1, 2), (1, 2)))) == [False, True]


def test_the_sum_of_bits_has_thresholds() -> None:
    node = pool_node(0, (1, 3), (1, 3), pool_sum=True, levels=2, thresholds=[-1, 3])
    assert outputs(line(0, 0, 0, 0, 1, 0, 1, 1, 1, dtype=bool), node) == [[False, False], [True, False], [True, True]]


def test_gains_offsets_and_shifts_round_down() -> None:
    node = pool_node(0, output="i8", gains=[-5], offsets=[1], shift=2)
    assert column(outputs(line(-3, 3), node)) == [4, -4]  # 16 / 4; -14 / 4 = -3.5
    assert column(outputs(line(-1, 1), pool_node(0, output="i8", offsets=[0], shift=31))) == [-1, 0]


@pytest.mark.parametrize(("output", "found"), [("i8", [-128, 127, 100]), ("u8", [0, 255, 100])])
def test_integers_are_clamped(output: str, found: list[int]) -> None:
    assert column(outputs(line(-300, 300, 100, dtype=np.int16), pool_node(0, output=output, offsets=[0]))) == found


def test_the_second_input_is_added_after_the_shift_and_before_the_clamp() -> None:
    first = pool_node(0, output="i8", offsets=[0])
    second = pool_node(0, output="u8", offsets=[1, 20, -9], shift=1, second=1)
    # (x + offset) / 2, rounded down; the first channel adds clamp(x), the others have nothing to add.
    found = outputs(line(-3, 100, 300, dtype=np.int16), first, second)
    assert found == [[0, 8, 0], [50 + 100, 60, 45], [255, 160, 145]]


@pytest.mark.parametrize("node", [
    dense_node(0, np.ones((1, 3, 201, 1)), offsets=[0]),
    pool_node(0, (3, 201), (3, 201), pool_sum=True, offsets=[0]),
])  # fmt: skip
def test_sums_beyond_float32_are_exact(node: Node) -> None:
    """603 * 32767 is odd and above 2**24."""
    network = Network(Value(0, (3, 201, 1), "i16"), (node,))
    assert Simulator(network).run(np.full((1, 3, 201, 1), 32767, np.int16)).tolist() == [[603 * 32767]]


@pytest.mark.parametrize(("output", "score"), [("i8", -128), ("i16", -300), ("i32", -300)])
def test_scores_of_every_dtype(output: str, score: int) -> None:
    network = Network(Value(0, (1, 1, 2), "i16"), (pool_node(0, output=output, offsets=[0, 0]),))
    data = np.array([-300, -301], "<i2").tobytes()
    found = Simulator(network).scores(data)
    assert found.dtype == np.int32 and found[0] == score
    assert Simulator(network).trace(data)[0] == found.astype(ELEMENTS[output]).tobytes()


def test_inputs_of_two_bytes_are_little_endian() -> None:
    network = Network(Value(0, (1, 2, 1), "i16"), (dense_node(0, np.ones((1, 1, 2, 1)), offsets=[0]),))
    simulator = Simulator(network)
    assert simulator.scores(b"\x01\x02\xff\xff").tolist() == [0x201 - 1]
    with pytest.raises(ValueError, match=r"input must be 4 bytes \(1x2x1 int16\), got 3"):
        simulator.scores(bytes(3))
    with pytest.raises(NetworkError, match="images are uint8, the network wants int16"):
        simulator.run(np.zeros((1, 1, 2, 1), np.uint8))


@pytest.mark.parametrize("dtype", ["bits", "u8", "i8", "i16"])
def test_the_selftests_elements_are_the_high_bits(dtype: str) -> None:
    states = [int(state) for state in selftest_elements(1, 40)]
    assert states[0] == 270369
    found = selftest_input(Value(0, (4, 5, 2), dtype), 1)
    assert found.shape == (1, 4, 5, 2) and found.dtype == ELEMENTS[dtype]
    bits = {"bits": 1, "u8": 8, "i8": 8, "i16": 16}[dtype]
    wanted = [state >> 32 - bits for state in states]
    signed = [value - (1 << bits) * (value >> bits - 1) for value in wanted]
    assert found.ravel().tolist() == (signed if dtype.startswith("i") else wanted)
    assert len(memory(found)) == {"bits": 8, "u8": 40, "i8": 40, "i16": 80}[dtype]
