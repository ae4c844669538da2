"""How a table is read, what each column is, and the command that fits it: a look before a fit."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.learning import Batches, sampled_batches
from divmix.design.missing import empty_cells
from divmix.design.number_notes import notes_on_numbers
from divmix.design.preprocessing import Preprocessing
from divmix.design.roles import Role, assign_roles, notes_on_roles
from divmix.errors import InputError
from divmix.progress import Progress
from divmix.sampling import pool_rows
from divmix.settings import TableSettings, as_typed
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader, open_table, reading_options, rechunk
from divmix.tables.schema import is_number, is_text

MOST_PROBLEMS = 100  # each costs a reading of the table
EXAMPLES = 3  # values shown of a column


class Table(NamedTuple):
    """A table that goes by as often as it is looked at, and is never held but where it came by a pipe.

    rows : how many; sample : those that stand for all, as in a fit; empty : cells of each column.
    """

    batches: Batches
    rows: int
    sample: pa.Table
    empty: Counter[str]


def run_sniff(
    sources: Sequence[str], tables: TableSettings, progress: Progress | None = None
) -> dict[str, Any]:
    """What a fit with these settings would make of the tables in `sources`.

    format : how the files are taken apart. columns : of each its type, role, share of empty cells,
    what a fit does with it and why. notes : what a fit would say. problems : each with a hint, in
    the order in which a fit would stop at them; they are got round by settings where some do, so
    that all of them are found. command : a fit that works, None where a problem has no way round.
    Raises InputError where the first problem is that there is no table to look at.
    """
    progress = progress or Progress()
    problems: list[dict[str, str]] = []
    reader: TableReader | None = None
    table: Table | None = None
    roles: tuple[Role, ...] = ()
    rounded: list[str] = []
    settled: TableSettings | None = tables
    while settled is not None and len(problems) < MOST_PROBLEMS:
        try:
            if reader is None or table is None:
                progress.stage("reading " + ", ".join(map(str, sources)))
                reader = open_table(sources, **reading_options(settled))
                table = _table_of(reader)
            progress.stage("looking at columns")
            roles = assign_roles(table.sample, settled)
            learned, _ = Preprocessing.learn_with_roles(
                table.batches, table.sample, settled, locate=reader.locate, roles=roles
            )
            rounded = notes_on_numbers(table.sample, learned.columns, settled)
            break
        except InputError as error:
            if not error.fix and not problems and table is None:
                raise  # nothing is known of the table
            problems.append({"problem": str(error), "hint": error.hint})
            if not error.fix:
                settled = None
                break
            settled = _with(settled, error.fix)
            if not {"missing", "log"} & error.fix.keys():
                table = None  # it is read otherwise, or without a column
    got_round = () if settled is None else settled.exclude
    return {
        "names": [str(source) for source in sources],
        "format": reader.describe_format() if reader else {},
        "rows": None if table is None else table.rows,
        "columns": []
        if table is None
        else _columns(table, roles, set(got_round) - {*tables.exclude}),
        "notes": [*_notes(reader, roles, settled or tables), *rounded],
        "problems": problems,
        "command": None if settled is None else _command(sources, settled, roles),
    }


def _with(settings: TableSettings, fix: dict[str, Any]) -> TableSettings:
    """Settings with those of a fix; names of columns are added to those there are."""
    merged: dict[str, Any] = {
        name: (*(getattr(settings, name) or ()), *value) if isinstance(value, tuple) else value
        for name, value in fix.items()
    }
    return replace(settings, **merged)


def _table_of(reader: TableReader) -> Table:
    """The table behind a reader, looked through once. Raises InputError for a broken file."""
    batches, empty = partial(reader.batches, BATCH_ROWS), Counter[str]()
    if reader.pipe:
        batches = partial(rechunk, reader.read().to_batches(), BATCH_ROWS)

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in batches():
            for name, column in zip(batch.schema.names, batch.columns):
                cells = empty_cells(column)
                empty[name] += 0 if cells is None else int(cells.sum())
            yield batch

    return Table(batches, *sampled_batches(counted, pool_rows(len(reader.names))), empty)


def _columns(
    table: Table, roles: Sequence[Role], problems: Collection[str]
) -> list[dict[str, Any]]:
    """What is told of each column; those named in `problems` are left out for one."""
    return [
        {
            "column": role.name,
            "type": _type(table.sample.schema.field(role.name).type),
            "role": role.role,
            "empty": table.empty[role.name] / table.rows,
            "fit": _use(role),
            "why": "see the problem" if role.name in problems else role.why,
            "for_example": [_short(v) for v in _examples(table.sample.column(role.name))],
        }
        for role in roles
    ]


def _type(kind: pa.DataType) -> str:
    if is_number(kind):
        return "number"
    return "text" if is_text(kind) else {"bool": "true/false"}.get(str(kind), str(kind))


def _use(role: Role) -> str:
    """What a fit does with a column, in words."""
    if not role.used:
        return {"truth": "compared with the clusters", "weight": "weight of the row"}.get(
            role.role, "left out"
        )
    return {
        "numeric": "used",
        "boolean": "used, true or false",
        "date": "used as numbers",
        "categorical": "used" if role.values == 1 else f"used, {role.values or 'its'} categories",
    }[str(role.kind)]


def _examples(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_nested(column.type):
        return []
    values = pc.unique(column.slice(0, 1_000).drop_null()).slice(0, EXAMPLES)
    return values.to_pylist()


def _short(value: Any) -> str:
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _notes(reader: TableReader | None, roles: Sequence[Role], settings: TableSettings) -> list[str]:
    return [*(reader.notes if reader else ()), *notes_on_roles(roles, settings)]


def _command(sources: Sequence[str], settings: TableSettings, roles: Sequence[Role]) -> str:
    """The fit of these tables, with what is not a default and a likely column of known classes."""
    targets = [role.name for role in roles if role.target and role.used and not role.asked]
    if targets and settings.truth is None:
        settings = replace(settings, truth=targets[0])
    words = ["divmix", "fit", *map(str, sources)]
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if value != setting.default:
            words += as_typed(setting, value)
    return shlex.join(words)
