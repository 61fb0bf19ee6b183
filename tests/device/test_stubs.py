"""usermod/stubs/ebnn.pyi against the module on boards: names, types, numbers of arguments, allocation; and help()."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import built
import stubs
from ebnn.board.session import RemoteError, Session
from ebnn.files import repo_root

STUB = stubs.read()
MODEL, INPUT = STUB.classes["Model"], STUB.classes["Input"]
# A right value for each parameter of the stub, by its name.
VALUES = {
    "input": "x", "rows": "x", "data": "x", "frame": "x", "out": "out", "hook": "len_of_x", "crc": "0", "model": "b",
    "arena": "a", "width": "64", "height": "1", "format": "ebnn.GS8",
    "crop": "(0, 0, 64, 1)", "stride": "64", "resize": "'average'", "invert": "False", "threshold": "None",
}  # fmt: skip
FUNCTIONS = {
    **{f"ebnn.{name}": (signature, VALUES) for name, signature in STUB.functions.items()},
    **{f"m.{name}": (signature, VALUES) for name, signature in MODEL.functions.items() if name != "__init__"},
    "ebnn.Model": (MODEL.functions["__init__"], VALUES),
    "ebnn.Input": (INPUT.functions["__init__"], {**VALUES, "model": "m"}),
    "i": (INPUT.functions["__call__"], VALUES),
}
DOCS = {
    **{f"ebnn.{name}": text for name, text in STUB.docs.items()},
    **{f"m.{name}": text for name, text in MODEL.docs.items()},
    "i": INPUT.docs["__call__"],
}


@pytest.fixture
def board(device: Session) -> Iterator[Session]:
    """``m``, a model of signals, its bytes ``b``, an input ``x``, an Input ``i``, and what else calls need."""
    run = built.frozen_case().runs[0]
    blob = (repo_root() / "firmware" / "models" / "motion" / "model.ebnn").read_bytes()
    device.exec(f"b = {blob!r}\nm = ebnn.load(b)\nx = bytes(m.input_size)\na = bytearray(m.arena_size + 4)")
    device.exec("out = array('i', [0] * m.classes)\ni = ebnn.Input(m, 64, 1, ebnn.GS8)")
    device.exec("def len_of_x():\n    return len(x)")
    yield device
    device.exec("i = None\nsys.modules.pop('__ebnn_default__', None)")
    assert device.eval(f"ebnn.infer({run.data!r})") == run.prediction


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def call(name: str, count: int) -> str:
    """A call of a function with its first ``count`` parameters, and zeros where it has fewer."""
    signature, values = FUNCTIONS[name]
    given = [values[parameter] for parameter in signature.names]
    return f"{name}({', '.join([*given, '0'][:count])})"


def test_names(board: Session) -> None:
    assert public(board.eval("dir(ebnn)")) | {"__version__"} == STUB.names
    assert public(board.eval("dir(ebnn.Model)")) == public(MODEL.functions)
    assert public(board.eval("dir(m)")) == MODEL.names
    assert public(board.eval("dir(i)")) == public(board.eval("dir(ebnn.Input)")) == INPUT.names == set()


def test_types_of_attributes(board: Session) -> None:
    for name, annotation in STUB.annotations.items():
        assert board.eval(f"type(ebnn.{name}).__name__") in stubs.types(annotation), name
    for when in ("before a run", "after a run"):
        for name, annotation in MODEL.annotations.items():
            assert board.eval(f"type(m.{name}).__name__") in stubs.types(annotation), (name, when)
        board.exec("m.infer(x)")


def refused(board: Session, code: str) -> bool:
    """Whether a call is a TypeError about arguments."""
    try:
        board.exec(code)
    except RemoteError as error:
        return bool(re.match(r"TypeError: .*argument", error.traceback.splitlines()[-1]))
    return False


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_arguments(board: Session, name: str) -> None:
    signature, values = FUNCTIONS[name]
    least, most = signature.least, len(signature.names)
    for count in range(least, most + 1):
        board.exec(call(name, count))
    assert refused(board, call(name, most + 1))
    assert least == 0 or refused(board, call(name, least - 1))
    for parameter in signature.keywords:
        board.exec(f"{call(name, most)[:-1]}, {parameter}={values[parameter]})")
    by_name = f"{name}({', '.join(f'{parameter}={values[parameter]}' for parameter in signature.names)})"
    if signature.by_name:
        board.exec(by_name)
    elif signature.names:
        assert refused(board, by_name)


@pytest.mark.parametrize("name", [name for name, text in DOCS.items() if "llocates nothing" in text])
def test_what_allocates_nothing(board: Session, name: str) -> None:
    code = call(name, len(FUNCTIONS[name][0].names))
    board.exec(f"import micropython\ndef again():\n    {code}\nagain()")
    board.exec("micropython.heap_lock()\ntry:\n    again()\nfinally:\n    micropython.heap_unlock()")
    assert board.eval("len(bytes(100))") == 100


def test_help(board: Session) -> None:
    module, model = board.exec("help(ebnn)"), board.exec("help(ebnn.Model)")
    assert set(re.findall(r"^  (\w+) -- ", module, re.MULTILINE)) >= STUB.names
    assert set(re.findall(r"^  (\w+) -- ", model, re.MULTILINE)) >= public(MODEL.functions)
    if board.is_native:
        assert "__doc__" not in module + model, "strings of a native module lie in RAM"
        return
    assert "\n  __doc__ -- ebnn.infer(buf) -> class, by the model ebnn_model\n    m = ebnn.Model(" in module
    assert "\n  __doc__ -- m.infer(buf), " in model
    text = board.eval("ebnn.__doc__ + ebnn.Model.__doc__")
    assert {name for name in re.findall(r"ebnn\.(\w+)\(", text)} == {"infer", "Model"}
    assert {name for name in re.findall(r"m\.(\w+)\(", text)} == {"infer", "scores", "feed"} <= public(MODEL.functions)
