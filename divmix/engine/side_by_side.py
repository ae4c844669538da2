"""Starts of a fit side by side on the threads there are."""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from divmix.engine.checkpoint import Interrupted
from divmix.engine.monitor import Monitor
from divmix.kernels import compile as compiling
from divmix.progress import Progress, TraceRow

Result = TypeVar("Result")


def side_by_side(
    start: Callable[[int, Monitor], Result], count: int, monitor: Monitor
) -> list[Result]:
    """start(number, own monitor) of 0 .. count - 1 in this order, without those that the time
    budget left no time to begin.

    Each has the threads that the others leave, one at least, and no more starts run at once than
    there are threads. What a start returns must not depend on when it runs. The error of the first
    start to fail, by number, is raised. Raises Interrupted when a signal ended the fit.
    """
    threads, starts = compiling.threads(), Starts(count, monitor)

    def run(number: int) -> Result | None:
        own = starts.monitor_of(number)
        if own.stop_reason() and number:
            return None
        result = start(number, own)
        starts.finish(number)
        return result

    try:
        # Some builds of BLAS count their threads for each thread that calls them.
        with ThreadPoolExecutor(
            min(threads, count), "start", initializer=threadpool_limits, initargs=(1, "blas")
        ) as pool:
            futures = [pool.submit(run, number) for number in range(count)]
            try:
                results = [future.result() for future in futures]
            finally:  # only matters when an exception ended the list
                starts.abandoned = True
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        compiling.set_threads(threads)
    if monitor.should_stop():
        raise Interrupted
    return [result for result in results if result is not None]


class Starts:
    """What starts side by side have in common: the threads, and the line that tells of them."""

    def __init__(self, count: int, monitor: Monitor) -> None:
        self.count, self.monitor = count, monitor
        self.threads = compiling.threads()
        self.unfinished = list(range(count))
        self.abandoned = False  # nobody waits for the results any more
        self.lock = threading.Lock()
        self._tell()

    def monitor_of(self, number: int) -> Monitor:
        """A monitor with the clock of the fit and a trace of its own."""
        own = copy.copy(self.monitor)
        own.trace = list(self.monitor.trace)
        own.progress = FirstUnfinished(self, number)
        own.should_stop = lambda: self.abandoned or self.monitor.should_stop()
        return own

    def finish(self, number: int) -> None:
        with self.lock:
            self.unfinished.remove(number)
            if self.unfinished:
                self._tell()

    @property
    def done(self) -> str:
        return f"{self.count - len(self.unfinished)} of {self.count} starts done"

    def _tell(self) -> None:
        compiling.set_threads(max(1, self.threads // len(self.unfinished)))
        done = 1 - len(self.unfinished) / self.count
        self.monitor.progress.stage(f"fitting, {self.done}", done)


class FirstUnfinished(Progress):
    """Tells the iterations of the first start that is not done, so that one line can be read."""

    def __init__(self, starts: Starts, number: int) -> None:
        self._starts, self._number = starts, number

    def iteration(self, row: TraceRow, limit: int) -> None:
        starts = self._starts
        with starts.lock:
            if self._number == starts.unfinished[0]:
                row = row._replace(phase=f"{starts.done}, {row.phase}")
                starts.monitor.progress.iteration(row, limit)
