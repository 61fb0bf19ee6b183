"""The agent on real MicroPython: exact answers, over lines that flip, drop and swallow bytes."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from random import Random

import pytest
from boardkit import Board, Problem

from ebnn.board import agent
from ebnn.board.client import AgentClient, Faults
from ebnn.board.frames import Frame
from ebnn.board.session import RemoteError, Session
from ebnn.errors import BoardError


class BadPort:
    """A pyserial port that damages what is written to it, and what is read from it, by two functions."""

    def __init__(self, port, out: Callable[[bytes], bytes] = bytes, back: Callable[[bytes], bytes] = bytes) -> None:
        self.good, self._out, self._back = port, out, back

    def write(self, data: bytes) -> None:
        self.good.write(self._out(data))

    def read(self, size: int) -> bytes:
        return self._back(self.good.read(size))

    def __getattr__(self, name: str) -> object:
        return getattr(self.good, name)


def _every_third(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Apply ``change`` to every third frame that is written."""
    written = 0

    def apply(data: bytes) -> bytes:
        nonlocal written
        written += len(data) > 100
        return change(data) if len(data) > 100 and written % 3 == 0 else data

    return apply


def _noise(period: int, seed: int) -> Callable[[bytes], bytes]:
    """Flip a bit of, or drop, one byte in ``period`` on average."""
    random = Random(seed)

    def apply(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            hit = random.randrange(2 * period)
            if hit == 0:
                byte ^= 1 << random.randrange(8)
            if hit != 1:
                out.append(byte)
        return bytes(out)

    return apply


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 0x10]) + data[at:][1:]


def _drop(start: int, count: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:start] + data[start + count :]


def _check_all(running: AgentClient, problem: Problem, limit: int = 24) -> None:
    for image, scores in zip(problem.images[:limit], problem.scores[:limit], strict=True):
        answer = running.classify(image.tobytes(), agent.WANT_SCORES)
        assert answer.values == tuple(scores)
        assert answer.label == scores.argmax()
        assert answer.scores_crc == zlib.crc32(scores.astype("<i4").tobytes())


def test_answers_are_the_simulators(board: Board, problem: Problem) -> None:
    session = board.session()
    with AgentClient(session, model=problem.blob) as running:
        _check_all(running, problem)
        answer = running.classify(problem.images[0].tobytes(), agent.WANT_TRACE)
        assert answer.values == tuple(problem.nodes[0])
        assert running.faults == Faults()
        assert running.hello.model_crc == zlib.crc32(problem.blob)
        assert running.hello.input_size == 784
    assert session.eval("1 + 1") == 2


def test_base64_lines_do_as_well(board: Board, problem: Problem) -> None:
    session = board.session()
    with AgentClient(session, model=problem.blob, text=True) as running:
        _check_all(running, problem, 3)
        session.link.port = BadPort(session.link.port, _noise(5000, 1), _noise(500, 2))
        _check_all(running, problem, 12)
        assert running.faults.retries > 0
        session.link.port = session.link.port.good
    assert session.eval("1 + 1") == 2


def test_a_noisy_line_costs_retries_and_no_answer(board: Board, problem: Problem) -> None:
    session = board.session()
    with AgentClient(session, model=problem.blob) as running:
        _check_all(running, problem, 3)  # so that it knows how long an answer takes
        session.link.port = BadPort(session.link.port, _noise(5000, 3), _noise(500, 4))
        _check_all(running, problem, 12)
        assert running.faults.retries > 0
        session.link.port = session.link.port.good
    assert session.eval("1 + 1") == 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_flip(400), "refused"),  # the payload
        (_flip(-1), "refused"),  # its CRC
        (_flip(3), "timeouts"),  # the flags: a header that does not check is no header
        (_flip(7), "timeouts"),  # the length
        (_drop(300, 17), "timeouts"),
        (_drop(2, 5), "timeouts"),
        (_drop(0, 798), "timeouts"),
    ],
)
def test_each_kind_of_damage_is_mended(unix: Board, problem: Problem, change, fault: str) -> None:
    session = unix.session()
    with AgentClient(session, model=problem.blob) as running:
        _check_all(running, problem, 3)
        session.link.port = BadPort(session.link.port, _every_third(change))
        for image, scores in zip(problem.images[:4], problem.scores, strict=False):
            assert running.classify(image.tobytes()).label == scores.argmax()
        assert getattr(running.faults, fault) > 0


