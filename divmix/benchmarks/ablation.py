"""What each part of the default method earns: the labelled tables of a folder with a part left out.

Every variant sees the same random four fifths of the rows of a table, in standardised columns. All
rows are scored by their classes, the fifth left out by its log-likelihood. Classes enter no fit.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from divmix.benchmarks.labelled import LabelledSet, find_sets, read_set, warm_up
from divmix.benchmarks.robustness import all_found
from divmix.core import Fitted, fit_rows
from divmix.engine.objective import Objective
from divmix.metrics import clustering_metrics
from divmix.progress import Progress
from divmix.settings import DEFAULT_ALPHA, fit_settings
from divmix.settings.schedule import SCHEDULE

TRAINING_SHARE = 0.8
ALPHAS = (0.0, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Variant:
    """Options that differ from the defaults, numbers that differ from the schedule's, and whether
    a mixture has as many components as clusters from the start, so that no merge tree thins it."""

    options: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    as_many: bool = False


class Outcome(NamedTuple):
    """One fit: all clusters found or not, ARI, held-out log-likelihood (nats a row), effective
    components and their number, seconds."""

    found: float
    ari: float
    held_out: float
    effective: float
    components: float
    seconds: float


def variants() -> dict[str, Variant]:
    """Name -> what it changes; the first is the default. Alpha 0 is the method without repulsion."""
    by_alpha = {
        f"alpha {alpha:g}" + (" (no repulsion)" if alpha == 0 else ""): Variant({"alpha": alpha})
        for alpha in ALPHAS
        if alpha != DEFAULT_ALPHA
    }
    return {
        f"default (alpha {DEFAULT_ALPHA})": Variant(),
        **by_alpha,
        "no shared drive": Variant(schedule={"share": False}),
        "no diversify": Variant(schedule={"diversify_iterations": 0}),
        "start: random rows": Variant({"init": "random"}),
        "start: centre": Variant({"init": "centre"}),
        "no merge tree (m = k)": Variant(as_many=True),
        "no k-means starts": Variant(schedule={"k_means_starts": 0}),
        "no vote": Variant(schedule={"alike": 0.0}),
        "no prior in the search": Variant(schedule={"relaxed_prior": 0.0, "competing_prior": 0.0}),
        "ellipses only": Variant({"merge": "kl"}),
        "unions only": Variant({"merge": "overlap"}),
        "em": Variant({"method": "em"}),
    }


def run(
    data: str,
    seeds: int = 3,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit every variant with seeds 0, 1, ... to every set in folder `data` at the true k.

    rows : for each set and variant the share of the seeds that found every cluster (centroid index
        0), mean and worst ARI, mean held-out log-likelihood (nats a row), effective components,
        components, seconds of a fit.
    summary : for each variant the means over the sets; gain, of ARI over the default, and se, its
        standard error over the sets.

    Expect about two minutes for each variant, seed and 40 sets of thousands of rows. Raises
    InputError for a folder without such sets, or a broken file.
    """
    progress = progress or Progress()
    files = find_sets(data, sets)
    progress.note(f"{len(files) * len(variants()) * seeds:,} fits; --sets and --seeds: fewer")
    warm_up()
    rows: list[dict[str, Any]] = []
    for path in files:
        labelled = read_set(path)
        X = labelled.matrix()
        for name, variant in variants().items():
            progress.stage(f"{labelled.name}: {name}")
            outcomes = [outcome(variant, labelled, X, seed) for seed in range(seeds)]
            rows.append({"set": labelled.name, "variant": name} | _figures(outcomes))
        own = rows[-len(variants()) :]
        progress.note(f"{labelled.name}: ARI " + ", ".join(f"{row['ari']}" for row in own))
    return {
        "title": f"What each part earns: true k, {seeds} seed(s), {len(files)} sets",
        "rows": rows,
        "summary": [_summary(name, rows) for name in variants()],
    }


def outcome(variant: Variant, labelled: LabelledSet, X: np.ndarray, seed: int) -> Outcome:
    """A fit to four fifths of X (n, d), scored on all of it."""
    order = np.random.default_rng(seed).permutation(len(X))
    cut = int(TRAINING_SHARE * len(X))
    started = time.perf_counter()
    fitted = fit(variant, X[np.sort(order[:cut])], labelled.n_classes, seed)
    seconds = time.perf_counter() - started
    log_density, cluster = _scored(fitted, X)
    return Outcome(
        float(all_found(X, labelled.classes, cluster)),
        clustering_metrics(labelled.classes, cluster)["ari"],
        float(log_density[order[cut:]].mean()),
        float(np.exp(fitted.entropy)),
        fitted.components.count,
        seconds,
    )


def fit(variant: Variant, X: np.ndarray, k: int, seed: int) -> Fitted:
    """k clusters of X (n, d) by a variant."""
    options = variant.options | ({"components": k} if variant.as_many else {})
    settings = fit_settings(clusters=k, seed=seed, **options)
    return fit_rows(X, settings, schedule=replace(SCHEDULE, **variant.schedule))


def _scored(fitted: Fitted, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(x) and cluster of each row, (n,) each."""
    found = Objective(fitted.family).posterior(X, fitted.components)
    return found.log_density, found.clusters(fitted.clusters)


def _figures(outcomes: list[Outcome]) -> dict[str, float]:
    means = Outcome(*np.mean(outcomes, axis=0))
    worst = min(outcome.ari for outcome in outcomes)
    figures = means._asdict() | {"worst": worst}
    order = ("found", "ari", "worst", "held_out", "effective", "components", "seconds")
    return {name: round(float(figures[name]), 4) for name in order}


def _summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["variant"] == name]
    default = [row for row in rows if row["variant"] == next(iter(variants()))]
    gains = np.array([row["ari"] - base["ari"] for row, base in zip(own, default, strict=True)])
    se = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    figures = [figure for figure in own[0] if figure not in ("set", "variant")]
    means = {figure: round(float(np.mean([row[figure] for row in own])), 4) for figure in figures}
    return {"variant": name} | means | {"gain": round(float(gains.mean()), 4), "se": round(se, 4)}
