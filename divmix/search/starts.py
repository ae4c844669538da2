"""Where components start: spread over the rows by k-means++, or at random rows."""

import numpy as np
from numpy.typing import NDArray

from divmix.errors import InputError
from divmix.families import Components, Family, Mixed, Moments
from divmix.families.family import Array
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels import k_means as clustering
from divmix.kernels.merges import in_order
from divmix.rows import Block, MemoryRows, Rows

CENTRE_RADIUS = 0.25  # standard deviations
SAMPLE_ROWS = 20_000  # a start needs no more rows; keeps k-means++ cheap on long tables


def start(
    family: Family, rows: Rows, m: int, method: str, generator: np.random.Generator
) -> Components:
    """m components at rows, all with the pooled covariance about their centres.

    method "kmeans++" (Arthur and Vassilvitskii 2007), "random" or "centre". Weights are the shares of the
    rows nearest to each centre. Raises InputError where there are fewer than m distinct rows.
    """
    X, counts = distinct_sample(rows, m, generator)
    if method == "centre":
        return at_centre(family, X, counts, m, generator)
    if method == "random":
        centers = generator.choice(len(X), m, replace=False, p=counts / counts.sum())
    else:
        centers = clustering.spread(_comparable(family, X), counts, m, generator)
    return from_centers(family, X, counts, X[centers])


def at_centre(
    family: Family, X: Array, row_weights: Array, m: int, generator: np.random.Generator
) -> Components:
    """m components within a quarter of a standard deviation of the mean, as wide as the table: the
    paper's bad start."""
    d = X.shape[1]
    mean = np.average(X, axis=0, weights=row_weights)
    covariance = np.atleast_2d(np.cov(X.T, aweights=row_weights, ddof=0)) + np.diag(family.floor)
    directions = generator.standard_normal((m, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = CENTRE_RADIUS * generator.uniform(size=(m, 1)) ** (1 / d)  # evenly over a ball
    means = mean + radii * directions @ np.linalg.cholesky(covariance).T
    return family.start(np.full(m, 1 / m), means, covariance)


def count_distinct(rows: MemoryRows) -> int:
    """Distinct rows."""
    X = rows.filled.X
    return len(_distinct(Block(X, np.ones(len(X)))).X)


def from_centers(family: Family, X: Array, row_weights: Array, centers: Array) -> Components:
    """Components at centers (m, d) with the pooled covariance and the shares of nearest rows."""
    nearest = clustering.nearest(_comparable(family, X), _comparable(family, centers))
    shares = np.bincount(nearest, weights=row_weights, minlength=len(centers))
    apart = (X - centers[nearest]) * np.sqrt(row_weights)[:, None]
    if family.diagonal_only:
        pooled = (apart**2).sum(axis=0) / row_weights.sum()
    else:
        pooled = apart.T @ apart / row_weights.sum()
    # One row more each, so that no component starts with nothing.
    shares = shares + row_weights.mean()
    return family.start(shares / shares.sum(), centers.copy(), pooled)


def k_means(
    family: Family, rows: MemoryRows, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Clusters (n,) by k-means from one start, in the order of their first rows."""
    X, row_weights = rows.filled
    return in_order(clustering.k_means(_comparable(family, X), row_weights, m, generator))


def from_clusters(
    family: Family, rows: MemoryRows, labels: NDArray[np.int64], m: int
) -> Components:
    """Components with the moments of clusters 0 .. m - 1, labels (n,) of the rows."""
    X, row_weights = rows.filled
    weights = np.bincount(labels, weights=row_weights, minlength=m)
    shares = np.eye(m)[labels] * row_weights[:, None] / np.maximum(weights, SMALLEST_WEIGHT)
    means = shares.T @ X
    numbers = family.categories.numeric if isinstance(family, Mixed) else slice(None)
    apart = X[:, numbers] - means[labels][:, numbers]
    floor = family.floor[numbers]
    if family.diagonal_only:
        covariances = shares.T @ apart**2 + floor
    else:
        scatter = [(apart * own[:, None]).T @ apart for own in shares.T]
        covariances = np.stack(scatter) + np.diag(floor)
    return family.from_moments(Moments(weights / weights.sum(), means, covariances))


def _comparable(family: Family, X: Array) -> Array:
    """Rows X (n, d) as distances between them are measured."""
    return family.comparable(X) if isinstance(family, Mixed) else X


def distinct_sample(rows: Rows, m: int, generator: np.random.Generator) -> Block:
    """Distinct rows among a random sample, and the weight of each.

    Of all rows where the sample holds fewer than m distinct ones. Raises InputError.
    """
    sample = rows.sample(SAMPLE_ROWS, generator)
    distinct = _distinct(sample.filled)
    if len(distinct.X) < m and rows.summary().number > sample.visited:
        distinct = _distinct(rows.sample(None, generator).filled)
    if len(distinct.X) < m:
        raise InputError(
            f"{m:,} components, but the table has only {len(distinct.X):,} distinct rows",
            hint=f"ask for at most {len(distinct.X):,} with -k and --components",
        )
    return distinct


def _distinct(rows: Block) -> Block:
    """Distinct rows in order of first appearance, with summed weights."""
    X, row_weights = rows
    keys = np.ascontiguousarray(X + 0.0).view(np.dtype((np.void, X.itemsize * X.shape[1])))
    _, first, inverse = np.unique(keys.ravel(), return_index=True, return_inverse=True)
    counts = np.bincount(inverse, weights=row_weights).astype(np.float64)
    order = np.argsort(first)
    return Block(X[first[order]], counts[order])
