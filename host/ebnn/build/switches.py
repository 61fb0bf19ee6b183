"""Where a framework's own float32 functions switch a bit, found by evaluating them: any number of switches a channel.

Each function rises or falls with its input, or turns once, at 0. So the sums fall into ranges in which everything
before a turn is monotone, and a bisection finds where the next question changes its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ebnn.build.functions import TURNS, Function, apply

Question = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Grid:
    """The sums that can occur: least, least + step, ..., most, of each channel, int64 (channels,)."""

    least: np.ndarray
    most: np.ndarray
    step: int

    @property
    def counts(self) -> np.ndarray:
        """int64 (channels,): how many they are."""
        return (self.most - self.least) // self.step + 1


@dataclass(frozen=True, eq=False)
class Switches:
    """The sums from which on a bit differs from what it was below.

    Args:
        places: of each channel the sums, rising.
        first: bool (channels,): the bit of the least sum.
    """

    places: tuple[tuple[int, ...], ...]
    first: np.ndarray

    @property
    def levels(self) -> int:
        """The largest number of switches of a channel."""
        return max(map(len, self.places))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Switches) and (self.places, *self.first) == (other.places, *other.first)


def find(functions: Sequence[Function], real: Question, bit: Question, grid: Grid) -> Switches:
    """The switches of bit(functions(real(sum))).

    Args:
        functions: from sums to values, channel by channel.
        real: sums int64 (1, channels) to what the framework has for them, float32.
        bit: values to booleans; monotone.
        grid: the sums.

    Raises:
        ExportError: the functions overflow.
    """
    turns = [index for index, function in enumerate(functions) if (function.directions == TURNS).any()]
    questions = [_upto(functions[:index], real, lambda values: values >= 0) for index in turns]
    questions.append(_upto(functions, real, bit))
    pieces = [(np.zeros_like(grid.least), grid.counts - 1)]
    for question in questions:
        pieces = [part for piece in pieces for part in _split(question, piece, grid)]
    return _joined(questions[-1], pieces, grid)


def _upto(functions: Sequence[Function], real: Question, bit: Question) -> Question:
    return lambda sums: bit(apply(functions, real(sums)))


def _ask(question: Question, positions: np.ndarray, grid: Grid) -> np.ndarray:
    sums = grid.least + grid.step * np.clip(positions, 0, grid.counts - 1)
    return question(sums[None])[0]


def _split(question: Question, piece: tuple, grid: Grid) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two ranges of positions in place of one: the second begins where the answer changes, or is empty."""
    start, end = piece
    first = _ask(question, start, grid)
    changes = (start <= end) & (_ask(question, end, grid) != first)
    # The answer at below is the first one; at above it is another, or the range is at its end.
    above = np.where(changes, end, end + 1)
    below = np.where(changes, start, above)
    while (open_ := above - below > 1).any():
        middle = (below + above) // 2
        same = _ask(question, middle, grid) == first
        below, above = np.where(open_ & same, middle, below), np.where(open_ & ~same, middle, above)
    return [(start, above - 1), (above, end)]


def _joined(question: Question, pieces: list[tuple], grid: Grid) -> Switches:
    first = last = _ask(question, pieces[0][0], grid)
    places: list[list[int]] = [[] for _ in first]
    for start, end in pieces:
        bits = _ask(question, start, grid)
        changed = (start <= end) & (bits != last)
        for channel in np.flatnonzero(changed):
            places[channel].append(int(grid.least[channel] + grid.step * start[channel]))
        last = np.where(changed, bits, last)
    return Switches(tuple(map(tuple, places)), first)
