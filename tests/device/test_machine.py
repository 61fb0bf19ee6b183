"""What a board's console, clock, counter and stack must do beside running the module."""

from __future__ import annotations

import pytest

from built import BOARDS, firmware_for
from ebnn.board.session import CTRL_C, RemoteError, Session, connect
from ebnn.board.targets import Count, load_target

COUNTING = [
    pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BOARDS if load_target(name).count is not None
]


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
    assert device.eval("len(bytearray(gc.mem_free() // 2))") > 0


def test_the_clock_goes_on(device: Session) -> None:
    device.exec("import time\na = time.ticks_us()\ntime.sleep_ms(20)\nb = time.ticks_diff(time.ticks_us(), a)")
    assert device.eval("b") > 19_000


@pytest.mark.parametrize("name", COUNTING)
def test_instructions_are_counted_exactly(name: str) -> None:
    target = load_target(name)
    with connect(target, firmware_for(name).image, counting=True) as session:
        session.exec(_counter(target.count))
        counted = [
            target.count.instructions(session.eval(f"counted({rounds})")) for rounds in (0, 0, 1000, 1000, 100_000)
        ]
    one, more, most = counted[1], counted[3], counted[4]
    assert abs(counted[2] - more) < 2
    a_round = (most - one) / 100_000
    assert 50 < a_round < 500
    assert abs(more - one - 1000 * a_round) < 3


def _counter(count: Count) -> str:
    """Code that defines counted(n): ticks of a loop of n rounds."""
    lines = ["from machine import mem32", *(f"mem32[{address}] = {value}" for address, value in count.init)]
    read = f"mem32[{count.read}]"
    capture = f"mem32[{count.capture}] = 1" if count.capture is not None else "pass"
    body = [capture, f"a = {read}", "for i in range(n):", "    pass", capture, f"return {read} - a"]
    return "\n".join([*lines, "def counted(n):", *(f"    {line}" for line in body)])
