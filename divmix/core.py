"""The door to the method: rows and settings in, a fitted mixture out.

    from divmix.core import fit_rows
    from divmix.settings import DiversifiedSettings

    fitted = fit_rows(X, DiversifiedSettings(clusters=3))
    fitted.components.means, fitted.clusters

Command line, Python classes, benchmarks, selection, anomaly densities and the joint training of
encoders all come through here.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from divmix.certificate.gap import covers, remaining_gain
from divmix.choosing.bootstrap import Resamples, resample
from divmix.choosing.comparison import Comparison, compare
from divmix.choosing.covariance import (
    variance_floor,
)
from divmix.choosing.irrelevant import irrelevant_numbers, told_of_numbers
from divmix.choosing.relevance import relevant_categories
from divmix.choosing.restarts import Spread, best_of
from divmix.choosing.settle import candidate_models, scattered, settle, suited
from divmix.engine.checkpoint import Interrupted as Interrupted
from divmix.engine.loop import Limits, follow
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.engine.steps import em_step
from divmix.errors import UsageError
from divmix.families import (
    AnyFamily,
    CommonNumbers,
    Components,
    Family,
    Gaussian,
    Mixed,
)
from divmix.families.family import Array
from divmix.families.noise import with_noise
from divmix.merging.hierarchy import Hierarchy, Way
from divmix.methods import method_of
from divmix.problem import Merge, Problem
from divmix.rows import MemoryRows, Rows
from divmix.rows.past import Past, RowsAfterPast
from divmix.search.phases import sample_rows
from divmix.search.run import Model
from divmix.settings import DiversifiedSettings, EmSettings, FitSettings, NsvgdSettings
from divmix.settings.schedule import SCHEDULE, Schedule


class Fitted(NamedTuple):
    """A fitted mixture.

    family, components   m component densities and their parameters
    clusters             (m,) the cluster 0 .. k - 1 of each component
    noise                a broad component that belongs to no cluster, or None
    noise_joins          whether its rows count to their likeliest cluster
    hierarchy            how components join to fewer clusters, or None
    stop_reason          converged, max_iter or time_budget
    entropy              H of the components, nats; its exponential is their effective number
    settings             with what was chosen where they were "auto"
    notes                what was chosen, in sentences
    spread               over the starts, where there were several
    gap                  bound on what the log-likelihood could still gain, nats per row, if asked
    common               numbers that all components have in common, or None
    problem              what was fitted: the rows without those numbers
    """

    family: Family
    components: Components
    clusters: NDArray[np.int64]
    noise: Components | None
    hierarchy: Hierarchy | None
    stop_reason: str
    entropy: float
    settings: FitSettings
    notes: tuple[str, ...]
    spread: Spread | None = None
    gap: float | None = None
    common: CommonNumbers | None = None
    problem: Problem | None = None
    noise_joins: bool = False

    def with_common(self, common: CommonNumbers) -> "Fitted":
        """The same mixture with numbers that all components have in common."""
        family = cast(Gaussian | Mixed, self.family)

        def of_all(own: Components | None) -> Components | None:
            return own and common.components(family, own)

        hierarchy = self.hierarchy
        if hierarchy is not None:
            hierarchy = hierarchy._replace(relaxed=of_all(hierarchy.relaxed))
        return self._replace(
            family=common.family(family),
            components=cast(Components, of_all(self.components)),
            noise=of_all(self.noise),
            hierarchy=hierarchy,
            common=common,
        )


def fit_rows(
    rows: Rows | Array,
    settings: FitSettings,
    monitor: Monitor | None = None,
    *,
    family: Family | None = None,
    start: Components | Callable[[Family, Rows], Components] | None = None,
    schedule: Schedule = SCHEDULE,
) -> Fitted:
    """Fit a mixture to rows: an array (n, d), or whatever has the protocol `Rows`.

    The monitor keeps the trace and may end the fit. `family` instead of that of the settings,
    `start` components to go on from without a search, or what makes them of family and rows once
    these are settled; `schedule` for other numbers of the default method than its own. Raises UsageError, InputError, FitError, and
    Interrupted when the monitor's `should_stop` said so.
    """
    if isinstance(rows, np.ndarray):
        rows = MemoryRows(rows)
    monitor = monitor or Monitor(settings.time_budget)
    notes: list[str] = []
    common = None
    if family is None and start is None and isinstance(settings, DiversifiedSettings):
        rows, common = compared(rows, settings, monitor, notes)
    if settings.gap and rows.summary().has_gaps:
        raise UsageError(
            "--gap is not available with --missing model",
            hint="the bound is one for complete rows: leave --gap out, or use --missing drop",
        )
    settings, model, way = settle(rows, settings, monitor, notes, family, searched=start is None)
    if callable(start):
        start = start(model.family, rows)
    problem = _problem(rows, settings, model, monitor, start, way, schedule)
    monitor.trace[:] = () if problem.way is None else problem.way.trace  # that of the fit
    for note in notes:
        monitor.progress.note(note)
    monitor.progress.stage("fitting")
    outcome, spread = best_of(method_of(settings), problem, settings.seed, settings.restarts)
    gap = _gap(problem, outcome.components, settings.seed) if settings.gap else None
    fitted = Fitted(
        model.family,
        outcome.components,
        outcome.clusters,
        model.noise,
        outcome.hierarchy,
        outcome.stop_reason,
        model.family.overlap(outcome.components, gradient=False).entropy,
        settings,
        (*notes, *outcome.notes),
        spread,
        gap,
        problem=problem,
        noise_joins=model.noise is not None and not settings.noise,
    )
    return fitted if common is None else fitted.with_common(common)


class Before(NamedTuple):
    """A mixture that is to be continued, and what it stands for.

    common          numbers that all of its components have in common, or None
    structure       of the covariances of the others
    weight          of its rows, as far as they still count
    log_likelihood  of them, mean per row, nats, in the units of the new rows
    """

    family: AnyFamily
    components: Components
    noise: Components | None
    common: CommonNumbers | None
    structure: str
    weight: float
    log_likelihood: float


def continue_fit(
    rows: MemoryRows, before: Before, settings: FitSettings, monitor: Monitor
) -> tuple[Components, Components | None, str]:
    """The components and the noise of a mixture after more rows, and why the climb ended.

    The mixture counts like as many rows as it stands for; nothing is searched, and each component
    stays the one it was. Diversity was paid for the past already, so alpha has the share of the new
    rows alone: without these the mixture stays as it is. Covariances have no prior. max_iter, tol
    (per new row), alpha, weights and seed are those of the settings. Raises FitError, and
    Interrupted when the monitor's `should_stop` said so.
    """
    monitor.progress.stage("fitting")
    family, common = before.family, before.common
    components, noise = before.components, before.noise
    known = before.log_likelihood
    if common is not None:
        every = cast(Gaussian | Mixed, family)
        family = common.compared_alone(every, before.structure)
        components = common.components_alone(every, family, components)
        noise = noise and common.components_alone(every, family, noise)
        summary = rows.summary()
        moments = summary.mean[common.common], summary.variances[common.common]
        rows, known = rows.among(common.compared), known - common.log_likelihood
        common = common.after(before.weight, *moments, rows.total_weight)
        monitor.offset += common.log_likelihood
    generator = np.random.default_rng(settings.seed)
    past = Past(family, with_noise(components, noise), before.weight, known, generator)
    share = rows.total_weight / (rows.total_weight + before.weight)
    alpha, learned = share * cast(float, settings.alpha), settings.weights != "uniform"
    objective = Objective(family, alpha, noise=noise, learn_weights=learned)
    limits = Limits(settings.max_iter, share * settings.tol)
    state = State(generator, components)
    together = RowsAfterPast(rows, past)
    step = em_step(objective)
    state = follow(step, objective, together, state, monitor, "update", limits)
    if state.stop_reason == "interrupted":
        raise Interrupted
    components = state.moved
    if common is not None:
        of_compared = cast(Gaussian | Mixed, family)
        components = common.components(of_compared, components)
        noise = noise and common.components(of_compared, noise)
    return components, noise, state.stop_reason


def bootstrap(fitted: Fitted, labels: NDArray[np.int64], count: int) -> Resamples:
    """`count` fits to resampled rows, held against the clusters labels (n,) of the fitted rows.

    Each looks for clusters anew, with the settings that the fit settled. Means are those of the
    features that were compared. Raises UsageError where rows are not in memory, FitError,
    and Interrupted.
    """
    assert fitted.problem is not None
    if not isinstance(fitted.problem.rows, MemoryRows):
        raise UsageError(
            "--bootstrap is not available for rows that are not in memory",
            hint="leave --bootstrap out, or fit a sample of the rows",
        )
    fitted.problem.monitor.progress.stage("fitting resampled rows")
    settings = fitted.settings
    return resample(method_of(settings), fitted.problem, labels, count, settings.seed)


def compared(
    rows: Rows, settings: FitSettings, monitor: Monitor, notes: list[str]
) -> tuple[Rows, CommonNumbers | None]:
    """The rows without the numbers that can know nothing of clusters, and what these are like.

    `notes` names them, and the monitor adds their log-likelihood to that of the others. All numbers
    are kept in Student-t components, whose density is no product over columns, in embeddings
    with far rows.
    """
    family = suited(settings, rows).family
    if family == "student":
        return rows, None
    irrelevant = irrelevant_numbers(rows)
    if not len(irrelevant):
        return rows, None
    notes.append(told_of_numbers([rows.features.name(j) for j in irrelevant]))
    d = len(rows.features.indicator)
    kept = np.setdiff1d(np.arange(d), irrelevant)
    summary, floor = rows.summary(), variance_floor(rows, settings.floor)[irrelevant]
    common = CommonNumbers(
        kept,
        irrelevant,
        summary.mean[irrelevant],
        np.maximum(summary.variances[irrelevant], floor),
        floor,
        rows.features.categories,
        summary.there[irrelevant] / summary.weight,
    )
    monitor.offset += common.log_likelihood
    return rows.among(kept), common


def compare_clusters(
    rows: Rows | Array, lowest: int, highest: int, settings: FitSettings, monitor: Monitor
) -> Comparison:
    """Criteria of lowest .. highest clusters, and the choice that a fit of "auto" clusters makes.
    Raises UsageError, FitError, and Interrupted when the monitor's `should_stop` said so.

    What the monitor adds to log-likelihoods then includes numbers that are not compared.
    """
    if isinstance(rows, np.ndarray):
        rows = MemoryRows(rows)
    settings = suited(settings, rows)
    notes: list[str] = []
    rows, _ = compared(rows, settings, monitor, notes)
    for note in notes:
        monitor.progress.note(note)
    models = candidate_models(rows, rows.summary(), settings, relevant_categories(rows))
    generator = np.random.default_rng(settings.seed)
    noise = scattered(rows, rows.summary(), settings)
    resamples, seed = settings.bootstrap or 0, settings.seed
    return compare(rows, models, lowest, highest, generator, monitor, noise, resamples, seed)


def _problem(
    rows: Rows,
    settings: FitSettings,
    model: Model,
    monitor: Monitor,
    start: Components | None,
    way: Way | None,
    schedule: Schedule,
) -> Problem:
    k, m = cast(int, settings.clusters), settings.components
    if m is not None and m < k:
        raise UsageError(
            f"--components {m} is less than -k {k}",
            hint="a cluster has one component at least: leave --components away, or raise it",
        )
    merge, prior = "auto", 0.0
    if isinstance(settings, DiversifiedSettings):
        merge, prior = settings.merge, cast(float, settings.prior)
    assert isinstance(settings, DiversifiedSettings | NsvgdSettings | EmSettings)
    alpha = 0.0 if isinstance(settings, EmSettings) else settings.alpha
    # The way that was gone for the choices is that of a usual search.
    usual = start is None and m is None and settings.init == "kmeans++" and schedule is SCHEDULE
    return Problem(
        rows,
        model.family,
        monitor,
        k,
        cast(float, alpha),
        m,
        model.noise,
        {None: None, "learned": True, "uniform": False}[settings.weights],
        cast(Merge, merge),
        prior,
        settings.init,
        settings.max_iter,
        settings.tol,
        settings.precision,
        start,
        way if usual else None,
        schedule,
    )


def _gap(problem: Problem, components: Components, seed: int) -> float:
    """What the fit could still gain on the rows of the search; also for the last trace row."""
    monitor, family = problem.monitor, problem.family
    monitor.progress.stage("bounding what could still be gained")
    generator = np.random.default_rng(seed)
    sample = problem.rows.sample(sample_rows(problem.clusters), generator)
    assert covers(family)
    gap = remaining_gain(family, sample, with_noise(components, problem.noise), generator)
    if monitor.trace:
        monitor.trace[-1] = monitor.trace[-1]._replace(gap=gap)
    return gap
