"""Why a row is unlike the others where a density is one of an encoder's features.

The share of a column of the table is what the score falls by once the column has its median, or its
commonest category, and all others stay as they are (Robnik-Sikonja and Kononenko, IEEE TKDE 2008).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly import surprisal
from divmix.anomaly.pool import Pool
from divmix.anomaly.reasons import (
    Told,
    categories_told,
    not_the_only_value,
    number_told,
    range_told,
    sentences,
)
from divmix.design.columns import NumericColumn
from divmix.design.design import Design
from divmix.families.family import Array

ROWS_AT_ONCE, MOST_ENCODED = 65_536, 1_000_000  # rows of the encoder


class SubstitutedReasons:
    """What a pool of mixtures of an encoder's features says of the columns of the table.

    quantiles (3, d): of the columns' features, what is usual and its middle, as a `Calibration` has
    them.
    """

    def __init__(self, pool: Pool, design: Design, quantiles: Array) -> None:
        self.pool, self.chain, self.columns = pool, design.chain, design.of_columns
        self.names, self.blocks = self.columns.block_names, self.columns.blocks
        self.low, self.middle, self.high = quantiles

    def of(self, X: Array, unseen: NDArray[np.bool_], empty: NDArray[np.bool_]) -> list[str | None]:
        """The columns to blame of rows X (n, d) of the columns' features: `temp_c 84.1, usually 18 to
        43; unit b, here unusual`.

        unseen (n, blocks) bool: values that training did not have, which are blamed first. empty
        (n, blocks) bool: cells that were filled, which are never named. None of rows without any to
        blame, and of those after the first ones, as many as are encoded MOST_ENCODED times.
        """
        first = slice(max(1, MOST_ENCODED // (len(self.blocks) + 1)))
        told: list[str | None] = [None] * len(X)
        if len(X):
            told[first] = self._sentences(X[first], unseen[first], empty[first])
        return told

    def _sentences(
        self, X: Array, unseen: NDArray[np.bool_], empty: NDArray[np.bool_]
    ) -> list[str | None]:
        contributions = self.contributions(X)
        contributions[unseen] = surprisal.UNSEEN_VALUE
        contributions[empty] = 0.0
        return sentences(contributions, lambda j, rows: self._told(j, X[rows], unseen[rows, j]))

    def contributions(self, X: Array) -> Array:
        """What the score falls by with each column as usual, (n, blocks), nats, not negative."""
        found = np.empty((len(X), len(self.blocks)))
        size = max(1, ROWS_AT_ONCE // (len(self.blocks) + 1))
        for start in range(0, len(X), size):
            rows = slice(start, start + size)
            scores = self._scores(self._substituted(X[rows])).reshape(-1, len(X[rows]))
            found[rows] = (scores[0] - scores[1:]).T
        return np.maximum(found, 0.0)

    def _substituted(self, X: Array) -> Array:
        """The rows (n, d) as they are, then once for each block with that as usual."""
        usual = self._usual()
        made = np.repeat(X[None], len(self.blocks) + 1, axis=0)
        for j, block in enumerate(self.blocks):
            made[j + 1][:, block] = usual[block]
        return made.reshape(-1, X.shape[1])

    def _usual(self) -> Array:
        """Features (d,) of a row in which each column has its median or its commonest category."""
        usual, categories = self.middle.copy(), self.columns.categories
        for column in () if categories is None else categories.columns:
            commonest = np.array([column.levels.argmax()])
            usual[list(column.features)] = column.encoded(commonest)[0]
        return usual

    def _scores(self, X: Array) -> Array:
        embedded = self.chain.transform(X)
        return surprisal.score(self.pool, embedded, np.zeros((len(X), 0), np.bool_))

    def _told(self, j: int, X: Array, unseen: NDArray[np.bool_]) -> Sequence[Told]:
        """Block j of rows X (n, d)."""
        column, block, name = self.columns.preprocessing.columns[j], self.blocks[j], self.names[j]
        values = column.decode(X[:, block]).to_pylist()
        if not isinstance(column, NumericColumn):
            return categories_told(name, values, unseen)
        if unseen.any() and column.is_constant:
            return [not_the_only_value(name, column)] * len(X)
        ends = self.low[block[0]], self.high[block[0]]
        usually = f"usually {range_told(*column.decode(np.array(ends)[:, None]).to_pylist())}"
        outside = (X[:, block[0]] < ends[0]) | (X[:, block[0]] > ends[1]) | unseen
        return [
            Told(f"{name} {number_told(value, below)}", usually if out else "here unusual", out)
            for value, below, out in zip(values, unseen, outside)
        ]
