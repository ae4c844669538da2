"""Cells of a CSV file in the types of their columns."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from divmix.tables import arrays
from divmix.tables.csv_dialect import NULLS
from divmix.tables.csv_errors import not_utf8, wrong_value
from divmix.tables.csv_kinds import FALSE, TRUE
from divmix.tables.csv_text import CsvText
from divmix.tables.number_text import Spelling, spelling_of
from divmix.tables.schema import AS_WRITTEN, is_text
from divmix.tables.text_stream import is_utf8


class Columns:
    """The columns of one text; `spellings` tells how the numbers of some are written, where that is
    not how every program does, and learns from what is read."""

    def __init__(self, text: CsvText, spellings: dict[str, Spelling]) -> None:
        self._text, self.spellings = text, spellings

    def parsed_as(self, field: pa.Field) -> pa.DataType:
        """The type that a parser can bring the cells of a column to."""
        is_spelled = field.name in self.spellings and pa.types.is_floating(field.type)
        return pa.large_string() if is_spelled else field.type

    def converted(
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
        if pa.types.is_boolean(field.type):
            values, bad = _truth_values(texts)
        elif pa.types.is_floating(field.type):
            values, bad = self._spelling(field.name, texts).numbers(texts)
        else:
            return pc.cast(texts, field.type)
        if pc.any(bad).as_py():
            row = pc.index(bad, True).as_py()
            raise wrong_value(self._text, first_row + row, field, texts[row].as_py())
        return values

    def _spelling(self, name: str, texts: pa.Array) -> Spelling:
        """How the numbers of a column are written; where the first block had plain ones only,
        thousands and empty cells of a later one leave no doubt, other than a unit."""
        known, decimal = self.spellings.get(name), self._text.dialect.decimal
        if known is None:
            found = spelling_of(pc.unique(texts.drop_null()).to_pylist(), decimal)
            if found and not found.unit and found.decimal == decimal:
                self.spellings[name] = found
                return found
        return known or Spelling(decimal)

    def _as_text(self, column: pa.ChunkedArray, name: str, first_row: int) -> pa.Array:
        cells = column.combine_chunks()
        try:
            return pc.cast(cells, pa.large_string())
        except pa.ArrowInvalid as error:
            values = ((row, cell) for row, cell in enumerate(cells.to_pylist()) if cell is not None)
            row, cell = next((row, cell) for row, cell in values if not is_utf8(cell))
            raise not_utf8(self._text, first_row + row, name, cell) from error


def _with_nulls(column: pa.ChunkedArray, as_written: bool) -> pa.ChunkedArray | pa.Array:
    """Cells of text that stand for no value made empty, where they were read as they are."""
    if not as_written or not (is_text(column.type) or pa.types.is_binary(column.type)):
        return column
    words = pc.cast(arrays.texts(NULLS), column.type)
    no_value = pc.is_in(column, value_set=words)
    return pa.chunked_array(
        [pc.if_else(no_value, pa.nulls(1, column.type)[0], column).combine_chunks()]
    )


def _truth_values(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Text as true and false, and which cells are neither."""
    true, false = (
        pc.is_in(texts, value_set=arrays.texts(words)) for words in ((*TRUE, "1"), (*FALSE, "0"))
    )
    known = pc.or_(true, false)
    bad = pc.and_(pc.is_valid(texts), pc.invert(known))
    return pc.if_else(known, true, pa.nulls(1, pa.bool_())[0]), bad
