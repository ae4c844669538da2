"""A training table prepared: what is learned from it, and its rows as a matrix."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from divmix import encoders
from divmix.design.design import Design
from divmix.design.preprocessing import Preprocessing
from divmix.design.roles import Role, assign_roles
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining, memory
from divmix.errors import InputError
from divmix.progress import Progress
from divmix.settings import TableSettings
from divmix.tables.batches import BATCH_ROWS


class DesignMatrix(NamedTuple):
    """The rows of a table: X (n, d), row_weights (n,), log_jacobian (n,) nats, complete (n,).

    roles are those of the table's columns. A row that missing values keep out stays, with weight 0, so that rows keep their places.
    """

    X: np.ndarray
    row_weights: np.ndarray
    log_jacobian: np.ndarray
    complete: np.ndarray
    roles: tuple[Role, ...] = ()


def prepare(
    table: pa.Table,
    tables: TableSettings,
    generator: np.random.Generator,
    progress: Progress,
    locate: Locate = row_name,
    joint: JointTraining | None = None,
) -> tuple[Design, DesignMatrix]:
    """What is learned of the columns of a table and, with an encoder, of its rows; and the rows.

    `joint` is the mixture that an encoder may be trained along with, None where the number of its
    clusters is not known yet. Raises InputError, UsageError, FitError, MissingExtraError.
    """
    progress.stage("preparing columns")
    roles = assign_roles(table, tables)
    design = Design(Preprocessing.learn(table, tables, locate=locate, roles=roles))
    image = tables.image_size(design.n_features)
    steps = encoders.parse(tables.encoder)  # before the work begins
    matrix = design_matrix(table, design, progress, locate)._replace(roles=roles)
    if not steps:
        return design, matrix
    learning = encoders.Learning(generator, progress, image, tables.device, joint)
    used = matrix.row_weights > 0
    chain, embedded = encoders.learn(tables.encoder, matrix.X[used], learning)
    if not used.all():
        embedded = chain.transform(matrix.X)  # in the blocks that a prediction has
    log_jacobian = np.zeros(len(embedded))
    return Design(design.preprocessing, chain), matrix._replace(
        X=embedded, log_jacobian=log_jacobian
    )


def _check_memory(rows: int, design: Design) -> None:
    """Raises InputError where a matrix of so many rows cannot be held."""
    needed, there = 8 * rows * design.n_features, memory.available()
    if there is None or needed <= there:
        return
    widest = max(design.preprocessing.columns, key=lambda column: len(column.features))
    hint = "fit fewer rows, and label the others by predict, or name fewer --columns"
    if len(widest.features) > 1:
        hint = f"use --exclude {widest.name}, which has {len(widest.features):,} of them; or {hint}"
    raise InputError(
        f"{rows:,} rows of {design.n_features:,} features need {needed / 1e9:.3g} GB of memory, "
        f"{there / 1e9:.3g} GB are free",
        hint=hint,
    )


def design_matrix(
    table: pa.Table,
    design: Design,
    progress: Progress,
    locate: Locate = row_name,
    unknown: str = "error",
) -> DesignMatrix:
    """The rows of a table as a matrix, filled batch by batch; `unknown` as for `transform`.

    Raises InputError.
    """
    n = table.num_rows
    _check_memory(n, design)
    matrix = DesignMatrix(
        np.empty((n, design.n_features)), np.empty(n), np.empty(n), np.empty(n, bool)
    )
    for start in range(0, n, BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        part = slice(start, start + batch.num_rows)
        done = design.transform(
            batch, unknown=unknown, first_row=start, locate=locate, out=matrix.X[part]
        )
        weights = design.row_weights(batch, first_row=start, locate=locate)
        matrix.row_weights[part] = np.where(done.complete, weights, 0.0)
        matrix.log_jacobian[part], matrix.complete[part] = done.log_jacobian, done.complete
        progress.rows(part.stop, n)
    return matrix
