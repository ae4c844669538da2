"""The loops that all methods share: look at the rows, note it down, move the components.

`ascend` climbs J and never falls: that of the default method and of em. `follow` takes each step
as it comes: that of the published update, with its mini-batches and its optimiser.

Both can go on where an interrupted one stood, from `State.climb`, to the same bits.
"""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.monitor import Monitor, has_converged
from divmix.engine.objective import Look, Objective
from divmix.engine.state import State
from divmix.families import Components
from divmix.kernels.sums import Sums
from divmix.progress import Value
from divmix.rows import Rows

# Rows are visited in float32 while an iteration still changes the log-likelihood by more than this
# (nats per row): its error in float32 is of the order of 1e-8.
COARSE_ABOVE = 1e-4
HALVINGS = 6  # of a step that would lower J: then its direction does not ascend
# The reach of overrelaxed steps, as a multiple of the M-step's: it grows as long as J rises by them, and
# begins again where it would fall. Up to 1 a step is the M-step itself, so a short climb has no others.
LEAST_REACH, GROWTH, FURTHEST = 0.5, 1.5, 16.0
ROUNDING = 1e-12  # of J, nats per row


class Limits(NamedTuple):
    """When a climb ends: at most `max_iter` visits to the rows, or when the mean objective of
    `window` iterations moved by less than `tol` nats per row each.

    keep_coarse: float32 to the end.
    """

    max_iter: int
    tol: float
    window: int = 1
    keep_coarse: bool = False


class Climb(NamedTuple):
    """Where `ascend` stands between two steps.

    components       the last ones that did not lower J
    visited_coarse, visited_sharing   how they were looked at
    coarse, share    how the next ones will be
    reach            of the next step, beyond the M-step above 1
    visits           to the rows so far
    last             the iteration at which it ends at the latest
    """

    components: Components
    visited_coarse: bool
    visited_sharing: bool
    coarse: bool
    share: bool
    reach: float
    visits: int
    last: int


def ascend(
    objective: Objective,
    rows: Rows,
    state: State,
    monitor: Monitor,
    phase: str,
    limits: Limits,
    *,
    share: bool = False,
    overrelaxed: bool = False,
    resumable: bool = False,
) -> State:
    """Climb J = F + alpha H + log prior until it settles, `max_iter` visits are made or time is up.

    A step that would lower J is halved, and the last components looked at that did not are kept.
    share: components that overlap share their drive (the M-step's displacement), as long as J
    rises by it. overrelaxed: steps reach ever further beyond the M-step, until J would fall
    (Salakhutdinov and Roweis, ICML 2003). resumable: the monitor may remember where it stands, as
    the climb of its phase. Raises FitError.
    """
    climber = _Climber(objective, rows, limits, state.coarse, share)
    if state.climb is None:
        last = len(monitor.trace) + limits.max_iter
        here = climber.begin(state.moved)
        monitor.record(phase, rows.visited, here.components.count, here.value, 0.0, limit=last)
    else:
        last = state.climb.last
        climber.take_up(state.climb)
    reason = "max_iter"
    while climber.visits < limits.max_iter:
        if stop := monitor.stop_reason(partial(climber.climb, last) if resumable else None):
            reason = stop
            break
        here, there = climber.here, climber.step()
        if there is None:
            continue
        gain = there.J - here.J
        if gain < -ROUNDING:
            reason = "converged" if climber.visits < limits.max_iter else reason
            break
        size = _size(here, there)
        monitor.record(phase, rows.visited, there.components.count, there.value, size, limit=last)
        climber.move(there)
        if limits.tol > 0 and gain < limits.tol:
            if climber.reach <= 1:
                reason = "converged"
                break
            climber.reach = LEAST_REACH  # an M-step tells whether it has settled
        elif overrelaxed and not climber.share:
            climber.reach = min(GROWTH * climber.reach, FURTHEST)
    here = climber.here
    return state._replace(
        components=here.components, coarse=climber.coarse, stop_reason=reason, objective=here.J
    )


