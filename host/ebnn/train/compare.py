"""The trainer beside the integers, in every bit of every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ebnn.network import Network
from ebnn.sim import Simulator
from ebnn.train.compat import chainer
from ebnn.train.evaluate import batches
from ebnn.train.lower import head_integers, node_readers
from ebnn.train.trace import run


class _Inputs(chainer.FunctionHook):
    """Keeps the functions of a run in the order of running, or of some, by that order, one of the arrays they read."""

    name = "EbnnInputs"

    def __init__(self, wanted: dict[int, int] | None = None) -> None:
        super().__init__()
        self.wanted = wanted
        self.functions: list[chainer.FunctionNode] = []
        self.arrays: dict[int, np.ndarray] = {}
        self.count = 0

    def forward_preprocess(self, function: chainer.FunctionNode, in_data: tuple) -> None:
        """Called by Chainer before a function runs."""
        if self.wanted is None:
            self.functions.append(function)
        elif self.count in self.wanted:
            self.arrays[self.count] = chainer.backends.cuda.to_cpu(in_data[self.wanted[self.count]])
        self.count += 1


@dataclass(frozen=True)
class Comparison:
    """Trainer and simulator on the same images.

    Args:
        trained: int32 (N, K), the trainer's integer scores.
        scores: int32 (N, K), the simulator's.
        images: how many images have any value, in any node, in which both differ.
        nodes: how many values of each node differ.
    """

    trained: np.ndarray
    scores: np.ndarray
    images: int
    nodes: tuple[int, ...]


def values(chain: chainer.Chain, images: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The trainer's own output of every node, batch by batch: float32 (n, values), at last int32 (n, classes).

    Bits are -1 and +1, the others integers.
    """
    with _Inputs() as seen:
        readers = node_readers(chain, images[:1])
    places = {id(function): place for place, function in enumerate(seen.functions)}
    wanted = {places[call.key]: index for call, index, _ in readers}
    for part in batches(images):
        with _Inputs(wanted) as seen:
            y = run(chain, part)
        read = [seen.arrays[places[call.key]] * np.float32(2.0**fraction) for call, _, fraction in readers]
        yield [*(array.reshape(len(part), -1) for array in read), head_integers(y)]


def compare(chain: chainer.Chain, network: Network, images: np.ndarray) -> Comparison:
    """Compare every bit of every node, and every score.

    Args:
        chain: what was trained.
        network: what ``lower`` made of it.
        images: (N, H, W, C), as both take them.
    """
    simulator, nodes, wrong_images = Simulator(network), np.zeros(len(network.nodes), int), 0
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for part, trained in zip(batches(images), values(chain, images), strict=True):
        simulated = [array.reshape(len(part), -1) for array in simulator.outputs(part)]
        wrong = [
            a != (2 * b.astype(int) - 1 if b.dtype == bool else b) for a, b in zip(trained, simulated, strict=True)
        ]
        nodes += [int(array.sum()) for array in wrong]
        wrong_images += int(np.any([array.any(axis=1) for array in wrong], axis=0).sum())
        found.append((trained[-1], simulated[-1]))
    scores = map(np.concatenate, zip(*found, strict=True))
    return Comparison(*scores, wrong_images, tuple(nodes.tolist()))
