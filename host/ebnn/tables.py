"""Tables and foreign text, for terminals and Markdown: one type for every figure that is printed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True)
class Table:
    """Cells of text; the first ``left`` columns are aligned left, the others right.

    Args:
        title: what stands above it.
        head: names of the columns.
        rows: as many cells each as ``head`` has.
        note: what stands below it.
        left: number of columns that hold words.
        emphasis: indexes of rows that stand out (totals).
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    left: int = 1
    emphasis: tuple[int, ...] = ()

    def text(self) -> str:
        """The table for a terminal, without its title; control characters in cells are shown, not sent."""
        cells = [[plain(cell) for cell in row] for row in (self.head, *self.rows)]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        lines = [self._line(row, widths) for row in cells]
        lines.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
        return "\n".join([*lines, *([plain(self.note)] if self.note else [])])

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        padded = [
            cell + gap if index < self.left else gap + cell
            for index, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        ]
        return "  ".join(padded).rstrip()

    def markdown(self) -> str:
        """The table as GitHub's Markdown, without its title."""
        lines = [markdown_row(self.head), markdown_rule(len(self.head), self.left)]
        lines += [markdown_row(row, strong=index in self.emphasis) for index, row in enumerate(self.rows)]
        return "\n".join(lines) + (f"\n\n{markdown_escape(self.note)}" if self.note else "")


def plain(text: str, keep: str = "") -> str:
    r"""Text without control and formatting characters (they become \x1b and the like); those in ``keep`` stay."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def markdown_escape(text: str) -> str:
    """Text that Markdown and the HTML in it take as nothing but text, in one line."""
    escaped = _MARKDOWN.sub(r"\\\1", plain(text))
    return re.sub("[&<>]", lambda found: _ENTITIES[found[0]], escaped)


def markdown_code(text: str, block: bool = False) -> str:
    """Text as a code span (one line) or code block, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    if block:
        fence = "`" * max(3, longest + 1)
        return f"{fence}text\n{plain(text, keep=chr(10))}\n{fence}"
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{plain(text)}{space}{fence}"


def markdown_row(cells: Sequence[str], strong: bool = False) -> str:
    """One line of a table; empty cells stay empty."""
    shown = [markdown_escape(cell) for cell in cells]
    return "| " + " | ".join(f"**{cell}**" if strong and cell else cell for cell in shown) + " |"


def markdown_rule(columns: int, left: int) -> str:
    """The line below a table's head."""
    return "|" + "|".join("---" if index < left else "---:" for index in range(columns)) + "|"


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)
