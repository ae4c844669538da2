"""The loop that all methods share: look at the rows, note it down, move the components."""

from collections.abc import Callable
from typing import Any, NamedTuple

from divmix.engine.monitor import Monitor, has_converged
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import Components
from divmix.kernels.sums import Sums
from divmix.rows import Rows

# Rows are visited in float32 while an iteration still changes the log-likelihood by more than this
# (nats per row): its error in float32 is of the order of 1e-8.
COARSE_ABOVE = 1e-4


class Move(NamedTuple):
    """What a step makes of the sufficient statistics: the next components and its own memory.

    entropy (nats) belongs to the components the step started from; size is the root mean square
    of the increment in the coordinates of the components.
    """

    components: Components
    memory: Any
    entropy: float
    size: float


# A step is a pure function of (components, sums, memory); its memory is None at the start.
Step = Callable[[Components, Sums, Any], Move]


class Limits(NamedTuple):
    """When a climb ends: at most `max_iter` visits to the rows, or when the mean objective of
    `window` iterations moved by less than `tol` nats per row each.

    keep_coarse: float32 to the end.
    """

    max_iter: int
    tol: float
    window: int = 1
    keep_coarse: bool = False


def climb(
    step: Step,
    objective: Objective,
    rows: Rows,
    state: State,
    monitor: Monitor,
    phase: str,
    limits: Limits,
) -> State:
    """Climb J = F + alpha H by `step` until J settles, max_iter is reached or time is up.

    One iteration is one visit to the rows. Raises FitError.
    """
    components, memory, coarse = state.moved, None, state.coarse
    last = len(monitor.trace) + limits.max_iter
    climbed: list[float] = []  # J of each iteration
    reason = "max_iter"
    previous = None
    while len(climbed) < limits.max_iter:
        if stop := monitor.stop_reason():
            reason = stop
            break
        sums = objective.sums(rows, components, coarse=coarse)
        move = step(components, sums, memory)
        log_likelihood = sums.log_likelihood / rows.total_weight
        if previous is not None and not limits.keep_coarse:
            coarse = coarse and abs(log_likelihood - previous) >= COARSE_ABOVE
        previous = log_likelihood
        J = log_likelihood + objective.alpha * move.entropy
        monitor.record(
            phase, components.count, log_likelihood, move.entropy, J, move.size, limit=last
        )
        components, memory = move.components, move.memory
        climbed.append(J)
        if has_converged(climbed, limits.tol, limits.window):
            reason = "converged"
            break
    return state._replace(components=components, memory=memory, coarse=coarse, stop_reason=reason)
