"""What of a fit is done, by name: a fit that is told it again goes on from there.

A fit is the same at each run, so it is enough to remember the results of its finished steps and
where its climbs stand. What was not remembered is done again, to the same bits.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from divmix.engine.state import State
from divmix.progress import TraceRow

LARGEST_SHARE = 0.02  # of the time of a fit that writing checkpoints may take


class Interrupted(Exception):
    """A signal ended the fit; nothing came of it but what its journal holds."""


class Standing(NamedTuple):
    """Where one run of a method stands: its state, which may be within a climb, and its trace."""

    state: State
    trace: tuple[TraceRow, ...]


class Journal:
    """The entries of one fit by name, and the clock that goes on where it stopped.

    entries: of an interrupted run, to go on from; elapsed: the seconds that it took. `write` is
    called with the entries and the seconds so far: every so many seconds, but more rarely where
    that would take more than LARGEST_SHARE of the time. Starts side by side share a journal.
    """

    def __init__(
        self,
        entries: Mapping[str, Any] | None = None,
        elapsed: float = 0.0,
        write: Callable[[dict[str, Any], float], None] = lambda entries, elapsed: None,
        every: float = math.inf,
    ) -> None:
        self.entries = dict(entries or {})
        self._before = elapsed
        self.start()
        self.pause = every  # seconds from one writing to the next
        self._write, self._every = write, every
        self._written = time.monotonic()
        self._lock = threading.Lock()

    def start(self) -> float:
        """The fit begins now: when it would have begun without an interruption, in seconds of
        `time.monotonic`."""
        self.started = time.monotonic() - self._before
        return self.started

    @property
    def elapsed(self) -> float:
        """Seconds of the fit so far, those before an interruption included."""
        return time.monotonic() - self.started

    def enter(self, name: str, value: Any) -> None:
        """Remember an entry, and write all of them where it is time to."""
        with self._lock:
            self.entries[name] = value
        if time.monotonic() - self._written >= self.pause:
            self.write()

    def write(self) -> None:
        """Write the entries now."""
        with self._lock:
            began = time.monotonic()
            self._write(dict(self.entries), self.elapsed)
            self._written = time.monotonic()
            self.pause = max(self._every, (self._written - began) / LARGEST_SHARE)
