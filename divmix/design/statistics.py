"""Weighted quantiles of one column.

`values` and `weights` are (n,) float64, n >= 1, finite, weights > 0. A weight of 3 counts like
three equal rows.
"""

import numpy as np


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
