"""Fit a mixture to a table, and write the run folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix import encoders, report
from divmix.choosing import restarts
from divmix.choosing.clusters import SPLINTER, settle_alpha, settle_clusters
from divmix.choosing.covariance import choose_covariance, variance_floor
from divmix.design.preprocessing import Locate, Preprocessing, row_name
from divmix.engine.monitor import Monitor
from divmix.errors import NotConvergedError, UsageError
from divmix.families import Components, Gaussian, make_family
from divmix.families.noise import broad_component, with_noise
from divmix.methods import Fitted
from divmix.model.mixture import NOISE, Mixture, Scores, blank
from divmix.progress import Progress, TraceRow
from divmix.rows.memory import InMemory
from divmix.search.phases import draw_sample
from divmix.settings import DiversifiedSettings, FitSettings, TableSettings
from divmix.tables.reading import open_table, reading_options
from divmix.workflows import run_folder, summary
from divmix.workflows.evaluate import evaluate_clusters
from divmix.workflows.resources import limited_threads

BATCH_ROWS = 65_536  # rows transformed at a time


class Rows(NamedTuple):
    """The design matrix of a table: X (n, d), row_weights (n,), log_jacobian (n,), complete (n,).

    A row that missing values keep out stays, with weight 0, so that rows keep their places.
    """

    X: np.ndarray
    row_weights: np.ndarray
    log_jacobian: np.ndarray
    complete: np.ndarray


class Fit(NamedTuple):
    """A fitted mixture, what it says of its training rows, and how it came about.

    stop_reason: converged, max_iter or time_budget. log_likelihood: mean per row in
    nats, in the data's own units. notes: what was chosen automatically or left out, in sentences.
    spread: over the starts, if there were several; gap: bound on what the log-likelihood could
    still gain, nats per row, if it was asked for. X (n, d): the rows as the mixture sees them.
    """

    mixture: Mixture
    scores: Scores
    row_weights: np.ndarray
    trace: list[TraceRow]
    stop_reason: str
    log_likelihood: float
    notes: list[str]
    spread: restarts.Spread | None = None
    gap: float | None = None
    X: np.ndarray | None = None


def run_fit(
    sources: Sequence[str],
    settings: FitSettings,
    tables: TableSettings,
    output: Path,
    *,
    overwrite: bool = False,
    assignments_format: str = "csv",
    figures: str | None = None,
    progress: Progress | None = None,
    origins: dict[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Fit the tables in `sources` and write the run folder `output`.

    `figures` "png" or "svg" also draws the clusters. Returns the document of run.json, or None
    when `should_stop` ended the fit: then nothing is written. Raises InputError, UsageError,
    FitError, OutputError, and NotConvergedError after writing.
    """
    progress = progress or Progress()
    started = time.monotonic()
    run_folder.check(output, overwrite)
    if figures:
        report.check_available()
    progress.stage("reading " + ", ".join(str(source) for source in sources))
    reader = open_table(sources, **reading_options(tables))
    table = reader.read()
    read = time.monotonic()
    fit = fit_table(
        table,
        settings,
        tables,
        notes=reader.notes,
        locate=reader.locate,
        progress=progress,
        should_stop=should_stop,
    )
    if fit is None:
        return None
    document = summary.run_document(
        fit,
        settings=settings.to_dict() | tables.to_dict(),
        origins=origins or {},
        source=reader.describe() | {"rows": table.num_rows},
        evaluation=evaluate_clusters(table, tables.truth, fit.scores.cluster),
        times={"read": read - started, "fit": time.monotonic() - read},
    )
    progress.stage(f"writing {output}")
    run_folder.write(output, fit, document, assignments_format, overwrite)
    if figures:
        report.clusters_figure(
            fit.X, fit.scores.cluster, output / f"clusters.{figures}", overwrite=overwrite
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
) -> Fit | None:
    """Fit a mixture to a table in memory. None when `should_stop` ended the fit.

    `notes` are what reading the table had to say, `locate` names a row in an error.
    Raises InputError, UsageError, FitError.
    """
    tables = tables or TableSettings()
    progress = progress or Progress()
    notes = list(notes)
    with limited_threads(settings.threads, progress):
        generator = np.random.default_rng(settings.seed)
        preprocessing, rows = prepare(table, tables, generator, progress, locate, settings)
    if preprocessing.encoder is not None:
        notes.append(
            f"encoder {tables.encoder}: densities are those of its "
            f"{preprocessing.n_features} features"
        )
    settings = suited(settings, preprocessing.encoder)
    floor = floor_of(rows, preprocessing, settings)
    # Densities are told in the data's own units, the fit works in those of the design matrix.
    offset = float(rows.row_weights @ rows.log_jacobian / rows.row_weights.sum())
    monitor = Monitor(settings.time_budget, should_stop, progress, offset)
    with limited_threads(settings.threads, progress):
        settings = _settle(settings, rows, floor, monitor, notes, splinter(preprocessing.encoder))
        family = _family(rows, floor, settings, notes)
        monitor.trace.clear()  # the trace is that of the fit
        for note in notes:
            progress.note(note)

        noise = broad_component(family, rows.X, rows.row_weights) if settings.noise else None

        def data_term() -> InMemory:
            return InMemory(rows.X, rows.row_weights, family, settings.precision, noise)

        progress.stage("fitting")
        kept = restarts.fit(data_term, family, settings, monitor)
        if kept is None:
            return None
        fitted, spread = kept
        gap = _gap(data_term(), fitted, settings, monitor) if settings.gap else None
        progress.stage("labelling rows")
        mixture, scores = _label(fitted, family, noise, rows, preprocessing)
    log_likelihood = float(
        np.average(scores.log_density[rows.complete], weights=rows.row_weights[rows.complete])
    )
    mixture.about.update(summary.about(settings, tables, rows.complete, log_likelihood))
    return Fit(
        mixture,
        scores,
        rows.row_weights,
        monitor.trace,
        fitted.stop_reason,
        log_likelihood,
        notes + list(fitted.notes),
        spread,
        gap,
        rows.X,
    )


