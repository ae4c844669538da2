"""Weighted statistics of one column, stable far from the origin and for huge values.

`values` and `weights` are (n,) float64, n >= 1, finite, weights > 0. A weight of 3 counts like
three equal rows. Sums are NumPy's pairwise ones, so no result depends on the number of threads.
"""

import numpy as np


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean, summed about the middle of the range so that no digits are lost."""
    middle = values.min() / 2 + values.max() / 2
    return float(middle + (weights * (values - middle)).sum() / weights.sum())


RESOLVED = 10_000  # values that tell how finely a column is written


def resolution(values: np.ndarray) -> float:
    """Least difference of two values of the column, 0 where all are equal; of a long one, of values
    at even distances in it."""
    some = np.unique(values[:: max(1, len(values) // RESOLVED)])
    return float(np.diff(some).min()) if len(some) > 1 else 0.0


def standard_deviation(values: np.ndarray, weights: np.ndarray, center: float) -> float:
    """Root of the weighted mean square about `center`, scaled so that no square overflows."""
    residuals, largest = _unit_residuals(values, center)
    return float(largest * np.sqrt((weights * residuals**2).sum() / weights.sum()))


def skewness(values: np.ndarray, weights: np.ndarray, center: float) -> float:
    """Third standardised moment about the mean `center`; 0 for a constant column."""
    residuals, _ = _unit_residuals(values, center)
    squares = residuals**2
    variance = (weights * squares).sum() / weights.sum()
    third = (weights * squares * residuals).sum() / weights.sum()
    return float(third / variance**1.5) if variance > 0 else 0.0


def quantiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    """Inverse of the weighted distribution function, averaged where it jumps.

    Hyndman & Fan (1996), definition 2: the one that repeated rows and weights agree on.
    """
    order = np.argsort(values, kind="stable")
    ordered, below = values[order], np.cumsum(weights[order])
    last = len(values) - 1
    found = []
    for share in shares:
        left = min(int(np.searchsorted(below, share * below[-1], side="left")), last)
        right = min(int(np.searchsorted(below, share * below[-1], side="right")), last)
        found.append(float(ordered[left] / 2 + ordered[right] / 2))
    return found


def _unit_residuals(values: np.ndarray, center: float) -> tuple[np.ndarray, float]:
    residuals = values - center
    largest = float(max(residuals.max(), -residuals.min()))
    if largest > 0:
        residuals /= largest
    return residuals, largest
