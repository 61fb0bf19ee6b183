"""Frames: what the decoder accepts was sent, whatever happened on the line."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn.board import agent
from ebnn.board.frames import Decoder, Frame

FRAME = Frame(agent.ANSWER, 258, bytes(range(256)) + agent.MAGIC + bytes(20), flags=2)


def _feed(decoder: Decoder, data: bytes, piece: int) -> list[Frame]:
    return [frame for at in range(0, len(data), piece) for frame in decoder.feed(data[at : at + piece])]


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("text", [False, True])
def test_frames_are_found_between_rubbish(text: bool, piece: int) -> None:
    line = FRAME.encode(text) + b"\n" * text
    rubbish = b"\r\nMemoryError\r\n" + agent.MAGIC + b"\n" * text
    decoder = Decoder(text)
    assert _feed(decoder, (rubbish + line) * 3, piece) == [FRAME] * 3
    assert decoder.damaged == 0
    assert b"MemoryError" in decoder.noise


@pytest.mark.parametrize("text", [False, True])
def test_no_flipped_bit_is_accepted(text: bool) -> None:
    line = FRAME.encode(text)
    for at in range(len(line)):
        for bit in range(8):
            damaged = line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :] + b"\n" * text
            assert [frame for frame in Decoder(text).feed(damaged) if frame != FRAME] == []


def test_a_frame_after_a_damaged_one_is_found() -> None:
    line = FRAME.encode()
    for at in range(len(line)):
        damaged = line[:at] + bytes([line[at] ^ 16]) + line[at + 1 :]
        assert Decoder().feed(damaged + line)[-1:] == [FRAME], at


def test_dropped_bytes_cost_no_more_than_the_next_frame() -> None:
    rng = np.random.default_rng(1)
    line = FRAME.encode()
    for _ in range(200):
        start = int(rng.integers(len(line)))
        dropped = line[:start] + line[start + int(rng.integers(1, 40)) :]
        assert Decoder().feed(dropped + line + line)[-1:] == [FRAME]


def test_damage_of_the_payload_is_counted() -> None:
    decoder = Decoder()
    line = bytearray(FRAME.encode())
    line[50] ^= 1
    assert decoder.feed(bytes(line)) == []
    assert decoder.damaged == 1
