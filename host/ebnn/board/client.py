"""The host's end of the agent: one image out, one answer back, whatever the line does to the frames."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import re
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ebnn.board import agent
from ebnn.board.frames import Decoder, Frame
from ebnn.board.session import RemoteError, Session
from ebnn.board.targets import Count
from ebnn.errors import BoardError

START_TIMEOUT = 30.0
TRIES = 8
MODEL_PIECE = 256  # bytes of a model in one command
# What the raw REPL sends when code has ended: two marks with the traceback between them, and its prompt.
_AGENT_ENDED = re.compile(rb"\x04((?:[\t\r\n -~]*\n)?)\x04>")
SHORTEST_WAIT = 0.3  # seconds
PATIENCE = 6  # times the longest that an answer has taken


@dataclass(frozen=True)
class Hello:
    """What the agent says of its board when it starts. ``overhead`` is the ticks of an empty measurement.

    ``unit`` is "count" (ticks of the counter in [count]), "us" (microseconds) or "none" (no clock).
    """

    agent: int
    ebnn: str
    unit: str
    overhead: int
    input_size: int
    scores: int
    nodes: int
    model_size: int
    model_crc: int


@dataclass(frozen=True)
class Answer:
    """One inference: predicted label, net ticks (without overhead), CRC-32 of the int32 scores, wanted values."""

    label: int
    ticks: int
    scores_crc: int
    values: tuple[int, ...]


@dataclass
class Faults:
    """What went wrong on the line and was mended by sending again."""

    timeouts: int = 0
    refused: int = 0  # the board got a damaged frame
    damaged: int = 0  # we got one

    @property
    def retries(self) -> int:
        """All frames that were sent again."""
        return self.timeouts + self.refused + self.damaged


@dataclass
class AgentClient:
    """Runs the agent on a session's board; a context manager that leaves the board at its prompt.

    ``count`` is the counter to use (the session must have been opened with counting), else microseconds
    are taken where the board has them; ``timeout`` is in seconds, for the slowest answer; ``model`` is sent to
    run instead of the board's own ``ebnn_model``; ``text`` sends frames as lines of base64 even where the board
    takes binary ones (for a line that is not 8-bit clean). ``hello`` is there once the agent runs.
    """

    session: Session
    count: Count | None = None
    timeout: float = 20.0
    model: bytes | None = None
    text: bool = False
    faults: Faults = field(default_factory=Faults, init=False)
    hello: Hello | None = field(default=None, init=False)

    def __enter__(self) -> AgentClient:
        self._sequence = 0
        self._longest = 0.0
        self._frames: deque[Frame] = deque()
        call, buffered = _load_agent(self.session)
        self._text = self.text or not buffered
        self._decoder = Decoder(self._text)
        blob = _send_model(self.session, self.model)
        self.session.begin(f"{call}({_counter(self.count)}, {self._text}, {blob})")
        self.hello = self._await_hello()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            # The line may be gone, or an answer be on its way: whoever comes next enters the raw REPL anew.
            with contextlib.suppress(BoardError):
                self.session.link.write(Frame(agent.QUIT).encode(self._text))

    def classify(self, image: bytes, want: int = 0) -> Answer:
        """Run one image (``hello.input_size`` bytes) on the board.

        ``want`` is agent.WANT_SCORES (values: the scores as int32), agent.WANT_TRACE (values: the CRC-32 of
        each node's output), agent.WANT_CLOCK (values: readings of the clock, see ``node_ticks``) or 0. Raises
        BoardError when the board refuses the image, has died, or gives no sound answer after 8 tries or twice
        the timeout.
        """
        if len(image) != self.hello.input_size:
            raise BoardError(
                f"{self.session.name}: the model takes {self.hello.input_size} bytes, the image has {len(image)}"
            )
        self._sequence = (self._sequence + 1) % 0x10000
        frame = Frame(agent.IMAGE, self._sequence, image, want)
        answer = self._exchange(frame)
        return _answer(answer, self.hello.overhead)

    def node_ticks(self, image: bytes) -> tuple[float, ...]:
        """Ticks that each node of the model takes on one image, by readings of the counter after each node.

        Reading costs ticks, too: what this run took longer than a plain one, an equal part for each node, is
        taken off, so the sum is the plain run's.
        """
        answer = self.classify(image, agent.WANT_CLOCK)
        readings = answer.values
        mask = (1 << self.count.bits) - 1 if self.count else 0xFFFFFFFF
        sign = -1 if self.count and self.count.down else 1
        steps = [sign * (after - before) & mask for before, after in itertools.pairwise(readings)]
        reading = (sum(steps) - answer.ticks) / len(steps)
        return tuple(step - reading for step in steps)

    def stop(self) -> None:
        """End the agent; the board is at its raw REPL again."""
        self.session.link.write(Frame(agent.QUIT).encode(self._text))
        self.session.finish(START_TIMEOUT)

    def _exchange(self, frame: Frame) -> Frame:
        data = frame.encode(self._text)
        first = time.monotonic()
        for attempt in range(TRIES):
            start = time.monotonic()
            if start - first >= 2 * self.timeout:
                break
            self.session.link.write(data)
            answer = self._await_answer(frame.sequence, self._patience(attempt))
            if answer is not None:
                self._longest = max(self._longest, time.monotonic() - start)
                return answer
        raise BoardError(
            f"{self.session.name}: no sound answer to image {frame.sequence} within {TRIES} tries"
            f" and {time.monotonic() - first:.1f} s ({self.faults})"
        )

    def _await_answer(self, sequence: int, timeout: float) -> Frame | None:
        """Return the answer to ``sequence``, or None when the frame has to be sent again (counted)."""
        damaged = self._decoder.damaged
        for frame in self._receive(timeout):
            if frame.kind == agent.NAK:
                self.faults.refused += 1
                return None
            if frame.sequence == sequence and frame.kind == agent.ERROR:
                raise BoardError(f"{self.session.name}: the board says {frame.payload.decode(errors='replace')}")
            if frame.sequence == sequence and frame.kind == agent.ANSWER:
                return frame
            # Else: a late answer to something that was sent again.
        if self._decoder.damaged > damaged:
            self.faults.damaged += 1
        else:
            self.faults.timeouts += 1
        return None

    def _patience(self, attempt: int) -> float:
        """Seconds to wait for an answer: at first as for the slowest board, later little, growing with each try."""
        if not self._longest:
            return self.timeout
        return min(self.timeout, max(SHORTEST_WAIT, PATIENCE * self._longest) * 2**attempt)

    def _await_hello(self) -> Hello:
        for frame in self._receive(START_TIMEOUT):
            if frame.kind == agent.HELLO:
                return _hello(frame.payload)
        said = self._decoder.rubbish()[-300:]
        raise BoardError(f"{self.session.name}: the agent did not start; the board said {said!r}")

    def _receive(self, timeout: float) -> Iterator[Frame]:
        """Yield frames as they come; ends after ``timeout`` seconds or at a damaged one."""
        deadline = time.monotonic() + timeout
        damaged = self._decoder.damaged
        while True:
            while self._frames:
                yield self._frames.popleft()
            left = deadline - time.monotonic()
            if left <= 0 or self._decoder.damaged > damaged:
                return
            self._frames.extend(self._decoder.feed(self.session.read(left)))
            self._check_alive()

    def _check_alive(self) -> None:
        ended = _AGENT_ENDED.search(self._decoder.rubbish())
        if ended and ended[1]:
            raise RemoteError(self.session.name, ended[1].decode(errors="replace").replace("\r\n", "\n"))
        if ended:
            raise BoardError(f"{self.session.name}: the agent has ended by itself")


def _load_agent(session: Session) -> tuple[str, bool]:
    """Make the agent callable on the board; return how to call it, and whether it can read binary frames."""
    try:
        buffered = session.eval("hasattr(__import__('sys').stdin, 'buffer')")
        version = session.eval("__import__('ebnn_agent').VERSION")
    except RemoteError as error:
        if "ImportError" not in error.traceback:
            raise
        version = None
    if version == agent.VERSION:
        return "__import__('ebnn_agent').run", buffered
    session.exec(source_of(agent))
    return "run", buffered


def source_of(module: ModuleType) -> str:
    """The source of a module for the board, without what it need not parse."""
    lines = inspect.getsource(module).splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _send_model(session: Session, model: bytes | None) -> str:
    """Put a model into the board's memory; returns the expression that names it."""
    if model is None:
        return "None"
    session.exec("blob = bytearray()")
    for at in range(0, len(model), MODEL_PIECE):
        session.exec(f"blob.extend({model[at : at + MODEL_PIECE]!r})")
    return "blob"


def _counter(count: Count | None) -> Any:
    return None if count is None else (count.init, count.capture, count.read, count.bits, count.down)


def _hello(payload: bytes) -> Hello:
    pairs = ast.literal_eval(payload.decode())
    return Hello(**dict(zip(pairs[::2], pairs[1::2], strict=True)))


def _answer(frame: Frame, overhead: int) -> Answer:
    label, flags, size, ticks, crc = struct.unpack_from(agent.RESULT, frame.payload)
    kind = "i" if flags & agent.WANT_SCORES else "I"
    values = struct.unpack_from(f"<{size}{kind}", frame.payload, agent.RESULT_SIZE)
    return Answer(label, max(0, ticks - overhead), crc, values)