def prepare(
    table: pa.Table,
    tables: TableSettings,
    generator: np.random.Generator,
    progress: Progress,
    locate: Locate = row_name,
    settings: FitSettings | None = None,
) -> tuple[Preprocessing, Rows]:
    """How the columns of a table are prepared, and its rows so: the design matrix, or with an
    encoder their embedding. `settings` tell a joint training its number of clusters and alpha.

    Raises InputError, UsageError, FitError, MissingExtraError.
    """
    progress.stage("preparing columns")
    preprocessing = Preprocessing.learn(table, tables, locate=locate)
    image = tables.image_size(preprocessing.n_features)
    if tables.encoder is not None:
        encoders.parse(tables.encoder)  # before the work begins
    rows = design_matrix(table, preprocessing, progress, locate)
    if tables.encoder is None:
        return preprocessing, rows
    known = settings is not None
    learning = encoders.Learning(
        generator,
        progress,
        image,
        tables.device,
        clusters=settings.clusters if known and settings.clusters != "auto" else None,
        alpha=settings.alpha if known and settings.alpha != "auto" else 0.0,
    )
    used = rows.row_weights > 0
    chain, embedded = encoders.learn(tables.encoder, rows.X[used], learning)
    if not used.all():
        embedded = chain.transform(rows.X)  # in the blocks that predict has
    encoded = encoders.EncodedPreprocessing.of(preprocessing, chain)
    return encoded, rows._replace(X=embedded, log_jacobian=np.zeros(len(embedded)))


def choose_family(family: str, encoder: encoders.Chain | None) -> str:
    """The family asked for, or the one that suits the encoder."""
    if family != "auto":
        return family
    return "student" if encoder is not None and encoder.has_far_rows else "gaussian"


def suited(settings: FitSettings, encoder: encoders.Chain | None) -> FitSettings:
    """The settings with what suits the encoder where they are "auto"."""
    settings = replace(settings, family=choose_family(settings.family, encoder))
    if not isinstance(settings, DiversifiedSettings):
        return settings
    merge = settings.merge
    if merge == "auto" and encoder is not None and encoder.has_far_rows:
        merge = "kl"  # a graph's embedding draws each cluster together
    return replace(settings, merge=merge)


def splinter(encoder: encoders.Chain | None) -> float:
    """Share of the mean size of a cluster below which `-k auto` counts none."""
    return SPLINTER if encoder is not None and encoder.has_far_rows else 0.0


