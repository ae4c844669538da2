"""Clusters of one partition of rows matched with those of another, by the rows they share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

SAME = 0.5  # Jaccard similarity from which a cluster is the other, and not dissolved (Hennig 2007)


class Match(NamedTuple):
    """A cluster of one partition and its counterpart in another.

    jaccard: weight of the rows that both have over that of the rows that either has.
    """

    one: int
    other: int
    jaccard: float


def shared_weight(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    row_weights: NDArray[np.float64] | None = None,
    sizes: tuple[int, int] | None = None,
) -> Counts:
    """Weight of the rows (n,) in each pair of clusters, (k, m); labels count from 0, rows with a
    negative one are left out. `sizes` (k, m) where not all clusters have rows."""
    known = (one >= 0) & (other >= 0)
    one, other = one[known], other[known]
    weights = None if row_weights is None else row_weights[known]
    k, m = sizes or (one.max(initial=-1) + 1, other.max(initial=-1) + 1)
    return np.bincount(one * m + other, weights, minlength=k * m).reshape(k, m).astype(np.float64)


def matched(shared: Counts) -> list[Match]:
    """The pairs of clusters that share the most rows in all, each cluster in one pair at most.

    shared (k, m) as of `shared_weight`. Pairs without a common row are none (Kuhn 1955).
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = shared.sum(axis=1), shared.sum(axis=0)
    found = []
    for i, j in zip(*linear_sum_assignment(shared, maximize=True)):
        if shared[i, j] > 0:
            either = rows[i] + columns[j] - shared[i, j]
            found.append(Match(int(i), int(j), float(shared[i, j] / either)))
    return found


def numbers_like(shared: Counts) -> NDArray[np.int64]:
    """Numbers 0 .. m - 1 for m clusters, those of the k clusters they are matched with.

    shared (k, m): weight of the rows that each of the k clusters has in common with each of the m.
    A cluster without a counterpart takes the first number that none has, and so does one whose
    number is beyond m - 1: numbers have no gap.
    """
    m = shared.shape[1]
    numbers = np.full(m, -1)
    for pair in matched(shared):
        if pair.one < m:
            numbers[pair.other] = pair.one
    free = np.setdiff1d(np.arange(m), numbers)
    numbers[numbers < 0] = free
    return numbers
