"""The door to the method: rows and settings in, a fitted mixture out.

    from divmix.core import fit_rows
    from divmix.settings import DiversifiedSettings

    fitted = fit_rows(X, DiversifiedSettings(clusters=3))
    fitted.components.means, fitted.clusters

Command line, Python classes, benchmarks, selection, anomaly densities and the joint training of
encoders all come through here.
"""

from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from divmix.certificate.gap import covers, remaining_gain
from divmix.choosing.alpha import choose_alpha
from divmix.choosing.bootstrap import Resamples, resample
from divmix.choosing.clusters import (
    SMALLEST_SHARE,
    MadeNoise,
    choose_clusters,
    count_clusters,
    explain,
)
from divmix.choosing.comparison import Comparison, compare
from divmix.choosing.covariance import (
    MOST_FULL_COLUMNS,
    candidate_shapes,
    choose_shape,
    variance_floor,
)
from divmix.choosing.irrelevant import irrelevant_numbers, told_of_numbers
from divmix.choosing.relevance import relevant_categories, told
from divmix.choosing.restarts import Spread, best_of
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.families import (
    Categories,
    CommonNumbers,
    Components,
    Family,
    Gaussian,
    LocationScale,
    Mixed,
    make_family,
)
from divmix.families.family import Array
from divmix.families.noise import broad_component, with_noise
from divmix.merging.hierarchy import Hierarchy
from divmix.methods import method_of
from divmix.problem import Merge, Problem
from divmix.rows import MemoryRows, Rows, Summary
from divmix.search.phases import sample_rows
from divmix.search.run import Model, Searching
from divmix.settings import DiversifiedSettings, EmSettings, FitSettings, NsvgdSettings
from divmix.settings.schedule import SCHEDULE, Schedule

SHAPES = 1  # marks the random numbers that choose a shape


