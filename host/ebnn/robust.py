"""Accuracy against random faults: bits of weights, or of feature maps, that flip independently of each other.

``weights``: each bit of the weights in the model file is flipped with probability P, once a draw; what a worn flash
would do. ``activations``: each bit of each feature map is flipped with probability P when it is written, anew for every
image; what a noisy memory would do. The input, thresholds, offsets, gains and scores stay as they are. A draw is named
by (seed, kind, number): a higher P flips the bits that a lower one flips, and more.

Source: Simons, Lee, "A Review of Binarized Neural Networks" (2019), on robustness.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ebnn.errors import ConfigError
from ebnn.network import Network, Node
from ebnn.sim import Simulator
from ebnn.tables import Table

KINDS = ("weights", "activations")
DEFAULT_DRAWS = 5


@dataclass(frozen=True)
class Faults:
    """How accurate a network is with one kind of faults at one probability; ``accuracies``: 0 to 1, one a draw."""

    kind: str
    probability: float
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float:
        """Standard deviation of the draws; 0 of one draw."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0


def flip_weights(network: Network, probability: float, generator: np.random.Generator) -> Network:
    """The network with each bit of its weights flipped with that probability."""
    return replace(network, nodes=tuple(_flipped(node, probability, generator) for node in network.nodes))


def _flipped(node: Node, probability: float, generator: np.random.Generator) -> Node:
    if node.weights is None:
        return node
    if node.has_int8:
        return replace(node, weights=_flip(node.weights, probability, generator))
    faults = generator.random(node.weights.shape) < probability
    return replace(node, weights=np.where(faults, -node.weights, node.weights))


def _flip(array: np.ndarray, probability: float, generator: np.random.Generator) -> np.ndarray:
    """The array with each bit of its elements flipped with that probability."""
    if array.dtype == bool:
        return array ^ (generator.random(array.shape) < probability)
    data = np.ascontiguousarray(array).view(np.uint8)
    return (data ^ np.packbits(generator.random((*data.shape, 8)) < probability, axis=-1)[..., 0]).view(array.dtype)


class NoisySimulator(Simulator):
    """A simulator whose feature maps have faults.

    Args:
        network: what to run.
        probability: of each bit of each node's output.
        generator: draws the faults.
    """

    def __init__(self, network: Network, probability: float, generator: np.random.Generator) -> None:
        super().__init__(network)
        self.probability, self.generator = probability, generator

    def _output(self, index: int, arrays: Sequence[np.ndarray]) -> np.ndarray:
        output = super()._output(index, arrays)
        is_last = index == len(self.network.nodes) - 1
        return output if is_last else _flip(output, self.probability, self.generator)


def faulty(network: Network, kind: str, probability: float, seed: Sequence[int]) -> Simulator:
    """A simulator of one draw of faults."""
    generator = np.random.default_rng([*seed, KINDS.index(kind)])
    if kind == "weights":
        return Simulator(flip_weights(network, probability, generator))
    return NoisySimulator(network, probability, generator)


def sweep(
    network: Network,
    images: np.ndarray,
    classes: np.ndarray,
    probabilities: Sequence[float],
    how: tuple[int, int] = (DEFAULT_DRAWS, 0),
    progress: Callable[[int], None] | None = None,
) -> list[Faults]:
    """Accuracy at each probability, for faults in weights, then in activations.

    Args:
        network: what runs.
        images: (N, h, w, c) as ``Simulator.run`` takes them.
        classes: integers (N,).
        probabilities: 0 to 1.
        how: number of draws, and seed.
        progress: is called with the number of draws done.

    Raises:
        ConfigError: a probability or the number of draws is out of range.
    """
    draws, seed = how
    if draws < 1 or not all(0 <= value <= 1 for value in probabilities):
        raise ConfigError(f"probabilities {probabilities} must be 0 to 1, the number of draws {draws} 1 or more")
    found, done = [], 0
    for kind in KINDS:
        for probability in probabilities:
            accuracies = []
            for draw in range(draws):
                scores = faulty(network, kind, probability, (seed, draw)).run(images)
                accuracies.append(float((scores.argmax(axis=1) == classes).mean()))
                done += 1
                if progress:
                    progress(done)
            found.append(Faults(kind, probability, tuple(accuracies)))
    return found


def table(found: Sequence[Faults]) -> Table:
    """A row a probability: mean and spread of both kinds in percent."""
    by_kind = {kind: {faults.probability: faults for faults in found if faults.kind == kind} for kind in KINDS}
    rows = tuple(
        (f"{probability:g}", *(_percent(by_kind[kind][probability]) for kind in KINDS))
        for probability in by_kind[KINDS[0]]
    )
    draws = len(found[0].accuracies)
    note = f"Accuracy in percent, mean and standard deviation of {draws} draws."
    head = ("share of bits flipped", "in weights", "in activations")
    return Table("Random faults", head, rows, note)


def _percent(faults: Faults) -> str:
    return f"{100 * faults.mean:.2f} +- {100 * faults.spread:.2f}"
