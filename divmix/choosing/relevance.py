"""Which columns of categories know anything of the other columns.

Given its component a row's columns are independent. So a column that depends on no other one can
tell no component from another: it has one distribution in all, its shares of the table, and changes
neither clusters nor their number. Labels are never looked at.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from divmix.families import AnyMatrix, Categories, Coded
from divmix.families.coded import matrix_of, of_features
from divmix.families.family import Array
from divmix.kernels.k_means import k_means
from divmix.rows import Rows

SAMPLE_ROWS = 8_000
BINS = 5  # of a number, of as many rows each
# Clusters by k-means of the numbers: what these say only together.
PILOT_CLUSTERS, ROWS_EACH = 12, 20
LEAST_EXPECTED = 2.0  # rows of a category in a bin; rarer categories are taken together
MOST_OTHERS = 100  # text columns that one is held against, at even distances among all
SIGNIFICANT = 0.01  # of a column, over all the others it is held against (Bonferroni)


def relevant_categories(rows: Rows) -> Categories | None:
    """The categories of the rows, columns that depend on no other one marked as common.

    By Pearson's chi-squared test of independence from each other column: numbers in BINS, all
    numbers together in clusters by k-means, categories as they are. All columns are kept where
    there is nothing else. None where there are no categories.
    """
    categories = rows.features.categories
    if categories is None:
        return None
    sample = rows.sample(SAMPLE_ROWS, np.random.default_rng(0))
    X, row_weights = sample.held
    weights = row_weights * (len(X) / row_weights.sum())
    numeric = categories.numeric
    numbers = [_bins(own, weights) for own in matrix_of(of_features(X, numeric)).T]
    if len(numbers) > 1:
        filled = matrix_of(of_features(sample.filled.X, numeric))
        numbers.append(pilot_clusters(filled, weights))
    texts = codes_of_columns(X, categories)
    depends = _dependent(texts, numbers, weights)
    if not len(categories.numeric) and not any(depends):
        return categories
    return categories.with_common([not one for one in depends])


def told(categories: Categories | None) -> list[str]:
    """A sentence on the columns that are marked as common; none where no column is."""
    columns = () if categories is None else categories.columns
    common = [column.name for column in columns if column.common]
    if not any(common):
        return []
    one = len(common) == 1
    return [
        f"{', '.join(common)}: {'depends' if one else 'depend'} on no other column, so "
        f"{'it has' if one else 'they have'} one distribution in all clusters"
    ]


def codes_of_columns(X: AnyMatrix, categories: Categories) -> Sequence[NDArray]:
    """Category of each row (n,), of each column; -1 where it is missing."""
    if isinstance(X, Coded):
        return list(np.ascontiguousarray(X.codes.T))
    return [codes_of(X, column.features) for column in categories.columns]


def codes_of(X: Array, features: tuple[int, ...]) -> NDArray[np.int64]:
    """Category (n,) of each row; of a single feature whether it is above its mean. -1 where the
    column is missing (NaN)."""
    own = X[:, list(features)]
    codes = (own[:, 0] > 0).astype(np.int64) if own.shape[1] == 1 else own.argmax(axis=1)
    return np.where(np.isnan(own[:, 0]), -1, codes)


def _bins(values: Array, weights: Array) -> NDArray[np.int64]:
    """Bin (n,) of each value; equal values share one. -1 where a value is missing (NaN)."""
    there = ~np.isnan(values)
    if not there.all():
        found = np.full(len(values), -1)
        found[there] = _bins(values[there], weights[there])
        return found
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    edges = values[order][
        np.searchsorted(below, below[-1] * np.arange(1, BINS) / BINS).clip(max=len(values) - 1)
    ]
    return np.searchsorted(np.unique(edges), values, side="left")


def pilot_clusters(numbers: Array, weights: Array) -> NDArray[np.int64]:
    k = int(np.clip(len(numbers) // ROWS_EACH, 2, PILOT_CLUSTERS))
    k = min(k, len(np.unique(numbers, axis=0)))
    return k_means(numbers, weights, k, np.random.default_rng(0))


def _dependent(
    texts: Sequence[NDArray], numbers: Sequence[NDArray[np.int64]], weights: Array
) -> list[bool]:
    """Of each text column whether another column, or the numbers, tell something of it."""
    level = SIGNIFICANT / max(min(len(texts) - 1, MOST_OTHERS) + len(numbers), 1)
    depends = [False] * len(texts)
    for i, own in enumerate(texts):
        if not depends[i]:
            depends[i] = any(p_value(own, other, weights) < level for other in numbers)
        others = [j for j in range(len(texts)) if j != i]
        for j in others[:: -(-len(others) // MOST_OTHERS) or 1]:
            if depends[i]:
                break
            # Of two columns without a dependence the earlier one has tried it.
            tried = len(others) <= MOST_OTHERS and j < i and not depends[j]
            if not tried and p_value(own, texts[j], weights) < level:
                depends[i] = depends[j] = True
    return depends


def p_value(own: NDArray, other: NDArray, weights: Array) -> float:
    """Of the hypothesis that two columns of codes (n,) are independent, by the rows that have
    both: a code is -1 where none is there."""
    from scipy.special import chdtrc

    own, other = own.astype(np.int64, copy=False), other.astype(np.int64, copy=False)
    both = (own >= 0) & (other >= 0)
    if not both.all():
        own, other, weights = own[both], other[both], weights[both]
    if not len(own):
        return 1.0
    table = _together(np.bincount(own * (other.max() + 1) + other, weights=weights), other)
    table = _without_rare(_without_rare(table).T).T
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    if freedom == 0:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(chdtrc(freedom, ((table - expected) ** 2 / expected).sum()))


def _together(counts: NDArray, other: NDArray[np.int64]) -> Array:
    width = int(other.max()) + 1
    return np.pad(counts, (0, -len(counts) % width)).reshape(-1, width)


def _without_rare(table: Array) -> Array:
    """Rows of a table of counts that are expected to have LEAST_EXPECTED in each column; the
    others are one row."""
    table = table[:, table.sum(axis=0) > 0]
    totals = table.sum(axis=1)
    enough = totals >= LEAST_EXPECTED * table.shape[1]
    kept, rest = table[enough], table[~enough].sum(axis=0, keepdims=True)
    return np.vstack([kept, rest]) if rest.sum() > 0 else kept
