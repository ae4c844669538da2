"""Rows about reaching the same log-likelihood from the same starts."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from divmix.benchmarks.speed import peers as others
from divmix.benchmarks.speed.iterations import shape
from divmix.benchmarks.speed.problems import Problem, make_problem
from divmix.benchmarks.speed.timing import row
from divmix.rows import MemoryRows

WITHIN = 0.01  # nats a row below what scikit-learn ends with
MOST_ITERATIONS = 300


def same_log_likelihood(trials: int, scale: int) -> Iterator[dict[str, Any]]:
    """Time to scikit-learn's final log-likelihood less 0.01, where it is stopped too."""
    n, d, m = 100_000 // scale, 16, 32
    ours, peer = [], []
    for seed in range(trials):
        problem = make_problem(n, d, m, seed=seed)
        trace = others.sklearn_mixture(
            problem.X, problem.start.means, "diag", MOST_ITERATIONS, tol=1e-3
        ).trace
        target = max(value for _, value in trace) - WITHIN
        peer.append(next(at for at, value in trace if value >= target))
        ours.append(_seconds_to(target, problem))
    reached = np.isfinite(ours)
    ratios = np.array(ours)[reached] / np.array(peer)[reached]
    name = f"to scikit-learn's log-likelihood - {WITHIN}, {shape(n, d, m)}"
    yield row(
        name, float(np.median(np.array(ours)[reached])), peer=float(np.median(peer)), unit="s",
        peer_name="scikit-learn GaussianMixture", ratio=float(np.median(ratios)), bar=0.15, aim=0.05,
    )  # fmt: skip
    yield row(
        f"trials that reached it, of {trials}", int(reached.sum()), unit="trials",
        bar=0.9 * trials, aim=trials, higher_is_better=True,
    )  # fmt: skip


def _seconds_to(target: float, problem: Problem) -> float:
    """Seconds of EM until the mean log-likelihood passes `target`; inf if it never does."""
    start = time.perf_counter()
    rows = MemoryRows(problem.X)
    components = problem.start
    for _ in range(MOST_ITERATIONS):
        sums = rows.sums(problem.family, components)
        if sums.log_likelihood / rows.total_weight >= target:
            return time.perf_counter() - start
        components = problem.family.maximize(sums, components, learn_weights=True)
    return float("inf")
