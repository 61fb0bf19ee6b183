"""What a model takes on a device: bytes of the file and the arena, counted instructions of one inference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebnn.count import cores
from ebnn.count.cases import prepare_model
from ebnn.count.image import build_image, snapshot
from ebnn.count.measure import measure_prepared


class Meter:
    """Counts models on some cores.

    Args:
        names: of the cores (``ebnn.count.cores``).
        image: uint8 (H, W, C); every model is counted on it.

    Raises:
        BuildError: a compiler or the emulator is missing.
    """

    def __init__(self, names: Sequence[str], image: np.ndarray) -> None:
        engine = snapshot()
        self.images = [build_image(core, engine) for core in cores.usable(",".join(names))]
        self.data = image.tobytes()

    def read(self, path: Path) -> dict:
        """``model_bytes``, ``arena_bytes``, ``instructions`` by core, and ``layers`` of a model file.

        ``layers`` is a hash of all layers' operators, shapes, kernels, bytes and places in the arena: where it is the
        same, the device does the same work.

        Raises:
            BoardError: the engine gave other scores than the simulator.
        """
        prepared = prepare_model(path.read_bytes(), self.data)
        counted = {image.core.name: measure_prepared(image, prepared, f"{path}") for image in self.images}
        return {
            "model_bytes": len(prepared.model),
            "arena_bytes": prepared.facts["totals"]["arena_bytes"],
            "instructions": {name: row["instructions"] for name, row in counted.items()},
            "layers": hashlib.sha256(json.dumps(prepared.facts["layers"]).encode()).hexdigest()[:12],
        }
