"""Tables from CSV, Parquet and Arrow files, folders and standard input, whole or in batches."""

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from divmix import memory
from divmix.errors import InputError
from divmix.settings import TableSettings, in_shell
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.columnar_file import (
    ARROW_FILE,
    ARROW_STREAM,
    PARQUET,
    ArrowFile,
    ParquetFile,
)
from divmix.tables.csv_file import CsvFile
from divmix.tables.json_lines import JsonLinesFile, looks_like_json_lines
from divmix.tables.number_text import Spelling
from divmix.tables.partitions import PartitionedFile, number_keys
from divmix.tables.schema import is_number, unknown_column
from divmix.tables.sources import Source, expand

LOOK_EVERY = 1 << 28  # bytes read into memory between two looks at how much is free

PlainFile = CsvFile | JsonLinesFile | ParquetFile | ArrowFile
TableFile = PlainFile | PartitionedFile


def open_table(
    sources: Sequence[str | Path],
    *,
    header: bool = True,
    columns: Sequence[str] | None = None,
    text_columns: Iterable[str] = (),
    number_columns: Iterable[str] | None = None,
    boolean_columns: Iterable[str] = (),
    encoding: str | None = None,
) -> "TableReader":
    """Open files, folders of files or '-' (standard input) as one table.

    CSV (.gz and .zst too; parted by commas, semicolons, tabs, | or blanks), JSON Lines, Parquet
    and Arrow IPC are told apart by their first bytes. All must have the same columns, in any
    order. In a folder of folders `key=value`, each key is a column too.

    Parameters
    ----------
    header : whether the first line of a CSV file holds names; else they are x1, x2, ...
    columns : read these only, in this order. Default: all.
    text_columns, number_columns, boolean_columns : columns to read as such, whatever they look
        like. The others are what they look like in the first megabyte of a CSV file.
    encoding : of CSV files; None is UTF-8, or UTF-16 where the first bytes say so.

    Raises InputError for what is missing, empty, broken or contradictory.
    """
    forced = dict.fromkeys(number_columns or (), pa.float64())
    forced |= dict.fromkeys(boolean_columns, pa.bool_())
    forced |= dict.fromkeys(text_columns, pa.large_string())
    files: list[TableFile] = []
    expanded = expand(sources)
    keys = number_keys([source.partition for source in expanded])
    for source in expanded:
        # Later files are read with the types of the first, where those are known.
        known = {f.name: f.type for f in files[0].schema if f.type != pa.null()} if files else {}
        files.append(_open_file(source, header, known | forced, encoding, keys))
    for file in files[1:]:
        _check_same_columns(files[0], file)
    names = files[0].schema.names
    for name in columns or ():
        if name not in names:
            raise unknown_column(name, names, files[0].name)
    schema = _common_schema(files, forced, names if columns is None else dict.fromkeys(columns))
    options = dict(
        header=header,
        columns=columns,
        text_columns=text_columns,
        number_columns=number_columns,
        boolean_columns=boolean_columns,
        encoding=encoding,
    )
    return TableReader(files, schema, options)


def reading_options(settings: TableSettings) -> dict[str, Any]:
    """Arguments for `open_table` that suit a fit: what stays out of it need not be numbers."""
    beside = [name for name in (settings.truth, settings.weight) if name is not None]
    columns = None
    if settings.columns is not None:
        columns = [*settings.columns, *settings.exclude, *beside]
    as_text = {*settings.categorical, *settings.exclude, settings.truth} - {None, settings.weight}
    return dict(
        header=settings.header,
        columns=columns,
        text_columns=sorted(as_text),
        encoding=settings.encoding,
    )


