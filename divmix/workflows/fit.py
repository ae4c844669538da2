"""Fit a mixture to a table, and write the run folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix import report
from divmix.choosing import restarts
from divmix.choosing.clusters import SPLINTER, settle_alpha, settle_clusters
from divmix.choosing.covariance import choose_covariance, variance_floor
from divmix.design.design import Design
from divmix.design.prepare import DesignMatrix, prepare
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining
from divmix.engine.monitor import Monitor
from divmix.errors import NotConvergedError, UsageError
from divmix.families import Components, Gaussian, make_family
from divmix.families.noise import broad_component, with_noise
from divmix.methods import Fitted
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores, blank
from divmix.progress import Progress, TraceRow
from divmix.rows.memory import InMemory
from divmix.search.phases import draw_sample
from divmix.settings import FitSettings, TableSettings
from divmix.tables.reading import open_table, reading_options
from divmix.workflows import run_folder, summary
from divmix.workflows.evaluate import evaluate_clusters
from divmix.workflows.resources import limited_threads


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
        design, rows = prepare(table, tables, generator, progress, locate, joint_training(settings))
    if design.is_embedding:
        notes.append(
            f"encoder {tables.encoder}: densities are those of its {design.n_features} features"
        )
    settings = suited(settings, design.far_rows)
    floor = floor_of(rows, design, settings)
    # Densities are told in the data's own units, the fit works in those of the design matrix.
    offset = float(rows.row_weights @ rows.log_jacobian / rows.row_weights.sum())
    monitor = Monitor(settings.time_budget, should_stop, progress, offset)
    with limited_threads(settings.threads, progress):
        settings = _settle(settings, rows, floor, monitor, notes, splinter(design.far_rows))
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
        mixture, scores = _label(fitted, family, noise, rows, design)
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


def joint_training(settings: FitSettings) -> JointTraining | None:
    """The mixture that an encoder may be trained along with, where its clusters are known."""
    if isinstance(settings.clusters, str):
        return None
    alpha = 0.0 if isinstance(settings.alpha, str) else settings.alpha
    return JointTraining(settings.clusters, alpha)


def choose_family(family: str, far_rows: bool) -> str:
    """The family asked for, or the one that suits the design."""
    if family != "auto":
        return family
    return "student" if far_rows else "gaussian"


def suited(settings: FitSettings, far_rows: bool) -> FitSettings:
    """The settings with what suits the design where they are "auto"."""
    merge = settings.merge
    if merge == "auto" and far_rows:
        merge = "kl"  # a graph's embedding draws each cluster together
    return replace(settings, family=choose_family(settings.family, far_rows), merge=merge)


def splinter(far_rows: bool) -> float:
    """Share of the mean size of a cluster below which `-k auto` counts none."""
    return SPLINTER if far_rows else 0.0


def _settle(
    settings: FitSettings,
    rows: DesignMatrix,
    floor,
    monitor: Monitor,
    notes: list[str],
    splinter: float,
):
    """The settings with a number of clusters and an alpha where they are "auto"."""
    if settings.clusters == "auto":
        monitor.progress.stage("choosing the number of clusters")
        settings = settle_clusters(settings, rows, floor, monitor, notes, splinter)
    if settings.alpha == "auto":
        monitor.progress.stage("choosing alpha")
        settings = settle_alpha(settings, rows, floor, monitor, notes)
    return settings


def _family(
    rows: DesignMatrix, floor: np.ndarray, settings: FitSettings, notes: list[str]
) -> Gaussian:
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


def floor_of(rows: DesignMatrix, design: Design, settings: FitSettings) -> np.ndarray:
    """Smallest variance of each feature, (d,)."""
    return variance_floor(rows.X, rows.row_weights, settings.floor, design.indicator)


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
    fitted: Fitted,
    family: Gaussian,
    noise: Components | None,
    rows: DesignMatrix,
    design: Design,
) -> tuple[Mixture, Scores]:
    """The mixture with its clusters in canonical order, and the scores of the training rows."""
    mixture, scores = Mixture(
        family, fitted.components, fitted.clusters, design, {}, fitted.hierarchy, noise=noise
    ).labelled(rows.X, rows.row_weights)
    scores = scores._replace(log_density=scores.log_density + rows.log_jacobian)
    return mixture, blank(scores, ~rows.complete)
