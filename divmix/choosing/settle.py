"""What a fit is told, with everything settled: no setting is "auto" any more, and there is a model."""

from dataclasses import replace
from functools import partial
from typing import TypeGuard, cast

import numpy as np

from divmix.certificate.gap import covers
from divmix.choosing.alpha import choose_alpha
from divmix.choosing.clusters import (
    SMALLEST_SHARE,
    MadeNoise,
    choose_clusters,
    count_clusters,
    explain,
)
from divmix.choosing.covariance import (
    MOST_FULL_COLUMNS,
    candidate_shapes,
    choose_shape,
    variance_floor,
)
from divmix.choosing.outliers import FirstLook, look_for_outliers
from divmix.choosing.relevance import relevant_categories, told
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.families import Categories, Components, Family, LocationScale, Mixed, make_family
from divmix.families.noise import broad_component
from divmix.merging.hierarchy import Way
from divmix.methods import check
from divmix.problem import Merge
from divmix.progress import counted
from divmix.rows import Rows, Summary
from divmix.search.phases import sample_rows
from divmix.search.run import Model, Searching
from divmix.settings import DiversifiedSettings, EmSettings, FitSettings, NsvgdSettings

SHAPES, OUTLIERS = 1, 2  # mark the random numbers that choose a shape, and look for outliers
OUTLIERS_TOLD = (
    "some rows are outliers: a broad component has them, so that they widen no cluster; each counts "
    "to its likeliest cluster all the same (--noise sets them apart)"
)


def settle(
    rows: Rows,
    settings: FitSettings,
    monitor: Monitor,
    notes: list[str],
    family: Family | None = None,
    *,
    searched: bool = True,
) -> tuple[FitSettings, Model, Way | None]:
    """The settings without any "auto", the model they lead to, and the way from many components to
    k where it was gone for the choice and is that of this model; `notes` says what was chosen.
    Where components are given and none are searched, they leave outliers no weight, and these are
    not looked for.

    Raises UsageError for settings that do not go together, FitError.
    """
    settings = suited(settings, rows)
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
        noise = None if family is not None else scattered(rows, summary, settings)
        choose = partial(_choose_clusters, rows, models, settings.seed, monitor, noise)
        k, reason = monitor.once("clusters", choose)
        notes.append(reason)
        settings = replace(settings, clusters=k)
    if isinstance(settings, DiversifiedSettings) and settings.alpha == "auto":
        choose_too = partial(_choose_alpha, rows, models, settings, monitor)
        alpha, covariance, merge, reasons = monitor.once("alpha", choose_too)
        notes.extend(reasons)
        settings = replace(settings, alpha=alpha, covariance=covariance, merge=merge)
    if family is not None:
        return settings, models[0], None
    made_noise = way = None
    richest = models[0].family
    assert isinstance(richest, LocationScale | Mixed)
    if searched and _looks_first(settings):
        made_noise = scattered(rows, summary, settings)
        look = partial(_first_look, rows, richest, made_noise, settings, monitor)
        outliers, rich, way = monitor.once("outliers", look)
        for own in (way.relaxed, *(level.components for level in way.levels)):
            check(richest, rows, own)
        if rich and settings.merge != "kl":  # shapes are those of k components
            settings = replace(settings, covariance=richest.structure.name)
        if outliers:
            notes.append(OUTLIERS_TOLD)
        else:
            made_noise = None
    settled, model = _settle_shape(rows, summary, settings, monitor, notes, categories, made_noise)
    if model.noise is not None:
        way = None
    elif way is not None and settled.covariance != richest.structure.name:
        way = way.reshaped(richest, model.family)
    return settled, model, way


def _looks_first(settings: FitSettings) -> TypeGuard[DiversifiedSettings]:
    """Whether outliers are looked for: heavy tails and a broad component hold them already."""
    return (
        isinstance(settings, DiversifiedSettings)
        and settings.family == "gaussian"
        and not settings.noise
        and settings.covariance != "tied"
        and settings.weights != "uniform"
    )


def _first_look(
    rows: Rows,
    family: Family,
    noise: MadeNoise | None,
    settings: DiversifiedSettings,
    monitor: Monitor,
) -> FirstLook:
    """Whether there are outliers, and whether the rows are richer than k components.

    It sees the rows that the search will see, those that its first start draws.
    """
    monitor.progress.stage("looking for outliers")
    k, alpha = cast(int, settings.clusters), cast(float, settings.alpha)
    sample = rows.sample(sample_rows(k), np.random.default_rng(settings.seed))
    searching = Searching(sample, family, None, monitor, k, alpha, tol=settings.tol)
    generator = np.random.default_rng([settings.seed, OUTLIERS])
    return look_for_outliers(searching, noise and noise(family), generator)


