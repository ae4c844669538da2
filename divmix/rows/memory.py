"""Rows in memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Array, Family
from divmix.kernels.sums import Sums
from divmix.rows.protocol import Block, Features
from divmix.rows.summary import Summary, summarize

BLOCK_ROWS = 65_536  # bounds the copies that a pass over blocks makes


class MemoryRows:
    """Rows X (n, d), C-contiguous, with weights (n,), ones by default.

    A float32 copy is made at the first coarse visit, and kept.
    """

    def __init__(
        self, X: Array, row_weights: Array | None = None, features: Features | None = None
    ) -> None:
        self._X = np.ascontiguousarray(X, dtype=np.float64)
        self._row_weights = np.ones(len(X)) if row_weights is None else row_weights
        self._features = features or Features(np.zeros(self._X.shape[1], bool))
        self._single: NDArray[np.float32] | None = None

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        return self._features

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self._row_weights.sum())

    @property
    def visited(self) -> int:
        """Rows that one call of `sums` visits: all."""
        return len(self._X)

    @property
    def matrix(self) -> Block:
        """All rows at once; the arrays are not to be written to."""
        return Block(self._X, self._row_weights)

    def summary(self) -> Summary:
        """Counts, moments and range, over the rows of positive weight."""
        return summarize(self.blocks())

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics of all rows."""
        if not coarse:
            return family.sums(self._X, self._row_weights, components)
        if self._single is None:
            self._single = self._X.astype(np.float32)
        return family.sums(self._single, self._row_weights, components)

    def sample(self, size: int | None, generator: np.random.Generator) -> "MemoryRows":
        """`size` rows of positive weight, without replacement and in their order."""
        rows = drawn(self._row_weights, size, generator)
        return self if len(rows) == len(self._X) else self.take(rows)

    def take(self, rows: NDArray) -> "MemoryRows":
        """Some of the rows, by index or mask."""
        return MemoryRows(self._X[rows], self._row_weights[rows], self._features)

    def among(self, features: NDArray[np.int64]) -> "MemoryRows":
        """The same rows with these of their features alone, in this order."""
        own = self._features.among(features)
        return MemoryRows(self._X[:, features], self._row_weights, own)

    def reweighted(self, row_weights: Array) -> "MemoryRows":
        """The same rows with other weights (n,); nothing is copied."""
        same = MemoryRows(self._X, row_weights, self._features)
        same._single = self._single
        return same

    def blocks(self) -> Iterator[Block]:
        """All rows in their order."""
        for start in range(0, len(self._X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            yield Block(self._X[part], self._row_weights[part])


def drawn(
    row_weights: Array, size: int | None, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of `size` rows of positive weight, ascending; of all of them where there are no
    more, or for None."""
    rows = np.flatnonzero(row_weights > 0)
    if size is None or len(rows) <= size:
        return rows
    return np.sort(generator.choice(rows, size, replace=False, shuffle=False))
