"""Slices of a batch on one or two threads, with the same result for any number of threads.

The C kernels and NumPy's products run without the interpreter's lock, so that threads help. The slices depend on
the batch alone, and partial sums are added in their order: the number of threads changes no bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from threadpoolctl import threadpool_limits

from ebnn.errors import ConfigError

SLICES, SLICE_IMAGES = 4, 16  # at most so many slices of a batch, with at least so many images each


def slices(images: int) -> list[slice]:
    """Cut a batch into slices that threads can share."""
    count = max(1, min(SLICES, images // SLICE_IMAGES))
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
