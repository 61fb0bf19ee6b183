"""A report as text for a terminal, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from ebnn.report.schema import validate
from ebnn.report.sections import Block, Code, Note, Section, Steps, about, headline, sections, verdict
from ebnn.tables import Table, markdown_code, markdown_escape, plain

WIDTH = 100  # columns of a sentence in a terminal


def render_text(report: Mapping) -> str:
    """The report for a terminal; raises DataError for a report that ``validate`` refuses."""
    validate(report)
    top = [plain(report["title"]), *(f"{name:8s}{plain(value)}" for name, value in about(report))]
    found = verdict(report)
    rule = ["!" * WIDTH] if found.state == "bad" else []
    said = "\n".join([*rule, textwrap.fill(found.text, WIDTH), *rule])
    parts = ["\n".join(top), said]
    parts += [_section_text(section) for section in sections(report)]
    return "\n\n".join(parts)


def _section_text(section: Section) -> str:
    blocks = [_block_text(block) for block in (*section.blocks, *section.words)]
    return "\n".join([section.title.upper(), *blocks])


def _block_text(block: Block) -> str:
    if isinstance(block, Table):
        return (f"\n{plain(block.title)}\n" if block.title else "") + block.text()
    if isinstance(block, Code):
        return plain(block.text, keep="\n")
    if isinstance(block, Note):
        return plain(block.text)
    return "\n".join(f"{plain(text)}\n    {plain(command)}" for text, command in block.items)


def render_markdown(report: Mapping) -> str:
    """The report as GitHub's Markdown; raises DataError for a report that ``validate`` refuses."""
    validate(report)
    found = verdict(report)
    parts = [
        f"# {markdown_escape(report['title'])}",
        "\n".join(f"- {name}: {markdown_escape(value)}" for name, value in about(report)),
        f"**{markdown_escape(found.text)}**",
        "\n".join(
            f"- {markdown_escape(tile.name)}: **{markdown_escape(tile.value)}** ({markdown_escape(tile.note)})"
            for tile in headline(report)
        ),
    ]
    for section in sections(report):
        parts += [f"## {section.title}", *map(_block_markdown, (*section.blocks, *section.words))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block_markdown(block: Block) -> str:
    if isinstance(block, Table):
        return (f"### {markdown_escape(block.title)}\n\n" if block.title else "") + block.markdown()
    if isinstance(block, Code):
        return markdown_code(block.text, block=True)
    if isinstance(block, Steps):
        return "\n".join(f"- {markdown_escape(text)}: {markdown_code(command)}" for text, command in block.items)
    return markdown_escape(block.text)
