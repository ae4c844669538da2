"""The trace of a fit, and when to stop: everything about a fit that is not mathematics."""

import math
import time
from collections.abc import Callable

import numpy as np

from divmix.errors import FitError
from divmix.progress import Progress, TraceRow, Value


class Monitor:
    """Records every iteration, tells the user, and knows what may end the whole fit.

    time_budget is in seconds; should_stop is asked before every iteration. `offset` is added to the
    log-likelihoods: what brings them from the units of the design matrix to those of the data.
    """

    def __init__(
        self,
        time_budget: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        progress: Progress | None = None,
        offset: float = 0.0,
    ) -> None:
        self.trace: list[TraceRow] = []
        self.time_budget = time_budget
        self.should_stop = should_stop
        self.progress = progress or Progress()
        self.offset = offset
        self.started = time.monotonic()

    def record(
        self, phase: str, rows: int, components: int, value: Value, step: float, *, limit: int
    ) -> None:
        """Add a line to the trace; `limit` is the iteration at which the phase ends at the latest.

        Raises FitError where the log-likelihood is no number.
        """
        iteration = len(self.trace)
        if not math.isfinite(value.log_likelihood):
            raise FitError(
                f"the log-likelihood is {value.log_likelihood} at iteration {iteration} ({phase})",
                hint="use a smaller --step, a larger --floor, or another --scale",
            )
        row = TraceRow(
            iteration,
            phase,
            components,
            value.log_likelihood + self.offset,
            value.entropy,
            value.objective + self.offset,
            step,
            time.monotonic() - self.started,
            value.alpha,
            value.log_prior,
            math.exp(value.entropy),
            rows,
        )
        self.trace.append(row)
        self.progress.iteration(row, limit)

    def stop_reason(self) -> str | None:
        """Why the fit must end now, or None."""
        if self.should_stop():
            return "interrupted"
        if self.time_budget and time.monotonic() - self.started >= self.time_budget:
            return "time_budget"
        return None


def has_converged(objectives: list[float], tol: float, window: int) -> bool:
    """Whether the mean objective of the last `window` iterations moved by less than tol each.

    A window of 1 compares two neighbours, right for EM; noisy steps need a longer one.
    """
    if tol == 0 or len(objectives) < 2 * window:
        return False
    recent = np.mean(objectives[-window:])
    before = np.mean(objectives[-2 * window : -window])
    return bool(abs(recent - before) < tol * window)
