"""Clusters against classes on made tables of many shapes, beside other packages in the same run.

Settings are chosen on tables of seeds below 1,000,000; what is published starts there. Peers see the
design matrix of a default fit: columns standardised, a column for each category. Every method runs
on one thread, once for each table, with seed 0.
"""

import time
from importlib.util import find_spec
from typing import Any

import numpy as np

from divmix.benchmarks import peers
from divmix.benchmarks.labelled import LabelledSet, warm_up
from divmix.benchmarks.made_tables import FAMILIES, make
from divmix.benchmarks.robustness import Method, all_found, divmix_labels
from divmix.errors import InputError
from divmix.metrics import clustering_metrics
from divmix.progress import Progress

FIRST_SEED = 1_000_000
DEFAULT = "divmix"
WARM_UP = ("moons", 0)  # a table of which each method clusters one before the clock runs
FIGURES = ("ari", "worst", "found", "seconds")


def run(
    seeds: int = 5,
    first_seed: int = FIRST_SEED,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every method on the tables of seeds first_seed, first_seed + 1, ... of each family, or of
    the families in `sets`, at the true k. HDBSCAN is not given k; its noise counts as a cluster.

    rows : for each family and method mean and worst ARI, the share of tables with every cluster
        found (centroid index 0), mean seconds; None for a package that is not installed.
    summary : the means over the families for each method.
    differences : for each family the ARI of the default, the best peer and its ARI, the difference.

    Expect about a minute for a table of each family. Raises InputError for an unknown family.
    """
    from threadpoolctl import threadpool_limits

    progress = progress or Progress()
    families = chosen(sets)
    progress.note(f"{len(families) * seeds} tables; --sets and --seeds make them fewer")
    rows: list[dict[str, Any]] = []
    warm_up()
    for method in methods().values():  # also loads the libraries that the limit is for
        if method is not None:
            score(make(*WARM_UP), method)
    with threadpool_limits(1):
        for family in families:
            scores: dict[str, list[tuple[float, ...]]] = {name: [] for name in methods()}
            for seed in range(first_seed, first_seed + seeds):
                labelled = make(family, seed)
                for name, method in methods().items():
                    progress.stage(f"{labelled.name}: {name}")
                    if method is not None:
                        scores[name].append(score(labelled, method))
            rows += [_row(family, name, own) for name, own in scores.items()]
            own = rows[-len(scores) :]
            told = ", ".join(f"{row['method']} {row['ari']}" for row in own)
            progress.note(f"{family}: ARI {told}")
    return {
        "title": f"Made tables: true k, {seeds} of each family, seeds from {first_seed:,}",
        "rows": rows,
        "summary": [_means(name, rows) for name in methods()],
        "differences": [_difference(family, rows) for family in families],
    }


def chosen(sets: tuple[str, ...] | None) -> list[str]:
    """Names of families, all if `sets` is None. Raises InputError."""
    for name in sets or ():
        if name not in FAMILIES:
            hint = f"the families are {', '.join(FAMILIES)}"
            raise InputError(f"there is no family '{name}'", hint=hint)
    return [name for name in FAMILIES if sets is None or name in sets]


def methods() -> dict[str, Method | None]:
    """Name -> labels (n,) of a labelled set, its design matrix and a seed; the first is ours. None
    for a package that is not installed."""
    return {
        DEFAULT: divmix_labels(),
        "GMM, n_init 10": _mixture,
        "k-means, n_init 10": lambda labelled, X, seed: peers.k_means(X, labelled.n_classes, seed),
        "HDBSCAN": lambda labelled, X, seed: peers.hdbscan(X),
        "Genie": _genie if find_spec("genieclust") else None,
    }


def score(labelled: LabelledSet, method: Method) -> tuple[float, float, float]:
    """ARI, whether every cluster was found, seconds."""
    X = labelled.matrix()
    started = time.perf_counter()
    cluster = method(labelled, X, 0)
    seconds = time.perf_counter() - started
    ari = clustering_metrics(labelled.classes, cluster)["ari"]
    return ari, float(all_found(X, labelled.classes, cluster)), seconds


def _mixture(labelled: LabelledSet, X: np.ndarray, seed: int) -> np.ndarray:
    return peers.gaussian_mixture(X, labelled.n_classes, seed, n_init=10).predict(X)


def _genie(labelled: LabelledSet, X: np.ndarray, seed: int) -> np.ndarray:
    return peers.genie(X, labelled.n_classes)


def _row(family: str, name: str, scores: list[tuple[float, ...]]) -> dict[str, Any]:
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    if scores:
        ari, found, seconds = np.mean(scores, axis=0)
        worst = min(own[0] for own in scores)
        values = zip(FIGURES, (ari, worst, found, seconds), strict=True)
        figures = {figure: round(float(value), 4) for figure, value in values}
    return {"family": family, "method": name} | figures


def _means(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["method"] == name and row["ari"] is not None]
    means = {
        figure: round(float(np.mean([row[figure] for row in own])), 4) if own else None
        for figure in FIGURES
    }
    return {"method": name, "families": len(own)} | means


def _difference(family: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    ari = {row["method"]: row["ari"] for row in rows if row["family"] == family}
    ours = ari.pop(DEFAULT)
    others = {name: value for name, value in ari.items() if value is not None}
    best = max(others, key=others.__getitem__)
    return {
        "family": family,
        DEFAULT: ours,
        "best peer": best,
        "its ARI": others[best],
        "difference": round(ours - others[best], 4),
    }
