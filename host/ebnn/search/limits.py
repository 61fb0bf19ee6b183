"""What an architecture takes on a device, before anything is trained, and whether that is within limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ebnn import arch, bits, ops
from ebnn.errors import ConfigError, EbnnError
from ebnn.estimate import estimate
from ebnn.geometry import Shape
from ebnn.search.draw import CONVS, draw
from ebnn.summary import growth
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.preview import preview

LEAST_BITS = 8  # of every map, a class; fewer are a bottleneck
LEAST_SHARE = 0.7  # of the bytes; a smaller model wastes them
MOST_DRAWS = 20_000  # for the next candidate


@dataclass(frozen=True)
class Limits:
    """What a model may take.

    Args:
        bytes: of the model file, without labels.
        arena: bytes; None: any.
        cycles: of one inference on the core, estimated (``ebnn.estimate``); None: any number. Instructions, for a
            core whose cycles are not known.
        core: a core of the bench.
        fit: the device's memory for speed (``ebnn.plan.make_plan``), which arena and cycles follow from.
    """

    bytes: int
    arena: int | None = None
    cycles: int | None = None
    core: str = "m0"
    fit: str = "small"

    def __str__(self) -> str:
        limited = {"bytes": self.bytes, "bytes of arena": self.arena, f"cycles on {self.core}": self.cycles}
        said = [f"{number:,} {what}" for what, number in limited.items() if number is not None]
        return f"at most {', '.join(said)}, fit {self.fit}"

    def holds(self, found: Candidate) -> bool:
        """Whether a candidate is within the limits."""
        return (
            found.bytes <= self.bytes
            and (self.arena is None or found.arena <= self.arena)
            and (self.cycles is None or found.cycles <= self.cycles)
        )

    def may_hold(self, text: str, shape: Shape) -> bool:
        """False where an architecture cannot be a candidate: fast, without weights.

        Its windows do not fit, a map holds too few bits, it must be beyond the limits, or far below the bytes.
        """
        found = arch.parse(text)
        try:
            shapes = [shape, *found.shapes(shape)]
        except ConfigError:
            return False
        if min(map(math.prod, shapes[1:-1])) < LEAST_BITS * found.classes:
            return False
        least = fewest_bytes(found, shapes)
        largest = max(bits.map_bytes(after) for after in _kept(found, shapes))
        # The rest is what training may add, flips and wider numbers: less than half of it.
        return least <= self.bytes and 1.5 * least >= LEAST_SHARE * self.bytes and largest <= (self.arena or largest)


@dataclass(frozen=True)
class Candidate:
    """An architecture and what it takes; the bytes are the most that training can make of it, without labels."""

    arch: str
    bytes: int
    arena: int
    macs: int
    cycles: int

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, {self.arena:,} bytes of arena, {self.cycles:,} cycles"


def fewest_bytes(architecture: arch.Architecture, shapes: list[Shape]) -> int:
    """Bytes of the file without flips, with numbers of 16 bits.

    Args:
        architecture: what is stored.
        shapes: of the input and after each layer.
    """
    total = ops.HEADER_SIZE
    for index, layer in enumerate(architecture.layers):
        if isinstance(layer, arch.Pool):
            continue
        height, width, channels = shapes[index]
        window = layer.kernel if isinstance(layer, arch.Conv) else (height, width)
        pixel = channels if index == 0 else bits.pixel_stride(channels)
        filters = layer.filters if isinstance(layer, arch.Conv) else layer.units
        row = 4 * bits.row_words(math.prod(window) * pixel)
        total += ops.RECORD_SIZE + filters * row + 4 * bits.row_words(16 * filters)
    return total


def _kept(architecture: arch.Architecture, shapes: list[Shape]) -> Iterator[Shape]:
    """Maps of bits that are kept whole: after a pool, where one follows, and those of layers without one."""
    layers = architecture.layers
    for index, layer in enumerate(layers[:-1]):
        if not isinstance(layers[index + 1], arch.Pool) or not isinstance(layer, arch.Conv):
            yield shapes[index + 1]


def measure(data: Dataset, config: Config, limits: Limits) -> Candidate:
    """What an architecture takes: an untrained chain, exported.

    Raises:
        ConfigError, NetworkError: it cannot be built, or not be run by the engine.
    """
    facts = preview(data, config, limits.fit)
    totals, work = facts["totals"], estimate(facts, limits.core)
    macs = totals["macs_binary"] + totals["macs_byte"]
    size = totals["model_bytes_without_labels"] + growth(facts)
    return Candidate(config.arch, size, totals["arena_bytes"], macs, round(sum(work.cycles or work.instructions)))


def named(data: Dataset, config: Config, limits: Limits, text: str) -> Candidate:
    """An architecture that a person asks for.

    Raises:
        ConfigError: it has another number of classes than the data, does not fit, or is not within the limits.
    """
    classes = arch.parse(text).classes
    if classes != len(data.labels):
        raise ConfigError(f"architecture {text} has {classes} classes, {data.name} has {len(data.labels)}")
    found = measure(data, config.replace(arch=text), limits)
    if not limits.holds(found):
        raise ConfigError(f"architecture {found.arch} is not within {limits}: {found}")
    return found


def candidates(data: Dataset, config: Config, limits: Limits) -> Iterator[Candidate]:
    """Different architectures within limits while some are found, in an order that the configuration's seed decides."""
    drawn, convs = (np.random.default_rng(config.seed), set()), deque(CONVS)
    while convs:
        found = _next(data, config, limits, convs[0], drawn)
        if found:
            yield found
            convs.rotate(-1)
        else:
            convs = deque(number for number in convs if number != convs[0])


def _next(
    data: Dataset, config: Config, limits: Limits, convs: int, drawn: tuple[np.random.Generator, set[str]]
) -> Candidate | None:
    """An architecture of so many convolutions within limits that was not drawn before; None where none is found."""
    generator, seen = drawn
    for _ in range(MOST_DRAWS):
        text = draw(generator, convs, data.shape, len(data.labels))
        if text in seen or not limits.may_hold(text, data.shape):
            continue
        seen.add(text)
        try:
            found = measure(data, config.replace(arch=text), limits)
        except EbnnError:  # for example more scratch than a record can say
            continue
        if limits.holds(found) and found.bytes >= LEAST_SHARE * limits.bytes:
            return found
    return None
