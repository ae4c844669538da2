"""Text, yes/no and coded columns as features: which they are, and probabilities over them.

A column of C categories has C features, 1 where a row has the category and 0 elsewhere, less its
share of the table; a yes/no column has one. A *level* is one of the values that a column may have,
so a yes/no column has two levels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.codes import add_counts, add_values
from divmix.kernels.gaps import has_gaps

Array = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-12  # of a level that no row of a component has: its logarithm is finite


@dataclass(frozen=True)
class CategoryColumn:
    """One column of categories.

    features, shares  places of its features among the d of the rows, and the share of the table
                      that was taken from each
    yes_no            whether one feature stands for two levels
    common            whether it has one distribution, its shares, in all components
    name              of the column, for notes
    """

    features: tuple[int, ...]
    shares: tuple[float, ...]
    yes_no: bool = False
    common: bool = False
    name: str = ""

    @property
    def levels(self) -> Array:
        """Share of each level, (levels,)."""
        shares = np.array(self.shares)
        return np.array([1 - shares[0], shares[0]]) if self.yes_no else shares

    def of_features(self, levels: NDArray) -> NDArray:
        """Of values of the levels (..., L) those of its features: a yes/no column's is its second."""
        return levels[..., int(self.yes_no) :]

    def encoded(self, codes: NDArray) -> Array:
        """Its centred features (n, features) of rows of these levels, (n,)."""
        return self.centred(codes[:, None] == np.arange(len(self.levels)))

    def centred(self, levels: NDArray) -> Array:
        """Values of the levels (..., L) as those of its features, less their shares."""
        return self.of_features(levels) - np.array(self.shares)


class Levels:
    """The levels of some columns, side by side: L in all, of F features."""

    def __init__(self, columns: Sequence[CategoryColumn]) -> None:
        sizes = [len(column.levels) for column in columns]
        self.count = len(columns)
        self.features = np.array([j for column in columns for j in column.features], np.int64)
        self.offsets = np.array([s for column in columns for s in column.shares], np.float64)
        self.shares = np.concatenate([column.levels for column in columns] or [np.zeros(0)])
        self.starts = np.cumsum([0, *sizes])[:-1]
        self.parts = [slice(start, start + size) for start, size in zip(self.starts, sizes)]
        of_column = np.repeat(np.arange(len(columns)), sizes)
        yes_no = np.array([column.yes_no for column in columns], bool)
        first = np.zeros(len(self.shares), bool)
        first[self.starts] = True
        self.no = np.flatnonzero(first & yes_no[of_column])  # levels without a feature
        self.own = np.setdiff1d(np.arange(len(self.shares)), self.no)  # (F,) of each feature
        # In a table by codes each column has one row more, for what is none of its levels.
        self.at = self.starts + np.arange(len(columns))
        self.places = np.arange(len(self.shares)) + of_column

    def __len__(self) -> int:
        return len(self.shares)

    def totals(self, values: Array) -> Array:
        """Sums of values (m, L) over the levels of each column, (m, columns)."""
        if not self.count:
            return np.zeros((len(values), 0))
        return np.add.reduceat(values, self.starts, axis=1)

    def spread(self, by_column: Array) -> Array:
        """Values (m, columns) repeated for each of the column's levels, (m, L)."""
        sizes = np.diff([*self.starts, len(self)])
        return np.repeat(by_column, sizes, axis=1)

    def normalised(self, values: Array) -> Array:
        """Values (m, L) >= 0 divided by their total over each column; its shares where that is 0."""
        totals = self.spread(self.totals(values))
        return np.where(totals > 0, values / np.where(totals > 0, totals, 1.0), self.shares)

    def counts(self, of_features: Array, mass: Array) -> Array:
        """Rows of each level (m, L), from sums of the centred features (m, F) and mass (m,)."""
        counts = np.empty((len(mass), len(self)))
        counts[:, self.own] = of_features + mass[:, None] * self.offsets
        counts[:, self.no] = mass[:, None] - counts[:, self.no + 1]
        return np.maximum(counts, 0.0)

    def probabilities(self, means: Array) -> Array:
        """Probabilities (m, L) of the centred means (m, F) of the features."""
        return np.maximum(self.counts(means, np.ones(len(means))), SMALLEST_PROBABILITY)

    def means(self, probabilities: Array) -> Array:
        """Centred means (m, F) of probabilities (m, L)."""
        return probabilities[:, self.own] - self.offsets

    def log_densities(self, X: Array, probabilities: Array) -> Array:
        """log p of the features X (n, F) of rows, (n, m), nats.

        A row that has none of a column's categories says nothing by that column: log p = 0. One
        in which a column is missing (NaN) is such a row.
        """
        slopes, constants = self.logs(probabilities)
        if not has_gaps(X):
            return X @ slopes.T + constants
        missing = np.isnan(X)
        found = np.where(missing, -self.offsets, X) @ slopes.T + constants
        # Without its feature a yes/no column would say no.
        places = np.searchsorted(self.own, self.no + 1)
        return found - missing[:, places] @ np.log(probabilities[:, self.no]).T

    def logs(self, probabilities: Array) -> tuple[Array, Array]:
        """log p = slopes x + constant of the centred features: (m, F) and (m,)."""
        logs = np.log(probabilities)
        slopes, constants = logs[:, self.own].copy(), logs[:, self.no].sum(axis=1)
        at = np.searchsorted(self.own, self.no + 1)  # features of the yes/no columns
        slopes[:, at] -= logs[:, self.no]
        return slopes, constants + slopes @ self.offsets

    def log_densities_by_codes(self, codes: NDArray, probabilities: Array) -> Array:
        """log p of the columns of rows, (n, m), nats, by their levels: codes (n, columns)."""
        values = np.zeros((len(self) + self.count, len(probabilities)))
        values[self.places] = np.log(probabilities).T
        found = np.zeros((len(codes), len(probabilities)))
        add_values(codes, self.at, values, found)
        return found

    def counts_by_codes(self, codes: NDArray, shares: Array) -> Array:
        """Rows of each level (m, L), of rows with codes (n, columns) that have shares (n, m)."""
        counts = np.zeros((len(self) + self.count, shares.shape[1]))
        add_counts(codes, self.at, shares, counts)
        return counts[self.places].T

    def counts_of_groups(
        self, codes: NDArray, row_weights: Array, labels: NDArray[np.int64], m: int
    ) -> Array:
        """Weight of each level (m, L) among the rows of each label 0 .. m - 1."""
        counts = np.zeros((m, len(self)))
        for group in range(m):
            own = labels == group
            counts[group] = self.counts_by_codes(codes[own], row_weights[own, None])[0]
        return counts

    def squared_distances(self, codes: NDArray, shares: Array) -> Array:
        """Between features of rows with codes (n, columns) and mean features of shares (m, L) of the
        levels, (n, m)."""
        squares = shares**2
        squares[:, self.no] = 0.0
        by_column = self.totals(squares)
        values = np.zeros((len(self) + self.count, len(shares)))
        values[self.at + np.diff([*self.starts, len(self)])] = by_column.T  # of none of the levels
        found = self.spread(by_column)
        found[:, self.own] += 1 - 2 * shares[:, self.own]
        values[self.places] = found.T
        distances = np.zeros((len(codes), len(shares)))
        add_values(codes, self.at, values, distances)
        return distances

    def drawn(
        self, probabilities: Array, labels: NDArray[np.int64], generator: np.random.Generator
    ) -> Array:
        """Centred features (n, F) of one row from each of the components in labels (n,)."""
        chosen = np.zeros((len(labels), len(self)))
        rows = np.arange(len(labels))
        for part in self.parts:
            below = np.cumsum(probabilities[:, part], axis=1)
            heights = generator.random(len(labels)) * below[labels, -1]
            level = (below[labels] <= heights[:, None]).sum(axis=1)
            chosen[rows, part.start + np.minimum(level, part.stop - part.start - 1)] = 1.0
        return chosen[:, self.own] - self.offsets

    def similarities(self, probabilities: Array) -> Iterator[tuple[slice, Array]]:
        """Levels of each column, and the Bhattacharyya coefficients sum_c sqrt(P_ic P_jc) of all
        pairs in it, (m, m)."""
        roots = np.sqrt(probabilities)
        return ((part, roots[:, part] @ roots[:, part].T) for part in self.parts)


