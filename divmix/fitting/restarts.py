"""Several starts of a fit, of which the best is kept."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from divmix.families import Gaussian
from divmix.fitting.data_term import InMemory
from divmix.fitting.methods import METHODS, Fitted
from divmix.fitting.monitor import Monitor
from divmix.settings import FitSettings


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


class Run(NamedTuple):
    """One start: its result, trace, log-likelihood and BIC (halved), both per row in nats."""

    fitted: Fitted
    trace: list
    log_likelihood: float
    bic: float


def fit(
    new_data_term: Callable[[], InMemory], family: Gaussian, settings: FitSettings, monitor: Monitor
) -> tuple[Fitted, Spread | None]:
    """The best of `settings.restarts` starts, whose trace alone the monitor keeps.

    A data term remembers the climb it serves, so each start has its own. The first start has the
    random numbers of a fit without restarts. No spread is told of a single or interrupted start.
    Raises FitError.
    """
    method = METHODS[settings.method]
    before, runs = list(monitor.trace), []
    for number in range(settings.restarts):
        generator = np.random.default_rng([settings.seed, number] if number else settings.seed)
        data_term = new_data_term()
        if settings.restarts > 1:
            monitor.progress.stage(f"fitting, start {number + 1} of {settings.restarts}")
        monitor.trace = list(before)
        fitted = method(data_term, family, settings, generator, monitor)
        if settings.restarts == 1 or fitted.stop_reason == "interrupted":
            return fitted, None
        runs.append(_judge(fitted, monitor, data_term))
        if fitted.stop_reason == "time_budget":
            break
    best = min(runs, key=lambda run: run.bic)
    monitor.trace = best.trace
    told = np.array([run.log_likelihood for run in runs]) + monitor.offset
    kept = best.log_likelihood + monitor.offset
    summary = (kept, told.max(), np.median(told), told.min())
    return best.fitted, Spread(len(runs), *map(float, summary))


def _judge(fitted: Fitted, monitor: Monitor, data_term: InMemory) -> Run:
    family, components = data_term.family, fitted.components
    sums = data_term.visit(data_term.X, data_term.row_weights, components)
    log_likelihood = sums.log_likelihood / data_term.total_weight
    parameters = family.n_parameters(components.count, data_term.features)
    penalty = parameters * np.log(data_term.rows) / (2 * data_term.rows)
    return Run(fitted, monitor.trace, log_likelihood, penalty - log_likelihood)
