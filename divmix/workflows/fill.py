"""Empty cells of a table filled in by a mixture."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from divmix.design.columns import BooleanColumn
from divmix.design.design import Design
from divmix.tables import arrays
from divmix.tables.schema import is_text
from divmix.workflows.beside import significant


def filled_in(
    design: Design,
    X: np.ndarray,
    filled: np.ndarray,
    batch: pa.RecordBatch,
    written: pa.RecordBatch,
    names: Sequence[str],
    digits: int | None,
) -> pa.RecordBatch:
    """Columns `names` of the input as written, the empty cells of those of the model filled in.

    X (n, d) are the rows of `batch` with NaN in their gaps and `filled` without any. Numbers have
    so many significant `digits`, None for all; whole numbers of a typed table become fractions.
    """
    rows = np.flatnonzero(np.isnan(X).any(axis=1))
    if not len(rows):
        return written
    decoded = design.inverse(filled[rows])
    places = dict(zip(design.schema.names, range(len(design.blocks))))
    columns = list(written.columns)
    for at, name in enumerate(names):
        if name not in places:
            continue
        empty = np.isnan(X[:, design.blocks[places[name]][0]])
        if not empty.any():
            continue
        values = decoded.column(name).combine_chunks()
        if types.is_floating(values.type) and digits is not None:
            values = arrays.floats(significant(arrays.to_floats(values), digits))
        place = np.zeros(len(X), np.int64)
        place[rows] = np.arange(len(rows))
        values = pc.take(values, arrays.integers(place))
        own = columns[at]
        if isinstance(design.preprocessing.columns[places[name]], BooleanColumn):
            values = _as_said(values, batch.column(name), own)
        if types.is_integer(own.type) and types.is_floating(values.type):
            own = pc.cast(own, pa.float64())
        columns[at] = pc.if_else(arrays.booleans(empty), pc.cast(values, own.type), own)
    return pa.RecordBatch.from_arrays(columns, names=written.schema.names)


def _as_said(values: pa.Array, known: pa.Array, own: pa.Array) -> pa.Array:
    """True and false in the words that the column has for them."""
    if not is_text(own.type):
        return values
    words = []
    for truth in (True, False):
        rows = pc.filter(own, pc.equal(pc.cast(known, pa.bool_()), truth))
        words.append(rows[0] if len(rows) else pa.scalar(str(truth).lower(), own.type))
    return pc.if_else(values, *words)
