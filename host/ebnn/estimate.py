"""Instructions and cycles of an inference, estimated from a model alone: a formula, with rates fitted to counts.

What a kernel executes is about a sum of ``features``, numbers that follow from the layer's shape, each times a rate of
the core. The rates in ``rates.json`` are fitted to what ``make bench`` counted for random layers and networks
(``ebnn.count.rates``; docs/bench.md has the counts). Cycles are fitted alike to the bench's cycles, which are estimates
themselves (``ebnn.count.cycles``). Nothing is measured here.

P: positions computed, F: filters, T: taps, W: words of a filter, K: rows of the kernel, S: bits that pools read.

| kernel | features, for each of which a core has a rate |
|---|---|
| plain, bits | P F W; P F; P times the words of a window; P K; P; S; 1 |
| plain, bytes | P F T; P F; P T; P; 1 |
| bytes, tiles of 4 positions | tile F look-ups; tile groups of 4 taps; tile; S; S in words; 1 |
| lanes, tiles of 16 positions | tile F W; tile F passes; tile W; tile; P K of gathered patches; S in words; P; 1 |
| dense | F W; F; 1 |
| pool | P in words; P; 1 |

All other nodes, and convolutions whose weights are int8 or whose border does not count, share one row of features;
what a node does not have is 0 in it. Q: positions of the output times those of a window of its pool, B: blocks of 32
filters.

| part | features |
|---|---|
| convolution, dense on bits | Q F W; Q W of convolutions; Q F W at a border that does not count |
| the same on others | Q F T; Q F T on i16; Q times the bits of a window |
| the same with int8 weights | Q F T on bits; Q F T on others; Q F |
| depthwise | of bits by bits Q B T; Q F; of others Q F T; Q B T |
| pool | Q F; Q B |
| each | Q; Q B; Q F of windows of more than a position; 1 |
| bits | P F levels; P B levels |
| integers | P F; P F with gains, with a second input, and of all but i32 |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebnn import ops
from ebnn.bits import pixel_stride, row_words

RATES_FILE = Path(__file__).with_name("rates.json")
BYTES_TILE = 4  # positions that the kernel for bytes takes at once
BLOCK = 32  # filters whose sums are made at once
GROUP_TAPS = 4  # taps whose sums stand in one table
COUNTS_BITS = ("rv32zbb",)  # cores that count bits with an instruction: plain instead of lanes
CORES = {
    "cortex-m0": "m0",
    "cortex-m0plus": "m0",
    "cortex-m3": "m3",
    "cortex-m4": "m4",
    "cortex-m7": "m7",
    "cortex-m33": "m33",
    "rv32imac": "rv32",
    "rv32imc": "rv32",
}  # a board's cpu -> the core of the bench


@dataclass(frozen=True)
class Estimate:
    """Instructions and cycles by layer; cycles are None for a core of which nothing is known (``count.cycles``)."""

    core: str
    instructions: tuple[float, ...]
    cycles: tuple[float, ...] | None


@dataclass(frozen=True)
class _Shape:
    """What ``features`` read from a layer of ``cost.describe``."""

    positions: int
    filters: int
    taps: int
    words: int
    kernel: tuple[int, int]
    channels: int
    pooled: int
    tables: int


def _shape(layer: Mapping) -> _Shape:
    geometry, (height, width, _), filters = layer["geometry"], layer["output"]["shape"], layer["filters"]
    channels, macs = layer["input"]["shape"][2], layer["macs_binary"] + layer["macs_byte"]
    source = math.prod(layer["input"]["shape"][:2])
    return _Shape(
        positions=macs // layer["weights"] if macs else source,
        filters=filters,
        taps=layer["weights"] // filters,
        words=layer["bytes"]["weights"] // 4 // filters,
        kernel=tuple(geometry.get("kernel", (1, 1))),
        channels=channels,
        pooled=height * width * math.prod(geometry["pool"]) if "pool" in geometry else 0,
        tables=layer["tables"],
    )


def _has_kernel(layer: Mapping) -> bool:
    """Whether a kernel of its own serves the layer; the others share ``_values``."""
    source, ending, is_bits = layer["input"]["dtype"], layer["ending"], layer["output"]["dtype"] == "bits"
    if layer["geometry"]["pool_sum"] or source not in ("bits", "u8") or layer["weight_bits"] > 1:
        return False
    if layer["op"] == "conv":
        return is_bits and ending["levels"] == 1 and layer["geometry"].get("border") != 0
    if layer["op"] == "pool":
        return is_bits and source == "bits"
    return layer["op"] == "dense" and ending["levels"] == 1 and not ending["gains"] and ending["second"] is None


def features(layer: Mapping, core: str) -> tuple[str, list[int]]:
    """The kernel whose rates count for a layer of ``cost.describe`` on a core, and what they are multiplied with."""
    if not _has_kernel(layer):
        return "values", _values(layer)
    name = layer["kernel"] if layer["op"] == "conv" else layer["op"]
    of_bytes, shape = layer["input"]["dtype"] == "u8", _shape(layer)
    if of_bytes and name in ("plain", "dense"):
        return "plain_u8", _plain_bytes(shape)
    if name == "lanes" and core in COUNTS_BITS:
        name = "plain"
    if name == "bytes":
        return f"bytes_{shape.tables}", _bytes(shape)
    return name, {"plain": _plain_bits, "lanes": _lanes, "dense": _dense, "pool": _pool}[name](shape)


def _plain_bits(s: _Shape) -> list[int]:
    window = s.kernel[0] * row_words(s.kernel[1] * pixel_stride(s.channels))
    p = s.positions
    return [p * s.filters * s.words, p * s.filters, p * window, p * s.kernel[0], p, s.pooled, 1]


def _plain_bytes(s: _Shape) -> list[int]:
    return [s.positions * s.filters * s.taps, s.positions * s.filters, s.positions * s.taps, s.positions, 1]


def _bytes(s: _Shape) -> list[int]:
    tiles, words = -(-s.positions // BYTES_TILE), row_words(pixel_stride(s.filters))
    look_ups = -(-s.taps // (GROUP_TAPS * s.tables))
    return [tiles * s.filters * look_ups, tiles * -(-s.taps // GROUP_TAPS), tiles, s.pooled, s.pooled * words, 1]


def _lanes(s: _Shape) -> list[int]:
    tiles, words = -(-s.positions // ops.LANES_TILE), row_words(pixel_stride(s.filters))
    passes, gathers = -(-s.words // s.tables), pixel_stride(s.channels) % 32 != 0
    tile = [tiles * s.filters * s.words, tiles * s.filters * passes, tiles * s.words, tiles]
    return [*tile, s.positions * s.kernel[0] * gathers, s.pooled * words, s.positions, 1]


def _dense(s: _Shape) -> list[int]:
    return [s.filters * s.words, s.filters, 1]


def _pool(s: _Shape) -> list[int]:
    return [s.positions * row_words(pixel_stride(s.channels)), s.positions, 1]


def _values(layer: Mapping) -> list[int]:
    (height, width, _), filters, channels = layer["output"]["shape"], layer["filters"], layer["input"]["shape"][2]
    is_share = layer["op"] in ("depthwise", "pool")
    blocks = filters // channels * -(-channels // BLOCK) if is_share else -(-filters // BLOCK)
    window = math.prod(layer["geometry"].get("pool", (1, 1)))
    visits = height * width * window
    pooled = visits * (window > 1)
    every = [visits, visits * blocks, pooled * filters, 1]
    return [*_source(layer, visits, blocks), *every, *_ending(layer, height * width, blocks)]


def _source(layer: Mapping, visits: int, blocks: int) -> list[int]:
    """What sums of all filters at ``visits`` positions take."""
    source, filters = layer["input"], layer["filters"]
    op, of_bits, is_int8 = layer["op"], source["dtype"] == "bits", layer["weight_bits"] > 1
    taps = layer["weights"] // filters * visits
    gathered = op == "conv"  # a dense node reads its input where it lies
    found = dict.fromkeys(SOURCE, 0)
    if op == "pool":
        found |= {"pool": visits * filters, "pool blocks": visits * blocks}
    elif op == "depthwise" and of_bits and not is_int8:
        found |= {"planes": taps * blocks, "counters": visits * filters}
    elif op == "depthwise":
        found |= {"channels": taps * filters, "channel blocks": taps * blocks}
    elif of_bits:
        pixels = math.prod(layer["geometry"].get("kernel", source["shape"][:2]))
        words = row_words(pixels * pixel_stride(source["shape"][2]))
        found |= {"window words": visits * words * gathered, "int8 filters": visits * filters * is_int8}
        found["int8 on bits" if is_int8 else "words"] = (taps if is_int8 else visits * words) * filters
        found["masked words"] = _masked(layer) * words * filters
    else:
        name = "int8" if is_int8 else f"bits on {'i16' if source['dtype'] == 'i16' else 'bytes'}"
        found |= {name: taps * filters, "window": taps * ops.DTYPE[source["dtype"]].size * gathered}
        found["int8 filters"] = visits * filters * is_int8
    return list(found.values())


SOURCE = (
    *("words", "window words", "masked words", "bits on bytes", "bits on i16", "int8 on bits", "int8", "int8 filters"),
    *("window", "planes", "counters", "channels", "channel blocks", "pool", "pool blocks"),
)  # in the order of the rates


def _masked(layer: Mapping) -> int:
    """Positions at a border that does not count, about."""
    geometry, (height, width, _) = layer["geometry"], layer["output"]["shape"]
    if geometry.get("border") != 0:
        return 0
    top, left, bottom, right = geometry["pad"]
    return height * width - max(0, height - top - bottom) * max(0, width - left - right)


def _ending(layer: Mapping, positions: int, blocks: int) -> list[int]:
    ending, dtype, numbers = layer["ending"], layer["output"]["dtype"], positions * layer["filters"]
    if dtype == "bits":
        return [numbers * ending["levels"], positions * blocks * ending["levels"], 0, 0, 0, 0]
    return [0, 0, *(numbers * has for has in (1, ending["gains"], ending["second"] is not None, dtype != "i32"))]


@cache
def rates() -> dict:
    """The content of rates.json: by core ``text`` (bytes of the whole engine), ``instructions`` and ``cycles``."""
    return json.loads(RATES_FILE.read_text(encoding="utf-8"))


def estimate(facts: Mapping, core: str) -> Estimate:
    """What ``cost.describe``'s layers take on a core of the bench; KeyError for another one."""
    known = rates()["cores"][core]
    found = [features(layer, core) for layer in facts["layers"]]

    def of(what: str) -> tuple[float, ...]:
        return tuple(sum(map(math.prod, zip(known[what][name], row, strict=True))) for name, row in found)

    return Estimate(core, of("instructions"), of("cycles") if known["cycles"] else None)
