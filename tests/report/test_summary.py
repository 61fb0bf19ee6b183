"""The summary adds up to the model, and says what fits where."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from reports import mnist_like

import networks
from ebnn import cli, cost, estimate, summary
from ebnn.board.targets import list_targets, load_target
from ebnn.bundle import build_model
from ebnn.files import repo_root
from ebnn.format import decode

SMALL = summary.Board("a board", "cortex-m0", 16_000_000, 1 << 18, 1 << 14)


def facts_of(seed: int | None = None) -> dict:
    network = mnist_like() if seed is None else networks.random_network(seed)
    return cost.describe(decode(build_model(network)))


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("seed", [None, *range(0, 60, 5)])
def test_columns_add_up(seed: int | None) -> None:
    facts = facts_of(seed)
    *rows, total = summary.table(facts).rows
    for column in (3, 5, 6, 7):
        assert sum(number(row[column]) for row in rows) == number(total[column])
    rest = number(re.search(r"the total has ([\d,]+) of header and labels", summary.text(facts))[1])
    assert sum(number(row[4]) for row in rows) + rest == number(total[4]) == facts["totals"]["model_bytes"]
    assert max(number(row[8]) for row in rows) <= number(total[8]) == facts["totals"]["arena_bytes"]
    cycles = estimate.estimate(facts, summary.DEFAULT_CORE).cycles
    assert number(total[9]) == pytest.approx(sum(cycles), rel=0.005)


def test_what_stands_in_a_row() -> None:
    row = summary.table(facts_of()).rows[0]
    assert row[:4] == ("0 conv u8 -> bits", "13x13x16 bits", "1 bit / 8 bit", "144")
    assert row[5:8] == ("0", f"{26 * 26 * 16 * 9:,}", "340")


def test_a_board_holds_it_or_not() -> None:
    facts = facts_of()
    text = summary.text(facts, SMALL)
    assert text.count(": fits") == 2 and "at 16 MHz, estimated" in text
    tight = replace(SMALL, ram=facts["totals"]["arena_bytes"] + facts["totals"]["input_bytes"] - 1)
    assert re.search(r"^RAM: .*: DOES NOT FIT$", summary.text(facts, tight), re.MULTILINE)
    assert re.search(r"^RAM: .*: fits$", summary.text(facts, replace(tight, ram=tight.ram + 1)), re.MULTILINE)
    flash = facts["totals"]["model_bytes"] + estimate.rates()["cores"]["m0"]["text"] - 1
    assert re.search(r"^flash: .*: DOES NOT FIT$", summary.text(facts, replace(SMALL, rom=flash)), re.MULTILINE)


def test_unknown_cores_have_no_cycles_and_some_only_instructions() -> None:
    facts = facts_of()
    unknown = summary.text(facts, replace(SMALL, cpu="z80"))
    assert "No cycles: z80" in unknown and "MHz" not in unknown and unknown.count(": fits") == 2
    assert summary.table(facts, replace(SMALL, cpu="cortex-m7")).head[-1] == "instructions, estimated (m7)"


def test_every_board_has_a_summary(capsys: pytest.CaptureFixture) -> None:
    model = repo_root() / "firmware" / "models" / "mnist"
    for name in list_targets():
        assert cli.main(["info", str(model), "--board", name]) == 0
        out = capsys.readouterr().out
        assert "Summary" in out and (load_target(name).cpu in estimate.CORES) == ("estimated (" in out)
    assert cli.main(["info", str(model), "--board", "nonsense"]) == 1


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_training_adds_no_more_than_is_said(seed: int) -> None:
    """Flips everywhere: the file is larger by what was said at most."""
    network = networks.random_network(seed)
    plain = replace(network, nodes=tuple(_changed(node, False) for node in network.nodes))
    full = replace(network, nodes=tuple(_changed(node, True) for node in network.nodes))
    before, after = (cost.describe(decode(build_model(n)))["totals"]["model_bytes"] for n in (plain, full))
    said = summary.growth(cost.describe(decode(build_model(plain))))
    assert 0 <= after - before <= said


def _changed(node, is_trained: bool):
    """The node as an untrained or as a trained layer could be, within what lower makes of one."""
    if node.thresholds is None or node.weights is None:
        return replace(node, flips=None)
    channels = node.filters * (1 if node.exclusive else node.levels)
    flips = [True] * channels if is_trained and node.geometry.pools else None
    return replace(node, flips=flips, thresholds=node.thresholds * 0)
