"""What a CSV file looks like, told from its first bytes: separators, names, lines to pass over."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from divmix.errors import InputError
from divmix.tables import csv_remedies
from divmix.tables.foreign import refuse_foreign
from divmix.tables.schema import first_doubled
from divmix.tables.sources import Source
from divmix.tables.text_stream import Aligned, Change, Edges, fixed_places, guessed_encoding

# The order matters where several fit: `1,5;2,5` is two columns with a decimal comma.
DELIMITERS = ("\t", ";", ",", "|")

# Cells that stand for no value. The first ones are those of R, NumPy and pandas; '?' is UCI's.
NULLS = ("", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "?")

LINES_LOOKED_AT = 50

MOST_COLUMNS = 100_000  # a first line of more separators is no header

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_DECIMAL = {
    sign: re.compile(rf"\s*[+-]?\d*{re.escape(sign)}\d+([eE][+-]?\d+)?\s*") for sign in ".,"
}
# 1.234 may be a thousand; this cannot, by the number of its digits or by what stands before.
_SURELY_DECIMAL = {
    sign: re.compile(
        rf"[^\d.,]{{0,5}}(?:0?{point}\d+|\d*{point}(?:\d{{1,2}}|\d{{4,}})|\d{{4,}}{point}\d*"
        rf"|\d{{1,3}}(?:{other}\d{{3}})+{point}\d+)(?:[eE][+-]?\d+)?[^\d.,]{{0,5}}"
    )
    for sign, point, other in ((".", r"\.", ","), (",", ",", r"\."))
}
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?(?:\n|\Z)")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is to be read.

    `skipped_lines` stand before the header, or before the rows where there is none: blank ones,
    comments, Excel's `sep=;`. `is_index` says that the first column has no name, as row numbers
    have that R and pandas write. `aligned` says that columns are set by blanks, at the places
    `edges` or, where that is None, parted by each run of them: `changes` brings them to tabs.
    `renamed` has the names that columns got which the header gives none, or one that came before.
    """

    delimiter: str
    decimal: str
    names: tuple[str, ...]
    header: bool
    skipped_lines: int
    is_index: bool = False
    aligned: bool = False
    edges: Edges | None = None
    renamed: tuple[str, ...] = ()

    def changes(self) -> list[Change]:
        """What the bytes of the file go through before they are parted at the delimiter."""
        return [Aligned(self.edges)] if self.aligned else []


def detect_dialect(source: Source, head: bytes, *, header: bool) -> Dialect:
    """The dialect of a file that starts with `head`.

    Raises InputError for what is not text, and for a header that is none.
    """
    refuse_foreign(source, head)
    text = head.decode("utf-8-sig", errors="replace")
    skipped, body, told, comment = _prologue(text)
    if not body.strip():
        raise source.empty()
    _check_width(source, body, told)
    delimiter, aligned, edges = told or _delimiter(body), False, None
    if delimiter == "":
        aligned, edges = _set_by_blanks(body, header)
        delimiter = "\t" if aligned else ","
    if aligned:
        body = Aligned(edges)(body.encode(), True).decode(errors="replace")
    first = [cell.strip() for cell in _first_row(source, body, delimiter, skipped)]
    if header:
        _check_letters(source, head, first, delimiter, skipped)
    decimal = _decimal_sign(body, delimiter, header)
    if not header:
        names = tuple(f"x{i + 1}" for i in range(len(first)))
        return Dialect(delimiter, decimal, names, False, skipped, False, aligned, edges)
    if commented := _commented_header(comment, None if aligned else delimiter, first):
        return Dialect(delimiter, decimal, commented, False, skipped, False, aligned, edges)
    if _lacks_a_name(body, delimiter, len(first)):
        first = ["", *first]
    is_index = first[0] == "" and len(first) > 1
    _check_header(source, first)
    names, renamed = _usable(first, is_index)
    return Dialect(delimiter, decimal, names, True, skipped, is_index, aligned, edges, renamed)


def _prologue(text: str) -> tuple[int, str, str, str]:
    """Lines before the table: their number, what follows, a separator they tell, a comment."""
    skipped, told, comment = 0, "", ""
    while text:
        line, end, rest = text.partition("\n")
        if found := _SEPARATOR_LINE.match(text):
            told = found[1]
        elif line.startswith("#"):
            comment = line
        elif line.strip("\r"):
            break
        skipped, text = skipped + bool(end), rest
    return skipped, text.lstrip("\r"), told, comment


