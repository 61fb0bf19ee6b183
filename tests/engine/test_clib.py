"""The engine in one file (ebnn.clib): as C and C++ without a warning, the golden values, the example on a core."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import driver
import numpy as np
import pytest

import make_golden
from ebnn import clib
from ebnn.cengine import CEngine
from ebnn.count import cores
from ebnn.files import repo_root
from ebnn.footprint import public_functions
from vectors import Case

GOLDEN = make_golden.load()
ENGINE = repo_root() / "usermod" / "ebnn" / "engine"
MODELS = repo_root() / "firmware" / "models"
PAGE = repo_root() / "docs" / "clib.md"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
RELAXED = ("-Wno-sign-conversion",)  # sanitizers hide from the compiler which bits of an int can be set
HOST = {
    **{f"{name}-c99": (name, "-std=c99", "-O2") for name in ("gcc", "clang")},
    **{f"{name}-{std}": (name, f"-std={std}", "-O2") for name in ("g++", "clang++") for std in ("c++11", "c++17")},
}
CORES = {
    f"{core.name}-{std}": (f"{core.prefix}{program}", f"-std={std}", "-Os", *core.flags)
    for core in cores.CORES
    if core.name in ("m0", "m4", "rv32", "rv32zbb")
    for program, std in (("gcc", "c99"), ("g++", "c++17"))
}
# A kernel that is left out takes nothing away, an operator takes models.
SWITCHES = sorted(set(re.findall(r"EBNN_WITHOUT_\w+", (ENGINE / "ebnn_port.h").read_text(encoding="utf-8"))))
KERNELS = ("EBNN_WITHOUT_LANES", "EBNN_WITHOUT_BYTES")
ALL_OUT = tuple(f"-D{switch}" for switch in SWITCHES)
EMULATED = {"m0": ("cortex-m0", "microbit"), "m3": ("cortex-m3", "mps2-an385"), "m4": ("cortex-m4", "mps2-an386")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make clib` writes."""
    path = tmp_path_factory.mktemp("clib")
    assert clib.main(["--out", str(path)]) == 0
    return path


