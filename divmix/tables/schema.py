"""Which columns of a table enter a fit, and as what kind."""

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from divmix.errors import InputError
from divmix.settings import TableSettings


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


def choose_columns(table: pa.Schema, settings: TableSettings) -> Schema:
    """The columns that enter the fit: all, or those asked for, less excluded, truth and weight.

    Raises InputError for a name the table lacks, a column that is neither number, boolean nor
    text, and when nothing is left. Categories are not known yet: they are read off the rows.
    """
    for name in _mentioned(settings):
        if table.get_field_index(name) < 0:
            raise unknown_column(name, table.names)
    kept_out = {*settings.exclude, settings.truth, settings.weight}
    wanted = table.names if settings.columns is None else set(settings.columns)
    names = [name for name in table.names if name in wanted and name not in kept_out]
    if not names:
        raise InputError("no column is left to fit", hint="check --columns and --exclude")
    columns = tuple(Column(name, _kind(table.field(name), settings)) for name in names)
    _check_logged(columns, settings)
    return Schema(columns, settings.truth, settings.weight)


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


def _mentioned(settings: TableSettings) -> list[str]:
    log = () if settings.log == ("auto",) else settings.log
    single = [name for name in (settings.truth, settings.weight) if name is not None]
    return [*(settings.columns or ()), *settings.exclude, *settings.categorical, *log, *single]


def _kind(field: pa.Field, settings: TableSettings) -> str:
    kind = field.type
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        raise InputError(
            f"column '{field.name}' is {kind}, which cannot enter a fit",
            hint=f"use --exclude {field.name}",
        )
    if field.name in settings.categorical or is_text(kind):
        return "categorical"
    if types.is_boolean(kind):
        return "boolean"
    if is_number(kind) or types.is_null(kind):
        return "numeric"
    raise InputError(
        f"column '{field.name}' is {kind}, which cannot enter a fit",
        hint=f"use --exclude {field.name}, or store it as a number",
    )


def _check_logged(columns: tuple[Column, ...], settings: TableSettings) -> None:
    if settings.log == ("auto",):
        return
    kinds = {column.name: column.kind for column in columns}
    for name in settings.log:
        if kinds.get(name) != "numeric":
            found = f"is {kinds[name]}" if name in kinds else "does not enter the fit"
            raise InputError(
                f"--log {name}: the column {found}",
                hint="--log takes number columns of the fit, or auto",
            )


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds plain numbers (booleans and dates are not)."""
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, dictionary-encoded or not."""
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
