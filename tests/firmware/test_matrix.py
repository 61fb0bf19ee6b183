"""The table of boards and releases counts each case for the right build."""

from __future__ import annotations

import matrix

JUNIT = """<testsuites><testsuite>
<testcase name="test_a[unix]"/><testcase name="test_a[unix-1.26.1]"/><testcase name="test_b[0-unix-native]"/>
<testcase name="test_b[unix-native-0]"><failure/></testcase><testcase name="test_c[unix]"><skipped/></testcase>
<testcase name="test_c[unix-native@unix-native]"><error/></testcase>
</testsuite></testsuites>"""


def test_cases_are_counted_by_build_and_outcome() -> None:
    found = matrix.count(JUNIT, ["unix", "unix-native", "unix-1.26.1"])
    assert found == {
        ("unix", "passed"): 1,
        ("unix", "skipped"): 1,
        ("unix-1.26.1", "passed"): 1,
        ("unix-native", "passed"): 1,
        ("unix-native", "failed"): 2,
    }
