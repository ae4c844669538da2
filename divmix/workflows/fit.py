"""Fit a mixture to a table, and write the run folder."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from divmix.checkpoints.checkpoint_file import owner
from divmix.choosing.restarts import Spread
from divmix.core import Interrupted, bootstrap, fit_rows
from divmix.design.design import Design
from divmix.design.numeric_column import NumericColumn
from divmix.design.prepare import DesignMatrix, prepare
from divmix.design.roles import Role, notes_on_roles
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining
from divmix.engine.checkpoint import Journal
from divmix.engine.monitor import Monitor
from divmix.errors import NotConvergedError
from divmix.families import AnyFamily
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores, blank
from divmix.progress import Progress, TraceRow
from divmix.report import figures as drawing
from divmix.rows import Features, MemoryRows
from divmix.settings import EmSettings, FitSettings, TableSettings
from divmix.tables import arrays
from divmix.tables.reading import open_table, reading_options
from divmix.tables.schema import AS_WRITTEN
from divmix.tables.writing import check_output
from divmix.workflows import run_folder, summary
from divmix.workflows.beside import ALL, NOTHING_BESIDE, Beside, parted
from divmix.workflows.evaluate import evaluate_clusters
from divmix.workflows.resources import limited_threads
from divmix.workflows.unfinished import EVERY_MINUTE, Checkpoints, Keeper, Unfinished

EXACT = 2**53  # up to here a float64 holds every whole number


class Fit(NamedTuple):
    """A fitted mixture, what it says of its training rows, and how it came about.

    stop_reason: converged, max_iter or time_budget. log_likelihood: mean per row in
    nats, in the data's own units; entropy: H of the components, nats. notes: what was chosen automatically or left out, in sentences.
    spread: over the starts, if there were several; gap: bound on what the log-likelihood could
    still gain, nats per row, if it was asked for. X (n, d): the rows as the mixture sees them.
    roles: what each column of the table is, and whether it was used.
    stability: of each cluster over resampled rows, if it was asked for.
    """

    mixture: Mixture
    scores: Scores
    row_weights: np.ndarray
    trace: list[TraceRow]
    stop_reason: str
    log_likelihood: float
    entropy: float
    notes: list[str]
    X: np.ndarray
    spread: Spread | None = None
    gap: float | None = None
    roles: tuple[Role, ...] = ()
    stability: summary.Stability | None = None


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
    to: str = "csv",
    csv_safe: bool = False,
    progress: Progress | None = None,
    origins: dict[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoints: Checkpoints = EVERY_MINUTE,
) -> dict[str, Any] | Unfinished:
    """Fit the tables in `sources` and write the run folder `output`.

    `figures` "png" or "svg" also draws the clusters and the trace. `beside` has columns of the
    input for the assignments. `labels` is a table to write too, "-" for stdout in the format `to`:
    all columns of the input, cluster and probability. `csv_safe`: see `TableWriter`.
    `checkpoints`: how the fit is kept. Returns the document of run.json, or what is left when
    `should_stop` ended the fit: a checkpoint at most. Raises InputError, UsageError, FitError,
    OutputError, CheckpointError, and NotConvergedError after writing.
    """
    progress = progress or Progress()
    started = time.monotonic()
    if figures:
        drawing.check_available()
    if labels not in (None, "-"):
        check_output(labels, overwrite=overwrite)
    with run_folder.claimed(output, overwrite) as place:
        progress.stage("reading " + ", ".join(str(source) for source in sources))
        reader = open_table(sources, **reading_options(tables))
        names = beside.names(reader)
        with_labels = Beside(ALL, digits=beside.digits)
        all_names = with_labels.names(reader) if labels else []
        whole = reader.read(list(dict.fromkeys([*names, *all_names])))
        table, written = parted(whole, len(reader.names))
        read = time.monotonic()
        source, all_settings = reader.describe(), settings.to_dict() | tables.to_dict()
        keeper = Keeper(place, owner(source, all_settings), checkpoints, progress)
        try:
            fit = fit_table(
                table,
                settings,
                tables,
                notes=reader.notes,
                locate=reader.locate,
                progress=progress,
                should_stop=should_stop,
                journal=keeper.journal,
            )
        except Interrupted:
            return keeper.leave()
        document = summary.run_document(
            fit,
            settings=all_settings,
            origins=origins or {},
            source=source | {"rows": table.num_rows},
            evaluation=evaluate_clusters(table, tables.truth, fit.scores.cluster),
            times={"read": read - started, "fit": keeper.seconds_before + time.monotonic() - read},
        )
        document["labels"] = labels
        progress.stage(f"writing {output}")
        kept = None if written is None else written.select([AS_WRITTEN + n for n in names])
        rows = beside.all_joined(run_folder.assignments(fit.scores), kept, names)
        run_folder.write(
            place, fit, document, assignments_format, figures, rows, bool(names), csv_safe
        )
        if labels is not None and written is not None:
            kept = written.select([AS_WRITTEN + name for name in all_names])
            results = (
                batch.select(["cluster", "probability"])
                for batch in run_folder.assignments(fit.scores)
            )
            rows = with_labels.all_joined(results, kept, all_names)
            run_folder.write_table(
                labels, rows, overwrite, to=to, sparing=True, csv_safe=csv_safe, progress=progress
            )
    if settings.require_convergence and fit.stop_reason != "converged":
        raise NotConvergedError(
            f"the fit stopped by {fit.stop_reason} after {len(fit.trace)} iterations",
            hint="raise --max-iter, --time-budget or --tol; the run folder is written",
        )
    return document


def fit_table(
    table: pa.Table,
    settings: FitSettings,
    tables: TableSettings | None = None,
    *,
    notes: Sequence[str] = (),
    locate: Locate = row_name,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    journal: Journal | None = None,
) -> Fit:
    """Fit a mixture to a table in memory.

    `notes` are what reading the table had to say, `locate` names a row in an error, `journal`
    what an interrupted fit to the same table has done already. Raises InputError, UsageError,
    FitError, CheckpointError, and Interrupted when `should_stop` ended the fit.
    """
    tables, progress = tables or TableSettings(), progress or Progress()
    said = list(notes)
    with limited_threads(settings.threads, progress):
        generator = np.random.default_rng(settings.seed)
        joint = joint_training(settings)
        design, matrix = prepare(table, tables, generator, progress, locate, joint)
        said += notes_on(design, matrix, tables) + notes_on_roles(matrix.roles, tables)
        said += notes_on_rounding(table, design)
        for note in said:
            progress.note(note)
        monitor = Monitor(settings.time_budget, should_stop, progress, offset_of(matrix), journal)
        fitted = fit_rows(rows_of(design, matrix), settings, monitor)
        progress.stage("labelling rows")
        mixture, scores = Mixture(
            cast(AnyFamily, fitted.family),
            fitted.components,
            fitted.clusters,
            design,
            {},
            fitted.hierarchy,
            noise=fitted.noise,
        ).labelled(matrix.X, matrix.row_weights)
        resamples = None
        if settings.bootstrap is not None:
            resamples = bootstrap(fitted, scores.cluster, settings.bootstrap)
    scores = scores._replace(log_density=scores.log_density + matrix.log_jacobian)
    scores = blank(scores, ~matrix.complete)
    log_likelihood = float(
        np.average(scores.log_density[matrix.complete], weights=matrix.row_weights[matrix.complete])
    )
    about = summary.about(fitted.settings, tables, matrix.complete, log_likelihood, fitted.entropy)
    if fitted.common is not None:
        about["common_numbers"] = [design.feature_names[j] for j in fitted.common.common]
    mixture.about.update(about)
    return Fit(
        mixture,
        scores,
        matrix.row_weights,
        monitor.trace,
        fitted.stop_reason,
        log_likelihood,
        fitted.entropy,
        [*said, *fitted.notes],
        matrix.X,
        fitted.spread,
        fitted.gap,
        matrix.roles,
        resamples and summary.stability(resamples, design, fitted.common),
    )


def rows_of(design: Design, matrix: DesignMatrix) -> MemoryRows:
    """The rows of a design matrix, as a fit sees them."""
    features = Features(design.indicator, design.far_rows, design.categories, design.feature_names)
    return MemoryRows(matrix.X, matrix.row_weights, features)


def offset_of(matrix: DesignMatrix) -> float:
    """What brings a mean log-likelihood from the units of the matrix to those of the table."""
    return float(matrix.row_weights @ matrix.log_jacobian / matrix.row_weights.sum())


def notes_on(design: Design, matrix: DesignMatrix, tables: TableSettings) -> list[str]:
    """What the preparation left out or changed, in sentences."""
    notes = []
    if design.is_embedding:
        notes.append(
            f"encoder {tables.encoder}: densities are those of its {design.n_features} features"
        )
    left_out = int(np.count_nonzero(matrix.row_weights == 0))
    if left_out:
        notes.append(f"{left_out:,} rows left out: empty cells or weight 0")
    return notes


def notes_on_rounding(table: pa.Table, design: Design) -> list[str]:
    """Which columns hold whole numbers that a float64 rounds, as identifiers are, in sentences."""
    notes = []
    for column in design.preprocessing.columns:
        if not isinstance(column, NumericColumn):
            continue
        largest = max(abs(column.minimum), abs(column.maximum))
        if EXACT < largest < 2.0**64:
            values = arrays.to_floats(table.column(column.name))
            if (values[~np.isnan(values)] % 1 == 0).all():
                notes.append(
                    f"column '{column.name}' has whole numbers beyond {EXACT:,}, which are "
                    f"rounded: --exclude {column.name} if it is an identifier"
                )
    return notes


def joint_training(settings: FitSettings) -> JointTraining | None:
    """The mixture that an encoder may be trained along with, where its clusters are known."""
    if isinstance(settings.clusters, str):
        return None
    alpha = 0.0 if isinstance(settings, EmSettings) else settings.alpha
    return JointTraining(settings.clusters, 0.0 if isinstance(alpha, str) else alpha)
