"""Programs of the shell that print a CSV file without what cannot be read of it."""

import json
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from divmix.tables.csv_dialect import Dialect

SOME_COLUMNS = 1_000  # of a table that has too many, for a look at it


def some_columns(delimiter: str) -> str:
    """Some columns of each line."""
    parted = "" if delimiter == "\t" else f"-d {quote(delimiter)} "  # the tab is its own
    return f"cut {parted}-f 1-{SOME_COLUMNS}"


def without_line(line: int) -> str:
    """All but one line, counted from 1."""
    return f"sed {line}d"


def without_quotes(line: int) -> str:
    """All, with no quote in one line, counted from 1."""
    return f"sed '{line}s/\"//g'"


def without_comments() -> str:
    """All but lines of comments."""
    return "grep -v '^#'"


def without_header(dialect: "Dialect") -> str:
    """The lines below that of the names."""
    return f"sed 1,{dialect.skipped_lines + 1}d"


def of_width(dialect: "Dialect", width: int, quoted: bool) -> str:
    """The header, and rows of so many cells; `quoted` tells whether separators may stand in cells,
    where counting them tells nothing."""
    if quoted:
        parted = "" if dialect.delimiter == "," else f", delimiter={json.dumps(dialect.delimiter)}"
        keeps = f"len(r) == {width}" + (" or f.lineno() == 1" if dialect.is_index else "")
        program = (
            f"import csv, fileinput as f, sys; csv.writer(sys.stdout{parted})"
            f".writerows(r for r in csv.reader(f.input(){parted}) if {keeps})"
        )
        return f"python3 -c {quote(program)}"
    parted = "" if dialect.aligned else f"-F {quote(dialect.delimiter)} "
    keeps = f"NF == {width}"
    if dialect.is_index:  # R names all columns but that of row numbers
        keeps += f" || NR == {dialect.skipped_lines + 1}"
    return f"awk {parted}{quote(keeps)}"
