"""What a board should answer for a model, as plain arrays: the bridge between networks and the harness."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ebnn import bits
from ebnn.format import decode
from ebnn.sim import Simulator


@dataclass(frozen=True)
class Expected:
    """The simulator's answers.

    Args:
        inputs: uint8 (N, bytes), each image as the device takes it.
        scores: int32 (N, K).
        nodes: uint32 (M, nodes), CRC-32 of every node's output for the first M images.
        model_crc: CRC-32 of the model file.
        model_sha256: SHA-256 of the model file.
    """

    inputs: np.ndarray
    scores: np.ndarray
    nodes: np.ndarray
    model_crc: int
    model_sha256: str


def expect(blob: bytes, images: np.ndarray, traces: int, progress: Callable[[int], None] | None = None) -> Expected:
    """Simulate ``images`` (N, h, w, c): scores of all, node CRCs of the first ``traces``."""
    network = decode(blob).network
    simulator = Simulator(network)
    packed = bits.pack_maps(images) if images.dtype == bool else images.reshape(len(images), -1)
    nodes = [[zlib.crc32(output) for output in simulator.trace(image.tobytes())] for image in packed[:traces]]
    return Expected(
        inputs=packed,
        scores=simulator.run(images, progress),
        nodes=np.array(nodes, np.uint32).reshape(-1, len(network.nodes)),
        model_crc=zlib.crc32(blob),
        model_sha256=hashlib.sha256(blob).hexdigest(),
    )


def rows_that_differ(left: np.ndarray, right: np.ndarray) -> int:
    """Number of images for which two score arrays (N, K) are not the same."""
    return int((left != right).any(axis=1).sum())
