"""CSV files, read in blocks with types that hold for the whole file."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyarrow import csv

from divmix.errors import InputError
from divmix.tables.csv_dialect import NULLS, detect_dialect, infer_kinds
from divmix.tables.csv_rows import RowCutter
from divmix.tables.sources import Source

# What is looked at to tell the dialect and the kinds of columns, and what one thread parses.
BLOCK = 1 << 20
LARGEST_BLOCK = 1 << 28

# Blocks that are parsed side by side.
BLOCKS_AT_ONCE = 8

_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_MISFIT = re.compile(
    r"column #(\d+): Row #(\d+): CSV conversion error to (\w+): "
    r"(?:invalid value '(.*)')?",
    re.DOTALL,
)


class CsvFile:
    """One CSV file or stream; `schema` has its columns in order, null where nothing is known yet.

    `forced` gives the types of columns by name; the others are told from the first block.
    """

    rows: int | None = None

    def __init__(self, source: Source, *, header: bool, forced: Mapping[str, pa.DataType]) -> None:
        self.source = source
        self.name = source.name
        self.notes: tuple[str, ...] = ()
        with self._errors_told():
            head = self._head()
            self._newline = b"\n" if b"\n" in head else b"\r"
            self._dialect = detect_dialect(self.name, head, header=header)
            sample = self._sample(head)
        self._cutter = RowCutter(self._dialect.delimiter, self._newline)
        self._is_empty = len(head) < self._block and sample.num_rows == 0
        kinds = infer_kinds(sample, self._dialect.decimal)
        kinds |= {name: kind for name, kind in forced.items() if name in kinds}
        self.schema = pa.schema(list(kinds.items()))
        if self._dialect.is_index:
            self.notes = (
                f"{self.name}: the first column has no name; it is taken for row "
                "numbers and left out",
            )

    def settle(self) -> None:
        """Look further into the file for the kinds of columns whose first block has no value."""
        unknown = {field.name for field in self.schema if pa.types.is_null(field.type)}
        if not unknown or self._is_empty or self.source.is_stream:
            return
        as_text = pa.schema([(name, pa.string()) for name in sorted(unknown)])
        for batch in self.batches(as_text):
            for name in [name for name in unknown if batch.column(name).null_count < len(batch)]:
                unknown.remove(name)
                found = self._infer(batch.column(name).drop_null())
                place = self.schema.get_field_index(name)
                self.schema = self.schema.set(place, pa.field(name, found))
            if not unknown:
                return

    def batches(self, schema: pa.Schema, rows: int = 0) -> Iterator[pa.RecordBatch]:
        """The columns of `schema` with its types, a block of the file at a time.

        Raises InputError naming the row of a value that is not of its type, or of a row with too
        few or too many cells.
        """
        if self._is_empty:
            return
        # Arrow's own streaming reader would read ahead in a thread: with a Python stream beneath,
        # an error then aborts the interpreter when it exits. So the blocks are cut here.
        with self._errors_told():
            stream = self.source.open()
        with stream:
            done, is_start = 0, True
            pieces = self._cutter.pieces(stream, BLOCKS_AT_ONCE * self._block)
            while True:
                with self._errors_told():
                    piece = next(pieces, None)
                if piece is None:
                    return
                table = self._parse(piece, schema, done, is_start)
                yield from table.to_batches()
                done, is_start = done + table.num_rows, False

    def _parse(self, piece: bytes, schema: pa.Schema, first_row: int, is_start: bool) -> pa.Table:
        options = dict(
            parse_options=self._parse_options(), convert_options=self._convert_options(schema)
        )
        header = int(is_start and self._dialect.header)
        open_quote = self._cutter.row_of_open_quote(piece)
        if open_quote is not None:
            raise InputError(
                f"{self.name} row {first_row + open_quote - header + 1:,}: "
                "a quote is opened and never closed",
                hint="close the quote, or double it where it is meant",
            )
        try:
            return csv.read_csv(
                pa.BufferReader(piece), read_options=self._read_options(is_start), **options
            )
        except pa.ArrowInvalid:
            # A row may be longer than a block; and where the error is another one, only a single
            # thread counts rows, so that it can be told.
            lines_before = header + (self._dialect.blank_lines if is_start else 0)
            whole = self._read_options(is_start, use_threads=False, block_size=len(piece))
            with self._errors_told(first_row - lines_before):
                return csv.read_csv(pa.BufferReader(piece), read_options=whole, **options)

    def _head(self) -> bytes:
        """The first block: large enough to hold some rows, however long they are."""
        self._block = BLOCK
        while True:
            head = self.source.head(self._block)
            start = head[: self._block // 16]
            if len(head) < self._block or b"\n" in start or b"\r" in start:
                return head
            if self._block >= LARGEST_BLOCK:
                raise InputError(
                    f"{self.name} has no line end in its first {len(head):,} bytes",
                    hint="check that it is a CSV file",
                )
            self._block *= 16

    def _sample(self, head: bytes) -> pa.Table:
        """The complete rows of the first block with Arrow's own idea of their types."""
        if len(head) == self._block:
            head = head[: head.rfind(self._newline) + 1]
        # A header alone, without a line end, is more than Arrow can read.
        piece = head + self._newline
        return csv.read_csv(
            pa.BufferReader(piece),
            read_options=self._read_options(True, block_size=len(piece), use_threads=False),
            parse_options=self._parse_options(skip_ragged=True),
            convert_options=self._convert_options(None),
        )

    def _infer(self, values: pa.Array) -> pa.DataType:
        """The kind of some values that were read as text."""
        cells = ('"' + value.replace('"', '""') + '"' for value in values.to_pylist())
        column = csv.read_csv(
            io.BytesIO("\n".join(cells).encode()),
            read_options=csv.ReadOptions(column_names=["value"]),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(decimal_point=self._dialect.decimal),
        )
        return infer_kinds(column, self._dialect.decimal)["value"]

    def _read_options(self, is_start: bool, **options: Any) -> csv.ReadOptions:
        skipped = (
            dict(
                skip_rows=self._dialect.blank_lines, skip_rows_after_names=int(self._dialect.header)
            )
            if is_start
            else {}
        )
        return csv.ReadOptions(
            column_names=self._dialect.names, **{"block_size": self._block, **skipped, **options}
        )

    def _parse_options(self, *, skip_ragged: bool = False) -> csv.ParseOptions:
        return csv.ParseOptions(
            delimiter=self._dialect.delimiter,
            newlines_in_values=True,
            invalid_row_handler=(lambda row: "skip") if skip_ragged else None,
        )

    def _convert_options(self, schema: pa.Schema | None) -> csv.ConvertOptions:
        names = None
        if schema is not None:
            names = schema.names
        elif self._dialect.is_index:
            names = self._dialect.names[1:]
        types = {field.name: field.type for field in schema or ()}
        return csv.ConvertOptions(
            column_types=types,
            include_columns=names,
            null_values=NULLS,
            strings_can_be_null=True,
            decimal_point=self._dialect.decimal,
        )

    @contextmanager
    def _errors_told(self, first_row: int = 0) -> Iterator[None]:
        """Turn what Arrow says of a file into an error that names the row, column and value.

        `first_row` is what its row numbers, which count from 1, lack.
        """
        try:
            yield
        except (ValueError, OSError) as error:
            raise self._explained(str(error), first_row) from error

    def _explained(self, message: str, first_row: int) -> InputError:
        if ragged := _RAGGED.search(message):
            line, expected, found = map(int, ragged.groups())
            return InputError(
                f"{self.name} row {first_row + line:,}: {found} cells where the table "
                f"has {expected} columns",
                hint="correct the row; cells that hold separators need quotes",
            )
        if misfit := _MISFIT.search(message):
            place, row, kind, value = misfit.groups()
            column = self._dialect.names[int(place)]
            return InputError(
                f"{self.name} row {first_row + int(row):,}: column '{column}' "
                f"{_misfit_told(kind, value)}",
                hint=_misfit_hint(kind, column),
            )
        return InputError(
            f"{self.name} cannot be read: {message.splitlines()[0]}",
            hint="check that the file is complete, and text in UTF-8",
        )


def _misfit_told(kind: str, value: str | None) -> str:
    if kind == "double":
        return f"is text ('{value}')"
    if kind == "bool":
        return f"is '{value}', neither true nor false"
    return "is not UTF-8"


def _misfit_hint(kind: str, column: str) -> str:
    if kind in ("double", "bool"):
        return (
            f"correct it, use --exclude {column}, or --categorical {column} if the column "
            "holds categories"
        )
    return "save the file as UTF-8"
