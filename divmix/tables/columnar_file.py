"""Parquet and Arrow IPC files: their types and row counts are written in them."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa

from divmix.errors import InputError
from divmix.tables.number_text import Spelling
from divmix.tables.schema import AS_WRITTEN, first_doubled, is_text
from divmix.tables.sources import Source

# The first bytes of each format.
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
BUFFER = 1 << 18  # bytes of a column that are read ahead


class TypedFile:
    """A file whose values have the types that it says: nothing is left open of how it is read. Its
    rows have numbers, not lines."""

    format: ClassVar[str]
    rows: int | None = None  # where they are not counted
    estimated_rows: int | None = None
    notes: tuple[str, ...] = ()
    spellings: Mapping[str, Spelling] = {}

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.name

    def place(self, row: int) -> str:
        """Name a row, counted from 0, in an error, where it counts from 1."""
        return f"{self.name} row {row + 1:,}"

    def describe(self) -> dict[str, Any]:
        """The format, for the eye."""
        return {"format": self.format}


class ParquetFile(TypedFile):
    """One Parquet file; `schema` has its columns with plain types, `rows` their number."""

    format = "Parquet"
    rows: int

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        with _errors_told(self):
            from pyarrow import parquet

            # Without a buffer a whole row group, a million rows often, is read at once.
            self._file = parquet.ParquetFile(
                source.open_native(), buffer_size=BUFFER, pre_buffer=False
            )
            self.rows = self._file.metadata.num_rows
            self.schema = _plain_schema(self.name, self._file.schema_arrow)

    def batches(
        self, schema: pa.Schema, rows: int, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The columns of `schema` with its types, at most `rows` rows at a time, and then those
        `as_written` with the file's."""
        names = list(dict.fromkeys([*schema.names, *as_written]))
        with _errors_told(self):
            for batch in self._file.iter_batches(rows, columns=names):
                yield cast(batch, schema, as_written)

    def between(self, schema: pa.Schema, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Rows start .. stop - 1, as far as there are, from the row groups that have them."""
        metadata, groups, first, skipped = self._file.metadata, [], 0, 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if first < stop and start < first + rows:
                groups.append(group)
            elif not groups:
                skipped += rows
            first += rows
        place = skipped
        with _errors_told(self):
            for batch in self._file.iter_batches(row_groups=groups, columns=schema.names):
                low, high = max(start - place, 0), min(stop - place, batch.num_rows)
                if low < high:
                    yield cast(batch.slice(low, high - low), schema)
                place += batch.num_rows


class ArrowFile(TypedFile):
    """One Arrow IPC file or stream; `rows` is known for a file only."""

    format = "Arrow"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._is_file = source.head(6) == ARROW_FILE
        with _errors_told(self):
            if self._is_file:
                self._file = pa.ipc.open_file(source.open_native())
                self.rows = sum(
                    self._file.get_batch(i).num_rows for i in range(self._file.num_record_batches)
                )
            else:
                self._file = pa.ipc.open_stream(source.open())
            self.schema = _plain_schema(self.name, self._file.schema)

    def batches(
        self, schema: pa.Schema, rows: int, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The columns of `schema` with its types, a record batch of the file at a time, and then
        those `as_written` with the file's."""
        with _errors_told(self):
            if self._is_file:
                found = map(self._file.get_batch, range(self._file.num_record_batches))
            else:
                found = self._rewound()
            for batch in found:
                yield cast(batch, schema, as_written)

    def _rewound(self) -> Any:
        """The stream from its start: it is read once only where it cannot be opened again."""
        if self.source.is_stream:
            return self._file
        return pa.ipc.open_stream(self.source.open())


def plain_type(kind: pa.DataType) -> pa.DataType:
    """One type for all that hold the same: text is large_string, decimals are float64."""
    if is_text(kind):
        return pa.large_string()
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _plain_schema(name: str, schema: pa.Schema) -> pa.Schema:
    doubled = first_doubled(schema.names)
    if doubled is not None:
        raise InputError(f"{name}: two columns are called '{doubled}'", hint="rename one of them")
    # pandas stores the row labels of a table as a column of this name.
    return pa.schema(
        [
            (field.name, plain_type(field.type))
            for field in schema
            if not field.name.startswith("__index_level_")
        ]
    )


def cast(
    batch: pa.RecordBatch, schema: pa.Schema, as_written: Collection[str] = ()
) -> pa.RecordBatch:
    """The columns of a schema with its types, then those as they are."""
    columns = batch.select(schema.names).cast(schema).columns
    names = [*schema.names, *(AS_WRITTEN + name for name in as_written)]
    return pa.RecordBatch.from_arrays([*columns, *map(batch.column, as_written)], names=names)


@contextmanager
def _errors_told(file: ParquetFile | ArrowFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{file.name} is not a readable {file.format} file: {str(error).splitlines()[0]}",
            hint="the file may be cut short; write it again",
            instead=file.source.again(),
        ) from error
