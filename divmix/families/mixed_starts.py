"""Means of features of categories where components start: of groups of rows, and at single rows."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.coded import AnyMatrix, Coded
from divmix.families.family import Array
from divmix.families.mixed import LEAST_MIXED, Mixed
from divmix.families.posterior import SMALLEST_WEIGHT


def means_of_groups(
    family: Mixed, X: Coded, row_weights: Array, labels: NDArray[np.int64], m: int
) -> Array:
    """Means (m, d) of the rows of each label 0 .. m - 1; of a common column 0, its shares."""
    levels, means = family.categories.varying, np.zeros((m, X.shape[1]))
    mass = np.maximum(np.bincount(labels, row_weights, m), SMALLEST_WEIGHT)[:, None]
    shares = np.eye(m)[labels] * row_weights[:, None]
    means[:, family.categories.numeric] = shares.T @ X.numbers / mass
    codes = X.codes[:, family.categories.is_varying]
    means[:, levels.features] = levels.means(
        levels.counts_of_groups(codes, row_weights, labels, m) / mass
    )
    return means


def towards_table(
    family: Mixed, X: AnyMatrix, row_weights: Array, centers: Array, nearest: NDArray[np.int64]
) -> Array:
    """Places (m, d) of a start, of which rows X (n, d) have a `nearest` one (n,): those of categories
    moved towards the table's shares.

    They are moved as far as two rows of one place differ in the column, compared with two rows of
    the table. So a column that has nothing to do with the places starts with its shares.
    """
    levels, moved = family.categories.varying, centers.copy()
    by_chance = 1 - levels.totals(levels.shares[None] ** 2)
    differ = 0.5 * levels.totals(_variances(family, X, row_weights, centers, nearest)[None])
    mixed = levels.spread(np.clip(differ / np.maximum(by_chance, 1e-9), LEAST_MIXED, 1.0))
    own = levels.normalised(levels.probabilities(centers[:, levels.features]))
    moved[:, levels.features] = levels.means((1 - mixed) * own + mixed * levels.shares)
    return moved


def _variances(
    family: Mixed, X: AnyMatrix, row_weights: Array, centers: Array, nearest: NDArray[np.int64]
) -> Array:
    """Mean square of what each level is at a row less what it is at the nearest place, (L,)."""
    levels, places = family.categories.varying, centers[:, family.categories.varying.features]
    if isinstance(X, Coded):
        m, codes = len(centers), X.codes[:, family.categories.is_varying]
        counts = levels.counts_of_groups(codes, row_weights, nearest, m)
        mass, own = np.bincount(nearest, row_weights, m), levels.counts(places, np.ones(m))
        squares = counts * (1 - own) ** 2 + (mass[:, None] - counts) * own**2
        return squares.sum(axis=0) / row_weights.sum()
    squares = np.zeros(len(levels))
    apart = X[:, levels.features] - places[nearest]
    squares[levels.own] = row_weights @ apart**2 / row_weights.sum()
    squares[levels.no] = squares[levels.no + 1]
    return squares
