"""How far clusters can be trusted: fits to resampled rows.

Rows are drawn with replacement as often as there are, and fitted anew by the same method. A cluster
is *found* where a cluster of the resample has the Jaccard similarity FOUND with it at least (Hennig,
Computational Statistics and Data Analysis 2007): rows in both over rows in either. One of more than
MATCHED is its only counterpart, and gives its weight and mean.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.choosing.clusters import Path
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.side_by_side import side_by_side
from divmix.families.family import Array
from divmix.methods import Method, run
from divmix.problem import Problem
from divmix.rows import MemoryRows

RESAMPLES = 2  # marks the random numbers of resamples
FOUND, MATCHED = 0.75, 0.5  # "recovered" and not "dissolved" in Hennig's words
INTERVAL = (2.5, 97.5)  # percentiles
LEAST_MATCHES = 10  # of an interval


class Resamples(NamedTuple):
    """Of each of r resamples and each of k clusters of the fit.

    jaccard  (r, k) the largest similarity with a cluster of the resample
    weights  (r, k) weight of the counterpart, nan where there is none
    means    (r, k, d) its mean, nan likewise
    """

    jaccard: Array
    weights: Array
    means: Array

    @property
    def found(self) -> Array:
        """Share of the resamples in which each cluster is found, (k,)."""
        return share_found(self.jaccard)


def share_found(jaccard: Array) -> Array:
    """Share (k,) of the resamples in which each cluster is found, by similarities (r, k)."""
    return (jaccard >= FOUND).mean(axis=0)


def resample(
    method: Method, problem: Problem, labels: NDArray[np.int64], count: int, seed: int
) -> Resamples:
    """`count` fits to resamples of the problem's rows, which are in memory.

    labels (n,) are the clusters of the fit, -1 for none. Fewer where the time budget ends.
    Raises FitError, and Interrupted when a signal ended the fits.
    """
    rows = problem.rows
    assert isinstance(rows, MemoryRows)

    def start(number: int, monitor: Monitor) -> tuple[Array, Array, Array]:
        return monitor.once(f"resample {number}", partial(fit_and_match, number, monitor))

    def fit_and_match(number: int, monitor: Monitor) -> tuple[Array, Array, Array]:
        generator = np.random.default_rng([seed, RESAMPLES, number])
        drawn = resampled(rows, generator)
        own = replace(problem, rows=drawn, monitor=monitor, way=None)
        outcome = run(method, own, generator)
        objective = Objective(problem.family, noise=problem.noise)
        posterior = objective.posterior(rows.held.X, outcome.components)
        weights = outcome.components.weights
        of_clusters = np.bincount(outcome.clusters, weights=weights).astype(np.float64)
        means = np.zeros((len(of_clusters), outcome.components.means.shape[1]))
        np.add.at(means, outcome.clusters, weights[:, None] * outcome.components.means)
        means /= of_clusters[:, None]
        found = posterior.clusters(outcome.clusters)
        found[posterior.responsibilities.sum(axis=1) < 0.5] = -1  # noise takes most of the row
        # Once each: rows that were drawn twice say no more of what a cluster is.
        counted = rows.held.row_weights * (drawn.held.row_weights > 0)
        return matched(similarities(labels, found, counted), of_clusters, means)

    fits = side_by_side(start, count, problem.monitor)
    return Resamples(*(np.stack(parts) for parts in zip(*fits)))


def resample_paths(
    path: Path, lowest: int, highest: int, count: int, seed: int
) -> dict[int, Array]:
    """Of lowest .. highest clusters, the candidates of a path: Jaccard similarities (r, k) of each
    with the likest cluster of as many along the path of each of `count` resamples.

    Raises FitError, and Interrupted when a signal ended the work.
    """
    searching, monitor = path.searching, path.searching.monitor
    row_weights = searching.sample.held.row_weights
    labels = {
        k: searching.posterior(candidate.components).responsibilities.argmax(axis=1)
        for k, candidate in path.candidates.items()
    }

    def found_in(number: int) -> tuple[tuple[int, Array], ...]:
        generator = np.random.default_rng([seed, RESAMPLES, number])
        drawn = resampled(searching.sample, generator)
        in_it = drawn.held.row_weights > 0
        own = Path(searching._replace(sample=drawn.take(in_it)), generator)
        own.cover(lowest, highest)
        found = []
        for k in sorted(labels.keys() & own.candidates.keys()):
            components = own.candidates[k].components
            others = searching.posterior(components).responsibilities.argmax(axis=1)
            similar = similarities(labels[k], others, row_weights * in_it)
            whole = np.zeros(k)
            whole[: len(similar)] = similar.max(axis=1)
            found.append((k, whole))
        return tuple(found)

    found: dict[int, list[Array]] = {k: [] for k in labels}
    for number in range(count):
        monitor.progress.stage(f"resampled rows, {number + 1} of {count}")
        for k, similar in monitor.once(f"resample {number}", partial(found_in, number)):
            found[k].append(similar)
    return {k: np.stack(each) for k, each in found.items() if each}


def resampled(rows: MemoryRows, generator: np.random.Generator) -> MemoryRows:
    """As many rows, drawn with replacement from those of positive weight: the same ones with their
    weight times how often each was drawn."""
    row_weights = rows.held.row_weights
    used = np.flatnonzero(row_weights > 0)
    times = np.bincount(generator.integers(len(used), size=len(used)), minlength=len(used))
    drawn = np.zeros(len(row_weights))
    drawn[used] = row_weights[used] * times
    return rows.reweighted(drawn)


def similarities(one: NDArray[np.int64], other: NDArray[np.int64], row_weights: Array) -> Array:
    """Jaccard similarity of each pair of clusters of two partitions (n,), (k, l); negative labels
    belong to no cluster."""
    k, others_k = int(one.max(initial=-1)) + 1, int(other.max(initial=-1)) + 1
    in_one, in_other = one >= 0, other >= 0
    sizes = np.bincount(one[in_one], weights=row_weights[in_one], minlength=k)
    others = np.bincount(other[in_other], weights=row_weights[in_other], minlength=others_k)
    both = in_one & in_other
    codes = one[both] * others_k + other[both]
    shared = np.bincount(codes, weights=row_weights[both], minlength=k * others_k)
    shared = shared.reshape(k, others_k)
    either = sizes[:, None] + others - shared
    return np.divide(shared, either, out=np.zeros((k, others_k)), where=either > 0)


def matched(similar: Array, weights: Array, means: Array) -> tuple[Array, Array, Array]:
    """Largest similarity (k,) of each cluster, and weight (k,) and mean (k, d) of its counterpart;
    similar is (k, l), of clusters of weights (l,) and means (l, d)."""
    best = similar.argmax(axis=1)
    jaccard = similar[np.arange(len(similar)), best]
    none = jaccard <= MATCHED
    own_weights, own_means = weights[best], means[best]
    own_weights[none], own_means[none] = np.nan, np.nan
    return jaccard, own_weights, own_means


def interval(values: Array) -> tuple[Array, Array] | None:
    """Percentiles of values (r, ...) over the resamples that have one; None where these are too
    few."""
    known = ~np.isnan(values.reshape(len(values), -1)[:, 0])
    if known.sum() < LEAST_MATCHES:
        return None
    low, high = np.percentile(values[known], INTERVAL, axis=0)
    return low, high
