"""Whether a column has a second group of values, however few."""

import numpy as np

from divmix.families.family import Array

STARTS = (0.02, 0.1, 0.5, 0.9, 0.98)  # shares of the rows below the first cut
ITERATIONS = 50
SMALLEST_GROUP = 5  # rows
NARROWEST = 1e-4  # variance, as a share of that of the column
STRONG = 6.0  # difference of BIC, strong evidence to Kass and Raftery (1995)


def in_two_groups(values: Array, row_weights: Array) -> bool:
    """Whether two normal densities farther apart than the sum of their standard deviations describe
    values (n,) better than one normal or one uniform density, by BIC.

    The dip test sees no mode of one row in a hundred, and of a few rows none at all.
    """
    weights = row_weights * (len(values) / row_weights.sum())
    n, spread = weights.sum(), np.sqrt(np.cov(values, aweights=weights, ddof=0))
    if not spread > 0:
        return False
    x = (values - np.average(values, weights=weights)) / spread
    normal = n * (1 + np.log(2 * np.pi)) + 2 * np.log(n)
    uniform = 2 * n * np.log(np.ptp(x)) + 2 * np.log(n)
    least = min(normal, uniform) - STRONG
    cuts = np.quantile(x, STARTS)
    return any(_bic_of_two(x, weights, cut) < least for cut in cuts)


def _bic_of_two(x: Array, weights: Array, cut: float) -> float:
    """Of two normal densities that start as the values x (n,) on each side of a cut; inf where they
    are not apart, or one has too few rows."""
    second = (x > cut).astype(float)
    shares = np.stack([1 - second, second])  # (2, n)
    log_likelihood = -np.inf
    for _ in range(ITERATIONS):
        own = shares * weights
        rows = own.sum(axis=1)
        if rows.min() < SMALLEST_GROUP:
            return np.inf
        mean = own @ x / rows
        variance = np.maximum((own * (x - mean[:, None]) ** 2).sum(axis=1) / rows, NARROWEST)
        density = np.exp(-0.5 * (x - mean[:, None]) ** 2 / variance[:, None])
        density *= (rows / rows.sum() / np.sqrt(2 * np.pi * variance))[:, None]
        total = np.maximum(density.sum(axis=0), 1e-300)
        log_likelihood, shares = float(weights @ np.log(total)), density / total
    if abs(mean[1] - mean[0]) <= np.sqrt(variance).sum():
        return np.inf
    return -2 * log_likelihood + 5 * np.log(weights.sum())
