"""What a CSV file looks like, told from its first bytes: separators, names, kinds of columns."""

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from divmix.errors import InputError
from divmix.tables.schema import first_doubled, is_number

# The order matters where several fit: `1,5;2,5` is two columns with a decimal comma.
DELIMITERS = ("\t", ";", ",")

# Cells that stand for no value. The first ones are those of R, NumPy and pandas; '?' is UCI's.
NULLS = ("", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "?")

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is to be read.

    `blank_lines` stand before the header; `is_index` says that the first column has no name, as
    row numbers have that R and pandas write.
    """

    delimiter: str
    decimal: str
    names: tuple[str, ...]
    header: bool
    blank_lines: int
    is_index: bool = False


def detect_dialect(name: str, head: bytes, *, header: bool) -> Dialect:
    """The dialect of the file that starts with `head`, called `name` in errors.

    Raises InputError for what is not text, and for names that are missing, doubled or numbers.
    """
    text = _decode(name, head)
    body = text.lstrip("\r\n")
    blank_lines = text[: len(text) - len(body)].count("\n")
    if not body.strip():
        raise InputError(f"{name} is empty", hint="it should hold a header line and rows")
    scores = [_consistency(body, delimiter) for delimiter in DELIMITERS]
    delimiter = DELIMITERS[scores.index(max(scores))] if any(scores) else ","
    first = [cell.strip() for cell in _first_row(name, body, delimiter)]
    decimal = "." if delimiter == "," else _decimal_sign(body, delimiter, header)
    if not header:
        names = tuple(f"x{i + 1}" for i in range(len(first)))
        return Dialect(delimiter, decimal, names, False, blank_lines)
    is_index = first[0] == "" and len(first) > 1
    _check_names(name, first, skip_first=is_index)
    return Dialect(delimiter, decimal, tuple(first), True, blank_lines, is_index)


def infer_kinds(sample: pa.Table, decimal: str) -> dict[str, pa.DataType]:
    """What each column of the file's first rows holds: float64, bool, text, or null if unknown.

    A column that is text, but numbers for the most part, is a column of numbers with something
    wrong in it: reading it will name the row.
    """
    return {name: _kind(sample.column(name), decimal) for name in sample.column_names}


def _kind(column: pa.ChunkedArray, decimal: str) -> pa.DataType:
    if is_number(column.type):
        return pa.float64()
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return column.type
    if pa.types.is_string(column.type):
        texts = column.drop_null()
        if decimal != ".":
            texts = pc.replace_substring(texts, decimal, ".")
        numbers = pc.sum(pc.match_substring_regex(texts, _NUMBER)).as_py() or 0
        if 2 * numbers > len(texts):
            return pa.float64()
    return pa.large_string()


# How files begin that are text, or nearly, and no tables.
_FOREIGN = {
    b"version https://git-lfs.github.com/spec": ("a Git LFS pointer", "git lfs pull"),
    b"%PDF-": ("a PDF document", "export the table as CSV"),
    b"<": ("XML or HTML", "export the table as CSV"),
    b"{": ("JSON", "export the table as CSV"),
    b"[{": ("JSON", "export the table as CSV"),
    b"[[": ("JSON", "export the table as CSV"),
}


def _refuse_foreign(name: str, head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, (kind, hint) in _FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"{name} is {kind}, not a table", hint=hint)


def _decode(name: str, head: bytes) -> str:
    _refuse_foreign(name, head)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{name} is text in UTF-16", hint="save it as UTF-8")
    if b"\0" in head or head.startswith(b"PK\x03\x04"):
        raise InputError(
            f"{name} is not a table in a known format",
            hint="CSV, Parquet and Arrow files are read; export it as one of them",
        )
    return head.decode("utf-8-sig", errors="replace")


def _first_row(name: str, text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"{name} row 1: {error}", hint="look for a quote that is opened and never closed"
        ) from error


def _consistency(text: str, delimiter: str) -> float:
    """Share of the first lines that have as many cells as the first, 0 if that is one cell."""
    widths: list[int] = []
    try:
        for row in islice(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter), 50):
            widths += [len(row)] if row else []
    except csv.Error:
        pass  # a cell too long for this module, after an open quote: the rows before it tell
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _decimal_sign(text: str, delimiter: str, header: bool) -> str:
    rows = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    cells = []
    try:
        for row in islice(rows, int(header), None):
            cells += row
    except csv.Error:
        pass
    if any(map(_DECIMAL_COMMA.fullmatch, cells)) and not any(map(_DECIMAL_POINT.fullmatch, cells)):
        return ","
    return "."


def _check_names(name: str, names: list[str], *, skip_first: bool) -> None:
    for place, column in enumerate(names, start=1):
        if not column and not (skip_first and place == 1):
            raise InputError(
                f"{name}: column {place} of {len(names)} has no name",
                hint="name it in the header line",
            )
    doubled = first_doubled(names)
    if _looks_like_values(names):
        raise InputError(
            f"{name} has no header: its first line is {', '.join(names[:3])}, ...",
            hint="use --no-header, or add a line with names",
        )
    if doubled is not None:
        raise InputError(
            f"{name}: two columns are called '{doubled}'", hint="rename one in the header line"
        )


def _looks_like_values(names: list[str]) -> bool:
    """All numbers, and not such as number columns: those are whole and differ (pandas' 0, 1, 2)."""
    if not all(re.match(_NUMBER, column.replace(",", ".")) for column in names):
        return False
    return not (all(column.isdigit() for column in names) and len(set(names)) == len(names))
