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
from ebnn.errors import ConfigError

RATES_FILE = Path(__file__).with_name("rates.json")
BYTES_TILE = 4  # positions that the kernel for bytes takes at once
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


def is_known(layer: Mapping) -> bool:
    """Whether layers like one of ``cost.describe`` were counted: weights and maps of bits, bytes only as the input."""
    ending, source, op = layer["ending"], layer["input"]["dtype"], layer["op"]
    if source not in ("bits", "u8") or layer["weight_bits"] > 1 or layer["geometry"]["pool_sum"]:
        return False
    if op == "conv":
        return layer["output"]["dtype"] == "bits" and ending["levels"] == 1 and layer["geometry"].get("border") != 0
    if op == "pool":
        return (source, layer["output"]["dtype"]) == ("bits", "bits")
    return op == "dense" and ending["levels"] == 1 and not ending["gains"] and ending["second"] is None


def features(layer: Mapping, core: str) -> tuple[str, list[int]]:
    """The kernel whose rates count for a layer of ``cost.describe`` on a core, and what they are multiplied with."""
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


@cache
def rates() -> dict:
    """The content of rates.json: by core ``text`` (bytes of the whole engine), ``instructions`` and ``cycles``."""
    return json.loads(RATES_FILE.read_text(encoding="utf-8"))


def estimate(facts: Mapping, core: str) -> Estimate:
    """What ``cost.describe``'s layers take on a core of the bench; KeyError for another one.

    Raises:
        ConfigError: no layer like one of them was counted.
    """
    known = rates()["cores"][core]
    for layer in facts["layers"]:
        if not is_known(layer):
            raise ConfigError(
                f"nothing tells the cycles of layer {layer['index']}: no {layer['op']} like it was counted"
            )
    found = [features(layer, core) for layer in facts["layers"]]

    def of(what: str) -> tuple[float, ...]:
        return tuple(sum(map(math.prod, zip(known[what][name], row, strict=True))) for name, row in found)

    return Estimate(core, of("instructions"), of("cycles") if known["cycles"] else None)
