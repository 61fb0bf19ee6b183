"""Put the last demo's figures and the example script into README.md, between their markers.

    python tools/readme.py build/demo/report.json

Nothing in README's table is typed by hand: it is what ``make demo`` printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from ebnn.files import repo_root, write_atomic
from ebnn.report.sections import about, sections, verdict
from ebnn.tables import Table

SHOWN = ("Accuracy", "Speed", "Memory", "Beside others")


def results(report: Mapping) -> str:
    """The tables of a demo's report as Markdown."""
    facts = ", ".join(f"{name} {text}" for name, text in about(report))
    parts = [f"What `make demo` printed ({facts}):", f"**{verdict(report).text}**"]
    for section in sections(report):
        if section.title in SHOWN:
            parts += [block.markdown() for block in section.blocks if isinstance(block, Table)]
    return "\n\n".join(parts) + "\n"


def example(root: Path) -> str:
    """The example script as a code block."""
    text = (root / "host" / "ebnn" / "examples" / "train_mnist.py").read_text(encoding="utf-8")
    return f"```python\n{text}```\n"


def splice(text: str, name: str, content: str) -> str:
    """Replace what stands between the markers ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = text.split(start, 1)
    return before + start + content + end + rest.split(end, 1)[1]


def main() -> None:
    """Write README.md."""
    root = repo_root()
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    text = (root / "README.md").read_text(encoding="utf-8")
    text = splice(splice(text, "results", results(report)), "example", example(root))
    write_atomic(root / "README.md", text)


if __name__ == "__main__":
    main()
