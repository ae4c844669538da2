"""What is wrong with a CSV file, where, and what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import csv

from divmix.errors import InputError
from divmix.settings import in_shell
from divmix.tables import csv_remedies, csv_rows
from divmix.tables.csv_text import CsvText
from divmix.tables.number_text import is_some_number
from divmix.tables.sources import Source
from divmix.tables.text_stream import guessed_encoding


@contextmanager
def errors_told(source: Source) -> Iterator[None]:
    """Turns what a reader says of a broken file into an InputError that names it."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise unreadable(source, error) from error


def unreadable(source: Source, error: Exception) -> InputError:
    """The error for a file that a reader gives up, in the reader's words."""
    return InputError(
        f"{source.name} cannot be read: {str(error).splitlines()[0]}",
        hint="check that the file is complete, and text in UTF-8",
        instead=source.again(),
    )


def open_quote_among_names(text: CsvText) -> InputError:
    """The error for a header with a quote that never closes."""
    return InputError(
        f"{text.name}: a quote in its first line is opened and never closed",
        hint="close the quote, or take the quotes of the line out",
        instead=text.through(csv_remedies.without_quotes(text.dialect.skipped_lines + 1)),
    )


def open_quote(text: CsvText, row: int) -> InputError:
    """The error for a row with a quote that never closes."""
    return InputError(
        f"{text.place(row)}: a quote is opened and never closed",
        hint="close the quote, or leave the line out",
        instead=text.without(row),
    )


def row_too_long(text: CsvText, row: int) -> InputError:
    """The error for a row that has no end in sight."""
    return InputError(
        f"{text.place(row)} is longer than {csv_rows.LONGEST_ROW:,} bytes",
        hint="look for a quote that is opened and never closed, or leave the line out",
        instead=text.without(row),
    )


def other_width(text: CsvText, row: int, found: csv.InvalidRow, none_fits: bool) -> InputError:
    """The error for a row of another width; `none_fits` says that all are such."""
    cells = "1 cell" if found.actual_columns == 1 else f"{found.actual_columns} cells"
    told = f"{text.place(row)}: {cells} where the table has {found.expected_columns} columns"
    if found.text.startswith("#"):
        comments = csv_remedies.without_comments()
        return InputError(told, hint="take comments out", instead=text.through(comments))
    if none_fits and text.dialect.header:
        return InputError(
            told,
            hint="no row has as many cells as the header: correct it, or leave it out",
            fix={"header": False},
            instead=text.through(csv_remedies.without_header(text.dialect)),
        )
    program = csv_remedies.of_width(text.dialect, found.expected_columns, text.has_quotes())
    return InputError(
        told,
        hint="correct the row, where cells that hold separators need quotes, or leave out rows "
        "of other widths",
        instead=text.through(program),
    )


def wrong_value(text: CsvText, row: int, field: pa.Field, cell: str) -> InputError:
    """The error for a cell that is not of the type of its column, truth values or numbers."""
    name = field.name
    if pa.types.is_boolean(field.type):
        return InputError(
            f"{text.place(row)}: column '{name}' is '{cell}', neither true nor false",
            hint=f"correct it, or use --categorical {in_shell(name)}",
            fix={"categorical": (name,)},
        )
    if is_some_number(cell):
        return InputError(
            f"{text.place(row)}: column '{name}' is '{cell}', and not all of its numbers are written so",
            hint="write the decimals, thousands and units of the column in one way, or use "
            f"--exclude {in_shell(name)}",
            fix={"exclude": (name,)},
        )
    return InputError(
        f"{text.place(row)}: column '{name}' is text ('{cell}')",
        hint=f"correct it, use --exclude {in_shell(name)}, or --categorical {in_shell(name)} if the column holds "
        "categories",
        fix={"exclude": (name,)},
    )


def not_utf8(text: CsvText, row: int, name: str, cell: bytes) -> InputError:
    """The error for a cell of other letters, with an encoding in which it can be read."""
    guess = guessed_encoding(cell)
    return InputError(
        f"{text.place(row)}: column '{name}' is not UTF-8",
        hint=f"use --encoding {guess}, with which the cell reads "
        f"'{cell.decode(guess, errors='replace')}'",
        fix={"encoding": guess},
    )
