"""Takes away each check of ``ebnn_open.c`` in turn: a damaged model of the table has to be the one that notices.

``python tests/checks.py [--only WORD] [--fuzz]`` finds every condition of the file by itself, puts 0 and then 1 in its
place, and prints for each which row of ``evil/table.py`` is then read as something else. What no row notices goes to
the exactness tests' driver, and with ``--fuzz`` to the fuzzer. Exit code 1 where something is noticed by nobody.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "engine"))
sys.path.insert(0, str(Path(__file__).parent / "fuzz"))

import driver

import fuzz
import make_golden
import vectors
from ebnn.cengine import engine_sources
from evil.table import GOOD, rows

FILE = "ebnn_open.c"
LIMIT_S = 20
FUZZ_S = 600
RANDOM = 120  # random networks for what is no check but a choice
COMPARES = re.compile(r"[=!<>]=|(?<![-<])<(?![<=])|(?<![->])>(?![>=])")
FLAGS = {"opener": ("-O0",), "driver": driver.SANITIZED}
PROGRAMS = {name: Path(__file__).parent / "engine" / f"{name}.c" for name in FLAGS}
# What cannot be noticed, by the condition's text and the number in its place, and why. A text may go on behind the
# condition, to tell it from others of the same text.
SAME = {
    ("size + pad < window", 0): "a difference below 0 wraps, and gives more than 65535 windows with every stride",
    ("is_bits && node->levels > 1", 1): "what is not bits has one level",
    ("node->input == EBNN_DTYPE_BITS && ebnn_pixel_stride", 0): "the fast kernel gathers patches for nothing",
    ("node->input == EBNN_DTYPE_BITS && ebnn_pixel_stride", 1): "nobody asks it of anything but bits",
    ("ebnn_pixel_stride(in->channels) % 32 == 0", 0): "the fast kernel gathers patches for nothing",
    ("is_left_out(net, record)", 0): "this build leaves nothing out, and knows every flag",
    ("rc == EBNN_OK && !fields_fit", 1): "what is wrong before it is a shape, too",
    ("rc == EBNN_OK && !ending_fits", 1): "what is wrong before it is a shape, too",
    ("net->nodes[0].op == EBNN_OP_DENSE", 1): "all of the input is kept",
    ("net->nodes[i].from == 0", 1): "all of the input is kept",
    ("rows < in->height", 1): "a kernel that is higher than the input keeps more than the input",
}


@dataclass(frozen=True)
class Check:
    """A condition: where it stands in the file, and what is put in its place."""

    start: int
    end: int
    value: int
    line: int
    text: str
    rest: str  # of the file, from the condition on

    def without(self, source: str) -> str:
        """The file with the number in the place of the condition."""
        return f"{source[: self.start]}({self.value}){source[self.end :]}"

    def reason(self) -> str:
        """Why nobody can notice it, empty where somebody should."""
        for (text, value), why in SAME.items():
            if value == self.value and text.startswith(self.text) and self.rest.startswith(text):
                return why
        return ""


# --- finding the conditions ---


def blanked(source: str) -> str:
    """The file with spaces for what is no code of this build, every other character in its place."""

    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    left_out = r"^#ifdef EBNN_WITHOUT_(?s:.*?)^#endif"
    directive = r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"
    return re.sub(rf'//[^\n]*|"[^"\n]*"|{left_out}|{directive}', blank, source, flags=re.MULTILINE)


def closing(code: str, start: int) -> int:
    """The place of the parenthesis that closes the one at ``start``."""
    depth = 0
    for place in range(start, len(code)):
        depth += (code[place] == "(") - (code[place] == ")")
        if depth == 0:
            return place
    raise ValueError(f"no end of the parenthesis at {start}")


def split(code: str, start: int, end: int, marks: tuple[str, ...]) -> list[tuple[int, int]]:
    """The parts of an expression between marks that stand in no parenthesis."""
    parts, place, first = [], start, start
    while place < end:
        if code[place] in "([{":
            place = closing(code, place) if code[place] == "(" else place
        found = next((mark for mark in marks if code.startswith(mark, place)), None)
        if found:
            parts.append((first, place))
            first = place = place + len(found)
        else:
            place += 1
    return [*parts, (first, end)]


def stripped(code: str, start: int, end: int) -> tuple[int, int]:
    """The expression without spaces around it."""
    text = code[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def atoms(code: str, start: int, end: int, is_condition: bool) -> Iterator[tuple[int, int]]:
    """The conditions that an expression is made of: those between ``||`` and ``&&``, and before ``?``."""
    start, end = stripped(code, start, end)
    parts = split(code, start, end, ("?", ":"))
    if len(parts) > 1:
        yield from atoms(code, *parts[0], True)
        for part in parts[1:]:
            yield from atoms(code, *part, bool(COMPARES.search(code[slice(*part)])))
        return
    for mark in ("||", "&&"):
        parts = split(code, start, end, (mark,))
        if len(parts) > 1:
            for part in parts:
                yield from atoms(code, *part, True)
            return
    inner = start + code.startswith("!", start)
    if code[inner] == "(" and closing(code, inner) == end - 1:
        yield from atoms(code, inner + 1, end - 1, is_condition)
        return
    for nested in re.finditer(r"\((?=[^()]*\?)", code[start:end]):  # a choice inside of a sum
        place = start + nested.start()
        yield from atoms(code, place + 1, closing(code, place), False)
    if is_condition:
        yield start, end


def find_checks(source: str) -> list[Check]:
    """Every condition of an ``if``, a ``return`` or a choice, with 0 and with 1."""
    code, places = blanked(source), set()
    for match in re.finditer(r"\bif (\()", code):
        places |= set(atoms(code, match.start(1) + 1, closing(code, match.start(1)), True))
    for match in re.finditer(r"(?:\breturn\b|[^=!<>]=(?!=))\s*(?:\{([^;{}]*)\}|([^;{}]*));", code):
        is_condition = match[0].startswith("return") and bool(COMPARES.search(match[0]))
        for start, end in split(code, *match.span(1 if match[2] is None else 2), (",",)):
            named = re.compile(r"\s*\**\w+ = ").match(code, start, end)  # the next variable of a declaration
            places |= set(atoms(code, named.end() if named else start, end, is_condition))
    checks = []
    for start, end in sorted(places):
        line, text = source.count("\n", 0, start) + 1, " ".join(source[start:end].split())
        checks += [Check(start, end, value, line, text, source[start:]) for value in (0, 1)]
    return checks


# --- who notices ---


class Judge:
    """Builds the engine without a check, and asks the table, the driver and the fuzzer in turn."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = folder, source
        engine = [path for path in engine_sources() if path.suffix == ".c"]
        self.include = engine[0].parent
        self.others = [path for path in engine if path.name != FILE]
        self.objects = {name: [self.compile(path, name) for path in [*self.others, PROGRAMS[name]]] for name in FLAGS}
        self.names = [row.name for row in rows()] + [f"good {name}" for name in GOOD]
        self.blobs = [row.blob() for row in rows()] + list(GOOD.values())
        self.right = self.opened(source)
        self.cases = make_golden.load() + [vectors.random_case(seed) for seed in range(RANDOM)]
        self.lines = driver.expected_lines(self.cases)

    def compile(self, path: Path, name: str) -> Path:
        """The object of a file for one of the programs."""
        made = self.folder / f"{name}-{path.stem}.o"
        command = ["gcc", "-std=c99", *FLAGS[name], "-w", f"-I{self.include}", "-c", str(path), "-o", str(made)]
        subprocess.run(command, check=True)
        return made

    def changed(self, source: str) -> Path:
        """The file of the checks with this content."""
        path = self.folder / FILE
        path.write_text(source, encoding="utf-8")
        return path

    def build(self, name: str, source: str) -> Path:
        """One of the programs, where the file of the checks is this one."""
        program = self.folder / name
        parts = [*self.objects[name], self.compile(self.changed(source), name)]
        subprocess.run(["gcc", *FLAGS[name], *map(str, parts), "-o", str(program)], check=True)
        return program

    def opened(self, source: str) -> list[str]:
        """What each model of the table is read as, where the file of the checks is this one."""
        program = self.build("opener", source)
        try:
            done = subprocess.run([str(program)], input=fuzz.pack(self.blobs), capture_output=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return ["no end"] * len(self.blobs)
        lines = done.stdout.decode().splitlines()
        return lines + ["fault"] * (len(self.blobs) - len(lines))

    def by_table(self, check: Check) -> str:
        """The rows that are read as something else, empty where there is none."""
        found = zip(self.names, self.right, self.opened(check.without(self.source)), strict=True)
        names = [name for name, right, now in found if right != now]
        return f"{len(names)} of the table, {names[0]}" if names else ""

    def by_driver(self, check: Check) -> str:
        """Whether golden and random vectors, or the damaged models in exact memory, notice it."""
        program = self.build("driver", check.without(self.source))
        table = [driver.case_of(row.name, row.blob()) for row in rows()]
        try:
            same = driver.run_driver(program, self.cases, LIMIT_S) == self.lines
            lines = driver.run_driver(program, table, LIMIT_S)
        except (AssertionError, subprocess.TimeoutExpired):
            return "the driver, a fault"
        same = same and [driver.error_in(line) for line in lines] == [row.error for row in rows()]
        return "" if same else "the driver, other values"

    def by_fuzzer(self, check: Check) -> str:
        """Whether the fuzzer finds something, and after how many seconds."""
        files = {path.name: path for path in fuzz.engine_files()}
        engine = [*({**files, FILE: self.changed(check.without(self.source))}).values()]
        seconds = fuzz.seconds_to_a_finding(self.folder, engine, FUZZ_S)
        return "" if seconds is None else f"the fuzzer, {seconds} s"


def try_check(judge: Judge, check: Check, is_patient: bool) -> tuple[bool, str]:
    """(noticed or known to be the same, by whom or why)."""
    reason = check.reason()
    said = judge.by_table(check) or judge.by_driver(check)
    if not said and is_patient and not reason:
        said = judge.by_fuzzer(check)
    if said:
        return not reason, f"{said}{', though it should be the same' if reason else ''}"
    return bool(reason), f"the same: {reason}" if reason else "MISSED"


def run_all(only: str, is_patient: bool) -> list[str]:
    """Try every check whose text holds a word; returns the lines of those that nobody notices."""
    source, wrong = (engine_sources()[0].parent / FILE).read_text(encoding="utf-8"), []
    checks = [check for check in find_checks(source) if only in check.text]
    with tempfile.TemporaryDirectory(prefix="ebnn-checks-") as name:
        judge = Judge(Path(name), source)
        for check in checks:
            good, said = try_check(judge, check, is_patient)
            line = f"{check.line}: {check.text} -> {check.value}: {said}"
            print(line, flush=True)
            wrong += [] if good else [line]
    print(f"{len(checks) - len(wrong)} of {len(checks)} noticed, or known to be the same")
    return wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Take away each check of ebnn_open.c in turn.")
    parser.add_argument("--only", default="", help="only conditions that hold this")
    parser.add_argument("--fuzz", action="store_true", help="fuzz for ten minutes what is noticed by neither")
    args = parser.parse_args()
    wrong = run_all(args.only, args.fuzz)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
