"""The trace of a fit, when to stop, what to remember: everything about it that is not mathematics."""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from divmix.engine.checkpoint import Interrupted, Journal, Standing
from divmix.engine.state import State
from divmix.errors import FitError
from divmix.progress import Progress, TraceRow, Value

Result = TypeVar("Result")


class Monitor:
    """Records every iteration, tells the user, and knows what may end the whole fit.

    time_budget is in seconds; should_stop is asked before every iteration. `offset` is added to the
    log-likelihoods: what brings them from the units of the design matrix to those of the data.
    `journal` is that of the one fit to which the monitor belongs, or None: nothing is remembered.
    """

    def __init__(
        self,
        time_budget: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        progress: Progress | None = None,
        offset: float = 0.0,
        journal: Journal | None = None,
    ) -> None:
        self.trace: list[TraceRow] = []
        self.time_budget = time_budget
        self.should_stop = should_stop
        self.progress = progress or Progress()
        self.offset = offset
        self.journal = journal
        self.started = time.monotonic() if journal is None else journal.start()
        self._run: str | None = None  # the entry of the run that is watched
        self._state: State  # where its phase began
        self._entered = time.monotonic()

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

    def stop_reason(self, climb: Callable[[], Any] | None = None) -> str | None:
        """Why the fit must end now, or None.

        climb() tells where a climb stands that can go on from there: it is remembered now and then,
        and when a signal ends the fit.
        """
        reason = None
        if self.should_stop():
            reason = "interrupted"
        elif self.time_budget and time.monotonic() - self.started >= self.time_budget:
            reason = "time_budget"
        if climb is not None and self._run is not None and self.journal is not None:
            waited = time.monotonic() - self._entered
            if reason == "interrupted" or waited >= self.journal.pause:
                self._enter(self._state._replace(climb=climb()))
        return reason

    def once(self, name: str, compute: Callable[[], Result]) -> Result:
        """What compute() returns, or had returned before an interruption.

        Raises Interrupted where a signal cut it short.
        """
        if self.journal is not None and name in self.journal.entries:
            return self.journal.entries[name]
        found = compute()
        self._check()
        if self.journal is not None:
            self.journal.enter(name, found)
        return found

    def watch(self, name: str, start: State) -> State:
        """From now on a run is remembered under this name. Returns where it goes on: at `start`,
        or where it stood at an interruption, whose trace is then taken over."""
        self._run, self._state = name, start
        standing = None if self.journal is None else self.journal.entries.get(name)
        if standing is None:
            return start
        self.trace[:] = standing.trace
        self._state = standing.state._replace(climb=None)
        return standing.state

    def passed(self, state: State) -> None:
        """A phase is done. Raises Interrupted where a signal cut it short."""
        self._check()
        self._state = state
        if self._run is not None:
            self._enter(state)

    def _enter(self, state: State) -> None:
        if self.journal is not None and self._run is not None:
            self.journal.enter(self._run, Standing(state, tuple(self.trace)))
        self._entered = time.monotonic()

    def _check(self) -> None:
        if self.should_stop():
            raise Interrupted


def has_converged(objectives: list[float], tol: float, window: int) -> bool:
    """Whether the mean objective of the last `window` iterations moved by less than tol each.

    A window of 1 compares two neighbours, right for EM; noisy steps need a longer one.
    """
    if tol == 0 or len(objectives) < 2 * window:
        return False
    recent = np.mean(objectives[-window:])
    before = np.mean(objectives[-2 * window : -window])
    return bool(abs(recent - before) < tol * window)