class _Climber:
    """Where `ascend` stands, and how its steps are taken and looked at; `Climb` has the same as data."""

    def __init__(
        self, objective: Objective, rows: Rows, limits: Limits, coarse: bool, share: bool
    ) -> None:
        self._objective, self._rows, self._limits = objective, rows, limits
        self.coarse, self.share = coarse, share
        self.reach, self.visits = LEAST_REACH, 0
        self.here: Look

    def begin(self, components: Components) -> Look:
        """Stand at components."""
        self.here = self._look(components)
        return self.here

    def take_up(self, stood: Climb) -> None:
        """Stand where an interrupted climb stood."""
        how = {"coarse": stood.visited_coarse, "share": stood.visited_sharing}
        self.here = self._objective.look(self._rows, stood.components, **how)
        self.coarse, self.share, self.reach, self.visits, _ = stood[3:]

    def climb(self, last: int) -> Climb:
        """Where it stands; last: see `Climb`."""
        here = self.here
        seen = here.components, here.coarse, here.shared
        return Climb(*seen, self.coarse, self.share, self.reach, self.visits, last)

    def step(self) -> Look | None:
        """The next components, looked at; None where steps of this kind do not ascend, and the next
        one is to be of another."""
        here, objective = self.here, self._objective
        target = objective.ascended(here)
        if self.reach > 1:
            there = self._look(objective.beyond(here, target, self.reach))
            if not there.J >= here.J:
                self.reach = LEAST_REACH
                return None
            return there
        there = self._look(objective.shared(here, target) if self.share else target)
        if self.share and there.J < here.J:  # what they do together does not ascend
            self.share = False
            return None
        if self.coarse:
            if there.J >= here.J - ROUNDING or self._limits.keep_coarse:
                return there
            self.coarse = False  # float32 can't tell: look again
            self.here = self._look(here.components)
            return None
        return self._shortened(target, there)

    def _shortened(self, target: Components, there: Look) -> Look:
        """The step to `target`, halved as long as it would lower J."""
        halved = 0
        while there.J < self.here.J - ROUNDING and halved < HALVINGS:
            if self.visits >= self._limits.max_iter:
                break
            halved += 1
            there = self._look(self.here.components.towards(target, 0.5**halved))
        return there

    def move(self, there: Look) -> None:
        """Stand there; looked at in float64 from now on if J has come to rest."""
        moved = abs(there.value.log_likelihood - self.here.value.log_likelihood)
        if not self._limits.keep_coarse:
            self.coarse = self.coarse and moved >= COARSE_ABOVE
        self.here = there

    def _look(self, components: Components) -> Look:
        self.visits += 1
        return self._objective.look(self._rows, components, coarse=self.coarse, share=self.share)


def _size(here: Look, there: Look) -> float:
    """Root mean square of the increment of the means."""
    moved = (there.components.means - here.components.means).ravel()
    return math.sqrt(moved @ moved / max(len(moved), 1))


class Move(NamedTuple):
    """What a step makes of the sufficient statistics: the next components and its own memory.

    entropy (nats) and its weight alpha belong to the components the step started from; size is
    the root mean square of the increment in the coordinates of the components.
    """

    components: Components
    memory: Any
    entropy: float
    alpha: float
    size: float


# A step is a pure function of (components, sums, memory); its memory is None at the start.
Step = Callable[[Components, Sums, Any], Move]


class Walk(NamedTuple):
    """Where `follow` stands between two steps.

    climbed     (t,) J of each iteration so far
    generator   of the mini-batches to come
    last        the iteration at which it ends at the latest
    """

    components: Components
    memory: Any
    climbed: NDArray[np.float64]
    generator: np.random.Generator
    last: int


def follow(
    step: Step,
    objective: Objective,
    rows: Rows,
    state: State,
    monitor: Monitor,
    phase: str,
    limits: Limits,
) -> State:
    """Take `step` after step until J settles, max_iter is reached or time is up.

    One iteration is one visit to the rows. The state's generator is that of mini-batches and steps
    too. Raises FitError.
    """
    components, memory, coarse = state.moved, None, state.coarse
    last = len(monitor.trace) + limits.max_iter
    climbed: list[float] = []  # J of each iteration
    if state.climb is not None:
        stood: Walk = state.climb
        components, memory, climbed, last = (
            stood.components,
            stood.memory,
            stood.climbed.tolist(),
            stood.last,
        )
        state.generator.bit_generator.state = stood.generator.bit_generator.state

    def walk() -> Walk:
        generator = copy.deepcopy(state.generator)
        return Walk(components, memory, np.array(climbed), generator, last)

    reason = "max_iter"
    while len(climbed) < limits.max_iter:
        if stop := monitor.stop_reason(walk):
            reason = stop
            break
        sums = objective.sums(rows, components, coarse=coarse)
        move = step(components, sums, memory)
        log_likelihood = sums.log_likelihood / rows.total_weight
        value = Value(log_likelihood, move.entropy, move.alpha)
        monitor.record(phase, rows.visited, components.count, value, move.size, limit=last)
        components, memory = move.components, move.memory
        climbed.append(value.objective)
        if has_converged(climbed, limits.tol, limits.window):
            reason = "converged"
            break
    return state._replace(components=components, memory=memory, coarse=coarse, stop_reason=reason)
