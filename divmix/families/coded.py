"""Rows of numbers and categories in which a category is held by its code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from divmix.families.categories import Categories
from divmix.families.family import Array
from divmix.kernels.codes import add_values


@dataclass(frozen=True)
class Coded:
    """The rows of a matrix (n, d) whose categories are no features yet; no cell is missing.

    numbers     (n, c) float64, the features that are numbers
    codes       (n, q) unsigned, the level of each column of categories; as many as it has levels
                where a row has none of them
    categories  which of the d features are which
    """

    numbers: Array
    codes: NDArray[np.unsignedinteger]
    categories: Categories

    @classmethod
    def empty(cls, n: int, categories: Categories) -> Self:
        """n rows that are still to be filled in; codes have as many bits as their largest needs."""
        most = max(len(column.levels) for column in categories.columns)
        codes = np.empty((n, len(categories.columns)), np.min_scalar_type(most))
        return cls(np.empty((n, len(categories.numeric))), codes, categories)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d) of the matrix."""
        return len(self.numbers), self.categories.d

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self.numbers.nbytes + self.codes.nbytes

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice | NDArray) -> "Coded":
        """Some of the rows: by a slice a view of them."""
        return replace(self, numbers=self.numbers[rows], codes=self.codes[rows])

    def copy(self) -> "Coded":
        """The same rows, in arrays of their own."""
        return replace(self, numbers=self.numbers.copy(), codes=self.codes.copy())

    def __matmul__(self, V: Array) -> Array:
        """The matrix times V (d,), (n,)."""
        levels = self.categories.all
        values, of_features = np.zeros(len(levels) + levels.count), V[levels.features]
        values[levels.places[levels.own]] = of_features
        found = np.full((len(self), 1), -levels.offsets @ of_features)
        add_values(self.codes, levels.at, values[:, None], found)
        return found[:, 0] + self.numbers @ V[self.categories.numeric]

    def among(self, features: NDArray[np.int64]) -> "Coded":
        """The same rows with these features alone, in this order; a column's are whole."""
        numeric = self.categories.numeric
        place = {int(j): at for at, j in enumerate(numeric)}
        kept = [place[int(j)] for j in features if int(j) in place]
        wanted = set(features.tolist())
        columns = [column.features[0] in wanted for column in self.categories.columns]
        codes = self.codes if all(columns) else self.codes[:, columns]
        return Coded(self.numbers[:, kept], codes, self.categories.among(features))

    def matrix(self) -> Array:
        """The rows with all of their features, (n, d) float64."""
        X = np.empty(self.shape)
        X[:, self.categories.numeric] = self.numbers
        for column, codes in zip(self.categories.columns, self.codes.T):
            X[:, column.features] = column.encoded(codes)
        return X


AnyMatrix: TypeAlias = Array | Coded
"""Rows (n, d), with their features or by codes."""

M = TypeVar("M", Array, AnyMatrix)
"""The same kind of rows in and out."""


def matrix_of(X: AnyMatrix) -> Array:
    """The rows with all of their features."""
    return X.matrix() if isinstance(X, Coded) else X


def cells_of(X: AnyMatrix) -> NDArray[np.uint64]:
    """The bits (n, cells) of the rows: those of equal rows are equal."""
    if isinstance(X, Coded):
        return np.hstack([cells_of(X.numbers), X.codes.astype(np.uint64)])
    return (X + 0.0).view(np.uint64)  # -0.0 becomes 0.0


def number_of(X: AnyMatrix, feature: int) -> Array:
    """A feature of the rows that is a number, (n,)."""
    if isinstance(X, Coded):
        return X.numbers[:, np.flatnonzero(X.categories.numeric == feature)[0]]
    return X[:, feature]


def of_features(X: AnyMatrix, features: NDArray[np.int64]) -> AnyMatrix:
    """The rows with these features alone, in this order."""
    return X.among(features) if isinstance(X, Coded) else np.ascontiguousarray(X[:, features])


def room_like(X: AnyMatrix, n: int) -> AnyMatrix:
    """Room for n rows of this kind."""
    return Coded.empty(n, X.categories) if isinstance(X, Coded) else np.empty((n, X.shape[1]))


def stacked(parts: Sequence[AnyMatrix]) -> AnyMatrix:
    """The rows of all parts, of one kind, one part at least."""
    coded = [part for part in parts if isinstance(part, Coded)]
    if not coded:
        return np.concatenate([matrix_of(part) for part in parts])
    numbers = np.concatenate([part.numbers for part in coded])
    return replace(coded[0], numbers=numbers, codes=np.concatenate([part.codes for part in coded]))


def put(into: AnyMatrix, X: AnyMatrix) -> None:
    """Write rows where others of their kind are; nothing is done where they are the same arrays."""
    if isinstance(into, Coded):
        assert isinstance(X, Coded)
        put(into.numbers, X.numbers)
        into.codes[:] = X.codes
    elif not np.may_share_memory(into, matrix_of(X)):
        into[:] = matrix_of(X)
