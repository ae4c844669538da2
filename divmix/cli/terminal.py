"""What the user sees of a running command: on stderr, and only where somebody looks."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from divmix.cli.time_left import TimeLeft, phases_of
from divmix.progress import Progress, TraceRow

if TYPE_CHECKING:
    from rich.progress import Progress as Display

    from divmix.settings import FitSettings

SECONDS_BETWEEN_LINES = 10.0
LAST_PHASE = "refine"  # of every method
STOPPING = "stopping after this step; once more to leave at once"


class Silent(Progress):
    """Nothing at all: in a pipe, in cron, with --quiet."""

    told: frozenset[str] = frozenset()

    def stopping(self) -> None:
        pass


@contextmanager
def progress(
    quiet: bool, verbose: bool, settings: "FitSettings | None" = None
) -> Iterator["Bar | Lines | Silent"]:
    """A listener for a workflow: a bar on a terminal, plain lines with -v, else silence.

    `settings` are those of the fit that it is, None of another command.
    """
    if quiet or not (sys.stderr.isatty() or verbose):
        yield Silent()
    elif verbose:
        yield Lines()
    else:
        with _display() as display:
            yield Bar(display, settings)


def _display() -> "Display":
    # Only here: a pipe sees no bar, and rich takes a tenth of the time to label a small table.
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Display

    class Narrow(Display):
        """The terminal writes ^C behind the line, which must not become two by it."""

        def get_renderables(self) -> Iterator[Constrain]:
            yield Constrain(self.make_tasks_table(self.tasks), console.width - 2)

    console = Console(stderr=True)
    return Narrow(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[facts]}"),
        console=console,
        transient=True,
    )


class Bar(Progress):
    """A live line: what is done, a bar, log-likelihood and its change, time left.

    `told` are the notes that stand above it already.
    """

    def __init__(
        self,
        display: "Display",
        settings: "FitSettings | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display
        self._time_budget = (settings and settings.time_budget) or math.inf
        self._one_climb = settings is not None and settings.restarts == 1
        self._left = TimeLeft(phases_of(settings) if settings else (), clock)
        self._task = display.add_task("starting", total=None, facts="")
        self._changes = Changes()
        self.told: set[str] = set()
        self._phase = ""
        self._start: TraceRow

    def stage(self, message: str, done: float = 0.0) -> None:
        self._left.stage(message, done)
        self._display.reset(self._task, total=None, description=message, facts=self._told_left())

    def iteration(self, row: TraceRow, limit: int) -> None:
        self._left.iteration(row.phase)
        self._display.update(
            self._task,
            description=row.phase,
            completed=row.iteration + 1,
            total=limit,
            facts=f"{self._changes.describe(row, limit)}  {self._time(row, limit)}",
        )

    def rows(self, done: int, total: int | None) -> None:
        self._left.rows = max(self._left.rows, total or done)
        facts = f"{done:,} rows" if total is None else f"{done:,} of {total:,} rows"
        facts = f"{facts}  {self._told_left()}".rstrip()
        self._display.update(self._task, completed=done, total=total, facts=facts)

    def stopping(self) -> None:
        """Say that a signal has come, until the end: what follows goes to a line nobody sees."""
        self._display.update(self._task, description=STOPPING, total=None, facts="")
        self._task = self._display.add_task("", visible=False)

    def _time(self, row: TraceRow, limit: int) -> str:
        """The time so far, and how much is left: by what the phases of the run cost, or in the last
        phase of a fit what all its iterations would take, as many as it may have: it may converge
        long before."""
        so_far = str(timedelta(seconds=int(row.seconds)))
        if row.phase != self._phase:
            self._phase, self._start = row.phase, row
        done = row.iteration - self._start.iteration
        left = math.inf
        if self._one_climb and row.phase == LAST_PHASE and done:
            left = (row.seconds - self._start.seconds) / done * (limit - row.iteration - 1)
        left = min(left, self._time_budget - row.seconds)
        return ", ".join(filter(None, (so_far, self._told_left(left))))

    def _told_left(self, at_most: float = math.inf) -> str:
        """`0:01:10 left`, `≤ 0:05:00 left` where only a bound is known, "" where nothing is."""
        seconds = self._left.seconds()
        if seconds is not None and seconds < at_most:
            return f"{timedelta(seconds=max(1, ceil(seconds)))} left"
        return f"≤ {timedelta(seconds=ceil(at_most))} left" if 0 < at_most < math.inf else ""

    def output(self) -> None:
        """Leave the terminal to the rows; notes still come."""
        self._display.stop()

    def note(self, message: str) -> None:
        self.told.add(message)
        self._display.console.print(message, style="dim", markup=False, highlight=False)


class Lines(Progress):
    """Plain lines for a log: each stage and note, an iteration or a count of rows now and then.

    `told` are the notes among them.
    """

    def __init__(self) -> None:
        self._changes = Changes()
        self._next = 0.0
        self.told: set[str] = set()

    def stage(self, message: str, done: float = 0.0) -> None:
        self._next = 0.0
        self._print(message)

    def iteration(self, row: TraceRow, limit: int) -> None:
        line = f"{row.phase}: iteration {self._changes.describe(row, limit)}, {row.seconds:.1f} s"
        self._now_and_then(line)

    def rows(self, done: int, total: int | None) -> None:
        self._now_and_then(f"{done:,} rows" if total is None else f"{done:,} of {total:,} rows")

    def note(self, message: str) -> None:
        self.told.add(message)
        self._print(f"note: {message}")

    def stopping(self) -> None:
        pass  # the exit code tells

    def _now_and_then(self, line: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES
            self._print(line)

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Changes:
    """Remembers the last log-likelihood, to tell the change."""

    def __init__(self) -> None:
        self._last: float | None = None

    def describe(self, row: TraceRow, limit: int) -> str:
        """`12/500  log-likelihood -3.14159 (+2.1e-04)`."""
        change = "" if self._last is None else f" ({row.log_likelihood - self._last:+.1e})"
        self._last = row.log_likelihood
        return f"{row.iteration + 1}/{limit}  log-likelihood {row.log_likelihood:.5f}{change}"
