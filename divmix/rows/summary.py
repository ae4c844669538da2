"""Moments of rows that can be merged, so that blocks of rows are looked at once each."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families.coded import AnyMatrix, Coded
from divmix.families.family import Array
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels.gaps import has_gaps
from divmix.rows.protocol import AnyBlock, Block


class Summary(NamedTuple):
    """Of the rows of positive weight, in d columns.

    number    of them
    weight    their total weight
    mean      (d,)
    scatter   (d,) weighted sum of squared deviations from the mean
    low, high (d,) smallest and largest value
    there     (d,) weight of the rows in which the column is not missing (NaN): the other figures
              are those of these rows, 0 where there is none
    """

    number: int
    weight: float
    mean: Array
    scatter: Array
    low: Array
    high: Array
    there: Array

    @property
    def variances(self) -> Array:
        """Variance of each column, (d,)."""
        return self.scatter / np.maximum(self.there, SMALLEST_WEIGHT)

    @property
    def has_gaps(self) -> bool:
        """Whether a cell is missing."""
        return bool((self.there < self.weight).any())

    def among(self, features: NDArray[np.int64]) -> "Summary":
        """Of these columns alone, in this order."""
        columns = (self.mean, self.scatter, self.low, self.high, self.there)
        return Summary(self.number, self.weight, *(own[features] for own in columns))

    def merged(self, other: "Summary") -> "Summary":
        """Of the rows of both (Chan, Golub and LeVeque 1983)."""
        there = self.there + other.there
        share = other.there / np.maximum(there, SMALLEST_WEIGHT)
        gap = other.mean - self.mean
        return Summary(
            self.number + other.number,
            self.weight + other.weight,
            self.mean + gap * share,
            self.scatter + other.scatter + gap**2 * (self.there * share),
            _of_either(np.minimum, self.low, other.low, self.there, other.there),
            _of_either(np.maximum, self.high, other.high, self.there, other.there),
            there,
        )


def _of_either(which: np.ufunc, one: Array, other: Array, there: Array, others: Array) -> Array:
    """which(one, other), or the one of them of which rows are there."""
    return np.where(there <= 0, other, np.where(others <= 0, one, which(one, other)))


def summarize(blocks: Iterable[AnyBlock | Block]) -> Summary:
    """The summary of all rows in `blocks`. Raises ValueError where none has a positive weight."""
    total: Summary | None = None
    for block in blocks:
        used = block.row_weights > 0
        if not used.any():
            continue
        everything = slice(None) if used.all() else used
        part = _of_rows(block.X[everything], block.row_weights[everything])
        total = part if total is None else total.merged(part)
    if total is None:
        raise ValueError("no row has a positive weight")
    return total


def _of_rows(X: AnyMatrix, weights: Array) -> Summary:
    if isinstance(X, Coded):
        return _of_codes(X, weights)
    return _beside_gaps(X, weights) if has_gaps(X) else _complete(X, weights)


def _of_codes(X: Coded, weights: Array) -> Summary:
    """What features say that are 0 or 1, less their share, follows from how many rows have each level."""
    numeric, weight = X.categories.numeric, float(weights.sum())
    of_numbers = _complete(X.numbers, weights)
    mean, scatter, low, high, there = (np.full(X.shape[1], weight) for _ in range(5))
    mean[numeric], scatter[numeric] = of_numbers.mean, of_numbers.scatter
    low[numeric], high[numeric] = of_numbers.low, of_numbers.high
    for column, codes in zip(X.categories.columns, X.codes.T):
        levels, features = len(column.levels), list(column.features)
        rows = np.bincount(codes, minlength=levels + 1)[:levels]
        share = np.bincount(codes, weights, minlength=levels + 1)[:levels] / weight
        mean[features] = column.centred(share)
        scatter[features] = weight * column.of_features(share * (1 - share))
        low[features], high[features] = column.centred(rows == len(X)), column.centred(rows > 0)
    return Summary(len(X), weight, mean, scatter, low, high, there)


def _complete(X: Array, weights: Array) -> Summary:
    weight = weights.sum()
    mean = weights @ X / weight
    scatter = weights @ (X - mean) ** 2
    there = np.full(X.shape[1], weight)
    return Summary(len(X), float(weight), mean, scatter, X.min(axis=0), X.max(axis=0), there)


def _beside_gaps(X: Array, weights: Array) -> Summary:
    missing = np.isnan(X)
    there = weights @ ~missing
    mean = weights @ np.where(missing, 0.0, X) / np.maximum(there, SMALLEST_WEIGHT)
    scatter = weights @ np.where(missing, 0.0, X - mean) ** 2
    some = there > 0
    low = np.where(some, np.where(missing, np.inf, X).min(axis=0), 0.0)
    high = np.where(some, np.where(missing, -np.inf, X).max(axis=0), 0.0)
    return Summary(len(X), float(weights.sum()), mean, scatter, low, high, there)
