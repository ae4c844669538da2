"""Folders that part a table: `country=CH/year=2024/part.parquet` has two columns more."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.errors import InputError
from divmix.tables import arrays
from divmix.tables.number_text import Spelling
from divmix.tables.schema import AS_WRITTEN

# What Hive calls a missing value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class PartitionedFile:
    """A file with the columns that its folders tell, the same value in each row.

    They are numbers where all files have a number; `partition` gives this file's texts by name,
    `numbers` says which columns are numbers in all files.
    """

    def __init__(self, file: Any, partition: Mapping[str, str], numbers: Collection[str]) -> None:
        self._file = file
        self._values = dict(partition)
        self.source, self.name, self.rows = file.source, file.name, file.rows
        for name in partition:
            if name in file.schema.names:
                raise InputError(
                    f"{self.name} has a column '{name}', as its folder tells one too",
                    hint="rename the folder or the column",
                )
        told = [
            pa.field(name, pa.float64() if name in numbers else pa.large_string())
            for name in partition
        ]
        self.schema = pa.schema([*file.schema, *told])

    @property
    def estimated_rows(self) -> int | None:
        return self._file.estimated_rows

    @property
    def notes(self) -> tuple[str, ...]:
        return self._file.notes

    @property
    def spellings(self) -> Mapping[str, Spelling]:
        return self._file.spellings

    def place(self, row: int) -> str:
        """Name a row, counted from 0, in an error."""
        return self._file.place(row)

    def describe(self) -> dict[str, Any]:
        """The format, for the eye."""
        return self._file.describe() | {"columns_from_folders": list(self._values)}

    def batches(
        self, schema: pa.Schema, rows: int, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """As the file's, with the columns of the folders in their places."""
        stored = pa.schema([field for field in schema if field.name not in self._values])
        written = [name for name in as_written if name not in self._values]
        if not len(stored) and not written:
            written = self._file.schema.names[:1]  # which tells how many rows there are
        names = [*schema.names, *(AS_WRITTEN + name for name in as_written)]
        for batch in self._file.batches(stored, rows, written):
            columns = dict(zip(batch.schema.names, batch.columns))
            for name, text in self._values.items():
                column = _repeated(text, len(batch))
                columns[AS_WRITTEN + name] = column
                if name in schema.names:
                    columns[name] = pc.cast(column, schema.field(name).type)
            yield pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)


def number_keys(partitions: list[Mapping[str, str]]) -> set[str]:
    """Columns of folders that are numbers wherever they have a value."""
    keys = {name for partition in partitions for name in partition}
    texts = {
        name: [p[name] for p in partitions if p.get(name, NO_VALUE) != NO_VALUE] for name in keys
    }
    return {
        name
        for name, found in texts.items()
        if found and all(re.fullmatch(r"-?\d+(\.\d+)?", text) for text in found)
    }


def _repeated(text: str, rows: int) -> pa.Array:
    if text == NO_VALUE:
        return pa.nulls(rows, pa.large_string())
    return pc.take(arrays.texts([text]), arrays.integers(np.zeros(rows)))
