"""Sizes: the bytes add up, the stack follows calls, differences to the record are shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ebnn.count import cores, image, parts, size
from ebnn.count.cores import Core
from ebnn.errors import BuildError, DataError
from ebnn.files import repo_root
from ebnn.footprint import deepest_stack

SIZES = size.Sizes({"a.o": 300}, {"f": 200, "table": 100}, {"ebnn_open": 10, "ebnn_run": 20})


def graph(frames: dict[str, int], calls: list[tuple[str, str]]) -> str:
    """A call graph as gcc writes it."""
    nodes = [f'node: {{ title: "{name}" label: "f\\n{bytes_} bytes (static)" }}' for name, bytes_ in frames.items()]
    return "\n".join([*nodes, *(f'edge: {{ sourcename: "{a}" targetname: "{b}" }}' for a, b in calls)])


def test_the_deepest_chain_counts() -> None:
    frames = {"run": 8, "a.c:near": 100, "a.c:far": 30, "a.c:end": 80}
    calls = [("run", "a.c:near"), ("run", "a.c:far"), ("a.c:far", "a.c:end"), ("a.c:end", "memcpy")]
    assert deepest_stack(graph(frames, calls), "run") == 8 + 30 + 80
    with pytest.raises(BuildError, match="far calls itself"):
        deepest_stack(graph(frames, [*calls, ("a.c:end", "a.c:far")]), "run")
    with pytest.raises(BuildError, match="no function walk"):
        deepest_stack(graph(frames, calls), "walk")


def test_a_pointer_reaches_what_nobody_names() -> None:
    frames = {"ebnn_run": 8, "a.c:kernel": 100, "a.c:named": 300, "ebnn_open": 900}
    calls = [("ebnn_run", "__indirect_call"), ("a.c:kernel", "__indirect_call"), ("ebnn_open", "a.c:named")]
    assert deepest_stack(graph(frames, calls), "ebnn_run") == 8 + 100


def test_the_engines_bytes_add_up(core: Core) -> None:
    found = size.measure(core)
    assert set(found.stack) == set(size.ROOTS) and all(0 < bytes_ < 1024 for bytes_ in found.stack.values())
    assert "ebnn_run" in found.symbols and len(found.objects) >= 2
    # What no symbol names is strings and gaps of alignment.
    assert 0.7 * found.text < sum(found.symbols.values()) <= found.text


def test_differences_to_the_record_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "size.json"
    path.write_text(size.render_record({"m3": SIZES}, "-Os"))
    assert size.read_record(path) == {"m3": SIZES}
    now = dataclasses.replace(SIZES, symbols={"f": 190, "g": 50}, stack={"ebnn_open": 10, "ebnn_run": 24})
    shown = size.table({"m3": now, "m0": SIZES}, size.read_record(path))
    assert {line[0]: line[1:] for line in shown.rows} == {
        "f": ("190 (-10)", "200"),
        "table": ("0 (-100)", "100"),
        "g": ("50 (+50)", ""),
        "object a.o": ("300", "300"),
        "text": ("300", "300"),
        "stack of ebnn_run": ("24 (+4)", "20"),
        "stack of ebnn_open": ("10", "10"),
    }


def test_records_that_are_none(tmp_path: Path) -> None:
    assert size.read_record(tmp_path / "size.json") == {}
    (tmp_path / "size.json").write_text("{}")
    with pytest.raises(DataError, match="size.json: not the sizes"):
        size.read_record(tmp_path / "size.json")


def test_the_command_names_every_core(capsys: pytest.CaptureFixture) -> None:
    assert size.main(["--core", "m3,m4"]) == 0
    shown = capsys.readouterr().out
    assert all(title in shown for title in ("Cortex-M3", "Cortex-M4", "ebnn_open", "stack of"))
    assert size.main(["--core", "m9"]) == 1
    assert "error: no core m9" in capsys.readouterr().err
    assert size.main(["--flags=-O2", "--record"]) == 1


def test_each_part_takes_bytes_as_the_page_says() -> None:
    core = cores.BY_NAME["m0"]
    if cores.missing(core):
        pytest.skip(cores.missing(core))
    whole = parts.text(core, (), "-Os")
    assert whole == size.measure(core).text
    least = parts.text(core, parts.switches(), "-Os")
    assert all(least < parts.text(core, (name,), "-Os") < whole for name in parts.switches())
    page = (repo_root() / "docs" / "size.md").read_text(encoding="utf-8").replace("\\_", "_")
    assert all(f"| {name} |" in page for name in parts.variants())
    if image.compiler_version(core) in page:
        assert f"| everything | {whole:,} |" in page and f"| all of these | {least:,} ({least - whole:,}) |" in page