def _choose_clusters(
    rows: Rows, models: list[Model], seed: int, monitor: Monitor, noise: MadeNoise | None
) -> tuple[int, str]:
    """Their number, and why."""
    path = choose_clusters(rows, models, np.random.default_rng(seed), monitor, noise)
    k = count_clusters(path.chosen, smallest_share(rows))
    return k, explain(path, path.chosen, k)


def smallest_share(rows: Rows) -> float:
    """Share of the mean size of a cluster below which a component is no cluster of its own."""
    return SMALLEST_SHARE if rows.features.far_rows else 0.0


def candidate_models(
    rows: Rows, summary: Summary, settings: FitSettings, categories: Categories | None = None
) -> list[Model]:
    """The models among which a criterion may choose: with covariance auto, full, diagonal and
    spherical.

    `categories` are those of the rows that the family is to know. Student-t components are full
    where they can be: diagonal ones fill a cluster of an embedding with many, 396 where there are
    ten digits.
    """
    family = "gaussian" if settings.family == "auto" else settings.family
    floor = variance_floor(rows, settings.floor)
    covariances: tuple[str, ...] = (settings.covariance,)
    if settings.covariance == "auto":
        both: tuple[str, ...] = ("full",) if family == "student" else ("full", "diag", "spherical")
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


def suited(settings: FitSettings, rows: Rows) -> FitSettings:
    """The settings with what suits the rows where they are "auto"."""
    far = rows.features.far_rows
    if settings.family == "auto":
        settings = replace(settings, family="student" if far else "gaussian")
    if isinstance(settings, DiversifiedSettings) and settings.merge == "auto" and far:
        settings = replace(settings, merge="kl")  # such an embedding draws each cluster together
    return settings


def _choose_alpha(
    rows: Rows, models: list[Model], settings: DiversifiedSettings, monitor: Monitor
) -> tuple[float, str, str, tuple[str, ...]]:
    """Alpha, covariance and merge, and sentences on them."""
    monitor.progress.stage("choosing alpha")
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
    gain = f", {chosen.gain:.3g} nats per row above alpha 0" if chosen.alpha else ""
    notes = [f"alpha {chosen.alpha:g}, the best held-out log-likelihood{gain}"]
    if len(models) * len(merges) > 1:
        shape = {"kl": "one component each", "overlap": "unions of components"}[chosen.merge]
        notes.append(f"{covariance_told}clusters as {shape}: the best held-out log-likelihood")
    return chosen.alpha, covariance, chosen.merge, tuple(notes)


def _settle_shape(
    rows: Rows,
    summary: Summary,
    settings: FitSettings,
    monitor: Monitor,
    notes: list[str],
    categories: Categories | None,
    made_noise: MadeNoise | None,
) -> tuple[FitSettings, Model]:
    k = cast(int, settings.clusters)
    d = len(summary.mean) if categories is None else len(categories.numeric)
    floor = variance_floor(rows, settings.floor)
    prior = settings.prior if isinstance(settings, DiversifiedSettings) else None
    alone = isinstance(settings, DiversifiedSettings | EmSettings) and settings.noise
    shapes = candidate_shapes(
        settings.covariance, prior, settings.family, d, shared=not (alone or made_noise)
    )
    covariance, share = shapes[0]
    if len(shapes) > 1:
        generator = np.random.default_rng([settings.seed, SHAPES])

        def choose() -> tuple[str, float]:
            monitor.progress.stage("choosing the shape of components")
            found = choose_shape(
                rows, settings.family, floor, k, shapes, generator, monitor, categories, made_noise
            )
            return found.covariance, found.prior

        covariance, share = monitor.once("shape", choose)
        with_prior = f", prior {share:g}" if prior == "auto" else ""
        notes.append(
            f"covariance {covariance}{with_prior}: chosen by held-out rows "
            f"({summary.number:,} rows of {counted(d, 'feature')})"
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
    noise = made_noise(family) if made_noise else _noise(family, summary, settings)
    return settings, Model(family, noise)


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
