"""Batches worked on side by side, their results in the order of the batches."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from divmix.rows.ahead import ahead
from divmix.workflows.resources import single_blas_thread

Batch = TypeVar("Batch")
Result = TypeVar("Result")


MOST_AT_ONCE = 4  # batches; more wait for the one who writes
MOST_NUMBERS = 16_000_000  # in the batches that are worked on at once: their memory is bounded


def at_once(numbers: int) -> int:
    """How many batches of so many numbers are worked on side by side, one at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    return max(1, min(MOST_AT_ONCE, cores, MOST_NUMBERS // numbers))


def mapped(
    work: Callable[[Batch], Result], batches: Callable[[], Iterable[Batch]], threads: int
) -> Iterator[Result]:
    """work(batch) of each of `batches()`, in their order; `threads` at once, and the next batch is
    read meanwhile. With one thread there is one batch at a time.

    No more wait than are worked on. The error of the first batch that has one is raised, as if they
    had been worked on one after the other.
    """
    if threads == 1:
        yield from map(work, batches())
        return
    waiting: deque[Future[Result]] = deque()
    # Some builds of BLAS count their threads for each thread that calls them.
    pool = ThreadPoolExecutor(threads, "rows", initializer=single_blas_thread)
    try:
        for batch in ahead(batches):
            waiting.append(pool.submit(work, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
