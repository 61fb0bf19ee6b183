"""The trainer beside the integers, in every bit of every node."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ebnn.network import Network
from ebnn.sim import Simulator
from ebnn.train.compat import chainer
from ebnn.train.evaluate import batches
from ebnn.train.lower import node_functions, predict_scores


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


def maps(chain: chainer.Chain, images: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The trainer's own output of every node but the last, booleans (n, values), batch by batch."""
    classes, firsts = node_functions(chain, images[:1])
    for part in batches(images):
        with _Inputs(classes) as seen, chainer.using_config("train", False), chainer.no_backprop_mode():
            chain(part)
        read = [seen.arrays[index] for index in firsts[1:]]
        yield [array.reshape(len(part), -1) >= 0 for array in read]


def images_that_differ(chain: chainer.Chain, network: Network, images: np.ndarray) -> tuple[int, list[int]]:
    """How many images have any value that trainer and simulator disagree on, and how many values of each node differ.

    Args:
        chain: what was trained.
        network: what ``lower`` made of it.
        images: (N, H, W, C), as both take them.
    """
    simulator, nodes = Simulator(network), np.zeros(len(network.nodes), int)
    images_wrong, start = 0, 0
    for trained in maps(chain, images):
        part = images[start : start + len(trained[0] if trained else images)]
        start += len(part)
        theirs = [array.reshape(len(part), -1) for array in simulator.outputs(part)]
        wrong = [a != b for a, b in zip([*trained, predict_scores(chain, part)], theirs, strict=True)]
        nodes += [int(array.sum()) for array in wrong]
        images_wrong += int(np.any([array.any(axis=1) for array in wrong], axis=0).sum())
    return images_wrong, nodes.tolist()