def test_a_line_that_damages_all_is_given_up(unix: Board, problem: Problem) -> None:
    session = unix.session()
    with AgentClient(session, model=problem.blob) as running:
        session.link.port = BadPort(session.link.port, _flip(100))
        with pytest.raises(BoardError, match="no sound answer to image 1 within 8 tries and .*refused=8"):
            running.classify(problem.images[0].tobytes())
        session.link.port = session.link.port.good
        running.classify(problem.images[0].tobytes())


def test_an_image_of_the_wrong_size_is_refused_here(unix: Board, problem: Problem) -> None:
    with (
        AgentClient(unix.session(), model=problem.blob) as running,
        pytest.raises(BoardError, match="unix: the model takes 784 bytes, the image has 783"),
    ):
        running.classify(bytes(783))


def test_a_damaged_model_is_the_boards_error(board: Board, problem: Problem) -> None:
    blob = bytearray(problem.blob)
    blob[200] ^= 1
    session = board.session()
    with pytest.raises(RemoteError, match="model is damaged: its checksum does not match"):
        AgentClient(session, model=bytes(blob)).__enter__()
    assert session.eval("1 + 1") == 2


def test_a_board_that_is_killed_while_it_works(board: Board, problem: Problem) -> None:
    session = board.session()
    with pytest.raises(BoardError, match="the board is gone: .* was killed by SIGKILL"):  # noqa: SIM117
        with AgentClient(session, model=problem.blob) as running:
            running.classify(problem.images[0].tobytes())
            os.kill(session.link.process.pid, signal.SIGKILL)
            running.classify(problem.images[0].tobytes())


@pytest.mark.parametrize("rest", [0, 5, 300])
def test_an_agent_that_was_left_alone_gives_the_board_back(board: Board, problem: Problem, rest: int) -> None:
    session = board.session()
    running = AgentClient(session, model=problem.blob).__enter__()
    running.classify(problem.images[0].tobytes())
    # As when the harness was killed in the middle of a frame.
    session.link.write(Frame(agent.IMAGE, 2, problem.images[0].tobytes()).encode()[:rest])
    pid = session.link.process.pid
    session = Session(session.link)
    assert session.eval("1 + 1") == 2
    assert session.link.process.pid == pid


def test_a_board_that_hangs_is_given_up(unix: Board, problem: Problem) -> None:
    session = unix.session()
    with AgentClient(session, model=problem.blob, timeout=0.5) as running:
        running.classify(problem.images[0].tobytes())
        os.kill(session.link.process.pid, signal.SIGSTOP)
        with pytest.raises(BoardError, match="no sound answer to image 2 within 8 tries and .* s .*timeouts="):
            running.classify(problem.images[1].tobytes())
        os.kill(session.link.process.pid, signal.SIGCONT)
        assert running.classify(problem.images[2].tobytes()).label == problem.scores[2].argmax()


def test_an_agent_that_raises_is_reported(unix: Board, problem: Problem) -> None:
    session = unix.session()
    running = AgentClient(session, model=problem.blob).__enter__()
    session.link.interrupt()
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        running.classify(problem.images[0].tobytes())
    assert session.eval("1 + 1") == 2


def test_instructions_are_counted_exactly(emulated: Board, problem: Problem) -> None:
    count = emulated.target.count
    with AgentClient(emulated.session(counting=True), count, model=problem.blob) as running:
        assert running.hello.unit == "count"
        ticks = [running.classify(problem.images[0].tobytes()).ticks for _ in range(5)]
    assert max(ticks) - min(ticks) < min(ticks) / 1000
    assert 100_000 < count.instructions(ticks[0]) < 10_000_000


def test_microseconds_are_timed_where_nothing_counts(unix: Board, problem: Problem) -> None:
    with AgentClient(unix.session(), model=problem.blob) as running:
        assert running.hello.unit == "us"
        assert running.classify(problem.images[0].tobytes()).ticks > 0
