"""Counts one case on one core and compares everything that it computed with the simulator."""

from __future__ import annotations

import time
import zlib

import numpy as np

from ebnn import cost
from ebnn.count.cases import Case, Prepared, prepare
from ebnn.count.cycles import FunctionCount, estimate, functions
from ebnn.count.emulate import Emulation, Region, case_bytes, emulate
from ebnn.count.image import Image
from ebnn.errors import BoardError

OPEN, WHOLE, FIRST_NODE = 0, 1, 2  # indexes of an emulation's regions


def measure(image: Image, case: Case, fit: str) -> dict:
    """Count a case, planned for a fit.

    Returns:
        The part of a result row that a run tells (see ``ebnn.count.results``).

    Raises:
        BoardError: the image failed, or a score or a node's output differs from the simulator's.
    """
    return measure_prepared(image, prepare(case, fit), f"{image.core.name} {case.name} {fit}")


def measure_prepared(image: Image, prepared: Prepared, where: str) -> dict:
    """Count one model on its input, as ``measure`` does; errors begin with ``where``."""
    found = emulate(image, case_bytes(prepared.model, prepared.image))
    _compare(where, found, prepared)
    layers = prepared.facts["layers"]
    regions = found.regions[FIRST_NODE : FIRST_NODE + len(layers)]
    return {
        "instructions": found.regions[WHOLE].instructions,
        "open": found.regions[OPEN].instructions,
        "nodes": [_node(image, region, layer) for region, layer in zip(regions, layers, strict=True)],
        "macs_binary": prepared.facts["totals"]["macs_binary"],
        "macs_byte": prepared.facts["totals"]["macs_byte"],
        "cycles": estimate(image, found.regions[WHOLE]),
        "arena": prepared.facts["totals"]["arena_bytes"],
        "scratch": prepared.facts["totals"]["scratch_bytes"],
        "stack": found.words("stack")[0],
        "text": image.text,
        "model_bytes": len(prepared.model),
        "date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    }


def profile(image: Image, case: Case, fit: str) -> list[FunctionCount]:
    """The instructions of a case's untraced run by function, counted anew."""
    prepared = prepare(case, fit)
    return functions(image, emulate(image, case_bytes(prepared.model, prepared.image)).regions[WHOLE])


def _node(image: Image, region: Region, layer: dict) -> dict:
    return {
        "op": cost.layer_kind(layer),
        "name": layer["name"],
        "instructions": region.instructions,
        "macs_binary": layer["macs_binary"],
        "macs_byte": layer["macs_byte"],
        "cycles": estimate(image, region),
        "scratch": layer["arena"]["scratch_bytes"],
    }


def _compare(where: str, found: Emulation, prepared: Prepared) -> None:
    wanted = [zlib.crc32(output) for output in prepared.outputs]
    got = found.words("node")
    if len(got) != len(wanted) or len(found.regions) != FIRST_NODE + len(wanted) + 1:
        raise BoardError(f"{where}: {len(got)} nodes ran, the model has {len(wanted)}")
    for index, (node, value) in enumerate(zip(wanted, got, strict=True)):
        if node != value:
            raise BoardError(f"{where}: the output of node {index} differs from the simulator's")
    scores = np.array(found.words("score"), np.uint32).view(np.int32)
    if scores.tolist() != prepared.scores.tolist():
        raise BoardError(f"{where}: scores {scores.tolist()} differ from the simulator's {prepared.scores.tolist()}")
    if found.words("guard") != [1]:
        raise BoardError(f"{where}: the engine wrote behind the end of its arena")
