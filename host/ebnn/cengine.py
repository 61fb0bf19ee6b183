"""The C engine on the host: the very files of usermod/ebnn/engine, compiled once and called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from ebnn import bits, ops
from ebnn.compiler import find as find_compiler
from ebnn.compiler import shared_library
from ebnn.errors import BuildError, ConfigError, ModelError
from ebnn.files import repo_root
from ebnn.format import version_text
from ebnn.prepare import Frame, Preparation

CFLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
MAX_NODES = 255
NODE_BYTES = 128  # at least those of ebnn_node_t
# Compiled with the engine, so that the structures below are known to be those of ebnn.h.
LAYOUT = """#include "ebnn.h"
extern const unsigned ebnn_layout[];
const unsigned ebnn_layout[] = {
    sizeof(ebnn_t), sizeof(ebnn_job_t), sizeof(ebnn_feed_t), sizeof(ebnn_picture_t), sizeof(ebnn_node_t)
};
"""


class _Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint16 * 3), ("dtype", ctypes.c_uint8)]


class _Net(ctypes.Structure):
    _fields_ = [
        ("nodes", ctypes.c_void_p),
        ("node_count", ctypes.c_uint32),
        ("input", _Value),
        ("input_size", ctypes.c_uint32),
        ("arena_size", ctypes.c_uint32),
        ("row_size", ctypes.c_uint32),
        ("window_size", ctypes.c_uint32),
        ("window_rows", ctypes.c_uint16),
        ("classes", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("labels", ctypes.c_uint32),
        ("selftest_seed", ctypes.c_uint32),
        ("selftest_crc", ctypes.c_uint32),
        ("margin", ctypes.c_uint32),
        ("prepare", ctypes.c_uint8),
        ("threshold", ctypes.c_uint8),
    ]


_TRACE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)


class _Job(ctypes.Structure):
    _fields_ = [
        ("model", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("arena_size", ctypes.c_size_t),
        ("input", ctypes.c_void_p),
        ("poll", ctypes.c_void_p),
        ("trace", _TRACE),
        ("ctx", ctypes.c_void_p),
    ]


class _Feed(ctypes.Structure):
    _fields_ = [("window", ctypes.c_void_p), ("rows", ctypes.c_uint32), ("place", ctypes.c_uint32 * 5)]


class _Picture(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("width", "height", "stride", "crop_x", "crop_y", "crop_w", "crop_h")),
        *((name, ctypes.c_uint8) for name in ("format", "prepare", "threshold")),
        *((name, ctypes.c_uint16) for name in ("out_w", "out_h")),
        *((name, ctypes.c_uint32) for name in ("pitch", "size")),
    ]


def engine_sources() -> list[Path]:
    """The engine's C files and headers."""
    folder = repo_root() / "usermod" / "ebnn" / "engine"
    return sorted([*folder.glob("*.c"), *folder.glob("*.h")])


def build_engine(compiler: str | None = None) -> Path:
    """Compile the engine into a shared library in build/engine, unless it is there; returns its path.

    Raises:
        BuildError: no compiler, or its messages.
    """
    program = compiler or find_compiler("to use the C engine on this computer")
    sources = engine_sources()
    flags = (*CFLAGS, f"-I{sources[0].parent}")
    return shared_library(program, sources, flags, repo_root() / "build" / "engine" / "libebnn", LAYOUT)


@lru_cache
def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(build_engine()))
    *sizes, node = tuple((ctypes.c_uint * 5).in_dll(lib, "ebnn_layout"))
    if sizes != [ctypes.sizeof(kind) for kind in (_Net, _Job, _Feed, _Picture)] or node > NODE_BYTES:
        raise BuildError(f"ebnn.h has other structures than cengine.py: {sizes}")
    lib.ebnn_open.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    lib.ebnn_run.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_feed.argtypes = [ctypes.c_void_p] * 3
    lib.ebnn_argmax.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_score.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_uint32]
    lib.ebnn_score.restype = ctypes.c_int32
    lib.ebnn_margin.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_margin.restype = ctypes.c_uint32
    lib.ebnn_picture_open.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_picture_input.argtypes = [ctypes.c_void_p] * 3
    lib.ebnn_picture_input.restype = None
    lib.ebnn_selftest_input.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_scores_crc.argtypes = [ctypes.c_void_p] * 2
    lib.ebnn_scores_crc.restype = ctypes.c_uint32
    lib.ebnn_error_text.restype = ctypes.c_char_p
    return lib


def error_of(code: int, blob: bytes) -> ModelError:
    """The exception for one of the engine's error codes."""
    name = ops.ERRORS[-1 - code][0]
    if name == "VERSION":
        return ModelError(name, version_text(blob[4], blob[5]))
    return ModelError(name, _library().ebnn_error_text(code).decode())


