"""What a board's console, clock and stack must do beside running the module."""

from __future__ import annotations

import pytest

from ebnn.board.session import CTRL_C, RemoteError, Session


def test_a_running_program_is_interrupted(device: Session) -> None:
    device.begin("print('go')\nwhile True:\n    pass")
    seen = b""
    while b"go" not in seen:
        seen += device.read(10)
    if device.board == "unix":
        device.link.interrupt()
    else:
        device.link.write(CTRL_C)
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        device.finish()


def test_deep_recursion_is_an_error_and_the_board_goes_on(device: Session) -> None:
    device.exec("def deep(n):\n    return deep(n + 1)")
    with pytest.raises(RemoteError, match="RuntimeError: maximum recursion depth exceeded"):
        device.exec("deep(0)")
    assert device.eval("1 + 1") == 2


def test_more_than_the_heap_is_an_error_and_the_board_goes_on(device: Session) -> None:
    if device.board == "unix":
        pytest.skip("the unix port's heap grows")
    with pytest.raises(RemoteError, match="MemoryError"):
        device.exec("x = bytearray(gc.mem_free())")
    assert device.eval("len(bytearray(100))") == 100


def test_the_clock_goes_on(device: Session) -> None:
    device.exec("import time\na = time.ticks_us()\ntime.sleep_ms(20)\nb = time.ticks_diff(time.ticks_us(), a)")
    assert device.eval("b") > 19_000
