"""Frames of any library in, the same kind out: narwhals knows them, Arrow carries the columns."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from divmix import memory
from divmix.errors import InputError
from divmix.workflows.streamed import AT_ONCE


def is_dask(X: Any) -> bool:
    """Whether X is a frame of Dask."""
    dask = sys.modules.get("dask.dataframe")
    return dask is not None and isinstance(X, dask.DataFrame)


def is_frame(X: Any) -> bool:
    """Whether X has named columns: a frame of Dask, one that narwhals knows, or one with Arrow's C
    interface."""
    if is_dask(X):
        return True
    known = isinstance(nw.from_native(X, pass_through=True), nw.DataFrame | nw.LazyFrame)
    return known or hasattr(X, "__arrow_c_stream__")


def to_arrow(X: Any) -> pa.Table:
    """The columns of a frame; an index is left out, one that is lazy (polars, Dask) is computed.

    Raises InputError for a column that holds values of several kinds, and for a frame of Dask that
    memory cannot hold.
    """
    if is_dask(X):
        _check_room(X)
        X = X.compute()
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("pyarrow")
    try:
        if not isinstance(frame, nw.DataFrame):
            table = pa.table(X)
        elif frame.implementation.is_pandas():
            # A name that is no text cannot be one in Arrow.
            native = frame.to_native()
            native = native.set_axis([str(name) for name in native.columns], axis=1)
            table = pa.Table.from_pandas(native, preserve_index=False)
        else:
            table = frame.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"a column of the frame cannot be read: {error}",
            hint="give each column values of one kind, or drop it",
        ) from error
    return _codes_as_text(table)


def _check_room(frame: Any) -> None:
    """Raises InputError for a frame of Dask that does not fit into memory, by its first partition."""
    rows = frame.npartitions * len(frame.partitions[0])
    needed, free = AT_ONCE * 8 * rows * len(frame.columns), memory.available()
    if free is not None and needed > free:
        raise InputError(
            f"about {rows:,} rows of the Dask frame need {needed / 1e9:.3g} GB of memory, "
            f"{free / 1e9:.3g} GB are free",
            hint="what needs all rows in memory takes a sample: frame.sample(frac=.01)",
        )


def _codes_as_text(table: pa.Table) -> pa.Table:
    """Categories that are numbers, as text: a frame that calls them categories means them so."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and pa.types.is_primitive(field.type.value_type):
            column = table.column(place).cast(field.type.value_type).cast(pa.large_string())
            table = table.set_column(place, field.name, column)
    return table


def names_of(X: Any) -> list[Any]:
    """The column names of a frame as they are, in pandas maybe numbers."""
    if is_dask(X):
        return list(X.columns)
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.DataFrame) and frame.implementation.is_pandas():
        return list(frame.to_native().columns)
    if isinstance(frame, nw.DataFrame | nw.LazyFrame):
        return list(frame.collect_schema().names())
    return list(pa.table(X).column_names)


def unused_name(name: str, names: Collection[str]) -> str:
    """The name, or one made of it that no column has."""
    while name in names:
        name += "_"
    return name


def series_like(X: Any, name: str, values: np.ndarray) -> Any:
    """Values (n,) as a column of the kind of the frame X (n rows), with its index."""
    return frame_like(X, {name: values})[name]


def frame_like(X: Any, columns: Mapping[str, np.ndarray]) -> Any:
    """Columns (n,) as a frame of the kind of X (n rows), with its index."""
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.DataFrame) and frame.implementation.is_pandas():
        native = frame.to_native()
        return nw.get_native_namespace(frame).DataFrame(dict(columns), index=native.index)
    return of_kind(pa.table(dict(columns)), kind_of(X))


def kind_of(X: Any) -> str:
    """The library of a frame: that of the partitions of Dask's is pandas; what else is lazy, or known
    by Arrow's interface alone, is pyarrow's."""
    if is_dask(X):
        return "pandas"
    frame = nw.from_native(X, pass_through=True)
    return frame.implementation.value if isinstance(frame, nw.DataFrame) else "pyarrow"


def of_kind(table: pa.Table, kind: Any) -> Any:
    """An Arrow table as a frame of the library `kind`: pandas, polars, ..."""
    return nw.from_arrow(table, backend=kind).to_native()