def design_matrix(
    table: pa.Table, preprocessing: Preprocessing, progress: Progress, locate: Locate = row_name
) -> Rows:
    """The rows of a table as a matrix, filled batch by batch. Raises InputError."""
    n = table.num_rows
    rows = Rows(
        np.empty((n, preprocessing.n_features)), np.empty(n), np.empty(n), np.empty(n, bool)
    )
    for start in range(0, n, BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        part = slice(start, start + batch.num_rows)
        done = preprocessing.transform(batch, first_row=start, locate=locate, out=rows.X[part])
        weights = preprocessing.row_weights(batch, first_row=start, locate=locate)
        rows.row_weights[part] = np.where(done.complete, weights, 0.0)
        rows.log_jacobian[part], rows.complete[part] = done.log_jacobian, done.complete
        progress.rows(part.stop, n)
    return rows


def _settle(
    settings: FitSettings, rows: Rows, floor, monitor: Monitor, notes: list[str], splinter: float
):
    """The settings with a number of clusters and an alpha where they are "auto"."""
    if settings.clusters == "auto":
        monitor.progress.stage("choosing the number of clusters")
        settings = settle_clusters(settings, rows, floor, monitor, notes, splinter)
    if settings.alpha == "auto":
        monitor.progress.stage("choosing alpha")
        settings = settle_alpha(settings, rows, floor, monitor, notes)
    return settings


def _family(rows: Rows, floor: np.ndarray, settings: FitSettings, notes: list[str]) -> Gaussian:
    used = int(np.count_nonzero(rows.row_weights))
    if used < len(rows.row_weights):
        left_out = len(rows.row_weights) - used
        notes.append(f"{left_out:,} rows left out: empty cells or weight 0")
    covariance = settings.covariance
    if covariance == "auto":
        d = rows.X.shape[1]
        m = settings.components or settings.clusters
        covariance = choose_covariance(used, d, m, settings.method)
        notes.append(f"covariance {covariance}, chosen for {used:,} rows of {d} features")
    if settings.family == "student" and settings.gap:
        raise UsageError(
            "--gap is not available with --family student",
            hint="its components have no lower limit of width: leave --gap out",
        )
    if settings.noise:
        _check_noise(settings, covariance)
    return make_family(settings.family, covariance, floor)


def _check_noise(settings: FitSettings, covariance: str) -> None:
    """Raises UsageError for settings that leave no room for a broad component."""
    if covariance == "tied":
        raise UsageError(
            "--noise is not available with --covariance tied",
            hint="the broad component needs a spread of its own: use full or diag",
        )
    if settings.method == "nsvgd" or settings.weights == "uniform":
        raise UsageError(
            "--noise needs weights that are learned",
            hint="use --method diversified, the default, or em; --weights learned",
        )


def floor_of(rows: Rows, preprocessing: Preprocessing, settings: FitSettings) -> np.ndarray:
    """Smallest variance of each feature, (d,)."""
    if preprocessing.encoder is not None:
        indicator = np.zeros(preprocessing.n_features, bool)
        return variance_floor(rows.X, rows.row_weights, settings.floor, indicator)
    indicator = np.repeat(
        [column.kind != "numeric" for column in preprocessing.columns],
        [len(column.features) for column in preprocessing.columns],
    )
    return variance_floor(rows.X, rows.row_weights, settings.floor, indicator)


def _gap(data_term: InMemory, fitted: Fitted, settings: FitSettings, monitor: Monitor) -> float:
    """What the fit could still gain on the rows of the search; also for the last trace row."""
    from divmix.certificate.gap import remaining_gain

    monitor.progress.stage("bounding what could still be gained")
    generator = np.random.default_rng(settings.seed)
    sample = draw_sample(data_term, settings.clusters, generator)
    gap = remaining_gain(sample, with_noise(fitted.components, data_term.noise), generator)
    if monitor.trace:
        monitor.trace[-1] = monitor.trace[-1]._replace(gap=gap)
    return gap


def _label(
    fitted: Fitted, family: Gaussian, noise: Components | None, rows: Rows, preprocessing
) -> tuple[Mixture, Scores]:
    """The mixture with its clusters in canonical order, and the scores of the training rows."""
    k = int(fitted.clusters.max()) + 1
    mixture = Mixture(
        family, fitted.components, fitted.clusters, preprocessing, {}, fitted.hierarchy, noise=noise
    ).ordered(np.zeros(k))
    assigned = mixture.score(rows.X).cluster
    own = assigned != NOISE
    mixture = mixture.ordered(
        np.bincount(assigned[own], weights=rows.row_weights[own], minlength=k)
    )
    scores = mixture.score(rows.X)
    scores = scores._replace(log_density=scores.log_density + rows.log_jacobian)
    return mixture, blank(scores, ~rows.complete)