class Fitted(NamedTuple):
    """A fitted mixture.

    family, components   m component densities and their parameters
    clusters             (m,) the cluster 0 .. k - 1 of each component
    noise                a broad component that belongs to no cluster, or None
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


class Interrupted(Exception):
    """A signal ended the fit; nothing came of it."""


def fit_rows(
    rows: Rows | Array,
    settings: FitSettings,
    monitor: Monitor | None = None,
    *,
    family: Family | None = None,
    start: Components | None = None,
    schedule: Schedule = SCHEDULE,
) -> Fitted:
    """Fit a mixture to rows: an array (n, d), or whatever has the protocol `Rows`.

    The monitor keeps the trace and may end the fit. `family` instead of that of the settings,
    `start` components for em and nsvgd to go on from, `schedule` for other numbers of the default
    method than its own. Raises UsageError, InputError, FitError, and
    Interrupted when the monitor's `should_stop` said so.
    """
    if isinstance(rows, np.ndarray):
        rows = MemoryRows(rows)
    monitor = monitor or Monitor(settings.time_budget)
    notes: list[str] = []
    common = None
    if family is None and isinstance(settings, DiversifiedSettings):
        rows, common = compared(rows, settings, monitor, notes)
    settings, model = settle(rows, settings, monitor, notes, family)
    problem = _problem(rows, settings, model, monitor, start, schedule)
    monitor.trace.clear()  # the trace is that of the fit
    for note in notes:
        monitor.progress.note(note)
    monitor.progress.stage("fitting")
    kept = best_of(method_of(settings), problem, settings.seed, settings.restarts)
    if kept is None:
        raise Interrupted
    outcome, spread = kept
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
    )
    return fitted if common is None else fitted.with_common(common)


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
    found = resample(method_of(settings), fitted.problem, labels, count, settings.seed)
    if found is None:
        raise Interrupted
    return found


def compared(
    rows: Rows, settings: FitSettings, monitor: Monitor, notes: list[str]
) -> tuple[Rows, CommonNumbers | None]:
    """The rows without the numbers that can know nothing of clusters, and what these are like.

    `notes` names them, and the monitor adds their log-likelihood to that of the others. All numbers
    are kept in Student-t components, whose density is no product over columns, in embeddings
    with far rows, and where rows are not in memory.
    """
    family = _suited(settings, rows).family
    if family == "student" or not isinstance(rows, MemoryRows):
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
    )
    monitor.offset += common.log_likelihood
    return rows.among(kept), common


def compare_clusters(
    rows: Rows | Array, lowest: int, highest: int, settings: FitSettings, monitor: Monitor
) -> Comparison:
    """Criteria of lowest .. highest clusters, and the choice that a fit of "auto" clusters makes.
    Raises UsageError, FitError.

    What the monitor adds to log-likelihoods then includes numbers that are not compared.
    """
    if isinstance(rows, np.ndarray):
        rows = MemoryRows(rows)
    settings = _suited(settings, rows)
    notes: list[str] = []
    rows, _ = compared(rows, settings, monitor, notes)
    for note in notes:
        monitor.progress.note(note)
    models = candidate_models(rows, rows.summary(), settings, relevant_categories(rows))
    generator = np.random.default_rng(settings.seed)
    noise = scattered(rows, rows.summary(), settings)
    resamples, seed = settings.bootstrap or 0, settings.seed
    return compare(rows, models, lowest, highest, generator, monitor, noise, resamples, seed)


def settle(
    rows: Rows,
    settings: FitSettings,
    monitor: Monitor,
    notes: list[str],
    family: Family | None = None,
) -> tuple[FitSettings, Model]:
    """The settings without any "auto", and the model they lead to; `notes` says what was chosen.

    Raises UsageError for settings that do not go together, FitError.
    """
    settings = _suited(settings, rows)
    summary, categories = rows.summary(), None
    if family is None and rows.features.categories is not None:
        if settings.gap:
            raise UsageError(
                "--gap is not available for a table with text or yes/no columns",
                hint="the bound is one for Gaussians: leave --gap out, or --exclude these columns",
            )
        categories = relevant_categories(rows)
        notes.extend(told(categories))
    if family is not None:
        if settings.gap and not covers(family):
            raise UsageError(
                f"--gap is not available for {family.name} components",
                hint="the bound is one for Gaussians: leave --gap out",
            )
        models = [Model(family, _noise(family, summary, settings))]
    else:
        models = candidate_models(rows, summary, settings, categories)
    if settings.clusters == "auto":
        monitor.progress.stage("choosing the number of clusters")
        generator = np.random.default_rng(settings.seed)
        noise = None if family is not None else scattered(rows, summary, settings)
        path = choose_clusters(rows, models, generator, monitor, noise)
        k = count_clusters(path.chosen, smallest_share(rows))
        notes.append(explain(path, path.chosen, k))
        settings = replace(settings, clusters=k)
    if isinstance(settings, DiversifiedSettings) and settings.alpha == "auto":
        monitor.progress.stage("choosing alpha")
        settings = _settle_alpha(rows, models, settings, monitor, notes)
    if family is not None:
        return settings, models[0]
    return _settle_shape(rows, summary, settings, monitor, notes, categories)


def smallest_share(rows: Rows) -> float:
    """Share of the mean size of a cluster below which a component is no cluster of its own."""
    return SMALLEST_SHARE if rows.features.far_rows else 0.0


def candidate_models(
    rows: Rows, summary: Summary, settings: FitSettings, categories: Categories | None = None
) -> list[Model]:
    """The models among which a criterion may choose: with covariance auto, full and diagonal.

    `categories` are those of the rows that the family is to know. Student-t components are full
    where they can be: diagonal ones fill a cluster of an embedding with many, 396 where there are
    ten digits.
    """
    family = "gaussian" if settings.family == "auto" else settings.family
    floor = variance_floor(rows, settings.floor)
    covariances: tuple[str, ...] = (settings.covariance,)
    if settings.covariance == "auto":
        both: tuple[str, ...] = ("full",) if family == "student" else ("full", "diag")
        d = len(floor) if categories is None else len(categories.numeric)
        covariances = both if 0 < d <= MOST_FULL_COLUMNS else ("diag",)
    made = [make_family(family, covariance, floor, categories) for covariance in covariances]
    return [Model(one, _noise(one, summary, settings)) for one in made]


def scattered(rows: Rows, summary: Summary, settings: FitSettings) -> MadeNoise | None:
    """What makes the broad component that -k auto holds against clusters; None where the settings
    have one for themselves, leave it no room, or clusters have far rows."""
    if settings.noise or settings.covariance == "tied" or rows.features.far_rows:
        return None
    return lambda family: broad_component(family, summary.low, summary.high)


def _suited(settings: FitSettings, rows: Rows) -> FitSettings:
    """The settings with what suits the rows where they are "auto"."""
    far = rows.features.far_rows
    if settings.family == "auto":
        settings = replace(settings, family="student" if far else "gaussian")
    if isinstance(settings, DiversifiedSettings) and settings.merge == "auto" and far:
        settings = replace(settings, merge="kl")  # such an embedding draws each cluster together
    return settings


def _settle_alpha(
    rows: Rows,
    models: list[Model],
    settings: DiversifiedSettings,
    monitor: Monitor,
    notes: list[str],
) -> DiversifiedSettings:
    merges: tuple[str, ...] = ("kl", "overlap") if settings.merge == "auto" else (settings.merge,)
    sample = rows.sample(1, np.random.default_rng(0))  # stands in for each fold
    searching = Searching(sample, *models[0], monitor, cast(int, settings.clusters))
    chosen = choose_alpha(
        rows, models, cast(tuple[Merge, ...], merges), searching, settings.components, settings.seed
    )
    family = chosen.model.family  # one of another kind has no covariance to tell of
    covariance, covariance_told = settings.covariance, ""
    if isinstance(family, LocationScale | Mixed):
        covariance = family.structure.name
        covariance_told = f"covariance {covariance}, "
    told = f", {chosen.gain:.3g} nats per row above alpha 0" if chosen.alpha else ""
    notes.append(f"alpha {chosen.alpha:g}, the best held-out log-likelihood" + told)
    if len(models) * len(merges) > 1:
        shape = {"kl": "one component each", "overlap": "unions of components"}[chosen.merge]
        notes.append(f"{covariance_told}clusters as {shape}: the best held-out log-likelihood")
    return replace(settings, alpha=chosen.alpha, covariance=covariance, merge=chosen.merge)


def _settle_shape(
    rows: Rows,
    summary: Summary,
    settings: FitSettings,
    monitor: Monitor,
    notes: list[str],
    categories: Categories | None,
) -> tuple[FitSettings, Model]:
    k = cast(int, settings.clusters)
    d = len(summary.mean) if categories is None else len(categories.numeric)
    floor = variance_floor(rows, settings.floor)
    prior = settings.prior if isinstance(settings, DiversifiedSettings) else None
    alone = isinstance(settings, DiversifiedSettings | EmSettings) and settings.noise
    shapes = candidate_shapes(settings.covariance, prior, settings.family, d, shared=not alone)
    covariance, share = shapes[0]
    if len(shapes) > 1:
        monitor.progress.stage("choosing the shape of components")
        generator = np.random.default_rng([settings.seed, SHAPES])
        covariance, share = choose_shape(
            rows, settings.family, floor, k, shapes, generator, monitor, categories
        )
        with_prior = f", prior {share:g}" if prior == "auto" else ""
        notes.append(
            f"covariance {covariance}{with_prior}: chosen by held-out rows "
            f"({summary.number:,} rows of {d} features)"
        )
    settings = replace(settings, covariance=covariance)
    if isinstance(settings, DiversifiedSettings) and prior == "auto":
        settings = replace(settings, prior=share)
    if settings.family == "student" and settings.gap:
        raise UsageError(
            "--gap is not available with --family student",
            hint="its components have no lower limit of width: leave --gap out",
        )
    family = make_family(settings.family, settings.covariance, floor, categories)
    return settings, Model(family, _noise(family, summary, settings))


def _noise(family: Family, summary: Summary, settings: FitSettings) -> Components | None:
    """A broad component where one is asked for. Raises UsageError where there is no room for it."""
    if isinstance(settings, NsvgdSettings) or not (
        isinstance(settings, DiversifiedSettings | EmSettings) and settings.noise
    ):
        return None
    if settings.covariance == "tied":
        raise UsageError(
            "--noise is not available with --covariance tied",
            hint="the broad component needs a spread of its own: use full or diag",
        )
    if settings.weights == "uniform":
        raise UsageError(
            "--noise needs weights that are learned", hint="leave --weights uniform out"
        )
    return broad_component(family, summary.low, summary.high)


def _problem(
    rows: Rows,
    settings: FitSettings,
    model: Model,
    monitor: Monitor,
    start: Components | None,
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
