"""Damaged models through the C reader: the errors of the table, and no fault whatever the bytes are."""

from __future__ import annotations

import math
import random
from pathlib import Path

import driver
import numpy as np
import pytest

from ebnn import ops
from ebnn.cengine import CEngine
from ebnn.errors import ModelError
from ebnn.format import SelfTest, decode, encode
from ebnn.geometry import Value, conv_size, filter_taps, output_shape
from ebnn.network import Network, conv_node, dense_node, pool_node
from ebnn.plan import Plan, make_plan
from evil.table import GOOD, Damage, mended, rows

FUZZED = 20_000


def error_of(read: type[CEngine] | object, blob: bytes) -> str | None:
    """The error that a reader gives, None where it takes the model."""
    try:
        read(blob)
    except ModelError as error:
        return error.code
    return None


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_damaged_model_is_refused_with_its_error(row: Damage) -> None:
    assert error_of(CEngine, row.blob()) == row.error


def test_driver_refuses_them_in_exact_memory(sanitized: Path) -> None:
    table = rows()
    lines = driver.run_driver(sanitized, [driver.case_of(row.name, row.blob()) for row in table])
    assert [(row.name, driver.error_in(line)) for row, line in zip(table, lines, strict=True)] == [
        (row.name, row.error) for row in table
    ]


def test_cuts_are_refused_in_exact_memory(sanitized: Path) -> None:
    blob = GOOD["chain"]
    lines = driver.run_driver(sanitized, [driver.case_of("cut", blob[:size]) for size in range(len(blob))])
    assert {driver.error_in(line) for line in lines} == {"TRUNCATED"}


def fuzzed(seed: int) -> bytes:
    """A good model with a few bytes of its control records changed, and the checksum mended."""
    rng = random.Random(seed)
    data = bytearray(GOOD[rng.choice(list(GOOD))])
    end = ops.HEADER_SIZE + ops.RECORD_SIZE * data[7]
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(4, end) if rng.random() < 0.95 else rng.randrange(len(data))
        data[place] = rng.choice((0, 1, 2, 3, 255, data[place] ^ 1 << rng.randrange(8), rng.randrange(256)))
    return mended(bytes(data))


def work(network: Network) -> int:
    """Multiplications of one inference, or pool positions."""
    total = 0
    for node in network.nodes:
        source, pool = network.values[node.inputs[0]], math.prod(node.geometry.pool)
        sums = min(math.prod(conv_size(node, source)), pool * math.prod(output_shape(node, source)[:2]))
        total += sums * node.filters * filter_taps(node, source) + pool * math.prod(output_shape(node, source))
    return total


def is_quick(blob: bytes) -> bool:
    """Whether running a model, if it can be read, takes a moment and not gigabytes of arena."""
    try:
        model = decode(blob)
    except ModelError:
        return True
    return model.plan.arena_size < 1 << 20 and work(model.network) < 200_000


def test_readers_agree_on_whatever_bytes(sanitized: Path) -> None:
    """Both readers give the same error; what both take runs without a fault."""
    blobs = [blob for blob in map(fuzzed, range(FUZZED)) if is_quick(blob)]
    lines = driver.run_driver(sanitized, [driver.case_of("fuzzed", blob) for blob in blobs])
    errors = [driver.error_in(line) for line in lines]
    for seed, (blob, error) in enumerate(zip(blobs, errors, strict=True)):
        assert error_of(decode, blob) == error, seed
    assert len(blobs) > 0.9 * FUZZED
    assert errors.count(None) > 50
    assert {"HEADER", "OP", "LINK", "SHAPE", "RANGE", "ARENA", "LABELS"} <= set(errors)


def test_overlapping_memory_gives_wrong_scores_and_no_fault(sanitized: Path) -> None:
    """Nothing stops a model from laying its scratch or an output over what it reads."""
    rng = np.random.default_rng(3)
    weights = [rng.choice([-1, 1], shape) for shape in ((64, 1, 1, 1), (3, 3, 3, 64), (2, 4, 4, 3))]
    hits = [conv_node(0, weights[0], thresholds=np.zeros(64)), conv_node(1, weights[1], thresholds=np.zeros(3))]
    hits.append(dense_node(2, weights[2], offsets=[0, 0]))
    integers = [
        conv_node(0, weights[0], output="i16", offsets=np.zeros(64)),
        pool_node(1, output="i16", offsets=[1] * 64),
    ]
    integers += [
        pool_node(1, second=2, output="i16", offsets=[2] * 64),
        dense_node(3, np.ones((1, 6, 6, 64)), offsets=[0]),
    ]
    cases = []
    for network in (Network(Value(0, (6, 6, 1), "bits"), nodes) for nodes in (hits, integers)):
        plan = make_plan(network)
        for step in range(-64, 65, 4):
            scratch = max(0, plan.outputs[0] + step)
            places = (plan.scratch[0], (scratch, plan.scratch[1][1]), *plan.scratch[2:])
            outputs = (plan.outputs[0], max(0, plan.outputs[0] - step), *plan.outputs[2:])
            moved = Plan(outputs, places, plan.arena_size + 256)
            cases.append(driver.case_of("overlap", encode(network, SelfTest(1, 0), moved)))
    assert [driver.error_in(line) for line in driver.run_driver(sanitized, cases)] == [None] * len(cases)
