"""Batches worked on side by side, their results in the order of the batches."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from divmix.rows.ahead import ahead

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def mapped(
    work: Callable[[Batch], Result], batches: Callable[[], Iterable[Batch]]
) -> Iterator[Result]:
    """work(batch) of each of `batches()`, in their order; the next batch is read meanwhile.

    As many run at once as this process may use cores, and no more wait than that. The error of the
    first batch that has one is raised, as if they had been worked on one after the other.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    waiting: deque[Future[Result]] = deque()
    # Some builds of BLAS count their threads for each thread that calls them.
    pool = ThreadPoolExecutor(threads, "rows", initializer=threadpool_limits, initargs=(1, "blas"))
    try:
        for batch in ahead(batches):
            waiting.append(pool.submit(work, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
