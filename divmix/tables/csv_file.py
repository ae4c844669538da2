"""CSV files, read in blocks with types that hold for the whole file."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from divmix.tables.csv_columns import Columns
from divmix.tables.csv_dialect import detect_dialect
from divmix.tables.csv_errors import errors_told, row_too_long
from divmix.tables.csv_head import read_head
from divmix.tables.csv_kinds import first_rows, kind_of_text
from divmix.tables.csv_parser import Parser, Piece
from divmix.tables.csv_rows import RowTooLong
from divmix.tables.csv_text import CsvText
from divmix.tables.number_text import Spelling
from divmix.tables.sources import Source
from divmix.tables.text_stream import checked_encoding

BLOCKS_AT_ONCE = 8  # parsed side by side


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
        encoding = encoding and checked_encoding(encoding)
        with errors_told(source):
            head = read_head(source, encoding)
            dialect = detect_dialect(source, head.content, header=header)
            self._text = CsvText(source, head, dialect)
            self._parser = Parser(self._text)
            self._first = first_rows(self._text, head, self._parser)
        kinds = self._first.kinds
        types = {name: kind.type for name, kind in kinds.items()}
        types |= {name: kind for name, kind in forced.items() if name in types}
        self.schema = pa.schema(list(types.items()))
        spellings = {
            name: kind.spelling
            for name, kind in kinds.items()
            if kind.spelling and forced.get(name, pa.float64()) == pa.float64()
        }
        self._columns = Columns(self._text, spellings)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the file is read, columns aside."""
        told, renamed = [], self._text.dialect.renamed
        if self._text.dialect.is_index:
            told += ["the first column has no name; it is taken for row numbers and left out"]
        if renamed:
            told += [f"columns without a name of their own are read as {', '.join(renamed)}"]
        return tuple(f"{self.name}: {note}" for note in told)

    @property
    def spellings(self) -> Mapping[str, Spelling]:
        """How the numbers of columns are written, where that is not how every program does."""
        return self._columns.spellings

    @property
    def estimated_rows(self) -> int | None:
        """By the size of the file and of its first rows; None where its size is not known."""
        size = self.source.estimated_bytes
        return None if size is None else int(size / self._first.row_bytes)

    def describe(self) -> dict[str, Any]:
        """How the file is taken apart, for the eye."""
        dialect, parted = (
            self._text.dialect,
            {"\t": "tab", ",": "comma", ";": "semicolon", "|": "|"},
        )
        separator = parted.get(dialect.delimiter, dialect.delimiter)
        if dialect.aligned:
            separator = "blanks" if dialect.edges is None else "fixed places"
        return {
            "format": "CSV",
            "encoding": self._text.encoding or "utf-8",
            "separator": separator,
            "decimal": dialect.decimal,
            "header": dialect.header,
            "lines_before": dialect.skipped_lines,
        }

    def place(self, row: int) -> str:
        """Name a row, counted from 0: 'line 3 of a.csv', or 'standard input row 2', from 1."""
        return self._text.place(row)

    def settle(self) -> None:
        """Look further into the file for the kinds of columns whose first block has no value."""
        unknown = {field.name for field in self.schema if pa.types.is_null(field.type)}
        if not unknown or self._first.is_empty or self.source.is_stream:
            return
        as_text = pa.schema([(name, pa.large_string()) for name in sorted(unknown)])
        for batch in self.batches(as_text):
            for name in [name for name in unknown if batch.column(name).null_count < len(batch)]:
                unknown.remove(name)
                found = kind_of_text(batch.column(name).drop_null(), self._text.dialect.decimal)
                if found.spelling:
                    self._columns.spellings[name] = found.spelling
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
        if self._first.is_empty:
            return
        # Arrow's own streaming reader would read ahead in a thread: with a Python stream beneath,
        # an error then aborts the interpreter when it exits. So the blocks are cut here.
        with errors_told(self.source):
            stream = self._text.open()
        with stream:
            done, is_start = 0, True
            pieces = self._text.cutter.pieces(stream, BLOCKS_AT_ONCE * self._text.block)
            while True:
                try:
                    with errors_told(self.source):
                        content = next(pieces, None)
                except RowTooLong as error:
                    raise row_too_long(self._text, done) from error
                if content is None:
                    return
                table = self._parsed(Piece(content, done, is_start), schema, as_written)
                yield from table.to_batches()
                done, is_start = done + table.num_rows, False

    def _parsed(self, piece: Piece, schema: pa.Schema, as_written: Collection[str]) -> pa.Table:
        types = {field.name: self._columns.parsed_as(field) for field in schema}
        types |= dict.fromkeys(as_written, pa.large_string())
        table = self._parser.parse(piece, types, nulls=not as_written)
        return self._columns.converted(table, schema, piece.first_row, as_written)
