"""The module on real MicroPython: exactness, the API, and every wrong call a person can make."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import pytest

import built
import make_golden
from booted import MODULE_BYTES
from ebnn import ops
from ebnn.board.session import RemoteError, Session
from ebnn.cengine import CEngine
from ebnn.format import SelfTest, decode, encode
from ebnn.geometry import Value
from ebnn.network import Network, dense_node
from ebnn.sim import Simulator
from evil.table import mended, rows
from exact import rows_of
from vectors import Case


def small(device: Session, cases: list[Case]) -> list[Case]:
    """The cases that fit the board."""
    limit = device.small

    def fits(case: Case) -> bool:
        arena = decode(case.blob).plan.arena_size
        return len(case.blob) + len(case.runs[0].data) <= limit and arena <= 4 * limit

    return [case for case in cases if fits(case)]


def raised(device: Session, code: str) -> str:
    """Run code that must raise, and return "Type: text"."""
    with pytest.raises(RemoteError) as caught:
        device.exec(code)
    return caught.value.traceback.strip().splitlines()[-1]


def check_case(device: Session, case: Case) -> None:
    """Scores, prediction, self-test and every node's bytes of a case's first runs."""
    device.exec(f"m = None\ngc.collect()\nm = ebnn.Model({case.blob!r})")
    simulator = Simulator(decode(case.blob).network)
    for run in case.runs[:2]:
        device.exec(f"x = {run.data!r}")
        crcs = tuple(zlib.crc32(output) for output in simulator.trace(run.data))
        assert device.eval("(m.infer(x), m.scores(x), m.trace(x))") == (run.prediction, tuple(run.scores), crcs)
    assert device.eval("m.selftest()") is True


def test_memory_of_the_module(device: Session, record_property: Callable[[str, object], None]) -> None:
    record_property(MODULE_BYTES, device.module_bytes)  # for tests/matrix.py
    assert device.module_bytes < (40_000 if device.is_native else 500)


def test_golden_cases(device: Session) -> None:
    cases = small(device, make_golden.load())
    for case in cases:
        check_case(device, case)
    assert len(cases) > 20


def test_random_networks(device: Session, random_cases: list[Case]) -> None:
    cases = small(device, random_cases)[:40]
    for case in cases:
        check_case(device, case)
    assert len(cases) > 10


def test_outputs_over_their_inputs(device: Session, tight_cases: list[Case]) -> None:
    cases = small(device, tight_cases[::-1])[:40]
    for case in cases:
        check_case(device, case)
    assert len(cases) > 10


def test_trace_with_a_function_of_ones_own(device: Session) -> None:
    case = built.frozen_case()
    device.exec(f"x = {case.runs[0].data!r}\nseen = []\ndef hook():\n    seen.append(1)\n    return len(seen)")
    count = len(decode(case.blob).network.nodes)
    assert device.eval("ebnn.load().trace(x, hook)") == tuple(range(1, count + 1))
    assert "TypeError" in raised(device, "ebnn.load().trace(x, 5)")
    assert device.eval("ebnn.infer(x)") == case.runs[0].prediction


def test_frozen_model(device: Session) -> None:
    case = built.frozen_case()
    for run in case.runs:
        assert device.eval(f"ebnn.infer({run.data!r})") == run.prediction
    assert device.eval("ebnn.load().copied") == 0, "the firmware driver aligns the frozen model"
    assert device.eval("ebnn.load().size") == len(case.blob)


def test_attributes(device: Session) -> None:
    case = built.frozen_case()
    model = decode(case.blob)
    found = device.eval("(lambda m: (m.input_shape, m.input_size, m.classes, m.arena_size, m.labels))(ebnn.load())")
    network = model.network
    labels = network.labels or None
    assert found == (network.input.shape, len(case.runs[0].data), network.classes, model.plan.arena_size, labels)
    assert device.eval("ebnn.FORMAT") == (ops.FORMAT_MAJOR, ops.FORMAT_MINOR)
    assert device.eval("ebnn.crc32(b'6789', ebnn.crc32(b'12345'))") == 0xCBF43926
    assert "AttributeError" in raised(device, "ebnn.load().labels = 1")
    assert device.eval("repr(ebnn.load())").startswith("<ebnn.Model ")


@pytest.mark.parametrize("offset", range(4))
def test_any_alignment(device: Session, offset: int) -> None:
    case = built.golden("conv_bits_plain")
    run = case.runs[0]
    device.exec(f"b = bytearray({offset}) + {case.blob!r}\nx = bytearray({offset}) + {run.data!r}\ngc.collect()")
    arena = decode(case.blob).plan.arena_size
    device.exec(f"a = memoryview(bytearray({arena + 8}))[{offset}:]")
    device.exec(f"m = ebnn.Model(memoryview(b)[{offset}:], arena=a)")
    assert device.eval(f"m.scores(memoryview(x)[{offset}:])") == tuple(run.scores)
    assert device.eval("m.copied") == (len(case.blob) if offset else 0)


def load_rows(device: Session, case: Case) -> list[bytes]:
    """Make ``m`` of a case, and ``r``, the rows of its first input in one buffer; the rows."""
    rows = rows_of(decode(case.blob).network.input, case.runs[0].data)
    device.exec(f"m = r = v = None\ngc.collect()\nm = ebnn.Model({case.blob!r})\nr = {b''.join(rows)!r}")
    return rows


def fed_cases(device: Session, random_cases: list[Case]) -> list[Case]:
    """Cases of every dtype whose inputs have more than one row; of some only rows are kept, of others the input."""
    cases = small(device, [*make_golden.load(), *random_cases[:150]])
    nets = [(case, CEngine(case.blob).net) for case in cases]
    # The rows, and the slices of them that are fed, need room beside the input and the window.
    several = [
        case for case, net in nets
        if net.input.size[0] > 1 and net.arena_size + net.window_size + 2 * net.input_size <= 2 * device.small
    ]  # fmt: skip
    return several[:: max(1, len(several) // 40)]


def test_feed_gives_what_infer_gives(device: Session, random_cases: list[Case]) -> None:
    device.exec(
        "def fed(k):\n    n = k * m.row_size\n    return [m.feed(v[i:i + n]) for i in range(0, len(r), n)]",
    )
    kinds = set()
    for case in fed_cases(device, random_cases):
        rows, prediction = load_rows(device, case), case.runs[0].prediction
        net = CEngine(case.blob).net
        kinds.add((net.input.dtype, net.window_size < net.input_size))
        device.exec("v = memoryview(r)")
        found = device.eval(f"(m.infer({case.runs[0].data!r}), m.row_size, m.window_size)")
        assert found == (prediction, len(rows[0]), net.window_size)
        for count in {1, 2, len(rows) - 1, len(rows)} - {0}:
            calls = -(-len(rows) // count)
            assert device.eval(f"fed({count})") == [None] * (calls - 1) + [prediction], (case.name, count)
    assert len(kinds) == 8, "every dtype, with a window of rows and with the whole input"


def test_feed_gives_the_scores(device: Session) -> None:
    case = built.golden("conv_u8_pool_padded")
    rows, scores = load_rows(device, case), case.runs[0].scores
    device.exec(f"n = m.row_size\nout = array('i', [77] * {len(scores)})")
    assert device.eval("(m.feed(r[:-n], out), list(out))") == (None, [77] * len(scores))
    assert device.eval("(m.feed(r[-n:], out), list(out))") == (case.runs[0].prediction, scores)
    assert len(rows) > 2


def test_feed_begins_anew_after_a_run_or_an_error(device: Session) -> None:
    case = built.golden("conv_bits_plain")
    load_rows(device, case)
    first, second = case.runs[0], case.runs[1]
    device.exec(f"n = m.row_size\nx = {second.data!r}")
    for between in ("m.infer(x)", "m.scores(x)", "m.trace(x)", "m.selftest()"):
        assert device.eval(f"(m.feed(r[:2 * n]), ({between}, m.feed(r))[1])") == (None, first.prediction)
    assert device.eval("(m.feed(r[:n]), m.infer(x))") == (None, second.prediction)
    assert raised(device, "m.feed(r + r[:n])").startswith("ValueError: rows must be 1 to ")
    assert raised(device, "m.trace(x, lambda: m.feed(r))") == "RuntimeError: busy"
    assert device.eval("m.feed(r)") == first.prediction


def test_feed_of_wrong_rows_gets_a_sentence_and_the_input_goes_on(device: Session) -> None:
    case = built.golden("conv_u8_plain")
    rows = load_rows(device, case)
    height, size = len(rows), len(rows[0])
    classes = len(case.runs[0].scores)
    device.exec("n = m.row_size\nassert m.feed(r[:n]) is None")
    sentence = f"ValueError: rows must be 1 to {height - 1} times {size} bytes, got "
    wrong = {
        "m.feed(b'')": sentence + "0",
        "m.feed(r[:n - 1])": sentence + str(size - 1),
        "m.feed(r[:n + 1])": sentence + str(size + 1),
        "m.feed(r)": sentence + str(height * size),
        "m.feed(7)": "TypeError: rows must be bytes or a buffer, got int",
        "m.feed(r[n:], [1])": "TypeError: object with buffer protocol required",
        "m.feed(r[n:], bytearray(8))": "TypeError: out must be array('i')",
        "m.feed(r[n:], array('i', [0] * 99))": f"ValueError: out must have {classes} items, got 99",
    }
    assert {code: raised(device, code) for code in wrong} == wrong
    assert device.eval("m.feed(r[n:])") == case.runs[0].prediction


def test_wrong_inputs_get_a_sentence_and_the_board_goes_on(device: Session) -> None:
    pixels = Value(0, (28, 28, 1), "u8")
    network = Network(pixels, (dense_node(0, np.ones((2, 28, 28, 1)), offsets=[0, 1]),))
    device.exec(f"m = ebnn.Model({encode(network, SelfTest(1, 0))!r})")
    wrong = {
        "m.infer(bytes(783))": "ValueError: input must be 784 bytes (28x28x1 uint8), got 783",
        "m.infer(3)": "TypeError: input must be bytes or a buffer, got int",
        "m.scores(bytes(784), [1, 2])": "TypeError: object with buffer protocol required",
        "m.scores(bytes(784), bytearray(8))": "TypeError: out must be array('i')",
        "m.scores(bytes(784), array('i', [0]))": "ValueError: out must have 2 items, got 1",
        "ebnn.Model(7)": "TypeError: model must be bytes, a buffer or the path of a file, got int",
        "ebnn.Model(ebnn_model.model, bytearray(3))": "ValueError: arena must have",
        "ebnn.Model(b'EBNN')": "ValueError: model is truncated",
        "ebnn.Model(bytes(100))": "ValueError: not an ebnn model",
    }
    device.exec("import ebnn_model")
    assert {code: raised(device, code)[: len(text)] for code, text in wrong.items()} == wrong
    assert device.eval("m.infer(bytes(784))") == 1


def test_newer_format(device: Session) -> None:
    blob = built.frozen_case().blob
    device.exec(f"b = bytearray({blob[:64]!r})\nb[4] = 1\nb[5] = 3")
    text = "ValueError: model format 1.3, this ebnn reads 1.0: update the firmware or export again"
    assert raised(device, "ebnn.Model(b)") == text


def test_a_model_too_large_for_the_board(device: Session) -> None:
    if device.board == "unix":
        pytest.skip("the unix port's heap grows")
    pixels = Value(0, (1, 1, 1), "u8")
    network = Network(pixels, (dense_node(0, np.ones((1, 1, 1, 1)), offsets=[0]),))
    blob = bytearray(encode(network, SelfTest(1, 0)))
    blob[16:20] = ops.MAX_ARENA.to_bytes(4, "little")  # the arena
    assert raised(device, f"ebnn.Model({mended(blob)!r})").startswith("MemoryError")
    test_frozen_model(device)


def test_damaged_models_are_refused_with_the_same_error(device: Session) -> None:
    damaged = [row for row in rows() if len(row.blob()) < device.small]
    wrong = []
    for row in damaged:
        device.exec(f"b = {row.blob()!r}")
        if row.error is None:
            device.exec("try:\n    ebnn.Model(b)\nexcept MemoryError:\n    pass")  # one wants the largest arena
            continue
        text = raised(device, "ebnn.Model(b)")
        expected = ops.ERROR_TEXT[row.error] if row.error != "VERSION" else "model format"
        if not text.startswith(f"ValueError: {expected}"):
            wrong.append((row.name, row.error, text))
    assert not wrong
    assert len(damaged) > 50
