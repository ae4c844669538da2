"""From a table to the design matrix and back: learned once on the training table, then applied."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from divmix.design import cells
from divmix.design.cells import Batch
from divmix.design.columns import (
    BooleanColumn,
    CategoricalColumn,
    DateColumn,
    NumericColumn,
    TableColumn,
)
from divmix.design.learning import Batches, in_batches, learn_columns, sampled
from divmix.design.missing import empty_cells, empty_rows, incomplete_rows, refuse_empty_cells
from divmix.design.roles import Role
from divmix.design.row_names import Locate, row_name
from divmix.errors import InputError, ModelFileError
from divmix.settings import TableSettings
from divmix.tables.schema import Column, Schema

if TYPE_CHECKING:
    from divmix.families.coded import Coded

_COLUMN_KINDS: dict[str, Callable[..., TableColumn]] = {
    kind.kind: kind for kind in (NumericColumn, BooleanColumn, CategoricalColumn, DateColumn)
}

CODED_KINDS = (BooleanColumn, CategoricalColumn)  # of which `Coded` rows have the codes


class Transformed(NamedTuple):
    """Rows of the design matrix.

    X : (n, d) float64, C-contiguous; with missing="model" NaN where a cell is empty.
    complete : (n,) bool, False for a row that missing values keep out.
    log_jacobian : (n,) float64, nats. Added to a row's log-density under the design matrix it
        gives the log-density in the table's own units.
    """

    X: np.ndarray
    complete: np.ndarray
    log_jacobian: np.ndarray


class ColumnSummary(NamedTuple):
    """Mean and spread (standard deviation) of components in the table's own units.

    names : the d features; mean, spread : (m, d) float64.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Preprocessing:
    """How each column of a table becomes features of the design matrix.

    columns : those that enter the fit, in the training table's order.
    weight : the column of row weights, if any.
    missing : 'error', 'drop', 'mean', 'median' or 'model', what is done about empty cells.
    header : whether the first line of a CSV file holds names.
    """

    columns: tuple[TableColumn, ...]
    weight: str | None = None
    missing: str = "error"
    header: bool = True

    @classmethod
    def learn(
        cls,
        table: Batch,
        settings: TableSettings,
        *,
        locate: Locate = row_name,
        roles: Sequence[Role] | None = None,
    ) -> Self:
        """Learn from the whole training table; rows with missing values that are dropped, and
        rows of weight zero, have no say.

        `roles` are those of the columns, None to find them out here. Raises InputError for columns that cannot be used, infinite or missing
        values, fewer than two rows and a table without any variation.
        """
        return cls.learn_with_roles(
            partial(in_batches, table), sampled(table), settings, locate=locate, roles=roles
        )[0]

    @classmethod
    def learn_with_roles(
        cls,
        batches: Batches,
        sample: Batch,
        settings: TableSettings,
        *,
        locate: Locate = row_name,
        roles: Sequence[Role] | None = None,
    ) -> tuple[Self, tuple[Role, ...]]:
        """Learn from a table that `batches` reads, and the roles of its columns; `sample` has rows
        that stand for all, as `sampled` has them. Raises InputError as `learn` does."""
        columns, roles = learn_columns(batches(), sample, settings, locate, roles)
        if all(column.is_constant for column in columns):
            raise InputError(
                "every column of the fit is constant",
                hint="check the table, --columns and --exclude",
            )
        return cls(columns, settings.weight, settings.missing, settings.header), roles

    @property
    def schema(self) -> Schema:
        """Names and kinds of the columns."""
        return Schema(
            tuple(Column(c.name, c.kind, getattr(c, "categories", ())) for c in self.columns),
            weight=self.weight,
        )

    @property
    def sizes(self) -> list[int]:
        """Number of features of each column."""
        return [len(column.features) for column in self.columns]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the d features: the column's, or `protocol=tcp` for a category."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def n_features(self) -> int:
        return sum(self.sizes)

    def reading_options(self) -> dict[str, Any]:
        """Arguments for `open_table`, so that a new table is read with the types of this one."""
        names = {kind: [c.name for c in self.columns if c.kind == kind] for kind in _COLUMN_KINDS}
        return dict(
            header=self.header,
            columns=[c.name for c in self.columns],
            text_columns=names["categorical"],
            number_columns=names["numeric"],
            boolean_columns=names["boolean"],
        )

    def transform(
        self,
        batch: Batch,
        *,
        unknown: str = "error",
        first_row: int = 0,
        locate: Locate = row_name,
        out: np.ndarray | None = None,
    ) -> Transformed:
        """The design matrix of a batch; bit for bit the rows it has in any other batching.

        Parameters
        ----------
        batch : columns are found by name, others are ignored.
        unknown : 'error', or 'ignore' for a category that the training table did not have, and for
            a value of a logged column that has no logarithm.
        first_row : where the batch starts in its table, for errors.
        locate : names a row of the table in errors.
        out : (n, d) float64 C-contiguous, filled in place instead of a new matrix.
        """
        X = np.empty((batch.num_rows, self.n_features)) if out is None else out
        return Transformed(X, *self.fill(X, batch, unknown, first_row, locate))

    def fill(
        self,
        X: "np.ndarray | Coded",
        batch: Batch,
        unknown: str = "error",
        first_row: int = 0,
        locate: Locate = row_name,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write a batch into X (n, d), as `transform` has it; `complete` and `log_jacobian` of that.

        X may be `Coded` where missing is not "model".
        """
        log_jacobian = np.zeros(batch.num_rows)
        missing_by_column = {}
        for column, place in zip(self.columns, self._places(X)):
            missing = _encode(
                column,
                cells.column_of(batch, column.name),
                place,
                lambda row: locate(first_row + row),
                unknown,
            )
            of_column = column.log_jacobian(place.features)
            if missing is not None:
                missing_by_column[column.name] = missing
                if self.missing == "model":  # the density is one of the other cells
                    place.features[missing] = np.nan
                    of_column = np.where(missing, 0.0, of_column)
            log_jacobian += of_column
        complete = self._complete_rows(missing_by_column, batch.num_rows, first_row, locate)
        return complete, log_jacobian

    def empty_cells(self, batch: Batch) -> np.ndarray:
        """(n, columns) bool: which cells are empty; not to be written to."""
        empty = np.broadcast_to(np.False_, (batch.num_rows, len(self.columns)))
        for j, column in enumerate(self.columns):
            own = empty_cells(cells.column_of(batch, column.name))
            if own is not None:
                empty = empty if empty.flags.writeable else empty.copy()
                empty[:, j] = own
        return empty

    def unseen_values(self, X: "np.ndarray | Coded") -> np.ndarray:
        """(n, columns) bool, and numbers put in the midst of their column: as `Design` has it."""
        unseen = np.zeros((len(X), len(self.columns)), np.bool_)
        for j, (column, place) in enumerate(zip(self.columns, self._places(X))):
            if place.codes is not None:
                assert isinstance(column, CODED_KINDS)
                unseen[:, j] = column.unseen_codes(place.codes)
                if isinstance(column, BooleanColumn):
                    place.codes[unseen[:, j]] = column.share
                continue
            unseen[:, j] = column.unseen(place.features)
            if column.kind in ("numeric", "boolean"):
                place.features[unseen[:, j], 0] = 0.0
        return unseen

    def _places(self, X: "np.ndarray | Coded") -> Iterator["_Place"]:
        """Where the features of each column are in X (n, d), or its codes."""
        features, codes = (X, None) if isinstance(X, np.ndarray) else (X.numbers, X.codes)
        start = code = 0
        for column in self.columns:
            if codes is not None and isinstance(column, CODED_KINDS):
                yield _Place(features[:, :0], codes[:, code])
                code += 1
                continue
            stop = start + len(column.features)
            yield _Place(features[:, start:stop])
            start = stop

    def _complete_rows(
        self, missing_by_column: Mapping[str, np.ndarray], n: int, first_row: int, locate: Locate
    ) -> np.ndarray:
        if self.missing == "error":
            columns = len(self.columns)
            refuse_empty_cells(missing_by_column, columns, n, first_row, locate, "known")
        if self.missing == "model":  # a row without a cell says nothing
            return ~empty_rows(missing_by_column, len(self.columns), n)
        dropped = missing_by_column if self.missing == "drop" else {}
        return ~incomplete_rows(dropped, n)

    def row_weights(
        self, batch: Batch, *, first_row: int = 0, locate: Locate = row_name
    ) -> np.ndarray:
        """(n,) float64 weights from the weight column, ones without it.

        Raises InputError for a weight that is missing, negative or beyond WEIGHTS.
        """
        return cells.row_weights(batch, self.weight, locate, first_row)

    def inverse(self, X: np.ndarray) -> pa.Table:
        """(n, d) rows of the design matrix as a table with the training table's columns.

        A boolean is true from one half, a category is the one with the largest value.
        """
        parts = np.split(X, np.cumsum(self.sizes)[:-1], axis=1)
        return pa.Table.from_arrays(
            [column.decode(part) for column, part in zip(self.columns, parts, strict=True)],
            names=[column.name for column in self.columns],
        )

    def column_summary(self, means: np.ndarray, variances: np.ndarray) -> ColumnSummary:
        """Components with these (m, d) means and variances, in the table's own units.

        Number columns: mean and standard deviation. Logged columns: the median, and the standard
        deviation by the delta rule. Booleans and categories: the share and its standard deviation.
        """
        stops = np.cumsum(self.sizes)[:-1]
        pairs = [
            column.summary(mean, variance)
            for column, mean, variance in zip(
                self.columns,
                np.split(means, stops, axis=1),
                np.split(variances, stops, axis=1),
                strict=True,
            )
        ]
        return ColumnSummary(
            self.feature_names,
            np.hstack([mean for mean, _ in pairs]),
            np.hstack([spread for _, spread in pairs]),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; floats survive exactly."""
        return dict(
            columns=[
                {"kind": column.kind, **asdict(column, dict_factory=_entries)}
                for column in self.columns
            ],
            weight=self.weight,
            missing=self.missing,
            header=self.header,
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """From `to_dict`. Raises ModelFileError where the document is not one."""
        try:
            columns = tuple(_column_from_dict(dict(column)) for column in document["columns"])
            return cls(columns, document["weight"], document["missing"], document["header"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                "the model's description of its columns is damaged", hint="fit the model again"
            ) from error


def _entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a column; a power that changes nothing is left out."""
    return {name: value for name, value in pairs if (name, value) != ("power", 1.0)}


class _Place(NamedTuple):
    """Where a column's features (n, features) are written; or its codes (n,), and no features."""

    features: np.ndarray
    codes: np.ndarray | None = None


def _encode(
    column: TableColumn, values: pa.Array, place: _Place, row_name: Locate, unknown: str
) -> np.ndarray | None:
    """Write a column where its place is: which values are missing, (n,) bool, None where none is."""
    if place.codes is not None:
        assert isinstance(column, CODED_KINDS)
        place.codes[:], missing = column.codes(values, row_name, unknown)
        return missing
    if isinstance(column, (CategoricalColumn, NumericColumn)):
        return column.encode(values, place.features, row_name, unknown=unknown)
    return column.encode(values, place.features, row_name)


def _column_from_dict(document: dict[str, Any]) -> TableColumn:
    kind = _COLUMN_KINDS[document.pop("kind")]
    if kind is DateColumn:
        document["columns"] = tuple(NumericColumn(**column) for column in document["columns"])
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
        }
    )
