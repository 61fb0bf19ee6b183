"""What the tests of the harness share: a board to boot, and a model with test data for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ebnn.board.link import Link, open_link
from ebnn.board.session import Session
from ebnn.board.targets import Target


@dataclass(frozen=True)
class Board:
    """A target with its built image; ``open`` and ``session`` boot it, and the fixture ends what they booted."""

    target: Target
    image: Path
    opened: list[Link]

    def open(self, **changes: object) -> Link:
        """Boot and return the line; ``changes`` replace entries of [talk]."""
        counting = bool(changes.pop("counting", False))
        target = replace(self.target, talk=replace(self.target.talk, **changes))
        link = open_link(target, self.image, counting)
        self.opened.append(link)
        return link

    def session(self, **changes: object) -> Session:
        """Boot and return a session."""
        return Session(self.open(**changes))


@dataclass(frozen=True)
class Problem:
    """A model with test data and what the simulator says about them."""

    blob: bytes
    images: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    nodes: np.ndarray
