"""The trainer beside the integers, in every bit of every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ebnn.network import Network
from ebnn.sim import Simulator
from ebnn.train.compat import chainer
from ebnn.train.evaluate import batches
from ebnn.train.lower import head_integers, node_functions
from ebnn.train.trace import run


class _Inputs(chainer.FunctionHook):
    """Keeps what every function of some classes reads, in the order of running."""

    name = "EbnnInputs"

    def __init__(self, classes: tuple[type, ...]) -> None:
        super().__init__()
        self.classes = classes
        self.arrays: list[np.ndarray] = []

    def forward_preprocess(self, function: chainer.FunctionNode, in_data: tuple) -> None:
        """Called by Chainer before a function runs."""
        if isinstance(function, self.classes):
            self.arrays.append(chainer.backends.cuda.to_cpu(in_data[0]))


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
    """The trainer's own output of every node, batch by batch: booleans (n, values), at last int32 (n, classes)."""
    classes, firsts = node_functions(chain, images[:1])
    for part in batches(images):
        with _Inputs(classes) as seen:
            y = run(chain, part)
        read = [seen.arrays[index] for index in firsts[1:]]
        yield [*(array.reshape(len(part), -1) >= 0 for array in read), head_integers(y)]


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
        wrong = [a != b for a, b in zip(trained, simulated, strict=True)]
        nodes += [int(array.sum()) for array in wrong]
        wrong_images += int(np.any([array.any(axis=1) for array in wrong], axis=0).sum())
        found.append((trained[-1], simulated[-1]))
    scores = map(np.concatenate, zip(*found, strict=True))
    return Comparison(*scores, wrong_images, tuple(nodes.tolist()))