@dataclass(frozen=True)
class Categories:
    """The columns of categories among d features; the other features are numbers."""

    d: int
    columns: tuple[CategoryColumn, ...]

    @cached_property
    def numeric(self) -> NDArray[np.int64]:
        """Places of the numbers."""
        taken = [j for column in self.columns for j in column.features]
        return np.setdiff1d(np.arange(self.d), np.array(taken, np.int64))

    @cached_property
    def all(self) -> Levels:
        """Levels of all columns."""
        return Levels(self.columns)

    @cached_property
    def varying(self) -> Levels:
        """Levels of the columns that have a distribution in each component."""
        return Levels([column for column in self.columns if not column.common])

    @cached_property
    def common(self) -> Levels:
        """Levels of the columns that have one distribution in all components."""
        return Levels([column for column in self.columns if column.common])

    @cached_property
    def is_varying(self) -> NDArray[np.bool_]:
        """(columns,): which have a distribution in each component."""
        return np.array([not column.common for column in self.columns], bool)

    def with_common(self, common: Sequence[bool]) -> "Categories":
        """The same columns, of which these (columns,) have one distribution in all components."""
        columns = zip(self.columns, common, strict=True)
        return Categories(
            self.d, tuple(replace(column, common=bool(own)) for column, own in columns)
        )

    def among(self, features: NDArray[np.int64]) -> "Categories":
        """Of these features alone, in their order; a column is among them whole or not at all."""
        place = {int(j): at for at, j in enumerate(features)}
        columns = tuple(
            replace(column, features=tuple(place[j] for j in column.features))
            for column in self.columns
            if column.features[0] in place
        )
        return Categories(len(features), columns)