def compile_object(command: tuple[str, ...], source: Path, target: Path) -> Path:
    """Compile one file, as C++ where the compiler is one, with no warning; skips without the compiler."""
    program, *flags = command
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    language = ("-x", "c++") if program.endswith("++") else ()
    places = [f"-I{source.parent}", f"-I{source.parent.parent}", "-c", str(source), "-o", str(target)]
    done = subprocess.run([program, *STRICT, *flags, *language, *places], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return target


def run_cases(folder: Path, target: Path, command: tuple[str, ...], cases: list[Case]) -> list[str]:
    """The driver's lines with an engine that ``command`` compiles into the folder ``target``."""
    built = compile_object(command, folder / clib.SOURCE, target / "ebnn.o")
    sanitizers = [flag for flag in command if "sanitize" in flag]
    program, source = target / "driver", Path(driver.__file__).with_name("driver.c")
    link = ["gcc", "-std=c99", *sanitizers, f"-I{folder}", str(source), str(built), "-lstdc++", "-o", str(program)]
    subprocess.run(link, check=True)
    return driver.run_driver(program, cases)


@pytest.mark.parametrize("mode", HOST | CORES)
def test_it_compiles_without_a_warning(mode: str, folder: Path, tmp_path: Path) -> None:
    command = (HOST | CORES)[mode]
    for name in (clib.SOURCE, "example/main.c"):
        compile_object(command, folder / name, tmp_path / "any.o")
    compile_object((*command, *ALL_OUT), folder / clib.SOURCE, tmp_path / "any.o")


@pytest.mark.parametrize("command", [("gcc", "-std=c99"), ("g++", "-std=c++11")], ids=lambda command: command[0])
def test_it_gives_the_golden_values(command: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    assert len(GOLDEN) > 100
    assert run_cases(folder, tmp_path, (*command, *driver.SANITIZED, *RELAXED), GOLDEN) == driver.expected_lines(GOLDEN)


@pytest.mark.parametrize("switch", [*SWITCHES, "EBNN_HAS_POPCOUNT"])
def test_what_is_left_out_is_refused_and_all_else_is_right(switch: str, folder: Path, tmp_path: Path) -> None:
    lines = run_cases(folder, tmp_path, ("gcc", "-std=c99", "-O1", f"-D{switch}"), GOLDEN)
    errors = {line.split()[1]: driver.error_in(line) for line in lines if driver.error_in(line)}
    assert set(errors.values()) == ({"OP"} if switch in SWITCHES and switch not in KERNELS else set())
    expected = [line for line in driver.expected_lines(GOLDEN) if line.split()[1] not in errors]
    assert [line for line in lines if line.split()[1] not in errors] == expected != []
    compile_object(("clang", "-std=c99", f"-D{switch}"), folder / clib.SOURCE, tmp_path / "any.o")


def test_nothing_but_the_functions_of_the_header_is_seen_outside(folder: Path, tmp_path: Path) -> None:
    built = compile_object(("gcc", "-std=c99"), folder / clib.SOURCE, tmp_path / "ebnn.o")
    listed = subprocess.run(["nm", "-g", "--defined-only", str(built)], capture_output=True, text=True, check=True)
    assert {line.split()[2] for line in listed.stdout.splitlines()} == public_functions()


def test_the_same_sources_give_the_same_files() -> None:
    texts = clib.amalgamate()
    assert texts == clib.amalgamate()
    licence = "\n".join(f"// {line}".rstrip() for line in (repo_root() / "LICENSE").read_text().splitlines())
    assert all(licence in text[:2000] for text in texts.values())
    assert re.findall(r"#include (.*)", texts[clib.SOURCE]) == ['"ebnn.h"', "<string.h>"]
    assert re.findall(r"#include (.*)", texts[clib.HEADER]) == ["<stddef.h>", "<stdint.h>"]


def run_example(folder: Path, target: Path, core: str) -> list[str]:
    """The lines of the example on an emulated core, built in a copy of its folder."""
    if cores.missing(cores.BY_NAME[core]):
        pytest.skip(cores.missing(cores.BY_NAME[core]))
    cpu, machine = EMULATED[core]
    shutil.copytree(folder, target, dirs_exist_ok=True)
    command = ["make", "-s", "-C", str(target / "example"), "run", f"CPU={cpu}", f"MACHINE={machine}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if not re.match(r"\s+(text|\d)", line)]


@pytest.mark.parametrize("core", EMULATED)
def test_the_example_knows_its_digit(core: str, folder: Path, tmp_path: Path) -> None:
    assert run_example(folder, tmp_path, core) == ["self-test passed", "the digit is a 7"]


def test_the_example_runs_the_selftest_of_another_model(tmp_path: Path) -> None:
    assert clib.main(["--model", str(MODELS / "motion" / "model.ebnn"), "--out", str(tmp_path / "motion")]) == 0
    assert run_example(tmp_path / "motion", tmp_path / "copy", "m3") == ["self-test passed"]


def test_the_example_knows_digits_of_people(mnist, folder: Path, tmp_path: Path) -> None:
    own, drawn = tmp_path / "own", (folder / "example" / "digit.h").read_text()
    shutil.copytree(folder, own)
    engine = CEngine((MODELS / "mnist" / "model.ebnn").read_bytes())
    for image, digit in list(zip(mnist.x_test, mnist.y_test, strict=True))[1:3]:
        values = "".join(f"{value},\n" for value in image.ravel())
        header = re.sub(r"\{\n[\d, \n]*\}", lambda _found, values=values: f"{{\n{values}}}", drawn)
        assert header != drawn
        (own / "example" / "digit.h").write_text(header)
        assert int(np.argmax(engine.scores(image.tobytes()))) == digit
        assert run_example(own, tmp_path / "copy", "m3")[1] == f"the digit is a {digit}"


def test_a_wrong_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bad.ebnn").write_bytes(b"EBNN1")
    assert clib.main(["--model", str(tmp_path / "bad.ebnn"), "--out", str(tmp_path / "out")]) == 1
    assert "error: " in capsys.readouterr().err and not (tmp_path / "out").exists()


def flash_bytes(folder: Path, target: Path, core: str, flags: tuple[str, ...]) -> int:
    """Code and constants of the engine at -Os."""
    prefix, built = cores.BY_NAME[core].prefix, target / f"{core}.o"
    compile_object((f"{prefix}gcc", "-std=c99", "-Os", *cores.BY_NAME[core].flags, *flags), folder / clib.SOURCE, built)
    done = subprocess.run([f"{prefix}size", str(built)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].split()[0])


def test_the_page_says_what_the_engine_takes(folder: Path, tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]* \| ([^|]*) \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert len(rows) >= 3
    for left_out, *said in rows:
        named = tuple(f"-D{name}" for name in re.findall(r"EBNN_\w+", left_out))
        flags = ALL_OUT if "all" in left_out else named
        for core, text in zip(("m0", "m4"), said, strict=True):
            size = int(text.replace(",", ""))
            assert abs(flash_bytes(folder, tmp_path, core, flags) - size) < 0.05 * size, (left_out, core)


PROGRAM = """
#include <stdio.h>

int main(void) {
    static uint8_t input[EBNN_MODEL_INPUT_SIZE];
    const int rc = start();
    ebnn_selftest_input(&net, input);
    const int best = classify(input);
    printf("%d %d %d\\n", rc, best, ebnn_scores_crc(&net, arena) == net.selftest_crc);
    return 0;
}
"""


def test_the_code_of_the_page_works_in_a_project_with_cmake(folder: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    blocks = re.findall(r"^```(c|cmake)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    first = dict(reversed(blocks))
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "app.c").write_text(first["c"] + PROGRAM)
    head = "cmake_minimum_required(VERSION 3.12)\nproject(app C)\nadd_executable(app app.c)\n"
    (tmp_path / "CMakeLists.txt").write_text(head + first["cmake"])
    for command in (["cmake", "-S", tmp_path, "-B", tmp_path / "made"], ["cmake", "--build", tmp_path / "made"]):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    said = subprocess.run([str(tmp_path / "made" / "app")], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"0 \d 1\n", said)
