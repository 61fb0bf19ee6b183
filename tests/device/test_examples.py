"""firmware/examples on boards: each prints what its head says, and takes a person's own sources."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ebnn import firmware
from ebnn.board.session import RemoteError, Session, connect
from ebnn.board.targets import load_target
from ebnn.files import repo_root
from ebnn.freeze import render_module
from ebnn.train import Dataset

ROOT = repo_root()
EXAMPLES = ROOT / "firmware" / "examples"
MODELS = ROOT / "firmware" / "models"
sys.path += [str(ROOT / "firmware"), str(MODELS / "motion")]

import signals  # noqa: E402

from source import obtain  # noqa: E402
from versions import load_pins  # noqa: E402

TIMED = ("async_classify", "measure")  # numbers of their output differ from run to run

# A file system in the RAM of the board, as large as its heap allows.
FILES = """
import io, vfs
files = {}
class Files:
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def stat(self, path):
        path = path.lstrip("/")
        if path in files:
            return (0x8000, 0, 0, 0, 0, 0, len(files[path]), 0, 0, 0)
        if any(name.startswith(path + "/") for name in files):
            return (0x4000,) + (0,) * 9
        raise OSError(2)
    def open(self, path, mode):
        self.stat(path)
        return io.BytesIO(files[path.lstrip("/")])
vfs.mount(Files(), "/ram")
sys.path.insert(0, "/ram")
"""

# The qemu port has none. Nothing here waits for a stream, so this is all that asyncio asks of it.
SELECT = """
import time
class poll:
    def ipoll(self, timeout):
        time.sleep_ms(max(0, timeout))
        return ()
"""


def source(name: str) -> str:
    """An example's text."""
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def promised(name: str) -> list[str]:
    """The output that the head of an example shows: the lines at its end that are indented."""
    head = ast.get_docstring(ast.parse(source(name)))
    return [line[4:] for line in re.search(r"print(?:s|ed)\n\n((?:    .*\n?)+)\Z", head)[1].splitlines()]


