"""Boards for the tests of the harness: real firmware, booted for each test that asks for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ebnn.board import agent
from ebnn.board.link import Link, open_link
from ebnn.board.session import Session
from ebnn.board.targets import Target, load_target
from ebnn.files import repo_root
from ebnn.format import SelfTest, encode
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, conv_node, dense_node
from ebnn.sim import Simulator

BOARDS = ("unix", "mps2-an385")


def _build(name: str) -> Path:
    """Return the built image of a board, building it (with the agent frozen in) where there is none."""
    out = repo_root() / "build/firmware" / name
    report = out / "firmware.json"
    if not report.is_file():
        frozen = repo_root() / "build/tests/ebnn_agent.py"
        frozen.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(agent.__file__, frozen)
        command = [sys.executable, "firmware/build.py", "--board", name, "--frozen", str(frozen)]
        done = subprocess.run(command, cwd=repo_root(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return out / json.loads(report.read_text(encoding="utf-8"))["image"]


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


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[[str], Board]]:
    """Call with a board's name to get its Board; its slot folder is the test's own."""
    opened: list[Link] = []

    def make(name: str) -> Board:
        target = load_target(name)
        slot = tmp_path / "build/boards" / name
        target = replace(target, talk=_rooted(target), root=tmp_path)
        assert target.slot == slot
        return Board(target, _build(name), opened)

    yield make
    for link in opened:
        link.close()


def _rooted(target: Target) -> object:
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


@dataclass(frozen=True)
class Problem:
    """A model with test data and what the simulator says about them."""

    blob: bytes
    images: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    nodes: np.ndarray


@pytest.fixture(scope="session")
def problem() -> Problem:
    """A small network on 28x28 pixels with random weights, and 24 random images."""
    import zlib

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
    first = conv_node("conv_u8_bits", 0, signs(8, 3, 3, 1), pool, thresholds=rng.integers(-300, 300, 8))
    second = conv_node("conv_bits", 1, signs(16, 3, 3, 8), pool, thresholds=rng.integers(-9, 9, 16))
    last = dense_node("dense_scores", 2, signs(10, 5, 5, 16), offsets=rng.integers(-20, 20, 10))
    return Network(Value(0, (28, 28, 1), "u8"), (first, second, last))
