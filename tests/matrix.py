"""The device suite on every board with every release of MicroPython: runs it, and writes docs/boards.md.

    python tests/matrix.py [what pytest takes, such as -k virt]

Rows that this run leaves out (-k) are not in the table that it writes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from datetime import datetime, timezone

from booted import MODULE_BYTES
from built import NATIVE_NAMES, SMALL_BUILDS, Built, builds
from ebnn.board.targets import load_target
from ebnn.files import checkout_commit, repo_root, write_atomic

SUITE = ("tests/device/test_device.py", "tests/device/test_machine.py", "tests/device/test_small.py")
OUTCOMES = ("passed", "skipped", "failed")
HEAD = """\
# Every board with every MicroPython

Written by `make matrix` on {date}, commit {commit}, {compilers}. The suite is `{suite}`.
Flash and RAM are what the linker gave the objects of ebnn, RAM for data that is there before a model is loaded. Of a
native module on stock firmware RAM is the heap that its import takes; `small` is ebnn_small, with a suite of its own.
What is skipped does not apply there: a heap that grows, callbacks that the port does not schedule.

| board | core | MicroPython | module | passed | skipped | failed | flash of ebnn | RAM of ebnn |
|---|---|---|---|---:|---:|---:|---:|---:|
"""


def run_suite(arguments: list[str]) -> Counter:
    """Run it, and count (name of the build, outcome), and the bytes of heap under (name, MODULE_BYTES)."""
    results = repo_root() / "build" / "tests" / "matrix.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", f"--junitxml={results}"]
    subprocess.run([*command, *SUITE, *arguments], cwd=repo_root(), env={**os.environ, "EBNN_MATRIX": "1"}, check=False)
    return count(results.read_text(encoding="utf-8"), [str(built) for built in everything()])


def everything() -> list[Built]:
    """The rows of the table."""
    return [*builds(), *SMALL_BUILDS]


def count(junit: str, names: list[str]) -> Counter:
    """(name, outcome) of the cases of a JUnit file whose parameters begin or end with one of the names."""
    found: Counter = Counter()
    for case in ElementTree.fromstring(junit).iter("testcase"):
        parameters = re.search(r"\[(.*)\]", case.get("name"))[1].split("@")[0]
        name = max((name for name in names if re.search(rf"(^|-){re.escape(name)}(-|$)", parameters)), key=len)
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        found[name, outcome] += 1
        for extra in case.iter("property"):
            if extra.get("name") == MODULE_BYTES:
                found[name, MODULE_BYTES] = int(extra.get("value"))
    return found


def row(built: Built, counts: Counter) -> str:
    """A build's line of the table."""
    report = built.firmware().report
    sizes = report["ebnn"]
    memory = [sizes["text"] + sizes["data"], sizes["data"] + sizes["bss"]]
    if built.native:
        memory = [0, counts[str(built), MODULE_BYTES]]
    cells = [built.board, load_target(built.board).cpu, report["micropython"]["version"]]
    cells += [NATIVE_NAMES.get(built.native, "built in"), *(counts[str(built), outcome] for outcome in OUTCOMES)]
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells + memory) + " |"


def main() -> int:
    """Exit status 1 where a test failed."""
    os.environ["EBNN_MATRIX"] = "1"
    counts = run_suite(sys.argv[1:])
    shown = [built for built in everything() if any(counts[str(built), outcome] for outcome in OUTCOMES)]
    compilers = sorted({built.firmware().report["compiler"] for built in shown})
    date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    suite = "`, `".join(SUITE)
    head = HEAD.format(date=date, commit=checkout_commit(), compilers="; ".join(compilers), suite=suite)
    write_atomic(repo_root() / "docs/boards.md", head + "\n".join(row(built, counts) for built in shown) + "\n")
    return 1 if any(outcome == "failed" for _, outcome in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
