"""A training table prepared: what is learned from it, and its rows as a matrix."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from divmix import encoders
from divmix.design.cells import Batch
from divmix.design.design import Design
from divmix.design.learning import in_batches, sampled
from divmix.design.preprocessing import Preprocessing
from divmix.design.roles import Role
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining, memory
from divmix.errors import InputError, UsageError
from divmix.families import Coded
from divmix.progress import Progress
from divmix.rows.segments import Place, anywhere
from divmix.settings import TableSettings, in_shell


class DesignMatrix(NamedTuple):
    """The rows of a table: X (n, d), row_weights (n,), log_jacobian (n,) nats, complete (n,).

    roles are those of the table's columns. A row that missing values keep out stays, with weight 0, so that rows keep their places.
    held: the rows, X itself or by the codes of their categories; then X is made anew each time.
    """

    held: np.ndarray | Coded
    row_weights: np.ndarray
    log_jacobian: np.ndarray
    complete: np.ndarray
    roles: tuple[Role, ...] = ()

    @property
    def X(self) -> np.ndarray:
        """The rows with all of their features, (n, d) float64."""
        return self.held.matrix() if isinstance(self.held, Coded) else self.held


def prepare(
    table: pa.Table,
    tables: TableSettings,
    generator: np.random.Generator,
    progress: Progress,
    locate: Locate = row_name,
    joint: JointTraining | None = None,
    coded: bool = False,
) -> tuple[Design, DesignMatrix]:
    """What is learned of the columns of a table and, with an encoder, of its rows; and the rows.

    `joint` is the mixture that an encoder may be trained along with, None where the number of its
    clusters is not known yet. `coded`: categories may be held as codes, where that is worth it. Raises InputError, UsageError, FitError, MissingExtraError.
    """
    progress.stage("preparing columns")
    preprocessing, roles = Preprocessing.learn_with_roles(
        partial(in_batches, table), sampled(table), tables, locate=locate
    )
    design = Design(preprocessing)
    image = tables.image_size(design.n_features)
    steps = encoders.parse(tables.encoder)  # before the work begins
    if steps and tables.missing == "model":
        raise without_gaps(tables.encoder)
    matrix = design_matrix(table, design, progress, locate, coded=coded and not steps)
    matrix = matrix._replace(roles=roles)
    if not steps:
        return design, matrix
    learning = encoders.Learning(generator, progress, image, tables.device, joint)
    used = matrix.row_weights > 0
    chain, embedded = encoders.learn(tables.encoder, matrix.X[used], learning)
    if not used.all():
        embedded = chain.transform(matrix.X)  # in the blocks that a prediction has
    log_jacobian = np.zeros(len(embedded))
    return Design(design.preprocessing, chain), matrix._replace(
        held=embedded, log_jacobian=log_jacobian
    )


def without_gaps(encoder: str | None) -> UsageError:
    """What is wrong with an encoder of rows that miss cells."""
    return UsageError(
        f"--missing model is not available with --encoder {encoder}",
        hint="an encoder needs a value in each cell: use --missing mean, median or drop",
    )


def _check_memory(rows: int, design: Design, coded: bool) -> None:
    """Raises InputError where a matrix of so many rows cannot be held, or their codes."""
    needed, there = rows * design.room(1, coded).nbytes, memory.available()
    if there is None or needed <= there:
        return
    widest = max(design.preprocessing.columns, key=lambda column: len(column.features))
    hint = "fit fewer rows, and label the others by predict, or name fewer --columns"
    if len(widest.features) > 1:
        hint = f"use --exclude {in_shell(widest.name)}, which has {len(widest.features):,} of them; or {hint}"
    raise InputError(
        f"{rows:,} rows of {design.n_features:,} features need {needed / 1e9:.3g} GB of memory, "
        f"{there / 1e9:.3g} GB are free",
        hint=hint,
    )


class PreparedBatch(NamedTuple):
    """Some rows of a design matrix: X (b, d), or `Coded`, row_weights (b,), log_jacobian (b,) nats,
    complete (b,), and the batch of the table that they come from."""

    X: np.ndarray | Coded
    row_weights: np.ndarray
    log_jacobian: np.ndarray
    complete: np.ndarray
    batch: Batch


def prepared(
    batches: Iterable[Batch],
    design: Design,
    locate: Locate = row_name,
    place: Place = anywhere,
    first_row: int = 0,
    unknown: str = "error",
    coded: bool = False,
) -> Iterator[PreparedBatch]:
    """The batches of a table, from `first_row` on, as rows of the design matrix; written where
    `place` says, `unknown` as for `transform`, `coded` as for `design_matrix`. Raises InputError."""
    start = first_row
    for batch in batches:
        rows = slice(start, start + batch.num_rows)
        room = place(batch.num_rows)
        if room is None:
            room = design.room(batch.num_rows, coded)
        complete, log_jacobian = design.fill(room, batch, unknown, start, locate)
        weights = design.row_weights(batch, first_row=start, locate=locate)
        weights = np.where(complete, weights, 0.0)
        yield PreparedBatch(room, weights, log_jacobian, complete, batch)
        start = rows.stop


def design_matrix(
    table: pa.Table,
    design: Design,
    progress: Progress,
    locate: Locate = row_name,
    unknown: str = "error",
    coded: bool = False,
) -> DesignMatrix:
    """The rows of a table as a matrix, filled batch by batch; `unknown` as for `transform`.

    `coded`: categories are held as codes where the design says that this is worth it. Raises InputError.
    """
    n = table.num_rows
    _check_memory(n, design, coded)
    held, row_weights = design.room(n, coded), np.empty(n)
    log_jacobian, complete = Filling(n, float), Filling(n, bool)
    start = 0

    def place(rows: int) -> np.ndarray | Coded:
        return held[start : start + rows]

    for done in prepared(in_batches(table), design, locate, place, unknown=unknown):
        part = slice(start, start + len(done.X))
        row_weights[part] = done.row_weights
        log_jacobian.put(part, done.log_jacobian)
        complete.put(part, done.complete)
        progress.rows(part.stop, n)
        start = part.stop
    return DesignMatrix(held, row_weights, log_jacobian.array, complete.array)


class Filling:
    """An array (n,) that comes part by part; as long as all its values are one, it holds that alone."""

    def __init__(self, n: int, kind: type) -> None:
        self.array: np.ndarray = np.empty(0, kind)
        self._n = n

    def put(self, part: slice, values: np.ndarray) -> None:
        """Fill in the values of a part; the parts before it are there."""
        if part.start == 0:
            self.array = np.broadcast_to(values[:1], self._n)
        if not self.array.flags.writeable:
            if (values == self.array[:1]).all():
                return
            self.array = self.array.copy()
        self.array[part] = values
