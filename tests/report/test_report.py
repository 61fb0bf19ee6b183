"""The report in its three outputs: what is in it, what is left out, what is loud, what is escaped."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from reports import DIGITS, NASTY, full_report, minimal_report, nasty_report, network_facts

from ebnn import report as reports_of
from ebnn.board.bench import Measurement, Spread
from ebnn.errors import DataError, EbnnError
from ebnn.report import render_html, render_markdown, render_text, schema, validate, write_report
from ebnn.report.images import image_array, packed_image, png
from ebnn.report.sections import sections, verdict
from ebnn.tables import Table

SHOWN = NASTY.replace("\x1b", r"\x1b")


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser would take them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.attributes if found == name]


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(full_report())


@pytest.fixture(scope="module")
def nasty() -> Page:
    return Page(render_html(nasty_report()))


# --- the schema ---


def test_a_full_report_is_complete() -> None:
    validate(full_report(), complete=True)


def test_every_key_is_documented() -> None:
    documented = re.findall(r"``(\w+)``", reports_of.__doc__)
    assert set(schema.SCHEMA) <= set(documented)


@pytest.mark.parametrize("key", schema.SCHEMA)
def test_a_missing_key_is_named(key: str) -> None:
    report = full_report()
    del report[key]
    with pytest.raises(DataError, match=rf"report\.{key} is missing"):
        validate(report, complete=True)


def broken(*path: object, value: object = None) -> dict:
    """The full report with one value replaced, or removed."""
    report = full_report()
    place = report
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return report


@pytest.mark.parametrize(
    "report, text",
    [
        ({}, "report.title is missing; report.date is missing"),
        ([], "report: must be a dict, got list"),
        (broken("accuracy", "device", "correct"), "report.accuracy.device.correct is missing"),
        (broken("title", value=5), "report.title must be text, got 5"),
        (broken("labels", value="0123456789"), "report.labels must be a list, got '0123456789'"),
        (broken("board", value="x"), "report.board must be a dict, got 'x'"),
        (broken("bytes", "model", value=1.5), "report.bytes.model must be a whole number, got 1.5"),
        (broken("bytes", "model", value=True), "report.bytes.model must be a whole number, got True"),
        (broken("estimated_ms", value=float("nan")), "report.estimated_ms must be finite, got nan"),
        (broken("training", "history", 2, "loss"), r"report.training.history[2].loss is missing"),
        (broken("confusion", 3, value=[1, 2]), "report.confusion must have 10 columns, as it has rows"),
        (broken("labels", value=["a"]), "report.confusion has 10 classes, report.labels 1"),
        (broken("samples", 4, "answer", value=10), "report.samples[4].answer must be 0 to 9, got 10"),
    ],
)
def test_faults_are_named(report: object, text: str) -> None:
    with pytest.raises(DataError, match=re.escape(text)):
        validate(report)


def test_unknown_images_are_refused() -> None:
    for image in ([[300]], [[1], [1, 2]], {"shape": [2, 2], "base64": "AAA="}, {"base64": ""}, [[[[1]]]]):
        with pytest.raises(DataError, match=r"report\.samples\[0\]\.image"):
            render_html(broken("samples", 0, "image", value=image))


# --- what is in it ---


def test_every_section_occurs_once_in_every_output(html: str) -> None:
    titles = [section.title for section in sections(full_report())]
    assert len(titles) == len(set(titles)) == 12
    text, markdown = render_text(full_report()), render_markdown(full_report())
    for title in titles:
        assert html.count(f"<h2>{title}</h2>") == 1
        assert markdown.count(f"\n## {title}\n") == 1
        assert text.count(f"\n{title.upper()}\n") == 1


@pytest.mark.parametrize("key", [key for key in schema.SCHEMA if key not in schema.REQUIRED])
def test_a_report_without_a_key_renders(key: str) -> None:
    report = full_report()
    del report[key]
    assert render_text(report) and render_markdown(report)


@pytest.mark.parametrize("key", ["accuracy", "estimated_ms", "network", "confusion", "training", "transcript"])
def test_nulls_and_gaps_leave_sections_out(key: str) -> None:
    report = {**full_report(), "accuracy": {"trainer": None, "device": full_report()["accuracy"]["device"]}}
    del report[key]
    before, after = {s.title for s in sections(full_report())}, {s.title for s in sections(report)}
    assert after <= before
    if key not in ("estimated_ms", "confusion"):
        assert len(after) == len(before) - 1


def test_a_minimal_report_renders() -> None:
    for shown in (render_text(minimal_report()), render_markdown(minimal_report()), render_html(minimal_report())):
        assert "A run" in shown and "2026-11-21" in shown
        assert "None" not in shown and "null" not in shown


def test_figures_of_the_report_are_shown(html: str) -> None:
    page = " ".join(Page(html).text)
    text, markdown = render_text(full_report()), render_markdown(full_report())
    for figure in ("98.40 %", "98.51 %", "984", "1,234,567", "49.4 ms", "25 MHz", "2,004", "5,812", "250,880"):
        assert figure in page and figure in text and figure in markdown
    for line in (">>> ebnn.infer(buf)\n7", ":%@@@@@@#"):
        assert line in html.replace("&gt;", ">") and line in text and line in markdown


def test_memory_sums() -> None:
    sizes = full_report()["bytes"]
    text = render_text(full_report())
    assert re.search(rf"model \+ code of ebnn +flash +{sizes['model'] + sizes['code']:,}\n", text)
    ram = sizes["arena"] + sizes["input"] + sizes["stack"]
    assert re.search(rf"arena \+ input buffer \+ stack of a run +RAM +{ram:,}\n", text)
    assert f"{ram / 1024:.1f} KB RAM" in text
    without = render_text(broken("bytes", "stack"))
    assert re.search(rf"\narena \+ input buffer +RAM +{ram - sizes['stack']:,}\n", without)


def test_estimates_and_measurements_never_share_a_column() -> None:
    report = {**full_report(), "timed_us": {"median": 51_000.0, "min": 50_000.0, "max": 52_500.0}}
    (table,) = [s for s in sections(report) if s.title == "Beside others"][0].blocks
    assert table.head[-2:] == ("time, measured", "time, estimated")
    assert table.rows[-1][-2:] == ("51.0 ms", "49.4 ms at 25 MHz")
    assert [row[-1] for row in table.rows[:-1]] == [""]
    speed = [s for s in sections(report) if s.title == "Speed"][0]
    tables = [block for block in speed.blocks if isinstance(block, Table)]
    assert [len(found.rows) for found in tables] == [1, 3, 1]
    assert not any("49.4" in cell for found in tables for row in found.rows for cell in row)
    assert "Estimate, not measured: 49.4 ms" in speed.blocks[1].text


def test_wrong_answers_are_marked(html: str) -> None:
    page = Page(html)
    wrong = sum(s["label"] != s["answer"] for s in full_report()["samples"])
    assert page.values("class").count("wrong") == wrong == 6
    assert page.tags["img"] == len(full_report()["samples"])
    assert re.search(r"\n18 +8 +1\n", render_text(full_report()))


def test_unusual_sizes_render() -> None:
    window = {"index": 0, "image": [[[1, 2], [3, 4], [5, 6]]], "label": 29, "answer": 29}
    report = {**minimal_report(), "confusion": [[0] * 30] * 30, "samples": [window]}
    whole = full_report()["training"]
    report["training"] = {**whole, "history": whole["history"][:1], "weights": whole["weights"][:1]}
    page = Page(render_html(report))
    assert page.values("class").count("flat") == 1 and page.tags["svg"] == 5
    assert "29" in "".join(page.text) and "Confusion" not in render_text(report)


def test_classes_and_weights_have_their_shares() -> None:
    report = {**minimal_report(), "confusion": [[8, 2], [0, 5]], "labels": ["cat", "dog"]}
    text = " ".join(render_text(report).split())
    assert "cat 10 8 80.00 % dog (2) dog 5 5 100.00 % Confusion" in text
    text = " ".join(render_text({**minimal_report(), "training": full_report()["training"]}).split())
    assert "dense3 8,000 10.00 % 0.76 % 0.66 % 1.25 % 16.25 % 18.75 %" in text  # epochs 1, 13 and 15


def test_a_training_without_watched_weights_renders() -> None:
    training = {key: value for key, value in full_report()["training"].items() if key != "weights"}
    for found in (training, {**training, "weights": [{"epoch": 1, "layers": {}}]}):
        assert Page(render_html({**minimal_report(), "training": found})).tags["svg"] == 2


# --- loud ---


@pytest.mark.parametrize("key", full_report()["mismatches"])
def test_a_mismatch_is_loud(key: str) -> None:
    report = broken("mismatches", key, "different", value=3)
    assert verdict(report).state == "bad"
    shown = f"differ in 3 of {report['mismatches'][key]['compared']:,}"
    for text in (render_text(report), render_markdown(report)):
        assert "MISMATCH" in text and shown in " ".join(text.split()) and "0 mismatches" not in text


def test_a_mismatch_is_loud_on_the_page(html: str) -> None:
    assert 'class="verdict good"' in html and "MISMATCH" not in html
    loud = render_html(broken("mismatches", "traces", "different", value=1))
    assert 'class="verdict bad"' in loud and "MISMATCH" in loud and 'class="verdict good"' not in loud


def test_nothing_compared_is_no_success() -> None:
    assert verdict(minimal_report()).state == "none"
    pairs = {"device_vs_simulator": {"compared": 5, "different": None}, "traces": None}
    assert verdict({**minimal_report(), "mismatches": pairs}).state == "none"
    none = {"traces": {"compared": 0, "different": 0}}
    assert verdict({**minimal_report(), "mismatches": none}).state == "none"
    assert re.search(r"images, all scores +5 +\?", render_text({**minimal_report(), "mismatches": pairs}))


# --- foreign text ---


def test_foreign_text_makes_no_elements(html: str, nasty: Page) -> None:
    assert nasty.tags["script"] == 0
    plain = Page(html)
    assert all(nasty.tags[tag] == plain.tags[tag] for tag in ("section", "table", "figure", "img", "pre", "h2", "svg"))
    assert set(nasty.tags) == set(plain.tags)
    assert not any(name.startswith("on") for name, _ in nasty.attributes)


def test_foreign_text_is_shown_as_it_is(nasty: Page) -> None:
    text = "".join(nasty.text)
    assert text.count(SHOWN) >= 12
    assert nasty.text.count(r"$\no$") >= 4
    assert "\x1b" not in text
    assert any("<script>alert" in part and part.endswith("\N{HORIZONTAL ELLIPSIS}") for part in nasty.text)


def test_terminal_gets_no_control_characters() -> None:
    shown = render_text(nasty_report())
    assert SHOWN in shown
    assert all(c.isprintable() or c == "\n" for c in shown)


def test_markdown_of_foreign_text() -> None:
    shown = render_markdown(nasty_report())
    fenced = "\n````text\n" + SHOWN + "\n```\n</pre>\n````\n"
    assert fenced in shown
    outside = re.sub(r"(`+).+?\1(?!`)", "", shown.replace(fenced, ""), flags=re.DOTALL)
    assert "<script" not in outside and "**b**" not in outside.replace(r"\*", "")
    for table in re.findall(r"(?:^\|.*\n?)+", shown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}) == 1


def test_code_spans_hold_any_backticks() -> None:
    assert "- Go: ``` a``b ```" in render_markdown(
        {**minimal_report(), "next_steps": [{"text": "Go", "command": "a``b"}]}
    )


# --- one file ---


def test_page_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert page.tags["link"] == page.tags["script"] == page.tags["iframe"] == 0
    assert all(value.startswith("data:image/png;base64,") for value in page.values("src"))
    assert all(value.startswith("#") for name in ("href", "xlink:href") for value in page.values(name))
    assert "http:" not in html and "https:" not in html and "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_plots_follow_the_theme(html: str) -> None:
    page = Page(html)
    assert page.tags["svg"] == 7 and len(page.values("aria-label")) == 7
    assert "#0a0b" not in html
    used = set(re.findall(r"var\(--(\w+)\)", html))
    defined = set(re.findall(r"--(\w+):", html))
    assert used <= defined and {"accent", "weights", "padding", "bad"} <= used
    assert html.count("--ink:") == 2
    ids = Counter(page.values("id"))
    assert ids and max(ids.values()) == 1


def test_the_same_report_gives_the_same_page(html: str) -> None:
    assert render_html(full_report()) == html


@pytest.mark.parametrize("shape, seen", [((6, 4, 1), (6, 4)), ((6, 4, 3), (6, 4, 3)), ((6, 4, 2), (6, 4)),
                                         ((1, 9, 2), (2, 9)), ((1, 9, 3), (1, 9, 3))])  # fmt: skip
def test_pictures_hold_the_images(shape: tuple, seen: tuple) -> None:
    from matplotlib.image import imread

    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert (image_array(packed_image(image.tolist(), "x"), "x") == image).all()
    found = np.round(255 * imread(io.BytesIO(png(image)))).astype(np.uint8)
    assert found.shape[: len(seen)] == seen
    wanted = image if shape[2] == 3 else image[0].T if shape[0] == 1 else image[:, :, 0]
    assert (found == wanted if found.ndim == 2 else found[..., :3] == wanted).all()


# --- files ---


def test_files_are_written_and_read_back(tmp_path: Path, html: str) -> None:
    report = full_report()
    page = write_report(report, tmp_path / "new")
    assert report == full_report()
    assert {path.name for path in page.parent.iterdir()} == {"report.json", "report.md", "report.html"}
    assert page.read_text(encoding="utf-8") == html
    again = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    validate(again, complete=True)
    assert render_html(again) == html
    assert (page.parent / "report.md").read_text(encoding="utf-8") == render_markdown(again)
    assert again["samples"][0]["image"]["shape"] == [28, 28, 1]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named_and_costs_the_page_alone(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EbnnError, match=rf"needs {package}: pip install 'ebnn\[report\]'"):
        write_report(full_report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_text_needs_neither_package() -> None:
    code = (
        "import sys; from ebnn.report import render_text, render_markdown; r = {'title': 't', 'date': 'd'};"
        "render_text(r); render_markdown(r); print([m for m in ('jinja2', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- a bench ---


def measurement(**changes: object) -> Measurement:
    facts = {
        "board": "b", "images": 4, "correct": 3, "accuracy": 0.75, "predictions": (0, 1, 2, 9), "mismatches": 0,
        "node_mismatches": 0, "first_mismatch": None, "instructions": None, "node_instructions": None,
        "microseconds": None, "retries": 0, "seconds": 1.0, "images_per_second": 4.0,
        "header": {"started": "2026-11-21T10:00:00Z"},
    }  # fmt: skip
    return Measurement(**(facts | changes))


def bench(found: Measurement) -> dict:
    board = {"name": "b", "title": "Board", "cpu": "cortex-m0", "clock_hz": 16_000_000}
    data = {"name": "mnist", "test_count": 10_000}
    return reports_of.bench_report(found.to_json(), board, network_facts(DIGITS), data, np.array([0, 1, 2, 3]), 2)


def test_a_counted_bench() -> None:
    report = bench(measurement(instructions=Spread(900.0, 1600.0, 2000.0)))
    validate(report)
    assert report["estimated_ms"] == pytest.approx(0.1) and "timed_us" not in report
    assert report["confusion"][3][9] == 1 and sum(map(sum, report["confusion"])) == 4
    text = render_text(report)
    assert "0.100 ms at 16 MHz" in text and "75.00 %" in text and verdict(report).state == "good"
    assert "<h2>Network</h2>" in render_html(report)


def test_a_timed_bench_has_no_estimate() -> None:
    report = bench(measurement(microseconds=Spread(900.0, 1600.0, 2000.0)))
    assert report["timed_us"]["median"] == 1600 and "estimated_ms" not in report
    assert "1.60 ms" in render_text(report) and "Estimate" not in render_text(report)


def test_a_bench_with_differing_nodes_is_loud() -> None:
    report = bench(measurement(node_mismatches=1))
    assert "MISMATCH: board and simulator differ in 1 of 2 images, every node" in verdict(report).text
