"""k-means of rows by codes: what a level adds to a distance is looked up, so that no row needs its features.

Algorithm, random numbers and what comes first of equals are those of `kernels.k_means`, on the features
of `Mixed.comparable`: distances are the same but for rounding.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families import Coded, Family, Mixed
from divmix.families.family import Array
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels import visit
from divmix.kernels.k_means import MOST_ITERATIONS, SETTLED, draws
from divmix.kernels.registers import LANES


class Centers(NamedTuple):
    """m places: numbers (m, c), and shares (m, L) of the levels of the columns that vary."""

    numbers: Array
    shares: Array


class Compared:
    """Rows as distances between them are measured: numbers, and the columns that vary, scaled."""

    def __init__(self, family: Family, X: Coded) -> None:
        assert isinstance(family, Mixed)
        varies = family.categories.is_varying
        self.numbers, self.levels = X.numbers, family.categories.varying
        self.codes = X.codes if varies.all() else X.codes[:, varies]
        self.scale = family.category_scale**2

    def at(self, rows: slice | NDArray[np.int64]) -> Centers:
        """Some of the rows, as places."""
        codes = self.codes[rows]
        shares = self.levels.counts_by_codes(codes, np.eye(len(codes)))
        return Centers(self.numbers[rows], shares)

    def means(self, labels: NDArray[np.int64], weights: Array, m: int) -> Centers:
        """Means of the rows of each label 0 .. m - 1; 0 of one that only rows of weight 0 have."""
        total = np.maximum(np.bincount(labels, weights, m), SMALLEST_WEIGHT)[:, None]
        numbers = np.zeros((m, self.numbers.shape[1]))
        np.add.at(numbers, labels, weights[:, None] * self.numbers)
        counts = self.levels.counts_of_groups(self.codes, weights, labels, m)
        return Centers(numbers / total, counts / total)

    def distances(self, centers: Centers) -> Array:
        """Squared distances (n, m) of all rows to places."""
        found = self.levels.squared_distances(self.codes, centers.shares)
        found *= self.scale
        if self.numbers.shape[1]:
            numbers = np.ascontiguousarray(centers.numbers)
            found += visit.diag_distances(self.numbers, numbers, np.ones_like(numbers))
        return found

    def way(self, one: Centers, other: Centers) -> float:
        """Sum of the squared distances of places (m,) from others."""
        own = self.levels.own  # a yes/no column is one feature
        of_levels = ((one.shares - other.shares)[:, own] ** 2).sum()
        return float(((one.numbers - other.numbers) ** 2).sum() + self.scale * of_levels)

    def mean_variance(self, weights: Array) -> float:
        """Of the features."""
        share = weights / weights.sum()
        middle = self.means(np.zeros(len(share), np.int64), share, 1)
        features = self.numbers.shape[1] + len(self.levels.own)
        return float(share @ self.distances(middle)[:, 0]) / features


def k_means(
    rows: Compared, weights: Array, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Clusters (n,) 0 .. m - 1 of rows with weights (n,), as `kernels.k_means.k_means`."""
    centers = rows.at(spread(rows, weights, m, generator))
    settled = SETTLED * rows.mean_variance(weights)
    labels = np.full(len(weights), -1)
    for _ in range(MOST_ITERATIONS):
        distances = rows.distances(centers)
        before, labels = labels, distances.argmin(axis=1)
        if (labels == before).all():
            return labels
        moved = _moved(rows, weights, labels, distances.min(axis=1), m)
        way, centers = rows.way(moved, centers), moved
        if way <= settled:
            break
    return nearest(rows, centers)


def nearest(rows: Compared, centers: Centers) -> NDArray[np.int64]:
    """The nearest of places (m,) to each row, (n,), the first where several are."""
    return rows.distances(centers).argmin(axis=1)


def spread(
    rows: Compared, weights: Array, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """m rows (m,), far from each other, as `kernels.k_means.spread`."""
    chosen = np.empty(m, np.int64)
    closest = np.ones(len(weights))  # at first all rows are as far
    for place, heights in enumerate(draws(m, generator)):
        below = np.cumsum(weights * closest)
        drawn = np.searchsorted(below, heights * below[-1], side="right").clip(max=len(below) - 1)
        distances = rows.distances(rows.at(np.resize(drawn, LANES)))  # some twice: a whole vector
        if place == 0:  # any row: the best of several is central, and leaves the next an outlier
            best, closest = 0, distances[:, 0]
        else:
            best = int((weights @ np.minimum(closest[:, None], distances)).argmin())
            closest = np.minimum(closest, distances[:, best])
        chosen[place] = drawn[best % len(drawn)]
    return chosen


def _moved(
    rows: Compared, weights: Array, labels: NDArray[np.int64], closest: Array, m: int
) -> Centers:
    """The means of the rows of each label; a place without rows goes to the row that is farthest from
    its own."""
    moved, alone = rows.means(labels, weights, m), np.bincount(labels, weights, m) <= 0
    if alone.any():
        farthest = np.argsort(np.where(weights > 0, -closest, 1.0), kind="stable")
        for own, other in zip(moved, rows.at(farthest[: alone.sum()])):
            own[alone] = other
    return moved
