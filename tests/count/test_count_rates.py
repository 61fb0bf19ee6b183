"""Estimates beside the counts of docs/bench.md: of whole networks and of single layers, on every core."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ebnn import estimate
from ebnn.count import cases, cores, rates
from ebnn.files import repo_root

NEAR, NEAR_LAYER = 0.25, 0.35  # relative
BENCH = (repo_root() / "docs" / "bench.md").read_text(encoding="utf-8")


def bench_table(title: str) -> dict[tuple[str, str, str], float]:
    """Figures of docs/bench.md by case, fit and core."""
    lines = BENCH.split(f"## {title}\n\n", 1)[1].splitlines()
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    names = {core.title: core.name for core in cores.CORES}
    found = {}
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for title_of_core, cell in zip(head[2:], cells[2:], strict=True):
            if cell:
                found[cells[0], cells[1], names[title_of_core]] = float(cell.replace(",", ""))
    return found


def facts(case: str, fit: str) -> dict:
    return cases.prepare(cases.BY_NAME[case], fit).facts


@pytest.mark.parametrize(("title", "what"), [("Instructions of whole networks", "instructions"),
                                             ("Estimated cycles", "cycles")])  # fmt: skip
def test_networks_are_estimated_near_their_counts(title: str, what: str) -> None:
    counts = {key: value for key, value in bench_table(title).items() if cases.BY_NAME[key[0]].node is None}
    assert len(counts) == 9 * 4 * (7 if what == "instructions" else 6)
    for (case, fit, core), count in counts.items():
        found = sum(getattr(estimate.estimate(facts(case, fit), core), what))
        assert abs(found / count - 1) < NEAR, (case, fit, core, found, count)


def test_layers_are_estimated_near_their_counts() -> None:
    counts = bench_table("Instructions per 32 binary MACs, or per byte MAC (first-u8), of single layers")
    assert len(counts) == 5 * 3 * 7
    for (name, fit, core), count in counts.items():
        case = cases.BY_NAME[name]
        layer = facts(name, fit)["layers"][case.node]
        macs = layer["macs_byte"] or layer["macs_binary"] / 32
        found = estimate.estimate(facts(name, fit), core).instructions[case.node] / macs
        assert abs(found / count - 1) < NEAR_LAYER, (name, fit, core, found, count)


def test_rates_are_of_the_bench_that_the_page_shows() -> None:
    known = estimate.rates()
    assert re.search(rf"Engine {known['engine']},\s+compiled with `{known['flags']}`", BENCH)
    assert set(known["cores"]) == {core.name for core in cores.CORES}
    assert set(estimate.CORES.values()) <= set(known["cores"])
    texts = dict(re.findall(r"(Cortex-M\d+|RV32IMC) (\d+,\d+)", BENCH.split("whole engine with these flags: ")[1]))
    for core in cores.CORES[:6]:
        assert f"{known['cores'][core.name]['text']:,}" == texts[core.title]


def test_rates_that_made_the_counts_are_found_again() -> None:
    rng = np.random.default_rng(2)
    table = rng.integers(1, 1000, (60, 4)).astype(float)
    assert rates._fitted(table, table @ [3, 0.5, 0, 20]) == pytest.approx([3, 0.5, 0, 20], abs=1e-6)
    assert min(rates._fitted(table, table @ [3, -0.01, 1, 20])) == 0


@pytest.mark.parametrize("core", [core.name for core in cores.CORES])
def test_more_of_anything_takes_longer(core: str) -> None:
    def of(arch: str, shape: tuple[int, int, int] = (12, 12, 1)) -> float:
        case = cases.Case("random", arch, shape)
        return sum(estimate.estimate(cases.prepare(case, "balanced").facts, core).instructions)

    assert of("8c3-16c3-10") < of("8c3-32c3-10") < of("16c3-32c3-10") < of("16c5p1-32c3-10")
    assert of("8c3-10") < of("8c3-10", (12, 12, 3)) < of("8c3-10", (24, 24, 3))
    assert of("32-10") < of("64-10")  # dense layers of bytes were never counted alone
