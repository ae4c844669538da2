"""What the columns of a CSV file hold, told from its first rows."""

import math
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from divmix.tables import csv_errors
from divmix.tables.csv_head import Head
from divmix.tables.csv_parser import Parser
from divmix.tables.csv_text import CsvText
from divmix.tables.number_text import Spelling, is_some_number, spelling_of
from divmix.tables.schema import is_number
from divmix.tables.text_stream import changed, in_utf8

MOST_LOOKED_AT = 5_000  # distinct cells that tell how the numbers of a column are written

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_LEADING_ZERO = r"^\s*0\d+\s*$"
# A float64 holds whole numbers of 15 digits, and some of 16.
_TOO_LONG = r"^\s*[+-]?\d{16,}\s*$"
_DIGITS = r"^\s*[+-]?\d+\s*$"
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


class Kind(NamedTuple):
    """float64, bool, text, or null where no cell has a value; and how its numbers are written,
    None where that is how every program writes them."""

    type: pa.DataType
    spelling: Spelling | None = None


class FirstRows(NamedTuple):
    """What the complete rows of a first block tell.

    kinds : of the columns, in their order. row_bytes : of a row, about. is_empty : whether the file
    has no row.
    """

    kinds: dict[str, Kind]
    row_bytes: float
    is_empty: bool


def first_rows(text: CsvText, head: Head, parser: Parser) -> FirstRows:
    """What a first block tells. Raises InputError for a quote that never closes among the names."""
    content = changed(head.content, text.dialect.changes())
    if not head.is_whole:
        content = content[: content.rfind(text.newline) + 1]
    # A header alone, without a line end, is more than Arrow can read.
    piece = in_utf8(content + text.newline)
    open_row = text.cutter.row_of_open_quote(piece, text.dialect.skipped_lines)
    if open_row == 0 and text.dialect.header:
        raise csv_errors.open_quote_among_names(text)
    ragged: list[csv.InvalidRow] = []
    sample = parser.sample(piece, ragged=ragged)
    kinds = {name: Kind(sample.column(name).type) for name in sample.column_names}
    open_ones = [name for name in sample.column_names if needs_a_look(sample.column(name))]
    if open_ones:
        cells = parser.sample(piece, dict.fromkeys(open_ones, pa.large_string()))
        for name in open_ones:
            texts = cells.column(name).combine_chunks().drop_null()
            kinds[name] = kind_of(kinds[name].type, texts, text.dialect.decimal)
    is_empty = head.is_whole and not (sample.num_rows or ragged or open_row is not None)
    return FirstRows(kinds, max(1.0, len(content) / max(sample.num_rows, 1)), is_empty)


def needs_a_look(column: pa.ChunkedArray) -> bool:
    """Whether the type that Arrow finds for some cells leaves open what they are.

    Whole numbers of more than 63 bits are floats to it, as 1e30 is.
    """
    kind = column.type
    if pa.types.is_floating(kind):
        ends = pc.min_max(column).as_py().values()
        return any(end is not None and 2.0**63 <= abs(end) < math.inf for end in ends)
    return not (pa.types.is_boolean(kind) or pa.types.is_null(kind))


def kind_of(found: pa.DataType, texts: pa.Array, decimal: str) -> Kind:
    """What a column holds, by Arrow's idea of its cells and the text (n,) of those with a value.

    Whole numbers with leading zeros, or of more digits than a number can hold, are codes: text. A
    column that is text, but numbers for the most part, is a column of numbers with something wrong
    in it: reading it as these are written will name the row.
    """
    if is_number(found):
        return Kind(pa.large_string() if _are_codes(texts) else pa.float64())
    if not (pa.types.is_string(found) or pa.types.is_large_string(found)):
        return Kind(pa.large_string())
    values = pc.unique(texts.slice(0, 20 * MOST_LOOKED_AT)).slice(0, MOST_LOOKED_AT).to_pylist()
    spelling = spelling_of(values, decimal)
    if spelling is not None:
        return Kind(pa.large_string() if _are_codes(texts) else pa.float64(), spelling)
    numbers = [value for value in values if is_some_number(value)]
    if 2 * len(numbers) > len(values):
        return Kind(pa.float64(), spelling_of(numbers, decimal))
    if _share(pc.replace_substring(texts, decimal, "."), _NUMBER) > 0.5:
        return Kind(pa.float64())
    return Kind(pa.large_string())


def kind_of_text(texts: pa.Array, decimal: str) -> Kind:
    """What a column holds, by the text (n,) of cells with a value alone."""
    values = set(pc.unique(texts).slice(0, len(TRUE + FALSE) + 1).to_pylist())
    if values <= {*TRUE, *FALSE}:
        return Kind(pa.bool_())
    plain = _share(pc.replace_substring(texts, decimal, "."), _NUMBER) == 1
    return kind_of(pa.float64() if plain else pa.large_string(), texts, decimal)


def _are_codes(texts: pa.Array) -> bool:
    odd = pc.or_(
        pc.match_substring_regex(texts, _LEADING_ZERO), pc.match_substring_regex(texts, _TOO_LONG)
    )
    return bool(pc.any(odd).as_py()) and _share(texts, _DIGITS) == 1


def _share(texts: pa.Array, pattern: str) -> float:
    matches = pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0
    return matches / max(len(texts), 1)
