"""What is learned of the columns of a training table, in one pass over its batches.

A table in memory goes the same way as one that is read in batches, so that both have the same bits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from divmix.design.cells import Batch, column_of, row_weights
from divmix.design.columns import (
    BooleanLearner,
    CategoryLearner,
    Learner,
    TableColumn,
    TooManyCategories,
)
from divmix.design.date_column import DateLearner
from divmix.design.missing import EmptyCells, empty_by_column, incomplete_rows
from divmix.design.numeric_column import NumberLearner
from divmix.design.roles import Role, assign_roles, chosen_columns
from divmix.design.row_names import Locate
from divmix.errors import InputError
from divmix.sampling import Pool, pool_rows, pooled
from divmix.settings import TableSettings
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS

Batches: TypeAlias = Callable[[], Iterator[pa.RecordBatch]]
"""Reads a table from its start, in batches of BATCH_ROWS rows, the last one shorter."""


class Learned(NamedTuple):
    """The columns that enter a fit, and the roles of all."""

    columns: tuple[TableColumn, ...]
    roles: tuple[Role, ...]


def in_batches(table: Batch) -> Iterator[Batch]:
    """A table in memory, batch by batch."""
    for start in range(0, max(table.num_rows, 1), BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS)


def sampled(table: Batch) -> Batch:
    """Rows that stand for all of a table in memory, in their order: all of a small one."""
    rows = table.num_rows
    size = pool_rows(table.num_columns)
    return table if rows <= size else table.take(arrays.integers(pooled(np.arange(rows), size)))


def sampled_batches(batches: Batches, size: int) -> tuple[int, pa.Table]:
    """The number of rows, and the rows that `sampled` has of the same table in memory."""
    rows, kept, pool = 0, [], Pool(size)
    for batch in batches():
        chosen = pool.add(np.arange(rows, rows + batch.num_rows))
        kept.append(batch.take(arrays.integers(chosen)) if len(chosen) < len(batch) else batch)
        rows += batch.num_rows
        if pool.is_long:
            kept = _taken(kept, pool).to_batches()
    return rows, _taken(kept, pool)


def _taken(kept: list[pa.RecordBatch], pool: Pool) -> pa.Table:
    """The rows of the pool among those that are kept."""
    return pa.Table.from_batches(kept).take(arrays.integers(pool.pruned()))


def learn_columns(
    batches: Iterable[Batch],
    sample: Batch,
    settings: TableSettings,
    locate: Locate,
    roles: Sequence[Role] | None = None,
) -> Learned:
    """What the batches of a table tell of its columns; `sample` are rows that stand for all.

    Rows that missing values keep out, and rows of weight 0, have no say. A column of text that turns
    out to have too many categories is left out unless it is asked for. Raises InputError for columns
    that cannot be used, infinite or missing values, and fewer than two rows.
    """
    roles = tuple(assign_roles(sample, settings) if roles is None else roles)
    schema = chosen_columns(roles, settings)
    own = {role.name: role for role in roles}
    learners = {c.name: _learner(c.kind, own[c.name], settings) for c in schema.columns}
    empty, rows, used = EmptyCells(), 0, 0
    for batch in batches:
        weights = row_weights(batch, settings.weight, locate, rows)
        columns = {name: column_of(batch, name) for name in learners}
        gaps = empty_by_column(columns)
        empty.update(gaps, batch.num_rows, rows)
        if settings.missing == "drop":
            weights = np.where(incomplete_rows(gaps, batch.num_rows), 0.0, weights)
        used += int(np.count_nonzero(weights))
        for name, learner in learners.items():
            learner.update(columns[name], weights, partial(_located, locate, rows))
        rows += batch.num_rows
    if rows < 2:
        raise InputError(f"the table has too few rows: {rows}", hint="a fit needs at least two")
    if settings.missing == "error":
        where = "fit" if settings.may_model and not settings.encoder else "whole"
        empty.refuse(locate, len(learners), where)
    _check_enough_rows(rows, used, bool(empty.rows), settings)
    return _learned(learners, roles, sample, settings)


def _located(locate: Locate, first_row: int, row: int) -> str:
    return locate(first_row + row)


def _learned(
    learners: dict[str, Learner],
    roles: tuple[Role, ...],
    sample: Batch,
    settings: TableSettings,
) -> Learned:
    weights = row_weights(sample, settings.weight, lambda row: "", 0)
    if settings.missing == "drop":
        gaps = empty_by_column({name: column_of(sample, name) for name in learners})
        weights = np.where(incomplete_rows(gaps, sample.num_rows), 0.0, weights)
    columns, settled = [], {role.name: role for role in roles}
    for name, learner in learners.items():
        try:
            columns.append(learner.learned(column_of(sample, name), weights))
        except TooManyCategories as error:
            if settled[name].asked:
                raise
            told = f"{error.count:,} different texts"
            settled[name] = replace(settled[name], role="code", kind=None, why=told)
    chosen_columns(settled.values(), settings)
    return Learned(tuple(columns), tuple(settled.values()))


def _learner(kind: str, role: Role, settings: TableSettings) -> Learner:
    name, median = role.name, settings.missing == "median"
    if kind == "date":
        return DateLearner(name, role.order, settings.dates == "parts", settings.scale, median)
    if kind == "categorical":
        return CategoryLearner(name, settings.max_categories)
    if kind == "boolean":
        return BooleanLearner(name)
    log = "auto" if settings.log == ("auto",) else name in settings.log
    # Pixels keep their values: what a picture shows lies in their proportions.
    log, scaling = (False, "pixels") if settings.image else (log, settings.scale)
    return NumberLearner(name, scaling, log, median)


def _check_enough_rows(rows: int, used: int, gaps: bool, settings: TableSettings) -> None:
    if used >= 2:
        return
    if settings.missing == "drop" and gaps:
        raise InputError(
            f"only {used} of {rows:,} rows are complete",
            hint="use --missing model, or --exclude the columns with empty cells",
        )
    raise InputError(
        f"only {used} of {rows:,} rows have a weight above zero",
        hint=f"check the column '{settings.weight}'",
    )
