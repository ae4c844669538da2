"""Where components start: spread over the rows by k-means++, or at random rows."""

import numpy as np

from divmix.errors import InputError
from divmix.families import Components, Gaussian

SAMPLE_ROWS = 20_000  # a start needs no more rows; keeps k-means++ cheap on long tables


def start(
    family: Gaussian,
    X: np.ndarray,
    row_weights: np.ndarray,
    m: int,
    method: str,
    generator: np.random.Generator,
) -> Components:
    """m components at rows of X (n, d), all with the pooled covariance about their centres.

    method "kmeans++" (Arthur and Vassilvitskii 2007) or "random". Weights are the shares of the
    rows nearest to each centre. Raises InputError where X has fewer than m distinct rows.
    """
    sample, counts = distinct_sample(X, row_weights, m, generator)
    if method == "random":
        centers = generator.choice(len(sample), m, replace=False, p=counts / counts.sum())
    else:
        centers = _spread(sample, counts, m, generator)
    return from_centers(family, sample, counts, sample[centers])


def count_distinct(X: np.ndarray) -> int:
    """Distinct rows of X (n, d)."""
    return len(_distinct(X, np.ones(len(X)))[0])


def from_centers(family: Gaussian, X, row_weights, centers: np.ndarray) -> Components:
    """Components at centers (m, d) with the pooled covariance and the shares of nearest rows."""
    nearest = nearest_center(X, centers)
    shares = np.bincount(nearest, weights=row_weights, minlength=len(centers))
    apart = (X - centers[nearest]) * np.sqrt(row_weights)[:, None]
    pooled = apart.T @ apart / row_weights.sum()
    # One row more each, so that no component starts with nothing.
    shares = shares + row_weights.mean()
    return family.start(shares / shares.sum(), centers.copy(), pooled)


def from_k_means(family: Gaussian, X, row_weights, m: int, generator) -> Components:
    """Components with the moments of m clusters by k-means from one start."""
    from sklearn.cluster import KMeans

    seed = int(generator.integers(2**31))
    labels = KMeans(m, n_init=1, random_state=seed).fit_predict(X, sample_weight=row_weights)
    weights = np.bincount(labels, weights=row_weights, minlength=m)
    shares = np.eye(m)[labels] * row_weights[:, None] / np.maximum(weights, 1e-300)
    means = shares.T @ X
    apart = X - means[labels]
    covariances = np.einsum("nm,nd,ne->mde", shares, apart, apart) + np.diag(family.floor)
    made = family.start(weights / weights.sum(), means, np.eye(X.shape[1]))
    return made._replace(covariances=family.structure.from_full(covariances))


def nearest_center(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Index of the nearest center (m, d) of each row, (n,)."""
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(X, centers)


def distinct_sample(X, row_weights, m: int, generator) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows among a random sample of X, and the weight of each.

    All rows where the sample holds fewer than m distinct ones. Raises InputError.
    """
    rows = np.flatnonzero(row_weights > 0)
    if len(rows) > SAMPLE_ROWS:
        drawn = generator.choice(rows, SAMPLE_ROWS, replace=False, shuffle=False)
        sample, counts = _distinct(X[np.sort(drawn)], row_weights[np.sort(drawn)])
        if len(sample) >= m:
            return sample, counts
    sample, counts = _distinct(X[rows], row_weights[rows])
    if len(sample) < m:
        raise InputError(
            f"{m:,} components, but the table has only {len(sample):,} distinct rows",
            hint=f"ask for at most {len(sample):,} with -k and --components",
        )
    return sample, counts


def _distinct(X: np.ndarray, row_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of X in order of first appearance, with summed weights."""
    keys = np.ascontiguousarray(X + 0.0).view(np.dtype((np.void, X.itemsize * X.shape[1])))
    _, first, inverse = np.unique(keys.ravel(), return_index=True, return_inverse=True)
    counts = np.bincount(inverse, weights=row_weights)
    order = np.argsort(first)
    return X[first[order]], counts[order]


def _spread(X, row_weights, m: int, generator) -> np.ndarray:
    from sklearn.cluster import kmeans_plusplus

    seed = int(generator.integers(2**31))
    return kmeans_plusplus(X, m, sample_weight=row_weights, random_state=seed)[1]
