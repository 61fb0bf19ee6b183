"""The loops of training in C (kernels/), compiled for this very processor at the first use and kept in the cache.

Where there is no C compiler, or ``EBNN_KERNELS=numpy`` is set, the functions of ``arrays`` and ``normalize`` do the
same with NumPy: sums are equal in every bit, gradients but for the order of additions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ebnn import compiler
from ebnn.errors import BuildError, ConfigError
from ebnn.files import cache_dir
from ebnn.geometry import Geometry, Pair, Shape

if TYPE_CHECKING:
    from ebnn.train.convolve import Convolution

SOURCES = sorted(Path(__file__).with_name("kernels").glob("*.[ch]"))
CFLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared")
PROCESSOR = "-march=native"
CHOICES = ("c", "numpy")

_POINTER, _INT, _FLOAT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_size_t
_ARGUMENTS = {
    "ebnn_conv_forward": [_POINTER, _INT, *[_POINTER] * 4],
    "ebnn_conv_backward": [_POINTER, _INT, *[_POINTER] * 6],
    "ebnn_depthwise_forward": [_POINTER, _INT, *[_POINTER] * 3],
    "ebnn_depthwise_backward": [_POINTER, _INT, *[_POINTER] * 5],
    "ebnn_pool_forward": [_POINTER, _INT, *[_POINTER] * 3],
    "ebnn_pool_backward": [_POINTER, _INT, *[_POINTER] * 3],
    "ebnn_norm_forward": [*[_INT] * 3, *[_POINTER] * 3, _FLOAT, *[_POINTER] * 3],
    "ebnn_norm_backward": [*[_INT] * 3, *[_POINTER] * 8],
    "ebnn_sign": [_SIZE, *[_POINTER] * 2],
    "ebnn_clipped": [_SIZE, *[_POINTER] * 2, _FLOAT, _POINTER],
}


class _Conv(ctypes.Structure):
    """conv_t of kernels/frame.h."""

    _fields_ = [
        *[(name, ctypes.c_int32) for name in (
            "height", "width", "channels", "kernel_h", "kernel_w", "stride_h", "stride_w", "top", "left", "bottom",
            "right", "out_h", "out_w", "filters", "pool_h", "pool_w",
        )],
        ("border", ctypes.c_float),
        ("bytes", ctypes.c_int32),
    ]  # fmt: skip


@lru_cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where NumPy has to do.

    Raises:
        ConfigError: ``EBNN_KERNELS`` is neither c nor numpy.
        BuildError: ``EBNN_KERNELS=c``, and they cannot be compiled.
    """
    wanted = os.environ.get("EBNN_KERNELS")
    if wanted not in (None, *CHOICES):
        raise ConfigError(f"EBNN_KERNELS must be {' or '.join(CHOICES)}, got {wanted!r}")
    if wanted == "numpy":
        return None
    try:
        return _load()
    except BuildError as error:
        if wanted:
            raise
        print(f"training with NumPy alone, several times slower: {str(error).splitlines()[0]}", file=sys.stderr)
        return None


def _load() -> ctypes.CDLL:
    program = compiler.find("to train at full speed")
    # What the compiler takes this processor for: a cache on a shared disk may serve several.
    target = compiler.ask(program, PROCESSOR, "-dM", "-E", "-x", "c", os.devnull)
    flags = (*CFLAGS, PROCESSOR) if target else CFLAGS
    stamp = "".join(f"// {line}\n" for line in target.splitlines())
    try:
        lib = ctypes.CDLL(
            str(compiler.shared_library(program, SOURCES, flags, cache_dir() / "kernels" / "train", stamp))
        )
    except OSError as error:
        raise BuildError(f"the compiled kernels cannot be kept or loaded: {error}") from None
    for name, arguments in _ARGUMENTS.items():
        getattr(lib, name).argtypes = arguments
    for name in ("ebnn_sign", "ebnn_clipped", "ebnn_pool_forward", "ebnn_pool_backward"):
        getattr(lib, name).restype = None
    return lib


def serves(x: object) -> bool:
    """Whether these functions take the array: one of NumPy, of bytes or float32, where they could be compiled."""
    return isinstance(x, np.ndarray) and x.dtype in (np.uint8, np.float32) and library() is not None