class CEngine:
    """Runs a model file with the C engine.

    Args:
        blob: the model file.

    Raises:
        ModelError: what ``ebnn_open`` refuses, with the same ``code`` as ``format.decode`` gives.
    """

    def __init__(self, blob: bytes) -> None:
        self._lib = _library()
        self._blob = _aligned(np.frombuffer(blob, np.uint8))
        self._nodes = np.zeros(MAX_NODES * NODE_BYTES, np.uint8)
        self.net = _Net()
        nodes, model = self._nodes.ctypes.data, self._blob.ctypes.data
        code = self._lib.ebnn_open(ctypes.byref(self.net), nodes, MAX_NODES, model, len(blob))
        if code < 0:
            raise error_of(code, blob)
        self._arena = np.zeros(max(self.net.arena_size, 4) // 4, np.uint32)

    def scores(self, buf: bytes) -> np.ndarray:
        """int32 (K,) scores of one input in the device's format."""
        self._run(np.frombuffer(buf, np.uint8))
        return self._scores()

    def run(self, images: np.ndarray, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Scores int32 (N, K) for inputs (N, h, w, c): integers of the input's dtype, or booleans for ``bits``."""
        flat = bits.pack_maps(images) if images.dtype == bool else images.reshape(len(images), -1)
        scores = np.empty((len(images), self.net.classes), np.int32)
        for index, image in enumerate(np.ascontiguousarray(flat).view(np.uint8)):
            self._run(image)
            scores[index] = self._scores()
            if progress:
                progress(index + 1)
        return scores

    def trace(self, buf: bytes) -> list[bytes]:
        """The bytes of every node's output."""
        outputs: list[bytes] = []

        def keep(_context: object, _node: int, data: int, size: int) -> int:
            outputs.append(ctypes.string_at(data, size))
            return 0

        self._run(np.frombuffer(buf, np.uint8), keep)
        return outputs

    def feed(self, rows: Iterable[bytes]) -> np.ndarray:
        """int32 (K,) scores of an input that comes row by row, each filled up to whole bytes.

        Raises:
            ValueError: rows of another size, too few or too many of them.
        """
        window = np.zeros(self.net.window_size // 4, np.uint32)
        state = _Feed(window.ctypes.data)
        missing = self.net.input.size[0]
        for row in rows:
            if len(row) != self.net.row_size or missing == 0:
                raise ValueError(f"got a row of {len(row)} bytes; {missing} of {self.net.row_size} bytes are missing")
            data = np.frombuffer(row, np.uint8)
            job = _Job(self._blob.ctypes.data, self._arena.ctypes.data, self._arena.nbytes, data.ctypes.data)
            missing = self._lib.ebnn_feed(ctypes.byref(self.net), ctypes.byref(job), ctypes.byref(state))
            if missing < 0:
                raise error_of(missing, self._blob.tobytes())
        if missing:
            raise ValueError(f"{missing} rows of the input are missing")
        return self._scores()

    def prepare(self, frame: Frame, preparation: Preparation, data: bytes) -> bytes:
        """The input in the device's format that the engine makes of a frame's bytes.

        Raises:
            ConfigError: it cannot be made so.
        """
        picture = _Picture(frame.width, frame.height, frame.pitch, *frame.rectangle, ops.FORMATS[frame.format])
        picture.prepare, picture.threshold = preparation.code, preparation.threshold
        code = self._lib.ebnn_picture_open(ctypes.byref(picture), ctypes.byref(self.net))
        if code < 0:
            raise ConfigError(self._lib.ebnn_error_text(code).decode())
        if len(data) < picture.size:
            raise ConfigError(f"frame must be {picture.size} bytes, got {len(data)}")
        out = np.empty(self.net.input_size, np.uint8)
        pixels = np.frombuffer(data, np.uint8)
        self._lib.ebnn_picture_input(ctypes.byref(picture), pixels.ctypes.data, out.ctypes.data)
        return out.tobytes()

    def margin(self) -> int:
        """The margin of the last answer."""
        return self._lib.ebnn_margin(ctypes.byref(self.net), self._arena.ctypes.data)

    def selftest(self) -> bool:
        """Whether the self-test input gives the scores that the exporter saw."""
        image = np.zeros(self.net.input_size, np.uint8)
        self._lib.ebnn_selftest_input(ctypes.byref(self.net), image.ctypes.data)
        self._run(image)
        return self._lib.ebnn_scores_crc(ctypes.byref(self.net), self._arena.ctypes.data) == self.net.selftest_crc

    def _scores(self) -> np.ndarray:
        net, arena = ctypes.byref(self.net), self._arena.ctypes.data
        return np.array([self._lib.ebnn_score(net, arena, index) for index in range(self.net.classes)], np.int32)

    def _run(self, image: np.ndarray, trace: Callable | None = None) -> None:
        if image.size != self.net.input_size:
            raise ValueError(f"input must be {self.net.input_size} bytes, got {image.size}")
        job = _Job(self._blob.ctypes.data, self._arena.ctypes.data, self._arena.nbytes, image.ctypes.data)
        if trace:
            job.trace = _TRACE(trace)
        code = self._lib.ebnn_run(ctypes.byref(self.net), ctypes.byref(job))
        if code < 0:
            raise error_of(code, self._blob.tobytes())


def _aligned(data: np.ndarray) -> np.ndarray:
    """A copy whose address is a multiple of 4."""
    words = np.zeros(-(-len(data) // 4), np.uint32)
    copy = words.view(np.uint8)[: len(data)]
    copy[:] = data
    return copy
