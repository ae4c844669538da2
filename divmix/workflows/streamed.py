"""A table that is read anew at each visit: prepared, fitted and labelled without ever being held."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from divmix import encoders
from divmix.core import fit_rows
from divmix.design.design import Design
from divmix.design.learning import sampled_batches
from divmix.design.number_notes import notes_on_numbers
from divmix.design.prepare import PreparedBatch, prepared, without_gaps
from divmix.design.preprocessing import Preprocessing
from divmix.design.roles import notes_on_roles
from divmix.encoders.pca import Pca
from divmix.engine.checkpoint import Journal
from divmix.engine.monitor import Monitor
from divmix.errors import InputError, UsageError
from divmix.families import Components, Family
from divmix.families.coded import matrix_of
from divmix.memory import available
from divmix.model.scores import blank
from divmix.model.tally import Tally, tallied
from divmix.progress import Progress
from divmix.rows import AnyBlock, Rows, StreamedRows
from divmix.rows.ahead import ahead
from divmix.rows.segments import Place, anywhere
from divmix.rows.stream import survey
from divmix.sampling import pool_rows
from divmix.settings import FitSettings, TableSettings
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader
from divmix.workflows.beside import parted
from divmix.workflows.evaluate import Agreement
from divmix.workflows.fitted import (
    Fit,
    features_of,
    gaps_of,
    mixture_of,
    notes_on_embedding,
    notes_on_gaps,
    notes_on_left_out,
    pool_size,
)
from divmix.workflows.match import Former, numbered_like, told
from divmix.workflows.run_folder import score_batch

# A fit in memory holds the table, its matrix, and results: so many times the numbers of the table.
AT_ONCE = 2.5


class Anew(Protocol):
    """A table that can be read again and again, as a `TableReader` has it.

    names : its columns. told : what it is called. rows : None where only reading can tell. pipe :
    what can be read once only. notes : on how it is read.
    """

    names: list[str]
    rows: int | None

    @property
    def told(self) -> str: ...

    @property
    def pipe(self) -> str | None: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def batches(self, rows: int, as_written: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """In batches of exactly `rows` rows, the last one shorter. Raises InputError."""
        ...

    def locate(self, row: int) -> str:
        """Name a row, counted from 0, for an error."""
        ...


OnWorkers: TypeAlias = Callable[[Design, StreamedRows], StreamedRows]
"""Makes rows of which the workers of a cluster make the sums."""


class StreamedTable:
    """A table in files, of which a few batches are in memory at a time.

    rows : how many there are, once they are counted. why : the sentence that says why it is not held.
    """

    def __init__(
        self,
        reader: Anew,
        settings: FitSettings,
        tables: TableSettings,
        progress: Progress,
        former: Former | None = None,
        why: str | None = None,
        on_workers: OnWorkers | None = None,
    ) -> None:
        self._reader, self._settings, self._tables = reader, settings, tables
        self._progress, self._former = progress, former
        self._why, self._on_workers = why, on_workers
        self.rows = 0
        _refuse_what_cannot(reader, settings, tables)

    def fitted(
        self,
        should_stop: Callable[[], bool],
        journal: Journal,
        start: Callable[[Design, Family, Rows], Components] | None = None,
    ) -> Fit:
        """Fit the mixture; labels are still to come. `journal` has what an interrupted fit has done
        already, `start` is as for `fit_table`. Raises InputError, UsageError, FitError,
        CheckpointError, and Interrupted."""
        settings, progress = self._settings, self._progress
        progress.stage("looking at the table")
        self.rows, sample = sampled_batches(self._batches, pool_rows(len(self._reader.names)))
        progress.stage("preparing columns")
        preprocessing, roles = Preprocessing.learn_with_roles(
            self._batches, sample, self._tables, locate=self._reader.locate
        )
        design = self._with_encoder(Design(preprocessing))
        rows, offset, told_of_rows = self._surveyed(design)
        said = [*([self._why] if self._why else ()), *self._reader.notes]
        said += [
            *notes_on_embedding(design, self._tables.encoder),
            *told_of_rows,
            *notes_on_roles(roles, self._tables),
            *notes_on_numbers(sample, preprocessing.columns, self._tables),
        ]
        for note in said:
            progress.note(note)
        monitor = Monitor(settings.time_budget, should_stop, progress, offset, journal)
        given = None if start is None else partial(start, design)
        fitted = fit_rows(rows, settings, monitor, start=given)
        pool = rows.pool.matrix
        mixture = mixture_of(fitted, design)
        if start is None:
            mixture = mixture.ordered(mixture.cluster_weights)
        match = None
        scores = mixture.score(pool.X)
        if self._former is not None:
            rows_of_sample = next(prepared([sample], design))
            weighted = rows_of_sample.X, rows_of_sample.row_weights
            mixture, _, match = numbered_like(
                self._former, sample, mixture, mixture.score(weighted[0]), *weighted
            )
            scores = mixture.score(pool.X)
            fitted = fitted._replace(notes=(*fitted.notes, told(match)))
        tally = tallied(mixture.n_clusters, scores, pool.row_weights)
        notes = [*said, *fitted.notes]
        return Fit(
            mixture, scores, pool.row_weights, tally, monitor.trace, fitted.stop_reason,
            fitted.entropy, notes, mixture.filled(pool.X), fitted, roles, match=match,
        )  # fmt: skip

    def labels(
        self, fit: Fit, names: Sequence[str], tally: Tally, agreement: Agreement | None = None
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Results of each batch and its columns `names` as written; `tally` counts them, and
        `agreement` holds them against the known classes. Raises InputError."""
        read = partial(self._prepared, fit.mixture.design, names)
        start = 0
        for done in ahead(read, depth=4):
            scores = fit.mixture.score(done.X)
            scores = scores._replace(log_density=scores.log_density + done.log_jacobian)
            scores = blank(scores, ~done.complete)
            tally.update(scores, done.row_weights)
            batch, written = parted(done.batch, len(self._reader.names))
            results = score_batch(scores, start)
            if agreement is not None:
                agreement.update(batch.column(self._tables.truth), results.column("cluster"))
            yield results, written
            start += len(done.X)
            self._progress.rows(start, self.rows)

    def _with_encoder(self, design: Design) -> Design:
        """The design of the columns, followed by the encoder that is asked for."""
        steps = encoders.parse(self._tables.encoder)
        if not steps:
            return design
        ((name, arguments),) = steps
        self._progress.stage(f"learning encoder {name}")
        used = (
            matrix_of(done.X)[done.row_weights > 0]
            for done in ahead(partial(self._prepared, design))
        )
        pca = Pca.learn_from_blocks((X for X in used if len(X)), arguments)
        return Design(design.preprocessing, encoders.Chain((pca,)))

    def _surveyed(self, design: Design) -> tuple[StreamedRows, float, list[str]]:
        """The rows, what brings their mean log-likelihood to the table's units, and notes on those
        that have gaps or no weight."""
        jacobian, left_out, empty_cells, empty_rows = 0.0, 0, 0, 0

        def seen(place: Place) -> Iterator[AnyBlock]:
            nonlocal jacobian, left_out, empty_cells, empty_rows
            for done in self._prepared(design, place=place):
                jacobian += float((done.row_weights * done.log_jacobian).sum())
                left_out += int(np.count_nonzero(done.row_weights == 0))
                if self._tables.missing == "model":
                    empty = gaps_of(matrix_of(done.X), design)
                    empty_cells += int(empty.sum())
                    empty_rows += int(empty.any(axis=1).sum())
                yield AnyBlock(done.X, done.row_weights)

        def read(place: Place) -> Iterator[AnyBlock]:
            for done in self._prepared(design, place=place):
                yield AnyBlock(done.X, done.row_weights)

        self._progress.stage("looking at all rows")
        features = features_of(design)
        pool = pool_size(self._settings, design.n_features)
        rows = StreamedRows(read, features, survey(seen, features, pool))
        if self._on_workers is not None:
            rows = self._on_workers(design, rows)
        cells = self.rows * len(design.blocks)
        notes = notes_on_gaps(empty_cells / cells, empty_rows / self.rows)
        return rows, jacobian / rows.total_weight, [*notes, *notes_on_left_out(left_out)]

    def _prepared(
        self, design: Design, names: Sequence[str] = (), place: Place = anywhere
    ) -> Iterator[PreparedBatch]:
        done = 0
        batches = self._batches(names)
        for batch in prepared(batches, design, self._reader.locate, place, coded=True):
            done += len(batch.X)
            yield batch
        if done != self.rows:
            raise InputError(
                f"{self._reader.told} had {self.rows:,} rows at first and {done:,} now",
                hint="the file changed while it was read: fit a copy that stays as it is",
            )

    def _batches(self, names: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        return self._reader.batches(BATCH_ROWS, names)


def _refuse_what_cannot(reader: Anew, settings: FitSettings, tables: TableSettings) -> None:
    """Raises UsageError for what needs all rows in memory."""
    if (pipe := reader.pipe) is not None:
        raise UsageError(
            f"--stream reads the table several times, and {pipe} can be read once",
            hint="write it to a file first, or leave --stream out",
        )
    steps = encoders.parse(tables.encoder)
    if steps and tables.missing == "model":
        raise without_gaps(tables.encoder)
    wanted = {
        f"--encoder {tables.encoder}": [name for name, _ in steps] not in ([], ["pca"]),
        "--bootstrap": settings.bootstrap is not None,
        "--batch-size": (getattr(settings, "batch_size", None) or np.inf) < (reader.rows or np.inf),
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise UsageError(
                f"{name} needs the rows in memory, and --stream does not hold them",
                hint=f"leave {name} or --stream out",
            )


def why_streamed(
    reader: TableReader,
    settings: FitSettings,
    tables: TableSettings,
    memory: int | None,
) -> str | None:
    """Why a table is streamed unasked, in a sentence: it would need more than `memory` bytes, None for
    what there is. None for a table that fits, and for one that cannot be streamed."""
    limit = available() if memory is None else memory
    needed = reader.estimated_bytes
    if limit is None or needed is None or AT_ONCE * needed <= limit:
        return None
    try:
        _refuse_what_cannot(reader, settings, tables)
    except UsageError:
        return None  # what cannot be streamed may fit after all, and is refused where it does not
    return (
        f"about {AT_ONCE * needed / 1e9:.2g} GB would be needed to hold {reader.told}, and "
        f"{limit / 1e9:.2g} GB may be used: the rows are read anew at each visit (--stream)"
    )
