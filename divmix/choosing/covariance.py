"""The shape of components, and the smallest variance they may have. Labels are never looked at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from divmix.engine.monitor import Monitor
from divmix.families import Categories, Coded, Moments, make_family
from divmix.families.family import Array
from divmix.families.moments import weighted_sums
from divmix.families.noise import MadeNoise, leaving_room
from divmix.rows import Rows
from divmix.search.run import Searching
from divmix.search.starts import from_clusters, k_means
from divmix.settings.schedule import SCHEDULE

SAMPLE_ROWS, ROWS_EACH, ITERATIONS = 4_000, 2, 20  # of the fits that are compared
# Above this many columns a matrix for each component costs more than it tells.
MOST_FULL_COLUMNS = 100
# Smallest variance of a 0/1 column that has no probabilities (`Features.categories`). Two categories
# lie exp(1 / INDICATOR_FLOOR) = 55 to 1 apart at most; with less variance, a category that all rows
# of a component share outweighs any number.
INDICATOR_FLOOR = 0.25
# Smallest variance of a column whose values are 1 apart: with half a step as the standard deviation the
# densities at the values sum to 1 within 1.5 %, wherever the mean lies, so they are probabilities. With
# less, such as the 1 / 12 of rounding, they sum to up to 1.39, and a column of codes, a scale or a count
# is described better by a component on each value: that outweighs clusters.
STEP_FLOOR = 0.25


class Shape(NamedTuple):
    """A covariance structure, and a prior on it in units of d + 1 rows."""

    covariance: str
    prior: float


def choose_shape(
    rows: Rows,
    family: str,
    floor: Array,
    k: int,
    shapes: Sequence[tuple[str, float]],
    generator: np.random.Generator,
    monitor: Monitor,
    categories: Categories | None = None,
    noise: MadeNoise | None = None,
) -> Shape:
    """The shape whose mixtures of k components, fitted to one half of the rows, describe the
    other half best; full matrices where no other describes it better than chance has it.

    shapes are pairs of a covariance and a prior (d + 1 rows times this). All start from the same
    clusters by k-means, beside the broad component that `noise` makes for a family, where it is
    given. categories are those of the family. Raises FitError.
    """
    sample = rows.sample(SAMPLE_ROWS, generator)
    half = generator.permutation(sample.visited) % 2
    halves = [sample.take(half == part) for part in (0, 1)]
    k = min(k, *(max(1, part.visited // ROWS_EACH) for part in halves))
    told: list[list[Array]] = [[] for _ in shapes]  # of each held-out row
    for own, other in (halves, halves[::-1]):
        start = None
        for i, (covariance, prior) in enumerate(shapes):
            made = make_family(family, covariance, floor, categories)
            if start is None:
                richest = make_family("gaussian", _richest(shapes), floor, categories)
                clusters = k_means(richest, own, k, generator)
                start = richest.moments(from_clusters(richest, own, clusters, k))
            searching = Searching(own, made, noise and noise(made), monitor)
            components = leaving_room(made.from_moments(smoothed(start)), searching.noise)
            weak = searching.weak(components, prior) if prior else None
            fitted = searching.climb("select", components, weak, ITERATIONS)
            told[i].append(searching.objective().posterior(other.held.X, fitted).log_density)
    densities = np.stack([np.concatenate(each) for each in told])
    weights = np.concatenate([other.held.row_weights for other in halves[::-1]])
    return Shape(*shapes[_best(densities, weights / weights.sum(), shapes)])


def _best(densities: Array, shares: Array, shapes: Sequence[tuple[str, float]]) -> int:
    """Index of the highest mean; but of full matrices, as long as the difference is one of chance.

    Only these are the same clusters in any linear transform of the columns, and halves of the rows
    hold them back. densities (shapes, n), shares (n,) of the rows.
    """
    means = densities @ shares
    best = int(means.argmax())
    full = [i for i, (covariance, _) in enumerate(shapes) if covariance == "full"]
    if not full:
        return best
    own = max(full, key=lambda i: means[i])
    difference = densities[best] - densities[own]
    chance = np.sqrt(shares @ (difference - shares @ difference) ** 2 / len(shares))
    return best if means[best] - means[own] > SCHEDULE.alike * chance else own


def _richest(shapes: Sequence[tuple[str, float]]) -> str:
    """Of which all shapes are special: full, unless all are axis-aligned."""
    return "full" if {covariance for covariance, _ in shapes} - {"spherical", "diag"} else "diag"


def smoothed(moments: Moments) -> Moments:
    """The moments with covariances half those of all components, so that none starts singular."""
    pooled = weighted_sums(moments.weights, moments.covariances)
    return moments._replace(covariances=0.5 * (moments.covariances + pooled))


def candidate_shapes(
    covariance: str, prior: float | str | None, family: str, d: int, *, shared: bool = True
) -> list[tuple[str, float]]:
    """Pairs of covariance and prior among which the rows choose, where these are "auto".

    shared: whether one matrix for all is one of them. Covariances are compared under the prior of
    the search, which keeps each from single rows.
    """
    covariances: tuple[str, ...] = (covariance,)
    if covariance == "auto":
        covariances = ("spherical", "diag", "tied", "full")
        if family == "student" or not shared:
            covariances = ("spherical", "diag", "full")
        if d == 0:  # categories alone
            covariances = ("diag",)
        elif d > MOST_FULL_COLUMNS:
            covariances = ("spherical", "diag")
    priors = (0.0, 1.0) if prior == "auto" else (1.0,)
    return [(one, share) for one in covariances for share in priors]


def variance_floor(rows: Rows, share: float) -> Array:
    """Smallest variance of each column, (d,).

    `share` of the column's variance, and at least STEP_FLOOR h^2 for values h apart. A constant column
    takes the mean variance of the others for its own, or 1 where all are. For a 0/1 column that is
    one of categories the floor is INDICATOR_FLOOR.
    """
    variances, indicator = rows.summary().variances, rows.features.indicator
    varying = variances > 1e-12 * variances.max()
    usual = variances[varying].mean() if varying.any() else 1.0
    floor = share * np.where(varying, variances, usual)
    floor = np.maximum(floor, STEP_FLOOR * _least_gaps(rows) ** 2)
    return np.where(indicator, np.maximum(floor, INDICATOR_FLOOR), floor)


def _least_gaps(rows: Rows) -> Array:
    """Least difference of two values of each column among a sample of the rows, (d,)."""
    X = rows.sample(SAMPLE_ROWS, np.random.default_rng(0)).held.X
    if isinstance(X, Coded):
        found = np.ones(X.shape[1])  # of features that are 0 or 1
        found[X.categories.numeric] = _least_gaps_of(X.numbers)
        return found
    return _least_gaps_of(X)


def _least_gaps_of(X: Array) -> Array:
    X = np.sort(X, axis=0)
    gaps = np.diff(X, axis=0)
    noise = 1e-9 * np.fmax.reduce(np.abs(X))  # equal values that arithmetic has told apart
    gaps[~(gaps > noise)] = np.inf  # also what is missing
    least = gaps.min(axis=0, initial=np.inf)
    return np.where(np.isfinite(least), least, 0.0)
