"""Fit a mixture to a table, and write the run folder."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from divmix.checkpoints.checkpoint_file import owner
from divmix.core import Interrupted, bootstrap, fit_rows
from divmix.design.design import Design
from divmix.design.number_notes import notes_on_numbers
from divmix.design.prepare import DesignMatrix, prepare
from divmix.design.roles import notes_on_roles
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining
from divmix.engine.checkpoint import Journal
from divmix.engine.monitor import Monitor
from divmix.errors import NotConvergedError
from divmix.families import Coded, Components, Family
from divmix.model.scores import blank
from divmix.model.tally import Tally, tallied
from divmix.progress import Progress, counted
from divmix.report import figures as drawing
from divmix.rows import MemoryRows, Rows
from divmix.settings import EmSettings, FitSettings, TableSettings
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader, open_table, reading_options
from divmix.tables.schema import AS_WRITTEN
from divmix.tables.writing import check_output
from divmix.workflows import dask_table, run_folder, summary
from divmix.workflows.beside import ALL, NOTHING_BESIDE, Beside, parted
from divmix.workflows.evaluate import Agreement
from divmix.workflows.fitted import (
    Fit,
    about,
    features_of,
    gaps_of,
    labelled,
    mixture_of,
    notes_on_embedding,
    notes_on_gaps,
    notes_on_left_out,
    numbered,
    pool_size,
)
from divmix.workflows.match import Former, numbered_like, told
from divmix.workflows.resources import limited_threads
from divmix.workflows.streamed import StreamedTable, why_streamed
from divmix.workflows.unfinished import EVERY_MINUTE, Checkpoints, Keeper, Unfinished


class FitTable(Protocol):
    """A table that is fitted and then labelled; rows: how many it has, once it is fitted."""

    rows: int

    def fitted(self, should_stop: Callable[[], bool], journal: Journal) -> Fit:
        """Fit the mixture; `journal` has what an interrupted fit has done already. Raises
        InputError, UsageError, FitError, CheckpointError, Interrupted."""
        ...

    def labels(
        self, fit: Fit, names: Sequence[str], tally: Tally, agreement: Agreement | None
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Results of each batch, and its columns `names` as written, None without such; `tally`
        counts them, and `agreement` holds them against the known classes. Raises InputError."""
        ...


