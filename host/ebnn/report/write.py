"""The three files of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ebnn.files import write_atomic
from ebnn.report.html import render_html
from ebnn.report.images import packed_image
from ebnn.report.schema import validate
from ebnn.report.words import render_markdown


def write_report(report: Mapping, folder: str | Path) -> Path:
    """Write report.json, report.md and report.html into ``folder`` and return the path of the last.

    JSON and Markdown are written first: they need no package that could be missing.

    Raises:
        DataError: the report is one that ``validate`` refuses.
        EbnnError: jinja2 or matplotlib is not installed.
        OSError: the folder cannot be written; files that were there are whole, old or new.
    """
    validate(report)
    folder = Path(folder)
    content = dict(report)
    if "samples" in report:
        content["samples"] = [
            {**sample, "image": packed_image(sample["image"], f"report.samples[{index}].image")}
            for index, sample in enumerate(report["samples"])
        ]
    write_atomic(folder / "report.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_atomic(folder / "report.md", render_markdown(content))
    return write_atomic(folder / "report.html", render_html(content))
