"""Rows in fixed chunks, on any number of threads, summed in order: same bits at any thread count."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from divmix.kernels import compile as compiling
from divmix.kernels.tiles import TILE_ROWS

Result = TypeVar("Result")

# Work is counted in multiply-adds of the moments. A chunk takes from 1 ms, next to which starting
# it costs nothing, to about 10 ms, so that Ctrl-C is not kept waiting.
LEAST_WORK, MOST_WORK = 1 << 23, 1 << 26
ENOUGH_CHUNKS = 64  # for many threads to share

_own = threading.local()


def row_chunks(n: int, work_per_row: int) -> list[tuple[int, int]]:
    """Bounds of the chunks: a function of the shape of the problem, never of the threads."""
    rows = max(n // ENOUGH_CHUNKS, LEAST_WORK // work_per_row)
    rows = min(rows, MOST_WORK // work_per_row)
    rows = max(1, -(-rows // TILE_ROWS)) * TILE_ROWS
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


def map_in_order(task: Callable[..., Result], bounds: list[tuple[int, int]]) -> Iterator[Result]:
    """Results of ``task(start, stop)`` in the order of `bounds`; the calls run on all threads."""
    count = min(compiling.threads(), len(bounds))
    if count == 1:
        for start, stop in bounds:
            yield task(start, stop)
        return
    pool = _pool(count)
    futures = [pool.submit(task, start, stop) for start, stop in bounds]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:  # only matters when an exception, such as Ctrl-C, ended the loop
            future.cancel()


def _pool(count: int) -> ThreadPoolExecutor:
    """The calling thread's own pool, so that fits side by side share no queue; made anew in a
    forked child, which inherits the object but not its threads."""
    key = count, os.getpid()
    if getattr(_own, "key", None) != key:
        _own.key, _own.pool = key, ThreadPoolExecutor(count, thread_name_prefix="divmix")
    return _own.pool
