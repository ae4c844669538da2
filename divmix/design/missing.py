"""Empty cells: where they are, and what is said of them where they may not be."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from divmix.design.row_names import Locate
from divmix.errors import InputError
from divmix.settings import in_shell
from divmix.tables import arrays

# What may be done about empty cells: in a fit, in one that needs a value in each cell, and with new
# rows of a model.
_HINTS = {
    "fit": "--missing model judges each row by the cells that it has and loses none; --missing drop "
    "loses {lost:.0%} of the rows; --missing mean or median none but blurs clusters",
    "whole": "--missing drop loses {lost:.0%} of the rows; --missing mean or median none but blurs what "
    "sets them apart",
    "known": "divmix predict --missing model judges each row by the cells that it has, --missing drop "
    "leaves it without a result; or fit again with --missing",
}


def empty_cells(column: pa.Array) -> np.ndarray | None:
    """(n,) bool, or None where no cell is empty. NaN counts as empty."""
    if pa.types.is_floating(column.type):
        empty = np.isnan(arrays.to_floats(column))
    elif column.null_count:
        empty = arrays.is_empty(column)
    else:
        return None
    return empty if empty.any() else None


def empty_by_column(columns: Mapping[str, pa.Array]) -> dict[str, np.ndarray]:
    """(n,) bool for each of the columns that has an empty cell."""
    found = {name: empty_cells(column) for name, column in columns.items()}
    return {name: empty for name, empty in found.items() if empty is not None}


def incomplete_rows(by_column: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """(n,) bool: rows that have an empty cell in any of these columns, (n,) bool each."""
    rows = np.zeros(n, dtype=np.bool_)
    for empty in by_column.values():
        rows |= empty
    return rows


class EmptyCells:
    """The empty cells of a table, counted batch by batch; rows : how many have one."""

    def __init__(self) -> None:
        self.rows = 0
        self._of = 0
        self._first: tuple[int, str] | None = None
        self._columns: dict[str, None] = {}

    def update(self, by_column: Mapping[str, np.ndarray], n: int, first_row: int) -> None:
        """The n rows that come next, (n,) bool for each column with an empty cell."""
        self._of += n
        if not by_column:
            return
        self.rows += int(incomplete_rows(by_column, n).sum())
        self._columns |= dict.fromkeys(by_column)
        if self._first is None:
            row, name = min((int(np.argmax(empty)), name) for name, empty in by_column.items())
            self._first = first_row + row, name

    def refuse(self, locate: Locate, columns: int, where: str) -> None:
        """Raises InputError that names the first empty cell, where there is one among `columns`.

        `where` is "fit", "whole" for what needs a value in each cell, or "known" for new rows of a
        model.
        """
        if self._first is None:
            return
        (row, name), count, n = self._first, self.rows, self._of
        hint = _HINTS[where].format(lost=count / n)
        if where != "known" and len(self._columns) < columns:
            hint += f"; --exclude {in_shell(*self._columns)} none"
        raise InputError(
            f"{locate(row)}: column '{name}' is empty ({count:,} of {n:,} rows have an empty cell)",
            hint=hint,
            fix={"missing": "model" if where == "fit" else "mean"},
        )


def empty_rows(by_column: Mapping[str, np.ndarray], columns: int, n: int) -> np.ndarray:
    """(n,) bool: rows of which all `columns` columns are empty."""
    if len(by_column) < columns:
        return np.zeros(n, np.bool_)
    return np.logical_and.reduce(list(by_column.values()))


def refuse_empty_cells(
    by_column: Mapping[str, np.ndarray],
    columns: int,
    n: int,
    first_row: int,
    locate: Locate,
    where: str,
) -> None:
    """Raises InputError that names the first empty cell of n rows, where there is one."""
    empty = EmptyCells()
    empty.update(by_column, n, first_row)
    empty.refuse(locate, columns, where)
