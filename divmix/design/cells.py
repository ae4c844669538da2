"""Columns of a batch by name, and the weights of its rows."""

from typing import TypeAlias

import numpy as np
import pyarrow as pa

from divmix.design.row_names import Locate
from divmix.errors import InputError
from divmix.tables import arrays
from divmix.tables.schema import is_number, unknown_column

# Weights above zero: sums of smaller or larger ones, times squares, are no numbers of a float64.
WEIGHTS = (1e-100, 1e100)

Batch: TypeAlias = pa.RecordBatch | pa.Table


def column_of(batch: Batch, name: str) -> pa.Array:
    """A column in one piece. Raises InputError where the batch lacks it."""
    place = batch.schema.get_field_index(name)
    if place < 0:
        raise unknown_column(name, batch.schema.names)
    column = batch.column(place)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def row_weights(batch: Batch, name: str | None, locate: Locate, first_row: int) -> np.ndarray:
    """(n,) float64 weights from the column `name`, ones for None.

    Raises InputError for a weight that is missing, negative or beyond WEIGHTS.
    """
    if name is None:
        return np.ones(batch.num_rows)
    column = column_of(batch, name)
    if not (pa.types.is_boolean(column.type) or is_number(column.type)):
        raise InputError(
            f"the weight column '{name}' is {column.type}, not numbers",
            hint="a weight is a number from zero up",
        )
    weights = arrays.to_floats(column)
    low, high = WEIGHTS
    wrong = ~((weights == 0) | ((weights >= low) & (weights <= high)))
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "empty" if np.isnan(weights[row]) else f"{weights[row]:g}"
        raise InputError(
            f"{locate(first_row + row)}: the weight '{name}' is {found}",
            hint=f"a weight is zero, or a number from {low:g} to {high:g}",
        )
    return weights
