"""Estimated cycles from executed instructions: a table per core, memory without wait states, nothing measured.

An instruction takes the cycles of its kind; one that is followed by another than the next in memory (a taken branch,
a call, a return) takes ``taken`` more. Loads and stores of several registers take one cycle a register more.

| model | from | left out |
|---|---|---|
| M0 | Cortex-M0 TRM (DDI 0432C), table 3-1, multiplier of one cycle | flash wait states |
| M3 | Cortex-M3 TRM (DDI 0337I), 3.3: a load behind a load is one cycle shorter, an address that comes from the instruction before it costs one; a pipeline refill is 2 of 1 to 3 | early branches, divisions by their values |
| M4 | the same (DDI 0439B); long multiplications and additions take one cycle | the same |
| RV32 | Ibex (its manual, "Pipeline details": fast multiplier, no branch target ALU, memory answers in one cycle) | prefetch |

The Cortex-M33 takes the M4's table, for want of a published one. The Cortex-M7 executes two instructions at once and predicts
branches: no table of this kind says anything about it, so it has no estimate.
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ebnn.count.emulate import Region
from ebnn.count.image import Image
from ebnn.footprint import run_tool


@dataclass(frozen=True)
class Model:
    """Cycles by kind of instruction; kinds that are missing take 1.

    Args:
        kinds: cycles.
        taken: more cycles where the next instruction in memory does not follow.
        pipelined: whether loads behind loads are shorter and late addresses cost a cycle.
    """

    kinds: Mapping[str, int] = field(hash=False)
    taken: int = 2
    pipelined: bool = False


_M3 = {"load": 2, "store_indexed": 2, "multiple": 1, "pair": 1, "mla": 2, "long_mul": 4, "long_mla": 5, "div": 7}
MODELS = {
    "m0": Model({"load": 2, "store": 2, "store_indexed": 2, "multiple": 1, "call": 2}),
    "m3": Model(_M3, pipelined=True),
    "m4": Model({**_M3, "mla": 1, "long_mul": 1, "long_mla": 1}, pipelined=True),
    "m33": Model({**_M3, "mla": 1, "long_mul": 1, "long_mla": 1}, pipelined=True),
    "rv32": Model({"load": 2, "store": 2, "mul": 3, "long_mul": 4, "div": 37, "jump": 0}),
    "rv32zbb": Model({"load": 2, "store": 2, "mul": 3, "long_mul": 4, "div": 37, "jump": 0}),
}

_ARM_KINDS = (
    (r"(ldm|stm|push|pop)", "multiple"),
    (r"(ldrd|strd)", "pair"),
    (r"ldr", "load"),
    (r"str", "store"),
    (r"bl(x)?$", "call"),
    (r"(mla|mls)", "mla"),
    (r"[us]mull", "long_mul"),
    (r"[us]mlal|umaal", "long_mla"),
    (r"[us]div", "div"),
)
_RISCV_KINDS = (
    (r"l[bhw]u?$", "load"),
    (r"s[bhw]$", "store"),
    (r"mul$", "mul"),
    (r"mulh", "long_mul"),
    (r"(div|rem)", "div"),
    (r"(j|jal|jalr|jr|ret|call|tail)$", "jump"),
)
_LINE = re.compile(r"^ *([0-9a-f]+):[ \t]+([a-z][\w.]*)[ \t]*([^;@<\n]*)", re.MULTILINE)
_NUMBERED = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly."""

    mnemonic: str
    operands: str
    kind: str


@lru_cache
def _disassembly(path: str, prefix: str) -> dict[int, Instruction]:
    kinds = _ARM_KINDS if prefix.startswith("arm") else _RISCV_KINDS
    text = run_tool([f"{prefix}objdump", "-d", "--no-show-raw-insn", path])
    return {int(line[1], 16): _instruction(line[2], line[3], kinds) for line in _LINE.finditer(text)}


def _instruction(mnemonic: str, operands: str, kinds: tuple[tuple[str, str], ...]) -> Instruction:
    operands = operands.strip()
    kind = next((kind for pattern, kind in kinds if re.match(pattern, mnemonic)), "other")
    if kind == "store" and re.search(r"\[\w+, \w+", operands):
        kind = "store_indexed"
    return Instruction(mnemonic, operands, kind)


def estimate(image: Image, region: Region) -> int | None:
    """Estimated cycles of what ran in a region; None for a core without a model."""
    model = MODELS.get(image.core.name)
    if model is None:
        return None
    code = _disassembly(str(image.path), image.core.prefix)
    places = sorted(code)
    sum_ = model.taken * sum(region.taken.values())
    for place, runs in region.histogram.items():
        index = bisect_right(places, place) - 2
        before = code[places[index]] if index >= 0 else None
        sum_ += runs * _cycles(model, code[place], before)
    return sum_


def _cycles(model: Model, found: Instruction, before: Instruction | None) -> int:
    cycles = model.kinds.get(found.kind, 1)
    if found.kind in ("multiple", "pair"):
        return cycles + (2 if found.kind == "pair" else _registers(found.operands))
    if not model.pipelined or before is None or found.kind not in ("load", "store", "store_indexed"):
        return cycles
    if before.kind == "load":
        return 1
    late = before.kind in ("other", "mla") and _target(before) in _address(found)
    return cycles + late


def _registers(operands: str) -> int:
    """Number of registers in braces, for example 5 of ``{r4-r7, lr}``."""
    listed = re.search(r"\{(.*)\}", operands)
    if listed is None:
        return 1
    count = 0
    for part in listed[1].split(","):
        first, _, last = part.strip().partition("-")
        count += _number(last) - _number(first) + 1 if last else 1
    return count


def _number(register: str) -> int:
    return _NUMBERED[register] if register in _NUMBERED else int(register[1:])


def _target(found: Instruction) -> str:
    return found.operands.split(",")[0].strip()


def _address(found: Instruction) -> set[str]:
    inside = re.search(r"\[([^\]]*)", found.operands)
    return set(re.findall(r"\w+", inside[1])) if inside else set()


@dataclass(frozen=True)
class FunctionCount:
    """Instructions that ran inside of a function."""

    name: str
    instructions: int


def functions(image: Image, region: Region) -> list[FunctionCount]:
    """What ran, function by function, the largest first; inlined functions count for the one around them."""
    counts: dict[str, int] = {}
    for place, runs in region.histogram.items():
        name = image.function_at(place)
        counts[name] = counts.get(name, 0) + runs
    return [FunctionCount(name, runs) for name, runs in sorted(counts.items(), key=lambda item: -item[1])]
