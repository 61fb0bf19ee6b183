"""How long Ctrl-C may wait: the instructions between two polls of a run, counted in a board's MicroPython."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from built import firmware_for
from ebnn.board.session import Session, connect
from ebnn.board.targets import load_target
from ebnn.count.cases import NETWORKS, Case, build_network
from ebnn.files import repo_root
from ebnn.format import SelfTest, encode
from ebnn.plan import make_plan

BOARD = "mps2-an385"
MOST = 1_280_000  # instructions: 20 ms at 64 MHz
CHUNK = 3000  # bytes of a model that are sent at once
MODELS = sorted((repo_root() / "firmware/models").glob("*/model.ebnn"))
# Layers with one long row of a map or of weights, and with more filters than one tile may take at once.
LONG = (
    Case("row", "64c3-2", (4, 600, 32), "bits"),
    Case("filters", "256c3-2", (6, 6, 256), "bits"),
    Case("dense", "32-2", (1, 1, 16384)),
    Case("line", "8c1-p1x2-2", (1, 6000, 1)),
)


@pytest.fixture(scope="module")
def counting() -> Iterator[Session]:
    """A board that counts; its ``gap(m, x)``: ticks between two polls of a run at most, and of all of the run."""
    target = load_target(BOARD)
    count = target.count
    begin = "\n".join(f"mem32[{address}] = {value}" for address, value in count.init)
    # A callback that schedules itself again runs once a poll.
    code = f"""
import ebnn, gc, micropython
from binascii import a2b_base64
from machine import mem32
{begin}
def tick(_):
    global last, most
    most = max(most, mem32[{count.read}] - last)
    if goes_on:
        micropython.schedule(tick, 0)
    last = mem32[{count.read}]
def gap(m, x):
    global last, most, goes_on
    most, goes_on = 0, True
    micropython.schedule(tick, 0)
    first = last = mem32[{count.read}]
    m.infer(x)
    now = mem32[{count.read}]
    goes_on = False
    return max(most, now - last), now - first
"""
    with connect(target, firmware_for(BOARD).image, counting=True) as session:
        session.exec(code)
        yield session


def longest_gap(board: Session, blob: bytes) -> int:
    """Instructions between two polls at most."""
    board.exec("b = m = x = None\ngc.collect()\nb = bytearray()")
    for at in range(0, len(blob), CHUNK):
        board.exec(f"b.extend(a2b_base64({base64.b64encode(blob[at : at + CHUNK])!r}))")
    board.exec("gc.collect()\nm = ebnn.Model(b)\nx = bytearray(i * 89 & 255 for i in range(m.input_size))")
    longest, whole = board.eval("gap(m, x)", timeout=120)
    count = load_target(BOARD).count
    print(f"{count.instructions(longest):,.0f} of {count.instructions(whole):,.0f} instructions")
    return round(count.instructions(longest))


@pytest.mark.parametrize("fit", ["small", "fast"])
@pytest.mark.parametrize("case", [*NETWORKS, *LONG], ids=lambda case: case.name)
def test_networks_and_long_layers(counting: Session, case: Case, fit: str) -> None:
    network = build_network(case)
    assert longest_gap(counting, encode(network, SelfTest(1, 0), make_plan(network, fit))) < MOST


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_models_of_the_project(counting: Session, path) -> None:
    assert longest_gap(counting, path.read_bytes()) < MOST
