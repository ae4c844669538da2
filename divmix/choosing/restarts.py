"""Several starts of a fit, of which the best is kept."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.side_by_side import side_by_side
from divmix.methods import Method, Outcome, run
from divmix.problem import Problem
from divmix.progress import TraceRow


class Spread(NamedTuple):
    """Log-likelihoods (mean per row in nats, in the data's own units) over the starts.

    kept: log-likelihood of the fit with the lowest BIC, which is the likeliest one among fits of
    as many components; a union of more components is likelier without being better.
    """

    starts: int
    kept: float
    best: float
    median: float
    worst: float


class Start(NamedTuple):
    """One start: its result, trace, log-likelihood and BIC (halved), both per row in nats."""

    outcome: Outcome
    trace: list[TraceRow]
    log_likelihood: float
    bic: float


def best_of(
    method: Method, problem: Problem, seed: int, restarts: int
) -> tuple[Outcome, Spread | None]:
    """The best of so many starts, whose trace alone the problem's monitor keeps.

    All see the same rows. The first start has the random numbers of a fit without restarts. No
    spread is told of a single start. Raises FitError, and Interrupted when a signal ended the fit.
    """
    if restarts == 1:
        return run(method, problem, np.random.default_rng(seed), "start 0"), None

    def start(number: int, own: Monitor) -> Start:
        generator = np.random.default_rng([seed, number] if number else seed)
        way = None if number else problem.way
        own.trace[:] = () if way is None else way.trace
        mine = replace(problem, monitor=own, way=way)
        outcome = run(method, mine, generator, f"start {number}")
        return _judged(outcome, own, problem)

    monitor = problem.monitor
    starts = side_by_side(start, restarts, monitor)
    best = min(starts, key=lambda start: start.bic)
    monitor.trace = best.trace
    likelihoods = np.array([start.log_likelihood for start in starts]) + monitor.offset
    kept = best.log_likelihood + monitor.offset
    figures = (kept, likelihoods.max(), np.median(likelihoods), likelihoods.min())
    return best.outcome, Spread(len(starts), *map(float, figures))


def _judged(outcome: Outcome, monitor: Monitor, problem: Problem) -> Start:
    rows, family, components = problem.rows, problem.family, outcome.components
    objective = Objective(family, noise=problem.noise)
    log_likelihood = objective.log_likelihood(rows, components)
    parameters = family.n_parameters(components.count, components.means.shape[1])
    n = rows.summary().number
    penalty = parameters * np.log(n) / (2 * n)
    return Start(outcome, monitor.trace, log_likelihood, penalty - log_likelihood)
