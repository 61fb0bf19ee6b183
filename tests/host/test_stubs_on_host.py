"""usermod/stubs on this computer: a type checker takes them, and the fallback in plain Python has what they say."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import stubs
from ebnn.files import repo_root

ROOT = repo_root()
STUB = stubs.read()
NOT_IN_FALLBACK = {"Input", "MONO_VLSB", "MONO_HLSB", "MONO_HMSB", "GS8", "RGB565", "RGB565_SWAPPED"}

RIGHT = """\
from array import array

import ebnn
import ebnn_model
import ebnn_samples

model: ebnn.Model = ebnn.load()
small = ebnn.Model(memoryview(b"EBNN"), arena=bytearray(600))
names: tuple[str, ...] | range = model.labels or range(model.classes)
print(names[model.infer(ebnn_samples.images[0])])
first: int = model.scores(bytes(784))[0]
scores: array[int] = model.scores(bytes(784), array("i", [0] * model.classes))
sure: int | None = ebnn.classify(bytes(784))
label: int | None = model.feed(bytes(model.row_size), scores)
make_input = ebnn.Input(model, 96, 96, ebnn.RGB565, crop=(6, 6, 84, 84), resize="average")
print(ebnn.infer(make_input(bytes(2 * 96 * 96))) + ebnn.crc32(b"x", 1), ebnn.FORMAT[0])
times: tuple[float, ...] = model.trace(bytes(784), lambda: 0.5)
ebnn_samples.show(ebnn_samples.images[0])
ebnn.load(ebnn_model.model)
"""

# A mistake a line.
WRONG = """\
import ebnn
ebnn.infer()
ebnn.infer("7.png")
ebnn.load(7)
ebnn.load(model=b"")
ebnn.no_such_name
ebnn.GS8 = 6
model = ebnn.Model()
ebnn.Model(b"", 600)
model.labels = None
model.labels[0]
model.scores(b"", [0] * 10)
model.feed(b"") + 1
model.feed(rows=b"")
model.selftest(1)
model.trace(b"", 7)
ebnn.Input(model, 96, 96)
ebnn.Input(b"", 96, 96, ebnn.GS8)
ebnn.Input(model, 96, 96, ebnn.GS8, (0, 0, 28, 28))
ebnn.Input(model, 96, 96, ebnn.GS8, resize="bilinear")
"""


def checked(path: Path, *options: str) -> list[str]:
    """The lines in which mypy finds a mistake, with what it says."""
    command = [sys.executable, "-m", "mypy", "--config-file=", "--cache-dir", os.devnull, "--no-error-summary"]
    done = subprocess.run(
        [*command, *options, str(path)], capture_output=True, text=True, cwd=path.parent,
        env={**os.environ, "MYPYPATH": str(stubs.FOLDER)},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_a_type_checker_takes_the_stubs() -> None:
    found = [line for path in sorted(stubs.FOLDER.glob("*.pyi")) for line in checked(path, "--strict")]
    assert found == []


def test_a_right_program_has_no_mistake(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RIGHT)
    assert checked(program, "--strict") == []


def test_every_mistake_of_a_wrong_program_is_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WRONG)
    found = {int(re.search(r":(\d+): error:", line)[1]) for line in checked(program, "--strict")}
    assert found == set(range(2, len(WRONG.splitlines()) + 1))


@pytest.mark.parametrize("name", ["digits", "rows"])
def test_examples_have_no_mistake(name: str) -> None:
    assert checked(ROOT / "firmware" / "examples" / f"{name}.py", "--check-untyped-defs") == []


def test_everything_has_a_docstring() -> None:
    for scope in (STUB, *STUB.classes.values()):
        assert scope.doc
        assert [name for name, text in scope.docs.items() if not text] == []


@pytest.fixture(scope="module")
def fallback() -> ModuleType:
    """The module in plain Python."""
    path = ROOT / "usermod" / "fallback" / "ebnn.py"
    spec = importlib.util.spec_from_file_location("fallback", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public(names: object) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_the_fallback_has_the_same_names(fallback: ModuleType) -> None:
    assert public(vars(fallback)) | {"__version__"} == STUB.names - NOT_IN_FALLBACK
    model = fallback.Model(str(ROOT / "firmware" / "models" / "motion" / "model.ebnn"))
    assert public(dir(model)) == STUB.classes["Model"].names


def test_the_fallback_takes_the_same_arguments(fallback: ModuleType) -> None:
    model = STUB.classes["Model"].functions
    pairs = [(getattr(fallback, name), signature, 0) for name, signature in STUB.functions.items()]
    pairs += [(getattr(fallback.Model, name), signature, 1) for name, signature in model.items()]
    for function, signature, extra in pairs:
        if inspect.isbuiltin(function):
            continue  # binascii's crc32
        bind = inspect.signature(function).bind
        for count in range(signature.least, len(signature.names) + 1):
            bind(*[None] * (count + extra))
        if signature.least:
            with pytest.raises(TypeError, match="missing a required argument"):
                bind(*[None] * (signature.least - 1 + extra))
    assert len(pairs) > 8
