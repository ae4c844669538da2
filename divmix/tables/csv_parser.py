"""Pieces of a CSV file to columns, by Arrow."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import csv

from divmix.tables import arrays
from divmix.tables.csv_dialect import NULLS
from divmix.tables.csv_errors import open_quote, other_width, unreadable
from divmix.tables.csv_text import CsvText
from divmix.tables.text_stream import in_utf8


class Piece(NamedTuple):
    """Whole rows of a file, the first of them `first_row`, from 0, of its rows; at the start of the
    file the header, and lines before it, stand above them."""

    content: bytes
    first_row: int = 0
    is_start: bool = True


class Parser:
    """Parses pieces of one text, in threads where no row has to be named."""

    def __init__(self, text: CsvText) -> None:
        self._text = text

    def sample(
        self,
        content: bytes,
        types: Mapping[str, pa.DataType] | None = None,
        ragged: list[csv.InvalidRow] | None = None,
    ) -> pa.Table:
        """The rows of a piece at the start; types None leaves them to Arrow. Rows of other widths
        are passed over, and added to `ragged`."""
        return csv.read_csv(
            pa.BufferReader(arrays.owned(content)),
            read_options=self._read_options(True, block_size=len(content), use_threads=False),
            parse_options=self._parse_options(ragged if ragged is not None else []),
            convert_options=self._convert_options(types),
        )

    def parse(self, piece: Piece, types: Mapping[str, pa.DataType], *, nulls: bool) -> pa.Table:
        """Columns of the piece with these types, or all as bytes where a cell is none of its type.

        nulls : whether cells of text that stand for no value are empty, or stay as they are.
        Raises InputError for rows of other widths, and for a quote that never closes.
        """
        dialect = self._text.dialect
        header = int(piece.is_start and dialect.header)
        skipped = dialect.skipped_lines if piece.is_start else 0
        open_row = self._text.cutter.row_of_open_quote(piece.content, skipped)
        if open_row is not None:
            raise open_quote(self._text, piece.first_row + open_row - header)
        try:
            return csv.read_csv(
                pa.BufferReader(arrays.owned(piece.content)),
                read_options=self._read_options(piece.is_start),
                parse_options=self._parse_options(),
                convert_options=self._convert_options(types, nulls=nulls),
            )
        except pa.ArrowInvalid:
            # A row may be longer than a block, a number written as none was before, or there is
            # an error: every cell as bytes tells which.
            return self._as_bytes(piece, types, piece.first_row - header - skipped, nulls)

    def _as_bytes(
        self, piece: Piece, names: Iterable[str], first_line: int, nulls: bool
    ) -> pa.Table:
        """The cells as they stand there. Raises InputError for rows of other widths."""
        # Only a single thread counts rows, so that one can be named.
        read = partial(
            csv.read_csv,
            read_options=self._read_options(
                piece.is_start, use_threads=False, block_size=2 * len(piece.content)
            ),
            convert_options=self._convert_options(dict.fromkeys(names, pa.binary()), nulls=nulls),
        )
        try:
            content = pa.BufferReader(arrays.owned(piece.content))
            return read(content, parse_options=self._parse_options())
        except pa.ArrowInvalid as error:
            ragged: list[csv.InvalidRow] = []
            fits = False
            with suppress(pa.ArrowInvalid):
                content = pa.BufferReader(arrays.owned(in_utf8(piece.content)))
                fits = read(content, parse_options=self._parse_options(ragged)).num_rows > 0
            if not ragged:
                raise unreadable(self._text.source, error) from error
            row, none_fits = first_line + ragged[0].number - 1, piece.is_start and not fits
            raise other_width(self._text, row, ragged[0], none_fits) from error

    def _read_options(self, is_start: bool, **options: Any) -> csv.ReadOptions:
        dialect, above = self._text.dialect, {}
        if is_start:
            above = dict(skip_rows=dialect.skipped_lines, skip_rows_after_names=int(dialect.header))
        options = {"block_size": self._text.block, **above, **options}
        return csv.ReadOptions(column_names=dialect.names, **options)

    def _parse_options(self, ragged: list[csv.InvalidRow] | None = None) -> csv.ParseOptions:
        """Rows of other widths go to `ragged`, where it is given, and are else an error."""
        options = csv.ParseOptions(delimiter=self._text.dialect.delimiter, newlines_in_values=True)
        if ragged is not None:
            options.invalid_row_handler = partial(_put_aside, ragged)
        return options

    def _convert_options(
        self, types: Mapping[str, pa.DataType] | None, *, nulls: bool = True
    ) -> csv.ConvertOptions:
        dialect, names = self._text.dialect, None
        if types is not None:
            names = list(types)
        elif dialect.is_index:
            names = list(dialect.names[1:])
        return csv.ConvertOptions(
            column_types=types or {},
            include_columns=names,
            null_values=NULLS,
            strings_can_be_null=nulls,
            decimal_point=dialect.decimal,
        )


def _put_aside(ragged: list[csv.InvalidRow], row: csv.InvalidRow) -> str:
    ragged.append(row)
    return "skip"
