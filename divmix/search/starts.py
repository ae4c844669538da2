"""Where components start: spread over the rows by k-means++, or at random rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from divmix.errors import InputError
from divmix.families import Coded, Components, Family, Mixed, Moments
from divmix.families.coded import matrix_of
from divmix.families.family import Array
from divmix.families.mixed import as_seen, of_scattered, scattered
from divmix.families.mixed_starts import means_of_groups, towards_table
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels import k_means as clustering
from divmix.kernels.merges import in_order
from divmix.rows import AnyBlock, MemoryRows, Rows, distinct
from divmix.search import coded_k_means
from divmix.search.coded_k_means import Compared

CENTRE_RADIUS = 0.25  # standard deviations
SAMPLE_ROWS = 20_000  # a start needs no more rows; keeps k-means++ cheap on long tables


def start(
    family: Family, rows: Rows, m: int, method: str, generator: np.random.Generator
) -> Components:
    """m components at rows, all with the pooled covariance about their centres.

    method "kmeans++" (Arthur and Vassilvitskii 2007), "random" or "centre". Weights are the shares of the
    rows nearest to each centre. Raises InputError where there are fewer than m distinct rows.
    """
    rows_of_start, counts = distinct_sample(rows, m, generator)
    X = as_seen(rows_of_start, family)
    if method == "centre":
        return at_centre(family, X, counts, m, generator)
    if method == "random":
        centers = generator.choice(len(X), m, replace=False, p=counts / counts.sum())
    else:
        centers = _spread(family, X, counts, m, generator)
    return from_centers(family, X, counts, X[centers])


def at_centre(
    family: Family, X: Any, row_weights: Array, m: int, generator: np.random.Generator
) -> Components:
    """m components within a quarter of a standard deviation of the mean, as wide as the table: the
    paper's bad start. Categories have the table's shares."""
    features, own = scattered(family, X.shape[1]), of_scattered(family, X)
    c = len(features)
    mean = np.average(own, axis=0, weights=row_weights)
    covariance = np.cov(own.T, aweights=row_weights, ddof=0).reshape(c, c)
    covariance += np.diag(family.floor[features])
    directions = generator.standard_normal((m, c))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = CENTRE_RADIUS * generator.uniform(size=(m, 1)) ** (1 / max(c, 1))  # evenly over a ball
    means = np.zeros((m, X.shape[1]))
    means[:, features] = mean + radii * directions @ np.linalg.cholesky(covariance).T
    return family.start(np.full(m, 1 / m), means, covariance)


def count_distinct(rows: MemoryRows) -> int:
    """Distinct rows of positive weight."""
    return len(distinct(rows.filled)[0])


def from_centers(family: Family, X: Any, row_weights: Array, centers: Any) -> Components:
    """Components at rows `centers` (m, d), with the covariance pooled about them and the shares of
    nearest rows; X (n, d) and these as `family` sees them."""
    nearest = _nearest(family, X, centers)
    shares = np.bincount(nearest, weights=row_weights, minlength=len(centers))
    own, places = of_scattered(family, X), of_scattered(family, centers)
    apart = (own - places[nearest]) * np.sqrt(row_weights)[:, None]
    if family.diagonal_only:
        pooled = (apart**2).sum(axis=0) / row_weights.sum()
    else:
        pooled = apart.T @ apart / row_weights.sum()
    means = matrix_of(centers)
    if isinstance(family, Mixed):
        means = towards_table(family, X, row_weights, means, nearest)
    # One row more each, so that no component starts with nothing.
    shares = shares + row_weights.mean()
    return family.start(shares / shares.sum(), means.copy(), pooled)


def k_means(
    family: Family, rows: MemoryRows, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Clusters (n,) by k-means from one start, in the order of their first rows."""
    whole, row_weights = rows.filled
    X = as_seen(whole, family)
    if isinstance(X, Coded):
        return in_order(coded_k_means.k_means(Compared(family, X), row_weights, m, generator))
    return in_order(clustering.k_means(_comparable(family, X), row_weights, m, generator))


def from_clusters(
    family: Family, rows: MemoryRows, labels: NDArray[np.int64], m: int
) -> Components:
    """Components with the moments of clusters 0 .. m - 1, labels (n,) of the rows."""
    whole, row_weights = rows.filled
    X = as_seen(whole, family)
    weights = np.bincount(labels, weights=row_weights, minlength=m)
    shares = np.eye(m)[labels] * row_weights[:, None] / np.maximum(weights, SMALLEST_WEIGHT)
    if isinstance(X, Coded):
        assert isinstance(family, Mixed)
        means = means_of_groups(family, X, row_weights, labels, m)
    else:
        means = shares.T @ X
    features = scattered(family, X.shape[1])
    apart, floor = of_scattered(family, X) - means[:, features][labels], family.floor[features]
    if family.diagonal_only:
        covariances = shares.T @ apart**2 + floor
    else:
        scatter = [(apart * own[:, None]).T @ apart for own in shares.T]
        covariances = np.stack(scatter) + np.diag(floor)
    return family.from_moments(Moments(weights / weights.sum(), means, covariances))


def _spread(
    family: Family, X: Any, row_weights: Array, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """m rows (m,) by k-means++."""
    if isinstance(X, Coded):
        return coded_k_means.spread(Compared(family, X), row_weights, m, generator)
    return clustering.spread(_comparable(family, X), row_weights, m, generator)


def _nearest(family: Family, X: Any, centers: Any) -> NDArray[np.int64]:
    """The nearest of rows centers (m, d) to each of X (n, d), (n,)."""
    if isinstance(X, Coded):
        places = Compared(family, centers).at(slice(None))
        return coded_k_means.nearest(Compared(family, X), places)
    return clustering.nearest(_comparable(family, X), _comparable(family, centers))


def _comparable(family: Family, X: Array) -> Array:
    """Rows X (n, d) as distances between them are measured."""
    return family.comparable(X) if isinstance(family, Mixed) else X


def distinct_sample(rows: Rows, m: int, generator: np.random.Generator) -> AnyBlock:
    """Distinct rows among a random sample, and the weight of each.

    Of all rows where the sample holds fewer than m distinct ones. Raises InputError.
    """
    sample = rows.sample(SAMPLE_ROWS, generator)
    first, weights = distinct(sample.filled)
    if len(first) < m and rows.summary().number > sample.visited:
        sample = rows.sample(None, generator)
        first, weights = distinct(sample.filled)
    if len(first) < m:
        raise InputError(
            f"{m:,} components, but the table has only {len(first):,} distinct rows",
            hint=f"ask for at most {len(first):,} with -k and --components",
        )
    return AnyBlock(sample.filled.X[first], weights)