def without_numbers(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+", "N", line) for line in lines]


@pytest.fixture(scope="module")
def board(device: Session) -> Iterator[Session]:
    """A board with heap enough for a file system in it; without it again when the tests are done."""
    if device.board == "microbit":
        pytest.skip("10 KB of heap hold no file system; see test_the_sensor_on_a_small_board")
    device.exec("first, first_modules = set(globals()), set(sys.modules)\n" + FILES)
    yield device
    device.exec(
        "vfs.umount('/ram')\nsys.path.remove('/ram')\n"
        "for name in set(sys.modules) - first_modules | {'ebnn_model', '__ebnn_default__'}:\n"
        "    sys.modules.pop(name, None)\n"
        "for name in set(globals()) - first:\n    del globals()[name]\n"
    )


def put(board: Session, name: str, content: bytes, chunk: int = 1024) -> None:
    """Write a file; a module of that name is imported anew."""
    board.exec(f"files[{name!r}] = bytearray()\nsys.modules.pop({Path(name).stem!r}, None)")
    for at in range(0, len(content), chunk):
        board.exec(f"files[{name!r}].extend({content[at : at + chunk]!r})")


def put_model(board: Session, name: str) -> None:
    """Make a model of firmware/models the board's ebnn_model."""
    put(board, "ebnn_model.py", render_module((MODELS / name / "model.ebnn").read_bytes()).encode())


@pytest.fixture(scope="module")
def digits(board: Session, mnist: Dataset) -> Session:
    """A board with the model of digits and sample images."""
    samples = firmware.render_samples(mnist.x_test, mnist.y_test, mnist.labels)
    put(board, "ebnn_samples.py", samples.encode())
    return board


def put_asyncio(board: Session) -> None:
    """MicroPython's own, which the tests' firmware has not frozen."""
    version = ".".join(map(str, board.eval("sys.implementation.version[:3]")))
    root = obtain(load_pins(version), print).root
    for path in sorted((root / "extmod" / "asyncio").glob("*.py")):
        put(board, f"asyncio/{path.name}", path.read_bytes())
    try:
        board.exec("import select")
    except RemoteError:
        put(board, "select.py", SELECT.encode())


def check(board: Session, name: str) -> None:
    """An example prints what its head says."""
    found, wanted = board.exec(source(name)).splitlines(), promised(name)
    if name in TIMED:
        found, wanted = without_numbers(found), without_numbers(wanted)
    assert found == wanted


def test_digits(digits: Session, mnist: Dataset) -> None:
    put_model(digits, "mnist")
    check(digits, "digits")
    put(digits, "digits.bin", mnist.x_test[:10].tobytes())
    found = digits.exec("main('/ram/digits.bin')").splitlines()
    assert found == [f"image {i}: {label}" for i, label in enumerate((7, 2, 1, 0, 4, 1, 4, 9, 5, 9))]
    put_model(digits, "motion")
    digits.exec("files['digits.bin'] = b'@' * 64")
    assert digits.exec("main('/ram/digits.bin')").strip() == "image 0: still"


def test_rows(digits: Session) -> None:
    put_model(digits, "mnist")
    check(digits, "rows")
    digits.exec("import ebnn_samples\nimage = ebnn_samples.images[2]")
    found = digits.exec("main([image[i * 28:i * 28 + 28] for i in range(28)])")
    assert found.splitlines()[1:] == ["row 27 completes the image: 2"]


def test_camera(board: Session) -> None:
    put_model(board, "mnist")
    check(board, "camera")
    # A stroke from top to bottom, 8 pixels wide, on paper.
    lines = [
        "frame[:] = b'\\xff' * len(frame)",
        "for y in range(20, 78):",
        "    frame[192 * y + 88:192 * y + 104] = bytes(16)",
    ]
    board.exec("\n    ".join(["def stroke(frame):", *lines]))
    assert board.exec("main(stroke, ebnn.RGB565_SWAPPED)").splitlines()[-1] == "class 1"


def test_async(digits: Session) -> None:
    put_model(digits, "mnist")
    put_asyncio(digits)
    check(digits, "async_classify")
    digits.exec("seen = []\nasyncio.run(main(seen.append))")
    assert digits.eval("seen[:4]") == [False, True, False, True][: digits.eval("len(seen)")]
    assert 28 < digits.eval("len(seen)") < 40, "a turn after each row"


def test_measure(board: Session) -> None:
    put_model(board, "mnist")
    check(board, "measure")
    free = re.search(r"(\d+) with model and input, (\d+) after 5 inf", board.exec("main(5)"))
    assert free[1] == free[2], "nothing is allocated"
    board.exec("class Wasteful:\n    def infer(self, image):\n        return bytearray(100)")
    with pytest.raises(RemoteError, match="MemoryError"):
        board.exec("measure(Wasteful(), b'', array('I', [0]))")
    assert len(board.eval("bytes(100)")) == 100, "the heap is not left locked"


def drawn(count: int) -> tuple[list[str], bytes]:
    """Windows as the model was trained for, but of another seed, in mixed order: their classes and samples."""
    windows, classes = signals.draw(count, 7)
    order = np.random.default_rng(7).permutation(len(windows))
    return [signals.LABELS[label] for label in classes[order]], windows[order].tobytes()


def test_sensor(board: Session) -> None:
    put_model(board, "motion")
    check(board, "sensor")
    labels, samples = drawn(5)
    board.exec(f"samples = {samples!r}")
    assert board.exec(f"main(iter(samples).__next__, {len(labels)}, 0)").split() == labels


# Emulated boards have no timer. This one calls the function as those of real boards may: from an interrupt in which
# nothing can be allocated.
TIMER = """
import micropython
class Machine:
    pass
class Timer:
    def __init__(self, number, period, callback):
        self.callback, self.period, self.calls = callback, period, 0
        timers.append(self)
        micropython.schedule(self.fire, None)
    def fire(self, _):
        if self.callback is None:
            return
        micropython.heap_lock()
        try:
            self.callback(self)
        finally:
            micropython.heap_unlock()
        self.calls += 1
        micropython.schedule(self.fire, None)
    def deinit(self):
        self.callback = None
timers = []
Machine.Timer = Timer
sys.modules["machine"] = Machine
"""


def test_sensor_with_a_timer(board: Session) -> None:
    put_model(board, "motion")
    labels, samples = drawn(2)
    board.exec(TIMER + source("sensor").replace("    main()", "    pass") + f"samples = {samples!r}")
    board.exec("del sys.modules['machine']\nat = [-1]")
    board.exec("def read():\n    at[0] += 1\n    return samples[at[0] % len(samples)]")
    assert board.exec(f"main(read, {len(labels)})").split() == labels
    assert board.eval("(timers[0].period, timers[0].callback)") == (20, None)
    calls = board.eval("timers[0].calls")
    assert calls == board.eval("timers[0].calls") >= len(samples)


def test_the_sensor_on_a_small_board(device: Session) -> None:
    if device.board != "microbit" or device.is_native:
        pytest.skip("the model and the example are frozen into firmware of their own, for the micro:bit")
    out = ROOT / "build" / "tests" / "firmware" / "microbit-sensor"
    model = MODELS / "motion" / "model.ebnn"
    image = firmware.build("microbit", model, more=[EXAMPLES / "sensor.py"], out=out).image
    labels, samples = drawn(2)
    with connect(load_target("microbit"), image) as session:
        assert session.exec("import sensor\nsensor.main()").splitlines() == promised("sensor")
        session.exec(f"samples = {samples!r}")
        found = session.exec(f"sensor.main(iter(samples).__next__, {len(labels)}, 0)").split()
        free = session.eval("(__import__('gc').collect(), __import__('gc').mem_free())[1]")
    assert found == labels
    assert free > 4000
