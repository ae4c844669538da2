"""Rows in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divmix.families import AnyMatrix, Coded
from divmix.families.coded import matrix_of, of_features
from divmix.families.components import Components
from divmix.families.family import Array, Family
from divmix.kernels.gaps import has_gaps
from divmix.kernels.sums import Sums
from divmix.rows.completed import Completed, completed
from divmix.rows.protocol import AnyBlock, Block, Features
from divmix.rows.segments import added, as_visited, in_runs, segments, whole
from divmix.rows.summary import Summary, summarize
from divmix.sampling import pool_rows, pooled

BLOCK_ROWS = 65_536  # bounds the copies that a pass over blocks makes


class MemoryRows:
    """Rows X (n, d), C-contiguous, with weights (n,), ones by default.

    A missing cell is NaN. `Coded` rows have all of their features in `matrix` and `blocks`. A table of
    one segment keeps the float32 copy that its first coarse visit makes. Samples of a table of more than `pool` rows are drawn from so many of them; by default the
    number of features says how many.
    """

    def __init__(
        self,
        X: AnyMatrix,
        row_weights: Array | None = None,
        features: Features | None = None,
        pool: int | None = None,
    ) -> None:
        self._X = X if isinstance(X, Coded) else np.ascontiguousarray(X, dtype=np.float64)
        self._row_weights = np.ones(len(X)) if row_weights is None else row_weights
        self._features = features or Features(np.zeros(self._X.shape[1], bool))
        self._single: NDArray[np.float32] | None = None
        self._pool = pool or pool_rows(self._X.shape[1])
        self._pooled: NDArray[np.int64] | None = None
        self._summary: Summary | None = None
        self._total_weight: float | None = None
        self._gaps: bool | None = None
        self._completed: Completed | None = None
        self._runs: Block | None = None

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        return self._features

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        if self._total_weight is None:
            blocks = self._held_blocks()
            self._total_weight = float(sum(block.row_weights.sum() for block in blocks))
        return self._total_weight

    @property
    def visited(self) -> int:
        """Rows that one call of `sums` visits: all."""
        return len(self._X)

    @property
    def held(self) -> AnyBlock:
        """All rows at once, as they are held; the arrays are not to be written to."""
        return AnyBlock(self._X, self._row_weights)

    @property
    def matrix(self) -> Block:
        """All rows at once, with all of their features; the arrays are not to be written to."""
        return Block(matrix_of(self._X), self._row_weights)

    @property
    def has_gaps(self) -> bool:
        """Whether a cell is missing."""
        if self._gaps is None:
            self._gaps = not isinstance(self._X, Coded) and has_gaps(self._X)
        return self._gaps

    @property
    def completed(self) -> Completed:
        """All rows without gaps, for what needs a value in each cell, and their covariance."""
        if self._completed is None:
            self._completed = completed(self.matrix, self._features)
        return self._completed

    @property
    def filled(self) -> AnyBlock:
        """As `held`, without gaps."""
        return AnyBlock(self.completed.X, self._row_weights) if self.has_gaps else self.held

    @property
    def _by_pattern(self) -> Block:
        """The rows, within each segment those that miss the same columns one after the other."""
        if self._runs is None:
            X, row_weights = self.matrix
            parts = [in_runs(Block(X[s], row_weights[s])) for s in self._segments()]
            self._runs = Block(*(np.concatenate(part) for part in zip(*parts)))
        return self._runs

    def summary(self) -> Summary:
        """Counts, moments and range, over the rows of positive weight."""
        if self._summary is None:
            self._summary = summarize(self._held_blocks())
        return self._summary

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics of all rows."""
        if self.has_gaps:
            X, row_weights = self._by_pattern
            return added(
                family.sums(X[part], row_weights[part], components) for part in self._segments()
            )
        return added(
            family.sums(self._part(part, family, coarse), self._row_weights[part], components)
            for part in self._segments()
        )

    def sample(self, size: int | None, generator: np.random.Generator) -> "MemoryRows":
        """`size` rows of positive weight, without replacement and in their order: of the pool of
        a table that has more."""
        rows = self._rows_for(size)
        if size is None or len(rows) <= size:
            return self if len(rows) == len(self._X) else self.take(rows)
        chosen = generator.choice(len(rows), size, replace=False, shuffle=False)
        return self.take(rows[np.sort(chosen)])

    def _rows_for(self, size: int | None) -> NDArray[np.int64]:
        """Rows of positive weight that a sample is drawn from, ascending."""
        if size is not None and size <= self._pool and self._pooled is not None:
            return self._pooled
        rows = np.flatnonzero(self._row_weights > 0)
        if size is None or len(rows) <= max(size, self._pool):
            return rows
        rows = rows[pooled(rows, max(size, self._pool))]
        if size <= self._pool:
            self._pooled = rows
        return rows

    def take(self, rows: NDArray) -> "MemoryRows":
        """Some of the rows, by index or mask."""
        taken = MemoryRows(self._X[rows], self._row_weights[rows], self._features)
        if self._completed is not None:
            taken._completed = self._completed._replace(X=self._completed.X[rows])
        return taken

    def among(self, features: NDArray[np.int64]) -> "MemoryRows":
        """The same rows with these of their features alone, in this order."""
        own = self._features.among(features)
        same = MemoryRows(of_features(self._X, features), self._row_weights, own, self._pool)
        same._summary = self.summary().among(features)
        return same

    def reweighted(self, row_weights: Array) -> "MemoryRows":
        """The same rows with other weights (n,); nothing is copied."""
        same = MemoryRows(self._X, row_weights, self._features, self._pool)
        same._single, same._completed = self._single, self._completed
        return same

    def _segments(self) -> Iterator[slice]:
        return segments(*self._X.shape)

    def _part(self, part: slice, family: Family, coarse: bool) -> Any:
        """Some of the rows as `family` visits them."""
        if self._single is not None and coarse:
            return self._single
        visited = as_visited(self._X[part], family, coarse)
        if coarse and len(visited) == len(self._X) and not isinstance(visited, Coded):
            self._single = visited
        return visited

    def blocks(self) -> Iterator[Block]:
        """All rows in their order."""
        for block in self._held_blocks():
            yield from whole(block)

    def _held_blocks(self) -> Iterator[AnyBlock]:
        for start in range(0, len(self._X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            yield AnyBlock(self._X[part], self._row_weights[part])
