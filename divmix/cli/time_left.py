"""How long a fit will still take, by what its phases took on tables that were measured."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from divmix.settings import DiversifiedSettings, FitSettings

FIRST = 0.1  # of the work of a run: before that much is done there is nothing to go by
MANY_ROWS = 100_000


class Phase(NamedTuple):
    """A part of a run: how its stage begins, the phase of the trace in it ("" for all), and its cost.

    cost : of few rows, in searches of a usual fit. by_rows : what MANY_ROWS rows add to it.
    """

    stage: str
    phase: str
    cost: float
    by_rows: float = 0.0


# Medians of fits to 300 to 1,000,000 rows of 2 to 40 columns in 3 to 15 groups, on one thread.
USUAL = (
    Phase("reading", "", 0.03, 0.015),
    Phase("preparing columns", "", 0.03, 0.065),
    Phase("choosing the number of clusters", "", 8.0),
    Phase("choosing alpha", "", 25.0),
    Phase("looking for outliers", "relax", 0.15),
    Phase("looking for outliers", "diversify", 0.05),
    Phase("looking for outliers", "reduce", 0.2),
    Phase("choosing the shape", "", 0.1),
    Phase("fitting", "reduce", 0.4),
    Phase("fitting", "refine", 0.02, 0.05),
    Phase("labelling rows", "", 0.0, 0.06),
    Phase("writing", "", 0.1, 0.05),
)
ONE_START = 1.0  # of several that compete


def phases_of(settings: FitSettings) -> tuple[Phase, ...]:
    """What a fit will go through; () where the costs of its phases are not known, as of a climb that
    goes on to its last iteration."""
    if not isinstance(settings, DiversifiedSettings) or settings.bootstrap or not settings.tol:
        return ()
    asked = {
        "choosing the number of clusters": settings.clusters == "auto",
        "choosing alpha": settings.alpha == "auto",
    }
    usual = tuple(phase for phase in USUAL if asked.get(phase.stage, True))
    if settings.restarts == 1:
        return usual
    starts = Phase("fitting", "", ONE_START * settings.restarts, 0.05 * settings.restarts)
    before = next(place for place, phase in enumerate(usual) if phase.stage == "fitting")
    return (*usual[:before], starts, *usual[before + 2 :])


class TimeLeft:
    """Watches a run go through its phases, of which it may leave some out.

    Time spent on anything else tells nothing of the phases: on kernels and modules, which are
    compiled and loaded once, and on what comes before the first iteration of a phase that has some.
    `rows` is how many the table has, as soon as that is known.
    """

    def __init__(
        self, phases: Sequence[Phase], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rows = 0
        self._phases, self._clock, self._since = phases, clock, clock()
        self._behind: list[int] = []  # places of phases that are done
        self._past = 0.0  # seconds in these
        self._place, self._stage, self._counts = -1, "", False
        self._here = self._done = (
            0.0  # seconds in the phase at this place, share of it that is done
        )

    def stage(self, message: str, done: float = 0.0) -> None:
        """A stage begins, or the share `done` of it is behind."""
        known = any(message.startswith(phase.stage) for phase in self._phases)
        if known:
            self._stage = message
        place = self._place_of(message, "") if known else None
        counts = place is not None and not self._phases[place].phase
        self._go(place, done, counts)

    def iteration(self, phase: str) -> None:
        """An iteration of a phase of the trace is done, in the last stage that is known."""
        self._go(self._place_of(self._stage, phase), self._done, True)

    def seconds(self) -> float | None:
        """How long the run will still take; None where there is nothing yet to go by.

        A phase that takes longer than expected is expected to go on as long as it did beyond that.
        """
        self._go(self._place, self._done, self._counts)
        costs = [phase.cost + phase.by_rows * self.rows / MANY_ROWS for phase in self._phases]
        known = sum(costs[place] for place in self._behind)
        own = costs[self._place] if self._place >= 0 else 0.0
        if known + self._done * own < FIRST * sum(costs) or not known + self._done * own:
            return None
        if self._done:
            here = self._here * (1 / self._done - 1)
        else:
            here = abs(own * self._past / known - self._here)
        a_cost = (self._past + self._here + here) / (known + own)
        return here + a_cost * sum(costs[self._place + 1 :])

    def _place_of(self, stage: str, phase: str) -> int | None:
        """Where a phase of a stage stands; one that is not listed belongs to that before it."""
        places = range(max(self._place, 0), len(self._phases))
        ahead = [place for place in places if stage.startswith(self._phases[place].stage)]
        listed = [place for place in ahead if self._phases[place].phase in ("", phase)]
        return next(iter(listed or ahead), None)

    def _go(self, place: int | None, done: float, counts: bool) -> None:
        """Be at a place, None for where it was; whether the time from now on counts."""
        now = self._clock()
        if self._counts:
            self._here += now - self._since
        self._since, self._counts = now, counts
        if place is None:
            return
        if place != self._place and self._place >= 0:
            self._past, self._here, done = self._past + self._here, 0.0, 0.0
            self._behind.append(self._place)
        self._place, self._done = place, done
