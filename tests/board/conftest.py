"""Boards for the tests of the harness: real firmware, booted for each test that asks for it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boardkit import Board, Problem

from built import firmware_for
from ebnn.board.link import Link
from ebnn.board.targets import Talk, Target, load_target
from ebnn.files import repo_root
from ebnn.format import SelfTest, encode
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, conv_node, dense_node
from ebnn.sim import Simulator

BOARDS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("unix", "mps2-an385")]


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[[str], Board]]:
    """Call with a board's name to get its Board; its slot folder is the test's own."""
    opened: list[Link] = []

    def make(name: str) -> Board:
        target = load_target(name)
        target = replace(target, talk=_rooted(target), root=tmp_path)
        return Board(target, firmware_for(name).image, opened)

    yield make
    for link in opened:
        link.close()


def _rooted(target: Target) -> Talk:
    """The [talk] of a target whose {repo} is this checkout, whatever root the target gets."""
    spawn = tuple(part.replace("{repo}", str(repo_root())) for part in target.talk.spawn)
    return replace(target.talk, spawn=spawn)


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest, boot: Callable[[str], Board]) -> Board:
    """Each board that the tests build."""
    return boot(request.param)


@pytest.fixture
def unix(boot: Callable[[str], Board]) -> Board:
    """The board that boots in no time, for what does not depend on the board."""
    return boot("unix")


@pytest.fixture
def emulated(boot: Callable[[str], Board]) -> Board:
    """The Cortex-M3 in QEMU."""
    return boot("mps2-an385")


@pytest.fixture(scope="session")
def problem() -> Problem:
    """A small network on 28x28 pixels with random weights, and 24 random images."""
    rng = np.random.default_rng(5)
    network = _network(rng)
    images = rng.integers(0, 256, (24, 28, 28, 1), dtype=np.uint8)
    simulator = Simulator(network)
    nodes = [[zlib.crc32(data) for data in simulator.trace(image.tobytes())] for image in images]
    scores = simulator.run(images)
    labels = np.where(np.arange(24) < 18, scores.argmax(1), (scores.argmax(1) + 1) % 10)
    return Problem(encode(network, SelfTest(1, 0)), images, labels, scores, np.array(nodes, np.uint32))


def _network(rng: np.random.Generator) -> Network:
    def signs(*shape: int) -> np.ndarray:
        return rng.choice(np.array([-1, 1], np.int8), shape)

    pool = Geometry(pool=(2, 2), pool_stride=(2, 2))
    first = conv_node(0, signs(8, 3, 3, 1), pool, thresholds=rng.integers(-300, 300, 8))
    second = conv_node(1, signs(16, 3, 3, 8), pool, thresholds=rng.integers(-9, 9, 16))
    last = dense_node(2, signs(10, 5, 5, 16), offsets=rng.integers(-20, 20, 10))
    return Network(Value(0, (28, 28, 1), "u8"), (first, second, last))
