"""Counts are exact: loops of a known length, and the same figure each time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ebnn.count import cases, cores, image
from ebnn.count.cores import Core
from ebnn.count.cycles import MODELS, estimate, functions
from ebnn.count.emulate import emulate, parse_counts
from ebnn.count.measure import measure
from ebnn.errors import BoardError, BuildError, ConfigError
from ebnn.files import repo_root

LOOP = repo_root() / "firmware" / "bare" / "loop.c"
LOOPS = (0, 1 + 2 * 10 + 1, 1000 * (1 + 2 * 200 + 1))


def test_loops_of_known_length(core: Core) -> None:
    built = image.build_program(core, LOOP)
    found = emulate(built)
    assert [region.instructions for region in found.regions] == list(LOOPS)
    for region in found.regions:
        assert sum(region.histogram.values()) == region.instructions


def test_known_cycles_of_a_loop(core: Core) -> None:
    """Load a constant, ten subtractions and ten branches of which nine are taken, return."""
    built = image.build_program(core, LOOP)
    region = emulate(built).regions[1]
    assert sum(region.taken.values()) == 9 + 1
    if core.name in MODELS:
        jump = 0 if core.prefix.startswith("riscv") else 1
        assert estimate(built, region) == 1 + 10 + 10 + 9 * 2 + jump + 2
    else:
        assert estimate(built, region) is None


def test_functions_share_what_ran(core: Core) -> None:
    built = image.build_program(core, LOOP)
    region = emulate(built).regions[2]
    assert [(item.name, item.instructions) for item in functions(built, region)] == [("loop_200", LOOPS[2])]


def test_a_case_counts_the_same_twice_and_node_by_node() -> None:
    built = image.build_image(cores.BY_NAME["m3"], image.snapshot())
    case = cases.BY_NAME["mnist-16c3"]
    first, second = (measure(built, case, "small") for _ in range(2))
    assert {**first, "date": ""} == {**second, "date": ""}
    nodes = sum(node["instructions"] for node in first["nodes"])
    # The traced run calls the trace; the plain one does not. Both have the steps around the nodes.
    assert abs(nodes - first["instructions"]) < 100 * len(first["nodes"])
    assert first["arena"] > first["scratch"] > 0 < first["stack"] < 1024


def test_a_wrong_score_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    built = image.build_image(cores.BY_NAME["m3"], image.snapshot())
    case = cases.BY_NAME["n2"]
    right = cases.prepare(case)
    monkeypatch.setattr("ebnn.count.measure.prepare", lambda *_: dataclasses.replace(right, scores=right.scores + 1))
    with pytest.raises(BoardError, match="m3 n2 small: scores .* differ from the simulator's"):
        measure(built, case, "small")
    other = (b"\1" + right.outputs[0][1:], *right.outputs[1:])
    monkeypatch.setattr("ebnn.count.measure.prepare", lambda *_: dataclasses.replace(right, outputs=other))
    with pytest.raises(BoardError, match="m3 n2 small: the output of node 0 differs"):
        measure(built, case, "small")


def test_a_damaged_model_fails_with_the_engines_error() -> None:
    built = image.build_image(cores.BY_NAME["m3"], image.snapshot())
    with pytest.raises(BoardError, match="m3: the image failed: open ffffffff"):
        emulate(built, bytes(64))


def test_a_fault_names_its_function(core: Core, tmp_path: Path) -> None:
    trap = "unimp" if core.prefix.startswith("riscv") else "udf #0"
    source = tmp_path / "trap.c"
    source.write_text(f'#include "bare.h"\nint main(void) {{ __asm__ volatile("{trap}"); return 0; }}\n')
    with pytest.raises(BoardError, match=rf"{core.name}: a fault at 0x\w+, in main$"):
        emulate(image.build_program(core, source))


def test_counts_of_one_region_stay_there() -> None:
    regions = parse_counts("count 3\nat 10 2\nat 12 1\ntaken 12 1\ncount 1\nat 10 1\n")
    assert [region.instructions for region in regions] == [3, 1]
    assert regions[0].histogram == {0x10: 2, 0x12: 1} and regions[0].taken == {0x12: 1}
    assert regions[1].histogram == {0x10: 1} and regions[1].taken == {}


def test_names_of_cores() -> None:
    assert [core.name for core in cores.find("m4,m0")] == ["m4", "m0"]
    assert cores.find("all") == cores.CORES
    with pytest.raises(ConfigError, match="no core m5; there are m0, m3"):
        cores.find("m5")


def test_a_missing_program_says_how_to_get_it() -> None:
    lost = dataclasses.replace(cores.BY_NAME["rv32"], prefix="no-such-")
    with pytest.raises(BuildError, match="rv32 needs no-such-gcc.*: install with: sudo apt-get install gcc-riscv64"):
        cores.require(lost)
