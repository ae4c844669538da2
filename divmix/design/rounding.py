"""Whole numbers that a float64 rounds, as identifiers are."""

from collections.abc import Iterable

import numpy as np

from divmix.design.cells import Batch, column_of
from divmix.design.columns import TableColumn
from divmix.design.numeric_column import NumericColumn
from divmix.design.roles import EXACT
from divmix.tables import arrays

LONGEST = 2.0**128  # more than that numbers nothing: it is a quantity


def notes_on_rounding(sample: Batch, columns: Iterable[TableColumn]) -> list[str]:
    """Which columns hold such numbers, in sentences; `sample` are rows that stand for all."""
    notes = []
    for column in columns:
        if not isinstance(column, NumericColumn):
            continue
        largest = max(abs(column.minimum), abs(column.maximum))
        if EXACT < largest < LONGEST:
            values = arrays.to_floats(column_of(sample, column.name))
            if (values[~np.isnan(values)] % 1 == 0).all():
                notes.append(
                    f"column '{column.name}' has whole numbers beyond {EXACT:,}, which are "
                    f"rounded: --exclude {column.name} if it is an identifier"
                )
    return notes
