"""Each check of ``ebnn_open.c`` taken away in turn: somebody notices."""

from __future__ import annotations

import subprocess
import sys

import pytest

import checks

SOURCE = """
static int fits(int a, int b) {
    // if (no_code)
    uint32_t size = a ? 4 * (c ? 8 : 16) : 0;
    uint32_t next = f(a, b), more = next ? 1 : f(b, c);
    const uint32_t both[2] = { more & 4 ? 1U : 2U, 3U };
#ifdef EBNN_WITHOUT_THIS
    if (left_out) {
        return 0;
    }
#endif
    if (a > 3 || !(b & 1 && size >= 2)) {
        return a - 1;
    }
    return f(a) && b != 7;
}
"""


@pytest.mark.slow
def test_every_check_is_noticed() -> None:
    done = subprocess.run([sys.executable, checks.__file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_conditions_are_found_and_replaced() -> None:
    found = checks.find_checks(SOURCE)
    assert [check.text for check in found[::2]] == [
        "a", "c", "next", "more & 4", "a > 3", "b & 1", "size >= 2", "f(a)", "b != 7",
    ]  # fmt: skip
    assert [check.value for check in found] == [0, 1] * 9
    assert "if (a > 3 || !((1) && size >= 2))" in found[11].without(SOURCE)
    assert "f(a, b), more = (0) ? 1 : f(b, c);" in found[4].without(SOURCE)