class TableReader:
    """One table in one or several files.

    names, schema : the columns and their Arrow types. all_names : also those that are not read.
    rows : how many there are, None where only reading can tell. options : those it was opened with.
    """

    def __init__(
        self, files: Sequence[TableFile], schema: pa.Schema, options: Mapping[str, Any]
    ) -> None:
        self._files, self.options = files, dict(options)
        self._starts: list[int] = []
        self.schema = schema
        self.names: list[str] = schema.names
        self.all_names: list[str] = files[0].schema.names
        counts = [file.rows for file in files]
        known = [count for count in counts if count is not None]
        self.rows: int | None = sum(known) if len(known) == len(counts) else None

    def among(self, columns: Sequence[str], text_columns: Collection[str] = ()) -> "TableReader":
        """The same table with these of its columns alone, in this order. Raises InputError."""
        for name in columns:
            if name not in self.names:
                raise unknown_column(name, self.names, self.told)
        fields = [
            pa.field(name, pa.large_string()) if name in text_columns else self.schema.field(name)
            for name in dict.fromkeys(columns)
        ]
        options = self.options | {"columns": columns, "text_columns": text_columns}
        return TableReader(self._files, pa.schema(fields), options)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the files are read, as far as they are read."""
        return (*(note for file in self._files for note in file.notes), *self._on_numbers())

    def _on_numbers(self) -> Iterator[str]:
        """A note on numbers that are written with more than digits, and one on empty cells."""
        spellings: dict[str, Spelling] = {}
        for file in self._files:
            spellings = {**file.spellings, **spellings}
        known = [(name, spellings[name]) for name in self.names if name in spellings]
        odd = [f"{name} ({spelling.told()})" for name, spelling in known if spelling.example]
        if odd:
            yield f"read as numbers: {', '.join(odd)}"
        empty = [f"'{spelling.empty}' in {name}" for name, spelling in known if spelling.empty]
        if empty:
            yield f"read as empty cells: {', '.join(empty)}"

    @property
    def paths(self) -> list[str]:
        """The files it is read from."""
        return [file.name for file in self._files]

    @property
    def told(self) -> str:
        """The name of the file; of several, that of the first and how many more there are."""
        more = len(self._files) - 1
        return self._files[0].name + (f" and {more:,} more" if more else "")

    @property
    def pipe(self) -> str | None:
        """What can be read once only, None where everything can be read again."""
        return next((file.name for file in self._files if file.source.is_stream), None)

    @property
    def estimated_bytes(self) -> int | None:
        """Of the numbers that the table holds, as float64; None where nothing tells of its rows."""
        rows = 0
        for file in self._files:
            own = file.rows if file.rows is not None else file.estimated_rows
            if own is None:
                return None
            rows += own
        return 8 * rows * len(self.names)

    def describe_format(self) -> dict[str, Any]:
        """Format of the first file and, of text, how it is taken apart."""
        return self._files[0].describe()

    def batches(
        self, rows: int = BATCH_ROWS, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The table in batches of exactly `rows` rows, the last one shorter.

        The columns `as_written` follow those of the schema, as their files have them; their names
        come after AS_WRITTEN. Raises InputError for a broken file, and for a table without any row.
        """
        return rechunk(self._as_stored(rows, as_written), rows)

    def between(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Rows start .. stop - 1 of Parquet files, in batches; what lies before them is not read.

        Raises InputError for a broken file.
        """
        self._starts[:] = [0, *accumulate(file.rows or 0 for file in self._files[:-1])]
        return rechunk(self._between(start, stop), BATCH_ROWS)

    def _between(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        for file, first in zip(self._files, self._starts):
            assert isinstance(file, ParquetFile)
            if start < first + file.rows and first < stop:
                yield from file.between(self.schema, start - first, stop - first)

    @property
    def is_parquet(self) -> bool:
        """Whether all files are Parquet, whose rows can be read from any place."""
        return all(isinstance(file, ParquetFile) for file in self._files)

    def read(self, as_written: Collection[str] = ()) -> pa.Table:
        """The whole table, with columns `as_written` as `batches` has them. Raises InputError."""
        batches = self._while_there_is_room(self._as_stored(BATCH_ROWS, as_written))
        if as_written:
            return pa.Table.from_batches(batches)
        return pa.Table.from_batches(batches, schema=self.schema)

    def _while_there_is_room(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches. Raises InputError before they, or what a pipe goes on to bring, take the
        last of the memory."""
        rows = unseen = 0
        for batch in batches:
            rows, unseen = rows + batch.num_rows, unseen + batch.nbytes
            if unseen > LOOK_EVERY:
                unseen, free = 0, memory.available()
                if free is not None and free < 2 * LOOK_EVERY:
                    raise InputError(
                        f"{self._files[0].name} does not fit into memory: {rows:,} rows were read, "
                        f"and {free / 1e9:.3g} GB are free",
                        hint="name fewer --columns, or a part of the rows",
                    )
            yield batch

    def locate(self, row: int) -> str:
        """Name a row of the table, counted from 0, in its file: 'line 13 of b.csv', or, of a file
        without lines, 'b.parquet row 12', counted from 1."""
        place = max(bisect_right(self._starts, row) - 1, 0)
        start = self._starts[place] if self._starts else 0
        return self._files[place].place(row - start)

    def describe(self) -> dict[str, Any]:
        """Names, size in bytes and SHA-256 of the files as stored.

        A folder that is parted by folders has its own name: those of its files would not tell of
        all columns. Of several files it is the digest of their digests. Standard input counts as far as read.
        """
        prints = [file.source.fingerprint() for file in self._files]
        digests = [digest for _, digest in prints]
        if len(digests) > 1:
            digests = [hashlib.sha256("".join(digests).encode()).hexdigest()]
        return dict(
            names=list(dict.fromkeys(file.source.folder or file.name for file in self._files)),
            bytes=sum(size for size, _ in prints),
            sha256=digests[0],
        )

    def _as_stored(self, rows: int, as_written: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
        self._starts.clear()
        done = 0
        for file in self._files:
            self._starts.append(done)
            for batch in file.batches(self.schema, rows, as_written):
                done += batch.num_rows
                yield batch
        if done == 0:
            raise InputError(
                f"{self._files[0].name} has columns but no rows",
                hint="write it again: a table needs at least one row",
                instead=self._files[0].source.again() if len(self._files) == 1 else None,
            )


def rechunk(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`, the last one shorter."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while count + batch.num_rows - start >= rows:
            stop = start + rows - count
            yield pa.concat_batches([*waiting, batch.slice(start, stop - start)])
            waiting, count, start = [], 0, stop
        if start < batch.num_rows:
            waiting.append(batch.slice(start))
            count += batch.num_rows - start
    if waiting:
        yield pa.concat_batches(waiting)


def _open_file(
    source: Source,
    header: bool,
    forced: Mapping[str, pa.DataType],
    encoding: str | None,
    number_keys: Collection[str],
) -> TableFile:
    file = _open_plain(source, header, forced, encoding)
    return PartitionedFile(file, source.partition, number_keys) if source.partition else file


def _open_plain(
    source: Source, header: bool, forced: Mapping[str, pa.DataType], encoding: str | None
) -> PlainFile:
    start = source.head(8)
    if not start:
        raise source.empty()
    if start.startswith(PARQUET):
        return ParquetFile(source)
    if start.startswith((ARROW_FILE, ARROW_STREAM)):
        return ArrowFile(source)
    for suffixes, kind in (
        ((".parquet", ".pq"), "Parquet"),
        ((".arrow", ".feather", ".ipc"), "Arrow"),
    ):
        if source.name.lower().endswith(suffixes):
            raise InputError(
                f"{source.name} is not a {kind} file",
                hint="the suffix says it is; the file's first bytes say it is not",
                instead=source.through("cat"),
            )
    if looks_like_json_lines(source):
        return JsonLinesFile(source, forced=forced)
    file = CsvFile(source, header=header, forced=forced, encoding=encoding)
    file.settle()
    return file


def _check_same_columns(first: TableFile, other: TableFile) -> None:
    here, there = set(first.schema.names), set(other.schema.names)
    if here == there:
        return
    lacking = sorted(here - there)
    name, with_it, without = (
        (lacking[0], first, other) if lacking else (min(there - here), other, first)
    )
    raise InputError(
        f"{without.name} lacks column '{name}', which {with_it.name} has",
        hint="files that are read as one table have the same columns",
    )


def _common_schema(
    files: Sequence[TableFile], forced: Mapping[str, pa.DataType], names: Iterable[str]
) -> pa.Schema:
    return pa.schema([(name, _common_type(name, files, forced.get(name))) for name in names])


def _common_type(name: str, files: Sequence[TableFile], forced: pa.DataType | None) -> pa.DataType:
    """The type that holds a column of all files; a column without any value counts as numbers."""
    common, first = pa.null(), files[0]
    for file in files:
        found = file.schema.field(name).type
        if common == pa.null():
            common, first = found, file
        elif found not in (common, pa.null()):
            if not (is_number(found) and is_number(common)) and forced != pa.large_string():
                raise InputError(
                    f"column '{name}' is {_told(common)} in {first.name} "
                    f"and {_told(found)} in {file.name}",
                    hint=f"use --categorical {in_shell(name)} or --exclude {in_shell(name)}",
                    fix={"exclude": (name,)},
                )
            common = pa.float64()
    if forced is None:
        return pa.float64() if common == pa.null() else common
    if forced == pa.float64() and common == pa.large_string():
        raise InputError(
            f"{first.name}: column '{name}' is text where numbers are needed",
            hint="correct the table, or use a model fitted on such a column",
        )
    # A number file keeps its own, possibly smaller, type.
    return common if forced != pa.large_string() and common != pa.null() else forced


def _told(kind: pa.DataType) -> str:
    return "numbers" if is_number(kind) else "text" if kind == pa.large_string() else str(kind)
