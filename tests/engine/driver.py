"""Builds ``driver.c`` with the engine's files and runs cases through it."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import oracle
from ebnn import ops
from ebnn.cengine import engine_sources
from ebnn.files import repo_root
from vectors import Case, Run, pack_cases

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SMALL = ("-Os",)
LEAST = (*SANITIZED, "-DEBNN_SMALL")  # the engine for the least memory
PLAIN_ONLY = ("-DEBNN_HAS_POPCOUNT", "-DEBNN_WITHOUT_BYTES")  # every convolution on the plain kernel
COUNTING = (*SANITIZED, *PLAIN_ONLY)
POLLING = (*SANITIZED, "-DEBNN_POLL_WORK=1")  # looks for Ctrl-C wherever it can
# A big-endian processor of 32 bits, whose emulator ends a program at the first access that is not aligned.
BIG_ENDIAN = (*SMALL, "-static")
BIG_ENDIAN_COMPILER, BIG_ENDIAN_EMULATOR = "mips-linux-gnu-gcc", "qemu-mips"


def build_driver(folder: Path, flags: tuple[str, ...], compiler: str = "gcc") -> Path:
    """Compile the driver and the engine into ``folder``; returns the program."""
    program = folder / "driver"
    engine = engine_sources()
    sources = [small_source()] if flags == LEAST else [path for path in engine if path.suffix == ".c"]
    files = [str(path) for path in (Path(__file__).with_name("driver.c"), *sources)]
    include = f"-I{engine[0].parent}"
    subprocess.run([compiler, *WARNINGS, *flags, include, *files, "-o", str(program)], check=True)
    return program


def run_driver(program: Path, cases: list[Case], limit_s: int = 300, emulator: tuple[str, ...] = ()) -> list[str]:
    """The lines that the driver prints for cases; fails with its messages where it does, or after so many seconds."""
    done = subprocess.run([*emulator, str(program)], input=pack_cases(cases), capture_output=True, timeout=limit_s)
    text = done.stdout.decode()
    assert done.returncode == 0, f"{text[-2000:]}\n{done.stderr.decode()[-6000:]}"
    return text.splitlines()


def small_source() -> Path:
    """The engine for the least memory."""
    return repo_root() / "usermod/ebnn/small/ebnn_small.c"


def least_lines(cases: list[Case]) -> list[str]:
    """The lines that good cases should print where there are neither traces nor margins, self-tests and labels."""
    return [
        f"case {number} run {k} scores {' '.join(map(str, run.scores))} best {run.prediction}"
        for number, case in enumerate(cases)
        for k, run in enumerate(case.runs)
    ]


def expected_lines(cases: list[Case]) -> list[str]:
    """The lines that good cases should print."""
    lines = []
    for number, case in enumerate(cases):
        lines += [f"case {number} run {k} {_run_text(run)}" for k, run in enumerate(case.runs)]
        model = oracle.decode(case.blob)
        labels = "".join(f"[{label.encode().hex()}]" for label in model.labels) or "-" * model.shapes[-1][2]
        lines.append(f"case {number} selftest 1 labels {labels}")
    return lines


def _run_text(run: Run) -> str:
    crcs = " ".join(_crc_text(shown) for shown in run.nodes)
    return f"nodes {crcs} scores {' '.join(map(str, run.scores))} best {run.prediction} margin {run.margin}"


def _crc_text(shown: str) -> str:
    if shown.startswith("crc "):
        return shown.split()[1]
    return f"{zlib.crc32(bytes.fromhex(shown)):08x}"


def case_of(name: str, blob: bytes) -> Case:
    """A case without inputs: the driver opens it, and runs the self-test where it opens."""
    return Case(name, "", blob, [], [])


def error_in(line: str) -> str | None:
    """The error's name in a line of the driver."""
    _, _, kind, rest = line.split(" ", 3)
    return ops.ERRORS[-1 - int(rest)][0] if kind == "error" else None