def _commented_header(comment: str, delimiter: str | None, first: list[str]) -> tuple[str, ...]:
    """The names in a last comment such as `# a,b`, above rows of numbers; () where it is none."""
    if not comment:
        return ()
    names = tuple(cell.strip() for cell in comment[1:].lstrip("#").strip().split(delimiter))
    names = ("".join(names[:1]) or "#", *names[1:])  # a sign that may head a column of row numbers
    fits = len(names) == len(first) > 1 and all(names) and first_doubled(names) is None
    return names if fits and any(re.match(_NUMBER, cell) for cell in first) else ()


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows that are not blank."""
    rows = []
    try:
        reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
        for row in islice(reader, LINES_LOOKED_AT):
            rows += [row] if row else []
    except csv.Error:
        pass  # a cell too long for this module, after an open quote: the rows before it tell
    return rows


def _delimiter(text: str) -> str:
    """The separator in most of the first lines, the same number of times; "" for none."""
    scores = [_consistency(text, delimiter) for delimiter in DELIMITERS]
    return DELIMITERS[scores.index(max(scores))] if any(scores) else ""


def _consistency(text: str, delimiter: str) -> float:
    """Share of the first lines that have as many cells as the first, 0 if that is one cell."""
    rows = _rows(text, delimiter)
    if _lacks_a_name(text, delimiter, len(rows[0]) if rows else 0):
        return 1.0
    widths = [len(row) for row in rows]
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _lacks_a_name(text: str, delimiter: str, names: int) -> bool:
    """Whether every row has one cell more than the header: R does not name its row numbers."""
    rows = _rows(text, delimiter)[1:]
    return names > 1 and {len(row) for row in rows} == {names + 1} and any(row[-1] for row in rows)


def _set_by_blanks(text: str, header: bool) -> tuple[bool, Edges | None]:
    """Whether blanks part columns, and at which places where it is not each run of blanks.

    Words have blanks too: one column at least has to be of numbers.
    """
    lines = [line for line in text.splitlines()[:-1] or text.splitlines() if line.strip()]
    lines = lines[:LINES_LOOKED_AT]
    rows = [line.split() for line in lines]
    widths = {len(row) for row in rows}
    if len(rows) < 2 or '"' in text:
        return False, None
    if len(widths) == 1 and widths != {1} and _has_numbers(rows[header:]):
        return True, None
    if len({len(row) for row in rows[1:]}) == 1 and len(rows[1]) == len(rows[0]) + 1:
        return _has_numbers(rows[1:]), None
    edges = fixed_places(lines)
    if edges is None or not any("  " in line for line in lines):
        return False, None
    cells = [[line[start:stop].strip() for start, stop in edges] for line in lines]
    named = not header or all(cells[0])
    return named and _has_numbers(cells[header:]), edges


def _has_numbers(rows: Sequence[Sequence[str]]) -> bool:
    number = re.compile(_NUMBER)
    return any(
        any(column) and all(not cell or number.match(cell.replace(",", ".")) for cell in column)
        for column in zip(*rows)
    )


def _decimal_sign(text: str, delimiter: str, header: bool) -> str:
    if "," not in text or (delimiter == "," and '"' not in text):
        return "."
    rows = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    cells: list[str] = []
    try:
        for row in islice(rows, int(header), None):
            cells += row
    except csv.Error:
        pass
    sure = {sign: any(map(_SURELY_DECIMAL[sign].fullmatch, cells)) for sign in ".,"}
    if sure["."] != sure[","]:
        return "," if sure[","] else "."
    comma = any(map(_DECIMAL[","].fullmatch, cells)) and delimiter != ","
    return "," if comma and not any(map(_DECIMAL["."].fullmatch, cells)) else "."


def _check_width(source: Source, text: str, told: str) -> None:
    """Raise InputError for a first line of too many columns, before it is taken apart."""
    line = text.partition("\n")[0]
    delimiter = max((told and (told,)) or DELIMITERS, key=line.count)
    columns = 1 + line.count(delimiter)
    if columns > MOST_COLUMNS:
        raise InputError(
            f"{source.name} has {columns:,} columns in its first line; {MOST_COLUMNS:,} are read",
            hint="check that its lines end; of a table that is so wide, write rows as columns, or "
            "take a part of the columns",
            instead=source.through(csv_remedies.some_columns(delimiter)),
        )


def _check_letters(
    source: Source, head: bytes, first: list[str], delimiter: str, skipped: int
) -> None:
    """Raise InputError for names that are no UTF-8: rows would be read, and names be spoilt."""
    if "\ufffd".encode() in head or not any("\ufffd" in cell for cell in first):
        return
    guess = guessed_encoding(head)
    text = _prologue(head.decode(guess, errors="replace"))[1]
    names = _first_row(source, text, delimiter, skipped)
    spoilt = next(place for place, cell in enumerate(first) if "\ufffd" in cell)
    raise InputError(
        f"{source.name}: the name of column {spoilt + 1} is not UTF-8",
        hint=f"use --encoding {guess}, with which it reads '{names[spoilt].strip()}'",
        fix={"encoding": guess},
    )


def _first_row(source: Source, text: str, delimiter: str, skipped: int) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"{source.name}: a name in its first line is longer than "
            f"{csv.field_size_limit():,} characters",
            hint="look for a quote that is opened and never closed, or take the quotes out",
            instead=source.through(csv_remedies.without_quotes(skipped + 1)),
        ) from error


def _check_header(source: Source, names: list[str]) -> None:
    if _looks_like_values(names):
        raise InputError(
            f"{source.name} has no header: its first line is {', '.join(names[:3])}, ...",
            hint="use --no-header, or add a line with names",
            fix={"header": False},
        )


def _usable(names: Sequence[str], is_index: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A name for each column, and those that are not the header's: `column_2` for none, `a.1` for
    a second `a`, as pandas and R have it. That of row numbers stays empty."""
    given, doubles = set(names), Counter[str]()
    used: dict[str, None] = {}
    for place, name in enumerate(names, start=1):
        wanted = new = name or ("" if is_index and place == 1 else f"column_{place}")
        while new in used or (new != name and new in given):
            doubles[wanted] += 1
            new = f"{wanted}.{doubles[wanted]}"
        used[new] = None
    return tuple(used), tuple(new for new, name in zip(used, names) if new != name)


def _looks_like_values(names: list[str]) -> bool:
    """All numbers, and not such as number columns: those are whole and differ (pandas' 0, 1, 2)."""
    if not all(re.match(_NUMBER, column.replace(",", ".")) for column in names):
        return False
    return not (all(column.isdigit() for column in names) and len(set(names)) == len(names))
