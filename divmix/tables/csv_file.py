"""CSV files, read in blocks with types that hold for the whole file."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from divmix.errors import InputError, Instead
from divmix.tables import arrays, csv_remedies
from divmix.tables.csv_dialect import NULLS, detect_dialect
from divmix.tables.csv_kinds import FALSE, TRUE, Kind, kind_of, kind_of_text, needs_a_look
from divmix.tables.csv_rows import LONGEST_ROW, RowCutter, RowTooLong
from divmix.tables.number_text import Spelling, spelling_of
from divmix.tables.schema import AS_WRITTEN, is_text
from divmix.tables.sources import Source
from divmix.tables.text_stream import (
    UTF_16_MARKS,
    Change,
    ChangedStream,
    Recoded,
    checked_encoding,
    guessed_encoding,
)

# What is looked at to tell the dialect and the kinds of columns, and what one thread parses.
BLOCK = 1 << 20
LARGEST_BLOCK = 1 << 28
LONGEST_FIRST_LINE = LARGEST_BLOCK // 16

# Blocks that are parsed side by side.
BLOCKS_AT_ONCE = 8


class CsvFile:
    """One CSV file or stream; `schema` has its columns in order, null where nothing is known yet.

    `forced` gives the types of columns by name; the others are told from the first block.
    `encoding` None is UTF-8, or UTF-16 where the file's first bytes say so.
    """

    rows: int | None = None

    def __init__(
        self,
        source: Source,
        *,
        header: bool,
        forced: Mapping[str, pa.DataType],
        encoding: str | None = None,
    ) -> None:
        self.source = source
        self.name = source.name
        self._encoding = encoding and checked_encoding(encoding)
        with self._errors_told():
            head = self._head()
            self._newline = b"\n" if b"\n" in head else b"\r"
            self._dialect = detect_dialect(source, head, header=header)
            self._cutter = RowCutter(self._dialect.delimiter, self._newline)
            head = _changed(head, self._dialect.changes())
            kinds = self._kinds(head)
        self._spellings = {
            name: kind.spelling
            for name, kind in kinds.items()
            if kind.spelling and forced.get(name, pa.float64()) == pa.float64()
        }
        types = {name: kind.type for name, kind in kinds.items()}
        types |= {name: kind for name, kind in forced.items() if name in types}
        self.schema = pa.schema(list(types.items()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the file is read, columns aside."""
        told, renamed = [], self._dialect.renamed
        if self._dialect.is_index:
            told += ["the first column has no name; it is taken for row numbers and left out"]
        if renamed:
            told += [f"columns without a name of their own are read as {', '.join(renamed)}"]
        return tuple(f"{self.name}: {note}" for note in told)

    @property
    def spellings(self) -> Mapping[str, Spelling]:
        """How the numbers of columns are written, where that is not how every program does."""
        return self._spellings

    @property
    def estimated_rows(self) -> int | None:
        """By the size of the file and of its first rows; None where its size is not known."""
        size = self.source.estimated_bytes
        return None if size is None else int(size / self._row_bytes)

    def describe(self) -> dict[str, Any]:
        """How the file is taken apart, for the eye."""
        dialect, parted = self._dialect, {"\t": "tab", ",": "comma", ";": "semicolon", "|": "|"}
        separator = parted.get(dialect.delimiter, dialect.delimiter)
        if dialect.aligned:
            separator = "blanks" if dialect.edges is None else "fixed places"
        return {
            "format": "CSV",
            "encoding": self._encoding or "utf-8",
            "separator": separator,
            "decimal": dialect.decimal,
            "header": dialect.header,
            "lines_before": dialect.skipped_lines,
        }

    def place(self, row: int) -> str:
        """Name a row, counted from 0: 'line 3 of a.csv', where it starts as an editor counts lines;
        'standard input row 2', counted from 1, of what can be read once only."""
        line = self._line(row)
        return f"{self.name} row {row + 1:,}" if line is None else f"line {line:,} of {self.name}"

    def _line(self, row: int) -> int | None:
        if self.source.is_stream:
            return None
        with self._open() as stream:
            above = row + self._dialect.header
            return self._cutter.line_of_row(stream, above, self._dialect.skipped_lines)

    def _through(self, program: str) -> Instead | None:
        """The file through a program of the shell, None where that would find no lines in it."""
        lines = self._newline == b"\n" and "\n".encode(self._encoding or "utf-8") == b"\n"
        return self.source.through(program) if lines else None

    def _without(self, row: int) -> Instead | None:
        line = self._line(row)
        return None if line is None else self._through(csv_remedies.without_line(line))

    def settle(self) -> None:
        """Look further into the file for the kinds of columns whose first block has no value."""
        unknown = {field.name for field in self.schema if pa.types.is_null(field.type)}
        if not unknown or self._is_empty or self.source.is_stream:
            return
        as_text = pa.schema([(name, pa.large_string()) for name in sorted(unknown)])
        for batch in self.batches(as_text):
            for name in [name for name in unknown if batch.column(name).null_count < len(batch)]:
                unknown.remove(name)
                found = kind_of_text(batch.column(name).drop_null(), self._dialect.decimal)
                if found.spelling:
                    self._spellings[name] = found.spelling
                place = self.schema.get_field_index(name)
                self.schema = self.schema.set(place, pa.field(name, found.type))
            if not unknown:
                return

    def batches(
        self, schema: pa.Schema, rows: int = 0, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The columns of `schema` with its types, a block of the file at a time.

        Columns `as_written` follow as text, their names after AS_WRITTEN. Raises InputError naming
        the row of a value that is not of its type, or of a row with too few or too many cells.
        """
        if self._is_empty:
            return
        # Arrow's own streaming reader would read ahead in a thread: with a Python stream beneath,
        # an error then aborts the interpreter when it exits. So the blocks are cut here.
        with self._errors_told():
            stream = self._open()
        with stream:
            done, is_start = 0, True
            pieces = self._cutter.pieces(stream, BLOCKS_AT_ONCE * self._block)
            while True:
                try:
                    with self._errors_told():
                        piece = next(pieces, None)
                except RowTooLong as error:
                    raise InputError(
                        f"{self.place(done)} is longer than {LONGEST_ROW:,} bytes",
                        hint="look for a quote that is opened and never closed, or leave the line "
                        "out",
                        instead=self._without(done),
                    ) from error
                if piece is None:
                    return
                table = self._parse(piece, schema, done, is_start, as_written)
                yield from table.to_batches()
                done, is_start = done + table.num_rows, False

    def _parse(
        self,
        piece: bytes,
        schema: pa.Schema,
        first_row: int,
        is_start: bool,
        as_written: Collection[str],
    ) -> pa.Table:
        header = int(is_start and self._dialect.header)
        skipped = self._dialect.skipped_lines if is_start else 0
        open_quote = self._cutter.row_of_open_quote(piece, skipped)
        if open_quote is not None:
            row = first_row + open_quote - header
            raise InputError(
                f"{self.place(row)}: a quote is opened and never closed",
                hint="close the quote, or leave the line out",
                instead=self._without(row),
            )
        types = {
            field.name: pa.large_string() if self._is_spelled(field) else field.type
            for field in schema
        }
        types |= dict.fromkeys(as_written, pa.large_string())
        try:
            table = csv.read_csv(
                pa.BufferReader(arrays.owned(piece)),
                read_options=self._read_options(is_start),
                parse_options=self._parse_options(),
                convert_options=self._convert_options(types, nulls=not as_written),
            )
        except pa.ArrowInvalid:
            # A row may be longer than a block, a number written as none was before, or there is
            # an error: every cell as bytes tells which.
            table = self._as_bytes(
                piece, list(types), is_start, first_row - header - skipped, nulls=not as_written
            )
        return self._converted(table, schema, first_row, as_written)

    def _is_spelled(self, field: pa.Field) -> bool:
        return field.name in self._spellings and pa.types.is_floating(field.type)

    def _as_bytes(
        self, piece: bytes, names: list[str], is_start: bool, first_line: int, *, nulls: bool
    ) -> pa.Table:
        """The cells as they stand there. Raises InputError for rows of other widths."""
        # Only a single thread counts rows, so that one can be named.
        read = partial(
            csv.read_csv,
            read_options=self._read_options(is_start, use_threads=False, block_size=2 * len(piece)),
            convert_options=self._convert_options(dict.fromkeys(names, pa.binary()), nulls=nulls),
        )
        try:
            return read(pa.BufferReader(arrays.owned(piece)), parse_options=self._parse_options())
        except pa.ArrowInvalid as error:
            ragged: list[csv.InvalidRow] = []
            fits = False
            with suppress(pa.ArrowInvalid):
                fitting = read(
                    pa.BufferReader(arrays.owned(_in_utf8(piece))),
                    parse_options=self._parse_options(ragged),
                )
                fits = fitting.num_rows > 0
            if not ragged:
                raise self._unreadable(error) from error
            place = self.place(first_line + ragged[0].number - 1)
            raise self._ragged(place, ragged[0], is_start and not fits) from error

    def _ragged(self, place: str, row: csv.InvalidRow, none_fits: bool) -> InputError:
        """The error for a row of another width; `none_fits` says that all are such."""
        cells = "1 cell" if row.actual_columns == 1 else f"{row.actual_columns} cells"
        told = f"{place}: {cells} where the table has {row.expected_columns} columns"
        if row.text.startswith("#"):
            comments = csv_remedies.without_comments()
            return InputError(told, hint="take comments out", instead=self._through(comments))
        if none_fits and self._dialect.header:
            return InputError(
                told,
                hint="no row has as many cells as the header: correct it, or leave it out",
                fix={"header": False},
                instead=self._through(csv_remedies.without_header(self._dialect)),
            )
        program = csv_remedies.of_width(self._dialect, row.expected_columns, self._has_quotes())
        return InputError(
            told,
            hint="correct the row, where cells that hold separators need quotes, or leave out rows "
            "of other widths",
            instead=self._through(program),
        )

    def _has_quotes(self) -> bool:
        if self.source.is_stream:
            return True
        with self._open() as stream:
            return any(b'"' in chunk for chunk in iter(partial(stream.read, self._block), b""))

    def _converted(
        self, table: pa.Table, schema: pa.Schema, first_row: int, as_written: Collection[str]
    ) -> pa.Table:
        """Each column in its type. Raises InputError that names the row of what is none of it."""
        columns = [
            self._as_type(_with_nulls(table.column(f.name), bool(as_written)), f, first_row)
            for f in schema
        ]
        written = [
            self._as_type(table.column(name), pa.field(name, pa.large_string()), first_row)
            for name in as_written
        ]
        names = [*schema.names, *(AS_WRITTEN + name for name in as_written)]
        return pa.Table.from_arrays([*columns, *written], names=names)

    def _as_type(
        self, column: pa.ChunkedArray, field: pa.Field, first_row: int
    ) -> pa.ChunkedArray | pa.Array:
        if column.type == field.type and not pa.types.is_binary(column.type):
            return column
        texts = self._as_text(column, field.name, first_row)
        if not pa.types.is_floating(field.type) and not pa.types.is_boolean(field.type):
            return pc.cast(texts, field.type)
        if pa.types.is_boolean(field.type):
            wrong = "neither true nor false"
            hint = f"correct it, or use --categorical {field.name}"
            fix = {"categorical": (field.name,)}
            values, bad = _truth_values(texts)
        else:
            wrong = ""
            hint = (
                f"correct it, use --exclude {field.name}, or --categorical {field.name} if the "
                "column holds categories"
            )
            fix = {"exclude": (field.name,)}
            values, bad = self._spelling(field.name, texts).numbers(texts)
        if pc.any(bad).as_py():
            row = pc.index(bad, True).as_py()
            told = f"is '{texts[row]}', {wrong}" if wrong else f"is text ('{texts[row]}')"
            raise InputError(
                f"{self.place(first_row + row)}: column '{field.name}' {told}",
                hint=hint,
                fix=fix,
            )
        return values

    def _spelling(self, name: str, texts: pa.Array) -> Spelling:
        """How the numbers of a column are written; where the first block had plain ones only,
        thousands and empty cells of a later one leave no doubt, other than a unit."""
        known = self._spellings.get(name)
        if known is None:
            found = spelling_of(pc.unique(texts.drop_null()).to_pylist(), self._dialect.decimal)
            if found and not found.unit and found.decimal == self._dialect.decimal:
                self._spellings[name] = found
                return found
        return known or Spelling(self._dialect.decimal)

    def _as_text(self, column: pa.ChunkedArray, name: str, first_row: int) -> pa.Array:
        cells = column.combine_chunks()
        try:
            return pc.cast(cells, pa.large_string())
        except pa.ArrowInvalid as error:
            values = ((row, cell) for row, cell in enumerate(cells.to_pylist()) if cell is not None)
            row, cell = next((row, cell) for row, cell in values if not _is_utf8(cell))
            guess = guessed_encoding(cell)
            raise InputError(
                f"{self.place(first_row + row)}: column '{name}' is not UTF-8",
                hint=f"use --encoding {guess}, with which the cell reads "
                f"'{cell.decode(guess, errors='replace')}'",
                fix={"encoding": guess},
            ) from error

    def _head(self) -> bytes:
        """The first block: large enough to hold some rows, however long they are."""
        self._block = BLOCK
        while True:
            head = self._recoded_head(self._block)
            start = head[: self._block // 16]
            short = self._whole and len(head) <= LONGEST_FIRST_LINE
            if short or b"\n" in start or b"\r" in start:
                return head
            if self._block >= LARGEST_BLOCK:
                raise InputError(
                    f"{self.name} has no line end in its first {LONGEST_FIRST_LINE:,} bytes",
                    hint="check that it is a CSV file; end each row with a line end",
                    instead=self.source.again(),
                )
            self._block *= 16

    def _recoded_head(self, size: int) -> bytes:
        """The first bytes in UTF-8; also settles the encoding, and whether they are the whole."""
        head = self.source.head(size)
        self._whole = len(head) < size
        if self._encoding is None and head.startswith(UTF_16_MARKS):
            self._encoding = "utf-16"
        if self._encoding is None and _looks_like_utf_16(head):
            raise InputError(
                f"{self.name} is text in UTF-16 without a mark that says so",
                hint=f"use --encoding {guessed_encoding(head)}",
                fix={"encoding": guessed_encoding(head)},
            )
        return _changed(head, self._recoding(), final=self._whole)

    def _recoding(self) -> list[Change]:
        return [Recoded(self.name, self._encoding)] if self._encoding else []

    def _open(self) -> Any:
        changes = [*self._recoding(), *self._dialect.changes()]
        stream = self.source.open()
        return ChangedStream(stream, changes) if changes else stream

    def _kinds(self, head: bytes) -> dict[str, Kind]:
        """What the columns hold, by the complete rows of the first block."""
        if not self._whole:
            head = head[: head.rfind(self._newline) + 1]
        # A header alone, without a line end, is more than Arrow can read.
        piece = head + self._newline
        piece = _in_utf8(piece)
        open_row = self._cutter.row_of_open_quote(piece, self._dialect.skipped_lines)
        if open_row == 0 and self._dialect.header:
            raise InputError(
                f"{self.name}: a quote in its first line is opened and never closed",
                hint="close the quote, or take the quotes of the line out",
                instead=self._through(csv_remedies.without_quotes(self._dialect.skipped_lines + 1)),
            )
        ragged: list[csv.InvalidRow] = []
        sample = self._sample(piece, None, ragged)
        self._is_empty = self._whole and not (sample.num_rows or ragged or open_row is not None)
        self._row_bytes = max(1.0, len(head) / max(sample.num_rows, 1))
        kinds = {name: Kind(sample.column(name).type) for name in sample.column_names}
        open_ones = [name for name in sample.column_names if needs_a_look(sample.column(name))]
        if open_ones:
            cells = self._sample(piece, dict.fromkeys(open_ones, pa.large_string()))
            for name in open_ones:
                texts = cells.column(name).combine_chunks().drop_null()
                kinds[name] = kind_of(kinds[name].type, texts, self._dialect.decimal)
        return kinds

    def _sample(
        self,
        piece: bytes,
        types: Mapping[str, pa.DataType] | None,
        ragged: list[csv.InvalidRow] | None = None,
    ) -> pa.Table:
        """The rows of a piece at the start; types None leaves them to Arrow. Rows of other widths
        are passed over, and added to `ragged`."""
        return csv.read_csv(
            pa.BufferReader(arrays.owned(piece)),
            read_options=self._read_options(True, block_size=len(piece), use_threads=False),
            parse_options=self._parse_options(ragged if ragged is not None else []),
            convert_options=self._convert_options(types),
        )

    def _read_options(self, is_start: bool, **options: Any) -> csv.ReadOptions:
        skipped = (
            dict(
                skip_rows=self._dialect.skipped_lines,
                skip_rows_after_names=int(self._dialect.header),
            )
            if is_start
            else {}
        )
        return csv.ReadOptions(
            column_names=self._dialect.names, **{"block_size": self._block, **skipped, **options}
        )

    def _parse_options(self, ragged: list[csv.InvalidRow] | None = None) -> csv.ParseOptions:
        """Rows of other widths go to `ragged`, where it is given, and are else an error."""
        options = csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=True)
        if ragged is not None:
            options.invalid_row_handler = partial(_put_aside, ragged)
        return options

    def _convert_options(
        self, types: Mapping[str, pa.DataType] | None, *, nulls: bool = True
    ) -> csv.ConvertOptions:
        """Whether cells of text that stand for no value are `nulls`, or stay as they are."""
        names = None
        if types is not None:
            names = list(types)
        elif self._dialect.is_index:
            names = list(self._dialect.names[1:])
        return csv.ConvertOptions(
            column_types=types or {},
            include_columns=names,
            null_values=NULLS,
            strings_can_be_null=nulls,
            decimal_point=self._dialect.decimal,
        )

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Turn what a reader says of a broken file into an error that names it."""
        try:
            yield
        except (ValueError, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"{self.name} cannot be read: {str(error).splitlines()[0]}",
            hint="check that the file is complete, and text in UTF-8",
            instead=self.source.again(),
        )


def _put_aside(ragged: list[csv.InvalidRow], row: csv.InvalidRow) -> str:
    ragged.append(row)
    return "skip"


def _changed(head: bytes, changes: list[Change], *, final: bool = True) -> bytes:
    for change in changes:
        head = change(head, final=final)
    return head


def _in_utf8(piece: bytes) -> bytes:
    """The bytes with a sign for what is no UTF-8: Arrow can tell of ragged rows in such only."""
    return piece if _is_utf8(piece) else piece.decode(errors="replace").encode()


def _looks_like_utf_16(head: bytes) -> bool:
    """Whether every other of the first bytes is zero, as in text of plain letters."""
    start = head[:200]
    zeros = [start[place::2].count(0) for place in (0, 1)]
    return len(start) > 3 and max(zeros) > 0.4 * len(start) and min(zeros) == 0


def _with_nulls(column: pa.ChunkedArray, as_written: bool) -> pa.ChunkedArray | pa.Array:
    """Cells of text that stand for no value made empty, where they were read as they are."""
    if not as_written or not (is_text(column.type) or pa.types.is_binary(column.type)):
        return column
    words = pc.cast(arrays.texts(NULLS), column.type)
    no_value = pc.is_in(column, value_set=words)
    return pa.chunked_array(
        [pc.if_else(no_value, pa.nulls(1, column.type)[0], column).combine_chunks()]
    )


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
        return True
    except UnicodeError:
        return False


def _truth_values(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Text as true and false, and which cells are neither."""
    true, false = (
        pc.is_in(texts, value_set=arrays.texts(words)) for words in ((*TRUE, "1"), (*FALSE, "0"))
    )
    known = pc.or_(true, false)
    bad = pc.and_(pc.is_valid(texts), pc.invert(known))
    return pc.if_else(known, true, pa.nulls(1, pa.bool_())[0]), bad
