"""usermod/fallback/ebnn.py on CPython and on MicroPython: the C module's answers, errors and names."""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import built
import make_golden
import networks
import vectors
from ebnn import ops
from ebnn.board.session import RemoteError, Session, connect
from ebnn.board.targets import load_target
from ebnn.files import repo_root
from ebnn.format import decode
from evil.table import mended, rows
from exact import rows_of
from vectors import Case, show

SOURCE = repo_root() / "usermod" / "fallback" / "ebnn.py"
CHECKED = ("TRUNCATED", "MAGIC", "VERSION", "SIZE", "CRC", "OP")
LEFT_OUT = {"Input", "MONO_VLSB", "MONO_HLSB", "MONO_HMSB", "GS8", "RGB565", "RGB565_SWAPPED"}
BOARDS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("unix", "mps2-an385")]
ATTRIBUTES = ["input_shape", "input_size", "classes", "arena_size", "row_size", "size", "labels"]


def as_module(source: str) -> ModuleType:
    """The fallback as a module of this interpreter."""
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("fallback", None))
    exec(compile(source, str(SOURCE), "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def fallback() -> ModuleType:
    """The fallback on CPython."""
    return as_module(SOURCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def some_cases() -> list[Case]:
    """Some of the random networks with what the oracle says about them."""
    shrinking = [vectors.shrinking_case(seed) for seed in networks.SHRINKING[::10]]
    return [vectors.random_case(seed) for seed in networks.SEEDS[::4]] + shrinking


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A board that has both: the firmware's module as ``ebnn``, the fallback's names beside it."""
    with connect(load_target(request.param), built.firmware_for(request.param).image) as session:
        session.exec("import ebnn, gc\nfrom array import array")
        session.exec(SOURCE.read_text(encoding="utf-8"))
        session.board = request.param
        yield session


def check(fallback: ModuleType, case: Case) -> None:
    """Every node's bytes, scores and prediction of a case's runs, and its self-test."""
    model = fallback.Model(case.blob)
    for run in case.runs:
        outputs: list[str] = []
        model._run(run.data, lambda output, seen=outputs: seen.append(show(bytes(output))))
        assert (model.infer(run.data), model.scores(run.data), outputs) == (
            run.prediction, tuple(run.scores), run.nodes,
        ), case.name  # fmt: skip
    assert model.selftest(), case.name


def test_golden_cases(fallback: ModuleType) -> None:
    cases = make_golden.load()
    for case in cases:
        check(fallback, case)
    used = {name for case in cases for name in case.operators}
    assert used == {op.name for op in ops.OPS}, "a golden case for every operator"


def test_random_networks(fallback: ModuleType, some_cases: list[Case]) -> None:
    for case in some_cases:
        check(fallback, case)
    assert {decode(case.blob).network.input.dtype for case in some_cases} == {"bits", "u8", "i8", "i16"}


def test_an_input_is_any_array(fallback: ModuleType, some_cases: list[Case]) -> None:
    for case in some_cases[::5]:
        value, run = decode(case.blob).network.input, case.runs[-1]
        model = fallback.Model(case.blob)
        codes = [code for code in "bhI" if len(run.data) % array(code).itemsize == 0]
        for data in (*(array(code, run.data) for code in codes), memoryview(run.data), bytearray(run.data)):
            assert model.scores(data) == tuple(run.scores), case.name
        assert [model.feed(array("b", row)) for row in rows_of(value, run.data)][-1] == run.prediction, case.name


def test_the_zoo(fallback: ModuleType) -> None:
    models = sorted((repo_root() / "firmware" / "models").glob("*/model.ebnn"))
    for path in models:
        assert fallback.Model(str(path)).selftest(), path
    assert models


def test_a_wrong_answer_is_noticed(fallback: ModuleType) -> None:
    case = next(case for case in make_golden.load() if case.name == "network")
    blob = bytearray(case.blob)
    blob[36] ^= 1  # the CRC of the self-test's scores
    assert fallback.Model(mended(bytes(blob))).selftest() is False


def test_an_answer_that_is_not_sure(fallback: ModuleType) -> None:
    case = next(case for case in make_golden.load() if case.name == "network")
    run = case.runs[0]
    first, second = sorted(run.scores)[:-3:-1]
    for wanted, answer in ((first - second, run.prediction), (first - second + 1, None)):
        model = fallback.Model(mended(case.blob[:40] + wanted.to_bytes(4, "little") + case.blob[44:]))
        assert (model.margin, model.min_margin) == (None, wanted)
        assert (model.classify(run.data), model.margin) == (answer, first - second)


def fed(feed: Callable, rows: list[bytes], count: int) -> list:
    """What ``feed`` says of ``rows``, so many in a call."""
    return [feed(b"".join(rows[at : at + count])) for at in range(0, len(rows), count)]


def test_feed(fallback: ModuleType, some_cases: list[Case]) -> None:
    for case in [*make_golden.load(), *some_cases[::5]]:
        model, run = fallback.Model(case.blob), case.runs[0]
        rows = rows_of(decode(case.blob).network.input, run.data)
        for count in {1, len(rows)}:
            assert fed(model.feed, rows, count)[-1] == run.prediction, case.name
            assert fed(model.feed, rows, count)[:-1] == [None] * (-(-len(rows) // count) - 1)
        model.feed(rows[0])
        assert model.infer(run.data) == run.prediction
        assert fed(model.feed, rows, 1)[-1] == run.prediction, "a run begins the input anew"


def test_damaged_headers_get_the_module_s_sentences(fallback: ModuleType) -> None:
    found = [row for row in rows() if row.error in CHECKED]
    for row in found:
        wanted = "model format" if row.error == "VERSION" else ops.ERROR_TEXT[row.error]
        with pytest.raises(ValueError, match=wanted):
            fallback.Model(row.blob())
    assert {row.error for row in found} == set(CHECKED)


def test_crc32_where_there_is_no_binascii() -> None:
    own = as_module(SOURCE.read_text(encoding="utf-8").replace("from binascii", "from no_such_module"))
    assert own.crc32(b"6789", own.crc32(b"12345")) == 0xCBF43926
    check(own, next(case for case in make_golden.load() if case.name == "network"))


def test_cases_on_a_board(board: Session, some_cases: list[Case]) -> None:
    cases = [case for case in [*make_golden.load(), *some_cases] if len(case.blob) < 2000]
    for case in cases[:: 1 if board.board == "unix" else 6]:
        run = case.runs[0]
        board.exec(f"m = None\ngc.collect()\nm = Model({case.blob!r})\nx = {run.data!r}")
        crcs = board.eval("ebnn.Model(m._blob).trace(x)")
        assert board.eval("(m.infer(x), m.scores(x), m.trace(x))") == (run.prediction, tuple(run.scores), crcs)
        assert board.eval("m.selftest()") is True


def test_the_same_names_values_and_texts_as_the_module_s(board: Session) -> None:
    case = built.frozen_case()
    names = board.eval("[name for name in dir(ebnn) if name[0] != '_']")
    missing = set(board.eval(f"[name for name in {names} if name not in globals()]"))
    assert missing - LEFT_OUT == set()
    assert board.eval("(__version__, FORMAT)") == board.eval("(ebnn.__version__, ebnn.FORMAT)")
    methods = board.eval("[name for name in dir(ebnn.Model) if name[0] != '_']")
    board.exec(f"m, n = load(), ebnn.load()\nx = {case.runs[0].data!r}\nout = array('i', [0] * m.classes)")
    assert board.eval(f"[name for name in {methods} if not hasattr(m, name)]") == []
    for code in [
        *(f"{{}}.{name}" for name in ATTRIBUTES),
        "repr({})",
        "({0}.infer(x), {0}.margin, {0}.min_margin)",
        "{}.trace(x, lambda: 7)",
        "{}.scores(x, out)",
    ]:
        assert board.eval(f"repr({code.format('m')})") == board.eval(f"repr({code.format('n')})"), code
    assert board.eval("infer(x)") == case.runs[0].prediction
    for code in (
        "{}infer(bytes(3))", "{}classify(x)", "{}infer(7)", "{}load(b'EBNN')", "{}load(7)", "{}load(bytes(100))",
        "{}load().feed(b'')", "{}load().feed(bytes(1000))", "{}load().feed(7)",
    ):  # fmt: skip
        assert raised(board, code.format("")) == raised(board, code.format("ebnn.")), code


def raised(board: Session, code: str) -> str:
    """The exception's line."""
    with pytest.raises(RemoteError) as caught:
        board.exec(code)
    return caught.value.traceback.strip().splitlines()[-1]


def test_scores_go_where_one_wants_them(fallback: ModuleType) -> None:
    case = make_golden.load()[0]
    run, model = case.runs[0], fallback.Model(case.blob)
    out = array("i", [0] * len(run.scores))
    assert model.scores(run.data, out) is out and list(out) == run.scores
    with pytest.raises(ValueError, match=f"out must have {len(run.scores)} items, got 99"):
        model.scores(run.data, array("i", [0] * 99))
