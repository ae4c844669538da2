"""Columns between NumPy and Arrow.

`pa.array`, `pa.scalar` and `Array.to_numpy` import pandas wherever it is installed, which takes
longer than labelling a small table. These few functions use Arrow's buffers instead.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def integers(values: np.ndarray) -> pa.Array:
    """(n,) whole numbers as an int64 column."""
    return _from_buffer(pa.int64(), np.ascontiguousarray(values, dtype=np.int64))


def floats(values: np.ndarray) -> pa.Array:
    """(n,) numbers as a float64 column."""
    return _from_buffer(pa.float64(), np.ascontiguousarray(values, dtype=np.float64))


def booleans(values: np.ndarray) -> pa.Array:
    """(n,) truth values as a boolean column."""
    return _from_buffer(pa.uint8(), np.ascontiguousarray(values, dtype=np.uint8)).cast(pa.bool_())


def texts(values: Sequence[str]) -> pa.Array:
    """Strings as a text column."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def where(known: np.ndarray, column: pa.Array) -> pa.Array:
    """The column with empty cells where it is not known, (n,) bool."""
    return pc.if_else(booleans(known), column, pa.nulls(len(column), column.type))


def owned(data: bytes) -> pa.Buffer:
    """A copy that is Arrow's own. A thread of Arrow that lets go of Python's bytes while the
    interpreter exits, as it does right after an error, would abort it."""
    buffer = pa.allocate_buffer(len(data))
    np.frombuffer(buffer, np.uint8)[:] = np.frombuffer(data, np.uint8)
    return buffer


def to_floats(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of numbers or booleans as (n,) float64, NaN where it is empty. Read-only."""
    numbers = pc.fill_null(pc.cast(_one_chunk(column), pa.float64(), safe=False), _NAN)
    return np.from_dlpack(numbers)


def as_stored(column: pa.Array | pa.ChunkedArray) -> np.ndarray | None:
    """A column of numbers without an empty cell as (n,) in its own type, nothing copied; None for
    any other. Read-only."""
    column = _one_chunk(column)
    kind = column.type
    if column.null_count or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return None
    return np.from_dlpack(column)


def to_codes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of whole numbers as (n,) int64, -1 where it is empty. Read-only."""
    return np.from_dlpack(pc.fill_null(pc.cast(_one_chunk(column), pa.int64()), _MINUS_ONE))


def is_empty(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(n,) bool: where the column has no value."""
    return np.from_dlpack(pc.is_null(_one_chunk(column)).cast(pa.uint8())).view(np.bool_)


def _one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _from_buffer(kind: pa.DataType, values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


_NAN = floats(np.array([np.nan]))[0]
_MINUS_ONE = integers(np.array([-1]))[0]
