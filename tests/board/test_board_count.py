"""Instructions are counted exactly on every board whose file says how."""

from __future__ import annotations

import pytest

from built import BOARDS, firmware_for
from ebnn.board.session import connect
from ebnn.board.targets import Count, load_target

COUNTING = [
    pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BOARDS if load_target(name).count is not None
]


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
