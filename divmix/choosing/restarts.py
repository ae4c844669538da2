"""Several starts of a fit, of which the best is kept."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import NamedTuple

import numpy as np

from divmix.engine.monitor import Monitor
from divmix.engine.side_by_side import side_by_side
from divmix.families import Gaussian
from divmix.methods import METHODS, Fitted
from divmix.rows.memory import InMemory
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
) -> tuple[Fitted, Spread | None] | None:
    """The best of `settings.restarts` starts, whose trace alone the monitor keeps.

    A data term remembers the climb it serves, so each start has its own. The first start has the
    random numbers of a fit without restarts. No spread is told of a single start; None when a
    signal ended the fit. Raises FitError.
    """
    method = METHODS[settings.method]
    if settings.restarts == 1:
        generator = np.random.default_rng(settings.seed)
        fitted = method(new_data_term(), family, settings, generator, monitor)
        return None if fitted.stop_reason == "interrupted" else (fitted, None)

    def start(number: int, own: Monitor) -> Run:
        generator = np.random.default_rng([settings.seed, number] if number else settings.seed)
        data_term = new_data_term()
        fitted = method(data_term, family, settings, generator, own)
        return _judge(fitted, own, data_term)

    try:
        runs = side_by_side(start, settings.restarts, monitor)
    except CancelledError:
        return None
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
