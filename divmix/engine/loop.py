"""The loop that all methods share: look at the rows, note it down, move the components."""

from collections.abc import Callable
from typing import NamedTuple

from divmix.engine.monitor import Monitor, has_converged
from divmix.families import Components
from divmix.rows.memory import DataTerm


class Move(NamedTuple):
    """What a step makes of the sufficient statistics: the next components and its own memory.

    entropy (nats) belongs to the components the step started from; size is the root mean square
    of the increment in the coordinates of the components.
    """

    components: Components
    memory: object
    entropy: float
    size: float


# A step is a pure function of (components, sums, memory); its memory is None at the start.
Step = Callable[[Components, object, object], Move]


class Result(NamedTuple):
    """The components a climb ended with, and why it ended."""

    components: Components
    stop_reason: str  # converged, max_iter, time_budget or interrupted


def climb(
    step: Step,
    components: Components,
    data_term: DataTerm,
    monitor: Monitor,
    *,
    phase: str,
    alpha: float,
    max_iter: int,
    tol: float,
    window: int = 1,
) -> Result:
    """Climb J = F + alpha H by `step` until J settles, max_iter is reached or time is up.

    One iteration is one visit to the rows of `data_term`. Raises FitError.
    """
    memory = None
    limit = len(monitor.trace) + max_iter
    objectives: list[float] = []
    while len(objectives) < max_iter:
        if reason := monitor.stop_reason():
            return Result(components, reason)
        sums = data_term(components)
        move = step(components, sums, memory)
        log_likelihood = sums.log_likelihood / data_term.total_weight
        objective = log_likelihood + alpha * move.entropy
        monitor.record(
            phase,
            components.count,
            log_likelihood,
            move.entropy,
            objective,
            move.size,
            limit=limit,
        )
        components, memory = move.components, move.memory
        objectives.append(objective)
        if has_converged(objectives, tol, window):
            return Result(components, "converged")
    return Result(components, "max_iter")
