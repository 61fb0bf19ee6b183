"""The file of results: what it refuses, and that a run goes on where it ended."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from benchrows import row

from ebnn.count import __main__ as program
from ebnn.count import cases, document, figures, results, tables
from ebnn.errors import DataError


def test_rows_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    results.Results(path).add(row())
    found = results.Results(path)
    assert found.rows == [row()] and found.done(row(instructions=0)) == row()
    assert json.loads(path.read_text())["schema"] == results.SCHEMA


@pytest.mark.parametrize("name", results.PROOF)
def test_a_row_is_done_only_for_what_it_was_counted_with(tmp_path: Path, name: str) -> None:
    found = results.Results(tmp_path / "bench.json")
    found.add(row())
    assert found.done(row(**{name: "other"})) is None
    found.add(row(**{name: "other"}))
    assert found.rows == [row(**{name: "other"})]


@pytest.mark.parametrize("name", results.KEY)
def test_rows_about_different_things_stand_side_by_side(tmp_path: Path, name: str) -> None:
    found = results.Results(tmp_path / "bench.json")
    found.add(row())
    found.add(row(**{name: "other"}))
    assert len(found.rows) == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"instructions": "many"}, "instructions must not be 'many'"),
        ({"cycles": 1.5}, "cycles must not be 1.5"),
        ({"arena": True}, "arena must not be True"),
        ({"more": 1}, "keys more are missing or unknown"),
        ({"nodes": [{}]}, "keys .*op.* are missing"),
        ({"nodes": [7]}, "a node must be an object"),
    ],
)
def test_a_row_of_another_form_is_refused(tmp_path: Path, changes: dict, text: str) -> None:
    with pytest.raises(DataError, match=text):
        results.Results(tmp_path / "bench.json").add(row(**changes))
    assert not (tmp_path / "bench.json").exists()
    (tmp_path / "bench.json").write_text(results.render([row(**changes)]))
    with pytest.raises(DataError, match=rf"bench.json, row 1: {text}"):
        results.Results(tmp_path / "bench.json")


def test_a_damaged_file_is_refused_and_an_older_one_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"schema": 1, "rows"')
    with pytest.raises(DataError, match="not a bench's results; remove it"):
        results.Results(path)
    path.write_text('{"schema": 0, "rows": [1]}')
    assert results.Results(path).rows == []


def test_the_command_counts_once_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--core", "m3", "--case", "n2", "--fit", "small", "--out", str(tmp_path / "bench.json")]
    assert program.main(arguments) == 0
    (first,) = results.Results(tmp_path / "bench.json").rows
    assert "kept" not in capsys.readouterr().out
    assert program.main(arguments) == 0
    assert "kept" in capsys.readouterr().out
    assert program.main([*arguments, "--flags=-Os"]) == 0
    rows = results.Results(tmp_path / "bench.json").rows
    assert rows[0] == first and [item["flags"] for item in rows] == ["-O2", "-Os"]
    assert rows[0]["instructions"] != rows[1]["instructions"]
    assert program.main([*arguments, "--fresh"]) == 0
    assert "kept" not in capsys.readouterr().out.splitlines()[-1]


def test_one_failure_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = cases.prepare

    def wrong_for_n1(case: cases.Case, fit: str) -> cases.Prepared:
        found = prepare(case, fit)
        return dataclasses.replace(found, scores=found.scores + 1) if case.name == "n1" else found

    monkeypatch.setattr("ebnn.count.measure.prepare", wrong_for_n1)
    arguments = ["--core", "m3", "--case", "n1,n2", "--fit", "small", "--out", str(tmp_path / "bench.json")]
    assert program.main(arguments) == 1
    shown = capsys.readouterr()
    assert "error: m3 n1 small: scores" in shown.err and "error: 1 cases failed, see above" in shown.err
    assert [item["case"] for item in results.Results(tmp_path / "bench.json").rows] == ["n2"]


def test_a_profile_names_functions(capsys: pytest.CaptureFixture) -> None:
    assert program.main(["--core", "m3", "--case", "n2", "--fit", "small", "--profile"]) == 0
    shown = capsys.readouterr().out
    assert "m3 n2 small" in shown and "ebnn_run" in shown and "of all" in shown


def test_errors_are_one_sentence(capsys: pytest.CaptureFixture) -> None:
    assert program.main(["--core", "z80"]) == 1
    assert capsys.readouterr().err.startswith("error: no core z80; there are m0,")
    assert program.main(["--core", "m3", "--group", "all", "--docs"]) == 1
    assert "error: --docs takes the whole bench" in capsys.readouterr().err


def test_costs_of_layers_and_networks() -> None:
    whole = row()
    assert tables.cost(whole) is None
    assert tables.per_mac(900, whole["nodes"][0]) == 9.0
    assert tables.per_mac(100, whole["nodes"][1]) == 5.0
    single = row(case="first-u8")
    assert tables.cost(single) == 9.0 and tables.subject(single) is single["nodes"][0]
    assert tables.cells(single)[3:8] == ("900", "", "100", "", "9.00")


def test_a_cliff_is_named() -> None:
    def layer(case: str, instructions: int) -> dict:
        nodes = [{**node, "instructions": instructions, "macs_byte": 0, "macs_binary": 3200} for node in row()["nodes"]]
        return row(case=case, nodes=nodes)

    found = tables.cliff_table([layer("width-5", 1000), layer("width-6", 1001), layer("width-32", 400)])
    assert [line[1:] for line in found.rows if line[-1]] == [
        ("width-6", "small", "1,001", "10.01", "width-32", "4.00", "2.50", "cliff")
    ]


def test_goals_keep_their_limits() -> None:
    goal = figures.Goal("conv64", "m3", "per 32 binary MACs", 5.0, scratch=256)
    rows = [row(case="conv64", fit=fit, nodes=[row()["nodes"][1]] * 2) for fit in ("a", "b")]
    rows[1]["nodes"] = [{**node, "scratch": 257, "instructions": 1} for node in rows[1]["nodes"]]
    assert figures.reached(goal, rows) == 5.0
    assert figures.reached(goal, rows[1:]) is None


def test_the_page_shows_goals_peers_and_cliffs() -> None:
    text = document.render([row(), row(core="m4", case="smallcifar"), row(case="width-32")], figures.load())
    assert "| n1 | instructions | 1,004 &lt;= 30,000 |" in text
    assert "| n1 | Cortex-M3 | 1,004 | eBNN | 1,784,000 | 1776.9 |" in text
    assert "1 shapes; those above" in text


def test_the_plot_has_a_line_a_peer() -> None:
    from ebnn.report.counts import plot

    dots = document.dots([row(), row(core="m4", case="smallcifar")], figures.load())
    assert [dot[:3] for dot in dots] == [
        ("n1, Cortex-M3", "eBNN", 1004),
        ("smallcifar, Cortex-M4", "CBin-NN", 1004),
        ("smallcifar, Cortex-M4", "TinyMaix, its own network", 1004),
    ]
    svg = plot(dots, "instructions")
    assert svg.startswith("<?xml") and "1776.9x" in svg and "TinyMaix" in svg and svg == plot(dots, "instructions")