def _at(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _conv(conv: Convolution, x: np.ndarray) -> ctypes.Array:
    g, is_bytes = conv.geometry, x.dtype == np.uint8
    record = _Conv(*conv.shape, *g.kernel, *g.stride, *g.pad, *conv.output, *g.pool, conv.border(x), is_bytes)
    return ctypes.byref(record)


def _check(done: int) -> None:
    if not done:
        raise MemoryError("no memory for one image")


def conv_forward(
    conv: Convolution, x: np.ndarray, weights: np.ndarray, y: np.ndarray, winners: np.ndarray | None
) -> None:
    """``arrays.conv_forward`` into ``y`` and ``winners``; all arrays contiguous."""
    _check(library().ebnn_conv_forward(_conv(conv, x), len(x), _at(x), _at(weights), _at(y), _at(winners)))


def conv_backward(
    conv: Convolution, given: tuple[np.ndarray | None, ...], gweights: np.ndarray, gx: np.ndarray | None
) -> None:
    """``arrays.conv_backward`` of ``given`` = (x, weights, gy, winners) into ``gweights`` and ``gx``."""
    x = given[0]
    done = library().ebnn_conv_backward(_conv(conv, x), len(x), *map(_at, given), _at(gweights), _at(gx))
    _check(done)


def window_record(geometry: Geometry, x: np.ndarray, output: Shape, border: float) -> ctypes.Array:
    """The C functions' record of windows on maps ``x``, (N, H, W, C), that make maps of ``output``."""
    g = geometry
    return ctypes.byref(_Conv(*x.shape[1:], *g.kernel, *g.stride, *g.pad, *output, 1, 1, border))


def depthwise_forward(record: ctypes.Array, x: np.ndarray, taps: np.ndarray, y: np.ndarray) -> None:
    """``depthwise.forward`` into ``y``; weights are (tap, times, channel), all arrays contiguous."""
    _check(library().ebnn_depthwise_forward(record, len(x), _at(x), _at(taps), _at(y)))


def depthwise_backward(record: ctypes.Array, given: tuple[np.ndarray, ...], gtaps: np.ndarray, gx: np.ndarray) -> None:
    """``depthwise.backward`` of ``given`` = (x, weights, gy) into ``gtaps`` and ``gx``."""
    x = given[0]
    _check(library().ebnn_depthwise_backward(record, len(x), *map(_at, given), _at(gtaps), _at(gx)))


def _pool(shape: Shape, size: Pair, windows: tuple[Pair, Pair, Pair]) -> ctypes.Array:
    window, stride, pad = windows
    return ctypes.byref(_Conv(*shape, *window, *stride, *pad, *pad, *size, shape[2]))


def pool_forward(x: np.ndarray, size: Pair, windows: tuple[Pair, Pair, Pair]) -> tuple[np.ndarray, np.ndarray]:
    """``pooling.forward`` to maps of ``size``."""
    y = np.empty((len(x), *size, x.shape[3]), np.float32)
    winners = np.empty(y.shape, np.uint16)
    library().ebnn_pool_forward(_pool(x.shape[1:], size, windows), len(x), _at(x), _at(y), _at(winners))
    return y, winners


def pool_backward(winners: np.ndarray, gy: np.ndarray, shape: Shape, windows: tuple[Pair, Pair, Pair]) -> np.ndarray:
    """``pooling.backward`` to maps of ``shape``."""
    gx = np.empty((len(gy), *shape), np.float32)
    pool = _pool(shape, gy.shape[1:3], windows)
    library().ebnn_pool_backward(pool, len(gy), _at(gy), _at(winners), _at(gx))
    return gx


def norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``normalize.forward``."""
    y, mean, variance = np.empty_like(x), np.empty_like(gamma), np.empty_like(gamma)
    arrays = map(_at, (x, gamma, beta)), map(_at, (y, mean, variance))
    _check(library().ebnn_norm_forward(len(x), x[0].size, len(gamma), *arrays[0], eps, *arrays[1]))
    return y, mean, variance


def norm_backward(*given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``normalize.backward`` of ``given`` = (x, gy, mean, inverse, gamma)."""
    x, gamma = given[0], given[-1]
    found = np.empty_like(x), np.empty_like(gamma), np.empty_like(gamma)
    _check(library().ebnn_norm_backward(len(x), x[0].size, len(gamma), *map(_at, given), *map(_at, found)))
    return found


def sign(x: np.ndarray) -> np.ndarray:
    """float32: +1 where x >= 0, else -1."""
    y = np.empty_like(x)
    library().ebnn_sign(x.size, _at(x), _at(y))
    return y


def clipped(x: np.ndarray, gy: np.ndarray, clip: float) -> np.ndarray:
    """float32: gy where |x| <= clip, else 0."""
    gx = np.empty_like(gy)
    library().ebnn_clipped(x.size, _at(x), _at(gy), clip, _at(gx))
    return gx
