"""Rows that are read anew at each visit, and never held as a whole."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families.coded import Coded, matrix_of, of_features
from divmix.families.components import Components
from divmix.families.family import Array, Family
from divmix.kernels.gaps import has_gaps
from divmix.kernels.sums import Sums
from divmix.rows.ahead import ahead
from divmix.rows.memory import MemoryRows
from divmix.rows.pool import PoolBuilder
from divmix.rows.protocol import AnyBlock, Block, Features
from divmix.rows.segments import (
    Place,
    Read,
    added,
    anywhere,
    as_visited,
    in_runs,
    in_segments,
    whole,
)
from divmix.rows.summary import Summary, summarize
from divmix.sampling import pool_rows


class Survey(NamedTuple):
    """What one look at all rows tells: their number, total weight and summary, and a pool of them
    that samples are drawn from. gaps: whether a cell is missing."""

    rows: int
    total_weight: float
    summary: Summary
    pool: MemoryRows
    gaps: bool


def survey(read: Read, features: Features, pool: int | None = None) -> Survey:
    """A look at all rows, of which `pool` are kept, by default as many as the number of features
    says. Raises what reading them raises."""
    pool = pool or pool_rows(len(features.indicator))
    builder = PoolBuilder(pool)
    rows, total, gaps = 0, 0.0, False

    def seen() -> Iterator[AnyBlock]:
        nonlocal rows, total, gaps
        for block in ahead(partial(read, anywhere)):
            used = np.flatnonzero(block.row_weights > 0)
            builder.update(rows + used, block.X[used], block.row_weights[used])
            total += block.row_weights.sum()
            rows += len(block.X)
            gaps = gaps or (not isinstance(block.X, Coded) and has_gaps(block.X))
            yield block

    summary = summarize(seen())
    kept = MemoryRows(*builder.built(), features, pool)
    return Survey(rows, float(total), summary, kept, gaps)


class StreamedRows:
    """Rows of which no more than a few segments are held at a time.

    `read` yields them anew at each visit, in a thread ahead of the kernels; `found` is what a first
    look at them told. The sums have the bits of
    `MemoryRows`, and so have samples of no more rows than the pool has.
    """

    def __init__(self, read: Read, features: Features, found: Survey) -> None:
        self._read, self._features, self._survey = read, features, found

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        return self._features

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self._survey.total_weight

    @property
    def visited(self) -> int:
        """Rows that one call of `sums` visits: all."""
        return self._survey.rows

    @property
    def pool(self) -> MemoryRows:
        """Rows that stand for all of them: all of positive weight where these are few."""
        return self._survey.pool

    def summary(self) -> Summary:
        """Counts, moments and range, over the rows of positive weight."""
        return self._survey.summary

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics of all rows."""
        return added(
            family.sums(X, row_weights, components)
            for X, row_weights in ahead(partial(self._segments, family, coarse))
        )

    def sample(self, size: int | None, generator: np.random.Generator) -> MemoryRows:
        """`size` rows of positive weight, without replacement and in their order: those of the pool
        where it has no more, or for None."""
        return self.pool.sample(size, generator)

    def among(self, features: NDArray[np.int64]) -> "StreamedRows":
        """The same rows with these of their features alone, in this order."""

        def read(place: Place) -> Iterator[AnyBlock]:
            for X, row_weights in self._read(anywhere):
                yield AnyBlock(of_features(X, features), row_weights)

        found = self._survey._replace(
            summary=self.summary().among(features), pool=self.pool.among(features)
        )
        return StreamedRows(read, self._features.among(features), found)

    def blocks(self) -> Iterator[Block]:
        """All rows in their order."""
        for block in ahead(partial(self._read, anywhere), depth=4):
            yield from whole(block)

    @property
    def has_gaps(self) -> bool:
        """Whether a cell is missing."""
        return self._survey.gaps

    def _segments(self, family: Family, coarse: bool) -> Iterator[tuple[Any, Array]]:
        for segment in in_segments(self._read):
            X, row_weights = segment
            if self.has_gaps:
                yield in_runs(Block(matrix_of(X), row_weights))
            else:
                yield as_visited(X, family, coarse), row_weights
