"""Moments of rows that can be merged, so that blocks of rows are looked at once each."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array
from divmix.rows.protocol import Block


class Summary(NamedTuple):
    """Of the rows of positive weight, in d columns.

    number    of them
    weight    their total weight
    mean      (d,)
    scatter   (d,) weighted sum of squared deviations from the mean
    low, high (d,) smallest and largest value
    """

    number: int
    weight: float
    mean: Array
    scatter: Array
    low: Array
    high: Array

    @property
    def variances(self) -> Array:
        """Variance of each column, (d,)."""
        return self.scatter / self.weight

    def among(self, features: NDArray[np.int64]) -> "Summary":
        """Of these columns alone, in this order."""
        columns = (self.mean, self.scatter, self.low, self.high)
        return Summary(self.number, self.weight, *(own[features] for own in columns))

    def merged(self, other: "Summary") -> "Summary":
        """Of the rows of both (Chan, Golub and LeVeque 1983)."""
        weight = self.weight + other.weight
        gap = other.mean - self.mean
        between = self.weight * other.weight / weight
        return Summary(
            self.number + other.number,
            weight,
            self.mean + gap * (other.weight / weight),
            self.scatter + other.scatter + gap**2 * between,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


def summarize(blocks: Iterable[Block]) -> Summary:
    """The summary of all rows in `blocks`. Raises ValueError where none has a positive weight."""
    total: Summary | None = None
    for block in blocks:
        used = block.row_weights > 0
        if not used.any():
            continue
        X, weights = (block.X, block.row_weights) if used.all() else (p[used] for p in block)
        weight = weights.sum()
        mean = weights @ X / weight
        part = Summary(
            len(X), float(weight), mean, weights @ (X - mean) ** 2, X.min(axis=0), X.max(axis=0)
        )
        total = part if total is None else total.merged(part)
    if total is None:
        raise ValueError("no row has a positive weight")
    return total
