"""Which columns of numbers can know nothing of clusters.

Clusters show in a column of numbers as several modes, or in what it tells of other columns. One
that is independent of all others and has a single mode shows neither, and takes no part in the
comparison of rows. Labels are never looked at.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from divmix.choosing.dip import is_unimodal
from divmix.choosing.relevance import SIGNIFICANT, codes_of, p_value, pilot_clusters
from divmix.choosing.two_normals import in_two_groups
from divmix.families.coded import matrix_of
from divmix.families.family import Array
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.rows import Rows

SAMPLE_ROWS = 4_000
LEAST_ROWS = 250  # fewer do not tell that columns are independent, only that they may be
MOST_COLUMNS = 100  # of wider tables none is tried
BINS, FINEST = (2, 4), 16  # of as many rows each; the finest as far as the rows carry them
EXPECTED = 5  # rows in each cell of the finest


def irrelevant_numbers(rows: Rows) -> NDArray[np.int64]:
    """Features of the numbers that depend on no other column and have one mode.

    By Pearson's chi-squared tests of each pair of columns in bins from coarse to fine, Bonferroni
    over all, and of each column with clusters by k-means of the numbers that depend on something;
    modes by the dip test, and small groups of values by two normal densities. None where no number depends on anything or has several modes: then there
    is nothing that the others are irrelevant to, and in tables of few rows.
    """
    features = rows.features
    categories = features.categories
    d = len(features.indicator)
    numeric = np.arange(d) if categories is None else categories.numeric
    nothing = np.zeros(0, np.int64)
    if len(numeric) < 2 or d > MOST_COLUMNS:
        return nothing
    sample = rows.sample(SAMPLE_ROWS, np.random.default_rng(0))
    X, row_weights = sample.matrix
    filled = matrix_of(sample.filled.X)
    if row_weights.sum() ** 2 / (row_weights @ row_weights) < LEAST_ROWS:
        return nothing
    weights = row_weights * (len(X) / row_weights.sum())
    columns = () if categories is None else categories.columns
    texts = [codes_of(X, column.features) for column in columns]
    numbers = X[:, numeric]
    alone = _independent(numbers, texts, weights)
    for j in np.flatnonzero(alone):
        there = ~np.isnan(numbers[:, j])
        own, of_own = numbers[there, j], row_weights[there]
        alone[j] = is_unimodal(own, of_own) and not in_two_groups(own, of_own)
    varying = np.ptp(filled[:, numeric], axis=0) > 0
    if not alone.any() or not (varying & ~alone).any():
        return nothing
    pilot = pilot_clusters(filled[:, numeric[~alone]], weights)
    scales = _scales(len(X))
    for j in np.flatnonzero(alone):
        found = min(p_value(bins(numbers[:, j], weights, b), pilot, weights) for b in scales)
        alone[j] = found >= SIGNIFICANT / len(scales)
    return numeric[alone]


def told_of_numbers(names: Sequence[str]) -> str:
    """A sentence on the columns that take no part."""
    one = len(names) == 1
    return (
        f"{', '.join(names)}: {'depends' if one else 'depend'} on no other column and "
        f"{'has' if one else 'have'} one mode, so {'it has' if one else 'they have'} one normal "
        "density in all clusters"
    )


def bins(values: Array, weights: Array, count: int) -> NDArray[np.int64]:
    """Bin (n,) of each value, 0 .. count - 1, of as much weight each; equal values share one. -1
    where a value is missing (NaN)."""
    there = ~np.isnan(values)
    if not there.all():
        found = np.full(len(values), -1)
        found[there] = bins(values[there], weights[there], count)
        return found
    order = np.argsort(values, kind="stable")
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    ordered = values[order]
    first = np.concatenate([[True], np.diff(ordered) > 0])
    group = np.cumsum(first) - 1
    of_group = np.bincount(group, weights=middle) / np.bincount(group)
    found = np.empty(len(values), np.int64)
    found[order] = np.minimum(count * of_group / weights.sum(), count - 1)[group].astype(np.int64)
    return found


def _scales(n: int) -> tuple[int, ...]:
    finest = min(FINEST, int(np.sqrt(n / EXPECTED)))
    return tuple(b for b in (*BINS, finest) if b <= finest) or (2,)


def _independent(numbers: Array, texts: list[NDArray[np.int64]], weights: Array) -> NDArray:
    """Of each of the numbers (n, c) whether no other column tells anything of it, (c,) bool."""
    n, c = numbers.shape
    scales = _scales(n)
    level = SIGNIFICANT / (len(scales) * (c - 1 + len(texts)))
    low, high = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
    alone = high > low  # a constant is as it is
    for count in scales:
        own = np.flatnonzero(alone)
        if not len(own):
            return alone
        found = np.stack([bins(column, weights, count) for column in numbers.T], axis=1)
        alone[own] = _p_values(found, own, count, weights).min(axis=1) >= level
        for j in np.flatnonzero(alone):
            alone[j] = all(p_value(text, found[:, j], weights) >= level for text in texts)
    return alone


def _p_values(codes: NDArray, own: NDArray, count: int, weights: Array) -> Array:
    """Of the hypothesis that columns `own` of codes (n, c) < count are independent of each column,
    (own, c); 1 of itself."""
    from scipy.special import chdtrc

    n, c = codes.shape
    # A missing value, code -1, is in no cell, and a pair of columns has the rows that have both.
    cells = (codes[:, :, None] == np.arange(count)).astype(np.float64).reshape(n, -1)
    totals = (weights @ cells).reshape(c, count)
    among = cells.reshape(n, c, count)[:, own].reshape(n, -1) * weights[:, None]
    tables = (among.T @ cells).reshape(len(own), count, c, count)
    of_rows, of_columns = tables.sum(axis=3, keepdims=True), tables.sum(axis=1, keepdims=True)
    both = np.maximum(tables.sum(axis=(1, 3), keepdims=True), SMALLEST_WEIGHT)
    expected = of_rows * of_columns / both
    apart = np.divide((tables - expected) ** 2, expected, where=expected > 0, out=expected * 0)
    levels = (totals > 0).sum(axis=1) - 1
    freedom = levels[own][:, None] * levels[None]
    found = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), apart.sum(axis=(1, 3))), 1.0)
    found[np.arange(len(own)), own] = 1.0
    return found
