"""The native module for the least memory, on stock firmware: exact for what it has, and it refuses the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import built
from booted import MODULE_BYTES, booted
from ebnn import ops
from ebnn.board.session import RemoteError, Session
from ebnn.format import decode
from ebnn.sim import Simulator
from vectors import Case


@pytest.fixture(
    scope="module",
    params=[pytest.param(one, id=str(one), marks=pytest.mark.xdist_group(str(one))) for one in built.SMALL_BUILDS],
)
def device(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session with a board that has loaded the module."""
    with booted(request.param) as session:
        session.exec("import small_board as s")
        yield session


@pytest.fixture(autouse=True)
def tidy(device: Session) -> Iterator[None]:
    """Leave the next test the board's memory."""
    yield
    device.exec("m = x = out = None\ngc.collect()")


def raised(device: Session, code: str) -> str:
    """Run code that must raise, and return "Type: text"."""
    with pytest.raises(RemoteError) as caught:
        device.exec(code)
    return caught.value.traceback.strip().splitlines()[-1]


def answers(case: Case) -> list[list[int]]:
    """What the board prints of the first two runs."""
    return [[run.prediction, *run.scores] for run in case.runs[:2]]


def numbers(text: str) -> list[list[int]]:
    """The numbers of each line."""
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def test_memory_of_the_module(device: Session, record_property: Callable[[str, object], None]) -> None:
    record_property(MODULE_BYTES, device.module_bytes)  # for tests/matrix.py
    assert 0 < device.module_bytes < 8_000


def test_golden_cases_and_random_networks(device: Session) -> None:
    cases = built.small_cases()
    for index, case in enumerate(cases):
        assert numbers(device.exec(f"s.run({index})")) == answers(case), case.name
    assert len(cases) > 20


def test_digits_from_the_prompt(device: Session, record_property: Callable[[str, object], None]) -> None:
    model = decode(built.mnist_model().read_bytes())
    simulator = Simulator(model.network)
    expected = [simulator.infer(image.tobytes()) for image in built.digits()[0]]
    device.exec("import ebnn_samples\ngc.collect()")
    free = device.eval("gc.mem_free()")
    found = device.exec("for x in ebnn_samples.images:\n    print(ebnn.infer(x))").split()
    assert [int(label) for label in found] == expected
    device.exec("gc.collect()")
    text = (
        f"{device.board}: {free} bytes free before the MNIST model is loaded, {device.eval('gc.mem_free()')} after it"
    )
    record_property("shown at the end", text)
    device.exec("sys.modules.pop('__ebnn_default__')\ndel ebnn_samples")


def test_no_allocation_after_loading(device: Session) -> None:
    index, case = next(item for item in enumerate(built.small_cases()) if item[1].name == "conv_u8_plain")
    device.exec(f"m = ebnn.Model(s.CASES[{index}][0])\nx = s.CASES[{index}][1][0]")
    device.exec(f"import micropython\nout = array('i', [0] * {len(case.runs[0].scores)})")
    device.exec("micropython.heap_lock()\nm.infer(x)\nm.scores(x, out)\nmicropython.heap_unlock()")
    assert device.eval("list(out)") == case.runs[0].scores


@pytest.mark.parametrize("offset", range(4))
def test_any_alignment(device: Session, offset: int) -> None:
    index, case = next(item for item in enumerate(built.small_cases()) if item[1].name == "conv_bits_plain")
    assert numbers(device.exec(f"s.shifted({index}, {offset})")) == answers(case)[:1]


def test_wrong_calls(device: Session) -> None:
    index, case = next(item for item in enumerate(built.small_cases()) if item[1].name == "smallest")
    device.exec(f"b = bytearray(s.CASES[{index}][0])\nm = ebnn.Model(b)\nx = s.CASES[{index}][1][0]")
    wrong = {
        "m.infer(b'')": "ValueError",
        "m.infer(3)": "TypeError",
        "m.scores(x, [1])": "TypeError",
        "m.scores(x, bytearray(8))": "TypeError",
        "m.scores(x, array('i', [0] * 99))": "ValueError",
        "ebnn.Model(7)": "TypeError",
        "ebnn.Model(b, bytearray(3))": "ValueError",
        "ebnn.Model.infer(7, x)": "TypeError",
        "m.size": "AttributeError",
    }
    assert {code: raised(device, code).split(":")[0] for code in wrong} == wrong
    assert device.eval("(m.input_size, m.classes)") == (len(case.runs[0].data), len(case.runs[0].scores))
    assert device.eval("m.infer(x)") == case.runs[0].prediction
    device.exec("b.extend(bytes(99))")
    assert raised(device, "m.infer(x)").startswith("ValueError")
    device.exec("del b")


def test_damaged_models_are_refused(device: Session) -> None:
    """The error's number, or that of an operator that the module lacks, where it comes to that first; sizes that it
    cannot have are an error of the header, and what the header says of pictures it does not read."""
    damaged = built.small_damaged()
    found = numbers(device.exec(f"s.refuse(0, {len(damaged)})", timeout=60))
    for row, (code,) in zip(damaged, found, strict=True):
        unread = row.name in ("threshold, nothing recorded", "preparation of bits without a threshold")
        allowed = {ops.error_code(name) for name in (row.error, "OP", "HEADER")} | ({0} if unread else set())
        assert code in allowed, row.name
    assert len(damaged) > 30