def run_fit(
    sources: Sequence[str],
    settings: FitSettings,
    tables: TableSettings,
    output: Path,
    *,
    overwrite: bool = False,
    assignments_format: str = "csv",
    figures: str | None = None,
    beside: Beside = NOTHING_BESIDE,
    labels: str | None = None,
    match: str | Path | None = None,
    to: str = "csv",
    csv_safe: bool = False,
    stream: bool = False,
    memory: int | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
    origins: dict[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoints: Checkpoints = EVERY_MINUTE,
) -> dict[str, Any] | Unfinished:
    """Fit the tables in `sources` and write the run folder `output`.

    `figures` "png" or "svg" also draws the clusters and the trace. `beside` has columns of the
    input for the assignments. `labels` is a table to write too, "-" for stdout in the format `to`:
    all columns of the input, cluster and probability. `match` is a model whose numbers of clusters
    are kept. `csv_safe`: see `TableWriter`. `stream` reads the tables anew at each visit to their
    rows instead of holding them; so does a fit that would need more than `memory` bytes, None for
    what there is. `dask` has the workers of a cluster sum up the rows, as `dask_table.cluster` says.
    `checkpoints`: how the fit is kept. Returns the document of run.json, or what is left when
    `should_stop` ended the fit: a checkpoint at most. Raises InputError, UsageError, FitError,
    OutputError, CheckpointError, and NotConvergedError after writing.
    """
    progress = progress or Progress()
    started = time.monotonic()
    former = None if match is None else Former.load(match)
    if figures:
        drawing.check_available()
    if labels not in (None, "-"):
        check_output(labels, overwrite=overwrite)
    with ExitStack() as stack:
        place = stack.enter_context(run_folder.claimed(output, overwrite))
        client = stack.enter_context(dask_table.cluster(dask, progress)) if dask else None
        progress.stage("reading " + ", ".join(str(source) for source in sources))
        reader = open_table(sources, **reading_options(tables))
        names = beside.names(reader)
        with_labels = Beside(ALL, digits=beside.digits)
        all_names = with_labels.names(reader) if labels else []
        table: FitTable
        stream = stream or client is not None
        why = None if stream else why_streamed(reader, settings, tables, memory)
        if stream or why:
            on = None if client is None else dask_table.on_workers(client, reader)
            table = StreamedTable(reader, settings, tables, progress, former, why, on)
        else:
            wanted = list(dict.fromkeys([*names, *all_names]))
            table = HeldTable(reader, wanted, settings, tables, progress, former)
        read = time.monotonic()
        source, all_settings = reader.describe(), settings.to_dict() | tables.to_dict()
        keeper = Keeper(place, owner(source, all_settings), checkpoints, progress)
        with limited_threads(settings.threads, progress):
            try:
                fit = table.fitted(should_stop, keeper.journal)
            except Interrupted:
                return keeper.leave()
            fitted = time.monotonic()
            with place.built() as folder:
                progress.stage(f"writing {output}")
                assigned = folder / f"assignments.{assignments_format}"
                fit, agreement = _write_labels(
                    assigned, table, fit, tables, beside, names, csv_safe, progress
                )
                document = summary.run_document(
                    fit,
                    settings=all_settings,
                    origins=origins or {},
                    source=source | {"rows": table.rows},
                    evaluation=None if agreement is None else agreement.metrics(),
                    times={"read": read - started, "fit": keeper.seconds_before + fitted - read},
                )
                document |= {"labels": labels, "match": fit.match}
                run_folder.write(folder, fit, document, figures, csv_safe)
            if labels is not None:
                batches = (
                    with_labels.joined(
                        results.select(["cluster", "probability"]), written, all_names
                    )
                    for results, written in table.labels(
                        fit, all_names, Tally.of(fit.mixture), None
                    )
                )
                run_folder.write_table(
                    labels, batches, overwrite, to=to, sparing=True, csv_safe=csv_safe,
                    progress=progress,
                )  # fmt: skip
    if settings.require_convergence and fit.stop_reason != "converged":
        raise NotConvergedError(
            f"the fit stopped by {fit.stop_reason} after {counted(len(fit.trace), 'iteration')}",
            hint="raise --max-iter, --time-budget or --tol; the run folder is written",
        )
    return document


def _write_labels(
    path: Path,
    table: FitTable,
    fit: Fit,
    tables: TableSettings,
    beside: Beside,
    names: Sequence[str],
    csv_safe: bool,
    progress: Progress,
) -> tuple[Fit, Agreement | None]:
    """Write the assignments; the fit with what they add up to, and how they agree with known classes."""
    agreement: Agreement | None = None

    def write(fit: Fit, tally: Tally) -> None:
        nonlocal agreement
        agreement = None if tables.truth is None else Agreement()
        batches = (
            beside.joined(results, written, names)
            for results, written in table.labels(fit, names, tally, agreement)
        )
        run_folder.write_table(
            path, batches, True, sparing=bool(names), csv_safe=csv_safe, progress=progress
        )

    return numbered(fit, tables, write), agreement


class HeldTable:
    """A table in memory."""

    def __init__(
        self,
        reader: TableReader,
        names: Sequence[str],
        settings: FitSettings,
        tables: TableSettings,
        progress: Progress,
        former: Former | None = None,
    ) -> None:
        self._reader, self._settings, self._tables = reader, settings, tables
        self._progress, self._former = progress, former
        self._table, self._written = parted(reader.read(names), len(reader.names))
        self.rows = self._table.num_rows

    def fitted(self, should_stop: Callable[[], bool], journal: Journal) -> Fit:
        """Fit the mixture; `journal` has what an interrupted fit has done already. Raises
        InputError, UsageError, FitError, CheckpointError, Interrupted."""
        reader = self._reader
        return fit_table(
            self._left(),
            self._settings,
            self._tables,
            notes=reader.notes,
            locate=reader.locate,
            progress=self._progress,
            should_stop=should_stop,
            journal=journal,
            former=self._former,
        )

    def _left(self) -> pa.Table:
        """The table, of which only the known classes are kept here: its matrix takes its place."""
        table, truth = self._table, self._tables.truth
        self._table = table.select([truth] if truth in table.schema.names else [])
        return table

    def labels(
        self, fit: Fit, names: Sequence[str], tally: Tally, agreement: Agreement | None
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Results of each batch, and its columns `names` as written."""
        for start in range(0, self.rows, BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            scores = fit.scores.part(part)
            results = run_folder.score_batch(scores, start)
            tally.update(scores, fit.row_weights[part])
            if agreement is not None:
                truth = self._table.column(self._tables.truth)[start : part.stop]
                agreement.update(truth.combine_chunks(), results.column("cluster"))
            written = None
            if names:
                columns = [AS_WRITTEN + name for name in names]
                rows = self._written.select(columns).slice(start, BATCH_ROWS)
                written = rows.combine_chunks().to_batches()[0]
            yield results, written


def fit_table(
    table: pa.Table,
    settings: FitSettings,
    tables: TableSettings | None = None,
    *,
    notes: Sequence[str] = (),
    locate: Locate = row_name,
    start: Callable[[Design, Family, Rows], Components] | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    journal: Journal | None = None,
    former: Former | None = None,
) -> Fit:
    """Fit a mixture to a table in memory.

    `notes` are what reading the table had to say, `locate` names a row in an error. `start` makes
    the components to go on from, without a search; they keep their order. `former` is a model whose numbers of clusters are
    kept, `journal` what an interrupted fit to the same table has done already. Raises InputError,
    UsageError, FitError, CheckpointError, and Interrupted when `should_stop` ended the fit.
    """
    tables, progress = tables or TableSettings(), progress or Progress()
    said = list(notes)
    with limited_threads(settings.threads, progress):
        generator = np.random.default_rng(settings.seed)
        joint = joint_training(settings)
        design, matrix = prepare(table, tables, generator, progress, locate, joint, coded=True)
        said += notes_on(design, matrix, tables) + notes_on_roles(matrix.roles, tables)
        said += notes_on_numbers(table, design.preprocessing.columns, tables)
        matched = table if former is not None else None
        del table  # a caller that has left it to the fit needs its memory no longer
        pa.default_memory_pool().release_unused()
        for note in said:
            progress.note(note)
        monitor = Monitor(settings.time_budget, should_stop, progress, offset_of(matrix), journal)
        given = None if start is None else partial(start, design)
        fitted = fit_rows(rows_of(design, matrix, settings), settings, monitor, start=given)
        progress.stage("labelling rows")
        mixture, scores = labelled(
            mixture_of(fitted, design), matrix.held, matrix.row_weights, in_order=start is None
        )
        match = None
        if former is not None:
            weighted = matrix.held, matrix.row_weights
            mixture, scores, match = numbered_like(former, matched, mixture, scores, *weighted)
            said.append(told(match))
        resamples = None
        if settings.bootstrap is not None:
            resamples = bootstrap(fitted, scores.cluster, settings.bootstrap)
    scores.log_density[...] += matrix.log_jacobian
    scores = blank(scores, ~matrix.complete)
    tally = tallied(mixture.n_clusters, scores, matrix.row_weights)
    X = matrix.held
    fit = Fit(
        mixture,
        scores,
        matrix.row_weights,
        tally,
        monitor.trace,
        fitted.stop_reason,
        fitted.entropy,
        [*said, *fitted.notes],
        X if isinstance(X, Coded) else mixture.filled(X),
        fitted,
        matrix.roles,
        resamples and summary.stability(resamples, design, fitted.common),
        match,
    )
    mixture.about.update(about(fit, tables, tally))
    return fit


def rows_of(design: Design, matrix: DesignMatrix, settings: FitSettings) -> MemoryRows:
    """The rows of a design matrix, as a fit sees them."""
    pool = pool_size(settings, design.n_features)
    return MemoryRows(matrix.held, matrix.row_weights, features_of(design), pool)


def offset_of(matrix: DesignMatrix) -> float:
    """What brings a mean log-likelihood from the units of the matrix to those of the table."""
    weights, jacobian = matrix.row_weights, matrix.log_jacobian
    starts = range(0, len(weights), BATCH_ROWS)
    parts = [slice(start, start + BATCH_ROWS) for start in starts]
    total = sum(weights[part].sum() for part in parts)
    return float(sum((weights[part] * jacobian[part]).sum() for part in parts) / total)


def notes_on(design: Design, matrix: DesignMatrix, tables: TableSettings) -> list[str]:
    """What the preparation left out or changed, in sentences."""
    notes = notes_on_embedding(design, tables.encoder)
    if tables.missing == "model":
        empty = gaps_of(matrix.X, design)
        notes += notes_on_gaps(empty.mean(), empty.any(axis=1).mean())
    return [*notes, *notes_on_rows(matrix)]


def notes_on_rows(matrix: DesignMatrix) -> list[str]:
    """How many rows have no say, in a sentence."""
    return notes_on_left_out(int(np.count_nonzero(matrix.row_weights == 0)))


def joint_training(settings: FitSettings) -> JointTraining | None:
    """The mixture that an encoder may be trained along with, where its clusters are known."""
    if isinstance(settings.clusters, str):
        return None
    alpha = 0.0 if isinstance(settings, EmSettings) else settings.alpha
    return JointTraining(settings.clusters, 0.0 if isinstance(alpha, str) else alpha)
