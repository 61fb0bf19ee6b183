"""The house's rules that a machine can check: directions of imports, sizes of functions, generated files, styles."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebnn import ops
from ebnn.files import repo_root

ROOT = repo_root()
HOST = ROOT / "host" / "ebnn"
ENGINE = ROOT / "usermod" / "ebnn" / "engine"
MAX_LINES = 60
MAX_PARAMETERS = 6

# Which paths below host/ebnn may import what.
OWNERS = {
    "chainer": r"(train|examples)/",
    "sklearn": r"train/",
    "serial": r"board/",
    "jinja2": r"report[^/]*(\.py|/)",
    "matplotlib": r"report[^/]*(\.py|/)",
    "onnx": r"(importers|examples)/",
}
# Modules below host/ebnn that stand above the core; all but firmware may import everything.
TOP = ("__init__", "__main__", "demo", "firmware")
# The others that are no packages know integers, bytes and files only.
CORE = tuple(sorted(path.stem for path in HOST.glob("*.py") if path.stem not in TOP))
UPPER = {"ablate", "search", "train", "board", "count", "report", "zoo", "cli", "demo", "examples", "firmware"}
UPPER |= {"build", "importers"}
# What the modules and packages of host/ebnn must not import.
FORBIDDEN = {module: UPPER for module in CORE} | {
    "board": UPPER - {"board"} | {"network", "sim", "format", "bundle", "cengine"},
    "report": UPPER - {"report"},
    "count": UPPER - {"count", "report"},
    "train": UPPER - {"train"},
    "ablate": UPPER - {"ablate", "train", "count", "report"},
    "search": UPPER - {"search", "train", "report"},
    "zoo": UPPER - {"zoo", "train", "count", "report"},
    "firmware": UPPER - {"board", "firmware"},
    "build": UPPER - {"build"},
    "importers": UPPER - {"build", "importers"},
}
COMPILER = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")


def sources() -> list[Path]:
    """Every Python file of the host package."""
    return sorted(HOST.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of parameters but self, cls, *args and **kwargs."""
    args = function.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("package", OWNERS)
def test_only_its_owner_imports_a_package(package: str) -> None:
    strangers = [
        str(path.relative_to(HOST))
        for path in sources()
        if any(name.split(".")[0] == package for name in imported(path))
        and not re.match(OWNERS[package], path.relative_to(HOST).as_posix())
    ]
    assert strangers == []


def imported_parts(part: str) -> set[str]:
    """Modules and packages of ebnn that one of them imports."""
    names = set().union(*map(imported, [*HOST.glob(f"{part}.py"), *HOST.glob(f"{part}/**/*.py")]))
    return {name.split(".")[1] for name in names if name.startswith("ebnn.")}


@pytest.mark.parametrize("part", FORBIDDEN)
def test_directions_of_imports(part: str) -> None:
    assert imported_parts(part) & FORBIDDEN[part] == set()


def test_every_part_has_its_directions() -> None:
    parts = {path.name for path in HOST.iterdir() if (path / "__init__.py").exists()}
    assert parts | {*CORE, "firmware"} == set(FORBIDDEN) | {"cli", "examples"}
    assert {"cost", "bundle", "tables", "measure", "arch", "footprint", "plan", "extras"} <= set(CORE)
    assert imported_parts("cli") >= {"train", "board", "demo"}


def test_a_wrong_direction_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "bad.py").write_text("from ebnn.sim import Simulator\n")
    (tmp_path / "cost.py").write_text("def f():\n    from ebnn import train\n")
    monkeypatch.setattr(sys.modules[__name__], "HOST", tmp_path)
    assert imported_parts("board") & FORBIDDEN["board"] == {"sim"}
    assert imported_parts("cost") & FORBIDDEN["cost"] == {"train"}


def test_importing_the_core_needs_numpy_alone() -> None:
    code = "import sys, ebnn, " + ", ".join(f"ebnn.{name}" for name in CORE)
    code += f"; print([name for name in {list(OWNERS)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_engine_includes_nothing_of_micropython() -> None:
    allowed = {"stddef.h", "stdint.h", "string.h", *(path.name for path in ENGINE.glob("*.h"))}
    for path in sorted(ENGINE.iterdir()):
        found = re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)', path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(found) <= allowed, path.name


def test_engine_has_no_writable_variables(tmp_path: Path) -> None:
    for path in sorted(ENGINE.glob("*.c")):
        built = tmp_path / (path.stem + ".o")
        subprocess.run([COMPILER, "-std=c99", "-Os", "-c", str(path), "-o", str(built)], check=True)
        sizes = subprocess.run(["size", str(built)], capture_output=True, text=True, check=True).stdout
        data, bss = sizes.splitlines()[1].split()[1:3]
        assert (data, bss) == ("0", "0"), path.name


@pytest.mark.parametrize("path", ops.generated_files(ROOT), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == ops.generated_files(ROOT)[path]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(HOST).as_posix())
def test_functions_are_small(path: Path) -> None:
    long = [f.name for f in functions(path) if f.end_lineno - f.lineno + 1 > MAX_LINES]
    wide = [f.name for f in functions(path) if parameters(f) > MAX_PARAMETERS]
    assert (long, wide) == ([], [])


def test_the_rules_notice_what_breaks_them(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f(self, a, b, c, d, e, f, g, *args, **kw):\n    import chainer.links as L\n" + "    0\n" * 60)
    (function,) = functions(bad)
    assert parameters(function) == 7
    assert function.end_lineno - function.lineno + 1 == 62
    assert imported(bad) == {"chainer.links"}


def test_ruff_passes() -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if not ruff:
        pytest.fail("ruff is not installed: make setup installs it")
    done = subprocess.run([ruff, "check", "--no-cache", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_clang_format_passes() -> None:
    program = shutil.which("clang-format", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if not program or not (ROOT / ".clang-format").exists():
        pytest.fail("clang-format is not installed: make setup installs it")
    files = [path for folder in ("usermod", "firmware", "tests") for path in (ROOT / folder).rglob("*.[ch]")]
    files.remove(ENGINE / "ebnn_ops.h")  # generated
    done = subprocess.run(
        [program, "--dry-run", "-Werror", "--style=file", *map(str, sorted(files))],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
