"""The way from a table to the rows that a mixture is of: columns, then encoders."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa

from divmix.design.columns import BooleanColumn, CategoricalColumn
from divmix.design.preprocessing import Batch, ColumnSummary, Preprocessing, Transformed
from divmix.design.row_names import Locate, row_name
from divmix.encoders import Chain
from divmix.errors import UsageError
from divmix.families import AnyMatrix, Categories, CategoryColumn, Coded
from divmix.families.coded import put
from divmix.tables.schema import Schema

EMPTY_CHAIN = Chain()
# So many features of categories make codes worth their while: where they are few, products of
# matrices are as fast, and their memory does not matter.
CODED_FROM = 64


@dataclass(frozen=True)
class Design:
    """Columns become features, and a chain of encoders makes an embedding of these.

    An empty chain leaves the features as they are. With any other one densities are in the units
    of the embedding: there is no way back to those of the table. n are rows, d features.
    """

    preprocessing: Preprocessing
    chain: Chain = EMPTY_CHAIN

    @property
    def is_embedding(self) -> bool:
        """Whether the features are those of an encoder, not those of the table's columns."""
        return len(self.chain) > 0

    @cached_property
    def of_columns(self) -> "Design":
        """The same without its encoders: features are those of the table's columns."""
        return Design(self.preprocessing)

    @property
    def far_rows(self) -> bool:
        """Whether clusters are dense with far rows, as those of a graph of neighbours are."""
        return self.chain.far_rows

    @property
    def schema(self) -> Schema:
        """Names and kinds of the table's columns."""
        return self.preprocessing.schema

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the d features."""
        return self.chain.features(self.preprocessing.feature_names)

    @property
    def n_features(self) -> int:
        return len(self.feature_names)

    @cached_property
    def blocks(self) -> tuple[np.ndarray, ...]:
        """Features that stand for one thing: those of each column, or each of an embedding."""
        sizes = [1] * self.n_features if self.is_embedding else self.preprocessing.sizes
        return tuple(np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]))

    @property
    def block_names(self) -> tuple[str, ...]:
        """What each of the `blocks` is called: the column, or the feature of the embedding."""
        return self.feature_names if self.is_embedding else self.schema.names

    @property
    def indicator(self) -> np.ndarray:
        """(d,) bool: which features are 0 or 1, less their share. None is in an embedding."""
        if self.is_embedding:
            return np.zeros(self.n_features, np.bool_)
        kinds = [column.kind in ("boolean", "categorical") for column in self.schema.columns]
        return np.repeat(kinds, self.preprocessing.sizes)

    @cached_property
    def categories(self) -> Categories | None:
        """Which features are categories of a text, yes/no or coded column; None where none is."""
        if self.is_embedding:
            return None
        columns = []
        for column, features in zip(self.preprocessing.columns, self.blocks):
            places = tuple(features.tolist())
            if isinstance(column, CategoricalColumn):
                columns.append(CategoryColumn(places, column.shares, name=column.name))
            elif isinstance(column, BooleanColumn):
                columns.append(CategoryColumn(places, (column.share,), True, name=column.name))
        return Categories(self.n_features, tuple(columns)) if columns else None

    def room(self, n: int, coded: bool = False) -> AnyMatrix:
        """Room for n rows, (n, d); `coded`: where categories have many features, and no cell may be
        missing, for codes in place of these. Which it is the design alone says: sums have the
        same bits wherever rows live."""
        categories = self.categories if coded and self.preprocessing.missing != "model" else None
        if categories is None or self.n_features - len(categories.numeric) < CODED_FROM:
            return np.empty((n, self.n_features))
        return Coded.empty(n, categories)

    def category_names(self, block: int) -> tuple[str, ...] | None:
        """Categories of a block of features, of a yes/no column true and false; None for numbers."""
        if self.is_embedding:
            return None
        column = self.preprocessing.columns[block]
        if isinstance(column, BooleanColumn):
            return ("true", "false")
        return column.categories if isinstance(column, CategoricalColumn) else None

    def reading_options(self) -> dict[str, Any]:
        """Arguments for `open_table`, so that a new table is read with the types of this one."""
        return self.preprocessing.reading_options()

    def transform(
        self,
        batch: Batch,
        *,
        unknown: str = "error",
        first_row: int = 0,
        locate: Locate = row_name,
        out: np.ndarray | None = None,
    ) -> Transformed:
        """The design matrix of a batch, as `Preprocessing.transform` with the same arguments.

        It has the bits that its rows have in any other batching, with encoders in batches that
        start at a whole number of `BLOCK_ROWS`. The Jacobian of an embedding is 0: there may be
        none. Raises InputError.
        """
        X = np.empty((batch.num_rows, self.n_features)) if out is None else out
        return Transformed(X, *self.fill(X, batch, unknown, first_row, locate))

    def fill(
        self,
        X: AnyMatrix,
        batch: Batch,
        unknown: str = "error",
        first_row: int = 0,
        locate: Locate = row_name,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write a batch into X (n, d), as `transform` has it: `complete` and `log_jacobian` of that."""
        if not self.is_embedding:
            return self.preprocessing.fill(X, batch, unknown, first_row, locate)
        done = self.preprocessing.transform(
            batch, unknown=unknown, first_row=first_row, locate=locate
        )
        put(X, self.chain.transform(done.X))
        return done.complete, np.zeros(len(X))

    def with_missing(self, missing: str) -> Self:
        """The same design that does something else about empty cells: error, model or drop."""
        if missing == "model" and self.is_embedding:
            raise UsageError(
                "--missing model is not available for a model of an embedding",
                hint="an encoder needs a value in each cell: fit with --missing mean or median",
            )
        return replace(self, preprocessing=replace(self.preprocessing, missing=missing))

    def row_weights(
        self, batch: Batch, *, first_row: int = 0, locate: Locate = row_name
    ) -> np.ndarray:
        """(n,) float64 weights from the weight column, ones without it.

        Raises InputError for a negative, infinite or missing weight.
        """
        return self.preprocessing.row_weights(batch, first_row=first_row, locate=locate)

    def inverse(self, X: np.ndarray) -> pa.Table:
        """(n, d) rows of the design matrix as a table with the training table's columns.

        Raises UsageError for an embedding, whose rows are no rows of the table.
        """
        if self.is_embedding:
            raise UsageError(
                "the model is one of an embedding, which cannot be turned back into rows",
                hint="fit without --encoder to draw rows",
            )
        return self.preprocessing.inverse(X)

    def column_summary(self, means: np.ndarray, variances: np.ndarray) -> ColumnSummary:
        """Components with these (m, d) means and variances, in the units of the table's columns
        or of the embedding's features."""
        if self.is_embedding:
            return ColumnSummary(self.feature_names, means, np.sqrt(variances))
        return self.preprocessing.column_summary(means, variances)

    def empty_cells(self, batch: Batch) -> np.ndarray:
        """(n, columns) bool: which cells of a batch are empty, so that their features are no values of
        the table; not to be written to."""
        return self.preprocessing.empty_cells(batch)

    def features_of(self, cells: np.ndarray) -> np.ndarray:
        """(n, d) bool: the features of the cells (n, columns) that are marked; none of an embedding."""
        if self.is_embedding:
            return np.zeros((len(cells), self.n_features), np.bool_)
        return np.repeat(cells, self.preprocessing.sizes, axis=1)

    def unseen_values(self, X: AnyMatrix) -> np.ndarray:
        """(n, blocks) bool: values of a kind that training did not have.

        That is another value in a constant column, one without a logarithm in a logged column, and a
        category that was not there. In X (n, d) such a number is put in the midst of its column, so
        that it counts once and the same in all units. An embedding has none: what it makes of such values is its own.
        """
        if self.is_embedding:
            return np.zeros((len(X), len(self.blocks)), np.bool_)
        return self.preprocessing.unseen_values(X)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a model file holds of it: a document, and the arrays of the encoders."""
        document: dict[str, Any] = {"preprocessing": self.preprocessing.to_dict()}
        encoders, arrays = self.chain.to_parts()
        if encoders:
            document["encoders"] = encoders
        return document, arrays

    @classmethod
    def from_parts(cls, document: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """From `to_parts`. Raises ModelFileError, ValueError, KeyError where they are damaged."""
        return cls(
            Preprocessing.from_dict(document["preprocessing"]),
            Chain.from_parts(document.get("encoders", []), arrays),
        )
