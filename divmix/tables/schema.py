"""Columns of a table: their names and kinds."""

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from divmix.errors import InputError

# What stands before the name of a column that is handed on as its file has it.
AS_WRITTEN = "as written: "


@dataclass(frozen=True)
class Column:
    """A column of the fit. `categories` holds the values of a categorical one, in sorted order."""

    name: str
    kind: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The columns of a fit in the table's order; truth and weight stand beside them."""

    columns: tuple[Column, ...]
    truth: str | None = None
    weight: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def unknown_column(name: str, names: Iterable[str], table: str = "the table") -> InputError:
    """The error for a column that is not there, with the nearest names as a hint."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    by_lower = [other for other in names if other.lower() == name.lower()]
    listed = by_lower or near or names[:10]
    more = ", ..." if listed == names[:10] and len(names) > 10 else ""
    question = "did you mean" if by_lower or near else "its columns are"
    return InputError(
        f"{table} has no column '{name}'", hint=f"{question} {', '.join(listed)}{more}"
    )


def first_doubled(names: Iterable[str]) -> str | None:
    """The first name that comes twice, if any does."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds plain numbers (booleans and dates are not)."""
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, dictionary-encoded or not."""
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
