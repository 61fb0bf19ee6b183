"""Chunks of images on one or two threads, with the same result for any number of threads.

NumPy releases the interpreter lock inside of products and element-wise work, so that threads help. The split into
chunks depends on the work alone, and partial sums are added in the order of the chunks: the number of threads
changes no bit.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

from ebnn.errors import ConfigError

CHUNK_BYTES = 1 << 20  # fits the second-level cache beside its results


class _Buffers(threading.local):
    """Arrays that each thread reuses from chunk to chunk: fresh memory costs more than the work in it."""

    def __init__(self) -> None:
        self.flat: dict[tuple[str, type], np.ndarray] = {}


_buffers = _Buffers()


def scratch(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An uninitialised array of ``shape``; valid until this thread asks for the same ``name`` again."""
    size = math.prod(shape)
    flat = _buffers.flat.get((name, dtype))
    if flat is None or flat.size < size:
        flat = _buffers.flat[name, dtype] = np.empty(size, dtype)
    return flat[:size].reshape(shape)


def chunks(images: int, bytes_per_image: int) -> list[slice]:
    """Cut ``images`` into an even number of slices of about ``CHUNK_BYTES``, one slice for little work."""
    total = images * bytes_per_image
    pairs = -(-total // (2 * CHUNK_BYTES))
    count = min(2 * pairs, images) if total > CHUNK_BYTES // 4 else 1
    edges = [images * index // count for index in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]


def threads() -> int:
    """Number of threads: ``EBNN_THREADS``, else the CPUs this process may use, at most 2."""
    named = os.environ.get("EBNN_THREADS")
    if named is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return min(2, len(affinity(0)) if affinity else os.cpu_count() or 1)
    if not named.isdigit() or not 1 <= int(named) <= 64:
        raise ConfigError(f"EBNN_THREADS must be 1 to 64, got {named!r}")
    return int(named)


@lru_cache(maxsize=1)
def _executor(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count - 1)


def for_each(work: Callable[[int, slice], None], parts: list[slice]) -> None:
    """Call ``work(index, part)`` for every part; part k runs on thread k modulo the number of threads."""
    count = min(threads(), len(parts))

    def share(thread: int) -> None:
        for index in range(thread, len(parts), count):
            work(index, parts[index])

    if count < 2:
        return share(0)
    futures = [_executor(threads()).submit(share, thread) for thread in range(1, count)]
    share(0)
    for future in futures:
        future.result()


def one_blas_thread() -> threadpool_limits:
    """A context (or a lasting limit, if the result is kept) in which each product runs on one thread."""
    return threadpool_limits(limits=1, user_api="blas")
