"""The text of a CSV file as its rows are taken from it, and where each row stands."""

from functools import partial
from typing import Any

from divmix.errors import Instead
from divmix.tables import csv_remedies
from divmix.tables.csv_dialect import Dialect
from divmix.tables.csv_head import Head
from divmix.tables.csv_rows import RowCutter
from divmix.tables.sources import Source
from divmix.tables.text_stream import ChangedStream, recoding


class CsvText:
    """A file in UTF-8 with the delimiter of its dialect between columns; rows count from 0.

    `block` is how many bytes hold some rows, `cutter` parts the rest at ends of rows.
    """

    def __init__(self, source: Source, head: Head, dialect: Dialect) -> None:
        self.source, self.dialect, self.name = source, dialect, source.name
        self.block, self.encoding, self.newline = head.block, head.encoding, head.newline
        self.cutter = RowCutter(dialect.delimiter, head.newline)

    def open(self) -> Any:
        """The file from its start, as a stream of bytes. Raises InputError, OSError."""
        changes = [*recoding(self.name, self.encoding), *self.dialect.changes()]
        stream = self.source.open()
        return ChangedStream(stream, changes) if changes else stream

    def place(self, row: int) -> str:
        """Name a row: 'line 3 of a.csv', where it starts as an editor counts lines; 'standard input
        row 2', counted from 1, of what can be read once only."""
        line = self._line(row)
        return f"{self.name} row {row + 1:,}" if line is None else f"line {line:,} of {self.name}"

    def without(self, row: int) -> Instead | None:
        """The file without the line on which a row starts, None where that cannot be had."""
        line = self._line(row)
        return None if line is None else self.through(csv_remedies.without_line(line))

    def through(self, program: str) -> Instead | None:
        """The file through a program of the shell, None where that would find no lines in it."""
        lines = self.newline == b"\n" and "\n".encode(self.encoding or "utf-8") == b"\n"
        return self.source.through(program) if lines else None

    def has_quotes(self) -> bool:
        """Whether separators may stand in cells; True of what can be read once only."""
        if self.source.is_stream:
            return True
        with self.open() as stream:
            return any(b'"' in chunk for chunk in iter(partial(stream.read, self.block), b""))

    def _line(self, row: int) -> int | None:
        if self.source.is_stream:
            return None
        with self.open() as stream:
            above = row + self.dialect.header
            return self.cutter.line_of_row(stream, above, self.dialect.skipped_lines)
