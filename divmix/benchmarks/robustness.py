"""How often a method finds every cluster, over many seeds.

Success is a centroid index of 0 (Franti, Rezaei and Zhao 2014): each class mean is the nearest one
to exactly one cluster mean, and the other way round. It says most where clusters are blobs. Peers
see the design matrix of a default fit. Every method runs on one thread.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from divmix.benchmarks.labelled import COLUMNS, LabelledSet, find_sets, read_set, warm_up
from divmix.benchmarks.peers import gaussian_mixture
from divmix.metrics import centroid_index, clustering_metrics
from divmix.progress import Progress
from divmix.settings import DEFAULT_ALPHA, fit_settings
from divmix.workflows.fit import fit_table

ALPHAS = (0.0, 0.01, 0.1, 1.0, 10.0)
# A single run of a peer takes minutes where rows x clusters exceed this: fewer seeds there, as
# the column `seeds` of the table tells.
LONG, LONG_SEEDS = 1_000_000, 3

Method = Callable[[LabelledSet, np.ndarray, int], np.ndarray]


def run(
    data: str,
    seeds: int = 20,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run every method `seeds` times on every set in folder `data`, or on those named by `sets`.

    Of 20 seeds, expect about a minute for a set of 5,000 rows in 15 clusters, and more than an
    hour for one of 100,000 rows in 100 clusters.

    rows : for each set and method the number of seeds, the share of them that found every
        cluster, mean and worst ARI, mean seconds of a run.
    summary : the means over the sets for each method.

    Raises InputError for a folder without such sets, or a broken file.
    """
    from threadpoolctl import threadpool_limits

    progress = progress or Progress()
    files = find_sets(data, sets)
    runs = len(files) * len(methods()) * seeds
    progress.note(f"{runs:,} runs ({len(files)} sets); --sets and --seeds make them fewer")
    warm_up()
    rows = []
    with threadpool_limits(1):
        for path in files:
            labelled = read_set(path)
            X = labelled.matrix()
            for name, method in methods().items():
                progress.stage(f"{labelled.name}: {name}")
                rows.append(measure(labelled, X, name, method, seeds))
                row = rows[-1]
                progress.note(f"{labelled.name}, {name}: {row['success']:.0%}, ARI {row['ari']}")
    return {
        "title": f"Success over {seeds} seeds at the true k: every cluster found",
        "rows": rows,
        "summary": [_means(name, rows) for name in methods()],
    }


def methods() -> dict[str, Method]:
    """Name -> labels (n,) of a labelled set, its design matrix (n, d) and a seed."""
    ours = {f"diversified, alpha {DEFAULT_ALPHA} (default)": divmix_labels()}
    for alpha in ALPHAS:
        if alpha != DEFAULT_ALPHA:
            ours[f"diversified, alpha {alpha:g}"] = divmix_labels(alpha=alpha)
    peers = {
        "EM, k-means++": divmix_labels(method="em", init="kmeans++"),
        "EM, random rows": divmix_labels(method="em", init="random"),
        "scikit-learn": _sklearn(n_init=1),
        "scikit-learn, n_init 10": _sklearn(n_init=10),
    }
    return ours | peers


def measure(
    labelled: LabelledSet, X: np.ndarray, name: str, method: Method, seeds: int
) -> dict[str, Any]:
    """The row of one method on one set."""
    long = len(X) * labelled.n_classes > LONG and not name.startswith("diversified")
    seeds = min(seeds, LONG_SEEDS) if long else seeds
    outcomes = np.array([_outcome(labelled, X, method, seed) for seed in range(seeds)])
    success, ari, seconds = outcomes.mean(axis=0)
    return {
        "set": labelled.name,
        "k": labelled.n_classes,
        "method": name,
        "seeds": seeds,
        "success": round(float(success), 3),
        "ari": round(float(ari), 4),
        "worst": round(float(outcomes[:, 1].min()), 4),
        "seconds": round(float(seconds), 3),
    }


def all_found(X: np.ndarray, classes: np.ndarray, cluster: np.ndarray) -> bool:
    """Whether the centroid index of rows X (n, d) in clusters (n,) is 0; class -1 is left out."""
    X, classes, cluster = (part[classes >= 0] for part in (X, classes, cluster))
    return centroid_index(_means_by(X, classes), _means_by(X, cluster)) == 0


def _outcome(
    labelled: LabelledSet, X: np.ndarray, method: Method, seed: int
) -> tuple[float, float, float]:
    started = time.perf_counter()
    cluster = method(labelled, X, seed)
    seconds = time.perf_counter() - started
    ari = clustering_metrics(labelled.classes, cluster)["ari"]
    return float(all_found(X, labelled.classes, cluster)), ari, seconds


def divmix_labels(**options) -> Method:
    """Clusters by `divmix fit` with these options at the true k, on one thread."""

    def labels(labelled: LabelledSet, X: np.ndarray, seed: int) -> np.ndarray:
        settings = fit_settings(clusters=labelled.n_classes, seed=seed, threads=1, **options)
        return fit_table(labelled.table, settings, COLUMNS).scores.cluster

    return labels


def _sklearn(n_init: int) -> Method:
    def labels(labelled: LabelledSet, X: np.ndarray, seed: int) -> np.ndarray:
        return gaussian_mixture(X, labelled.n_classes, seed, n_init=n_init).predict(X)

    return labels


def _means_by(X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean row of each label that occurs, (labels, d)."""
    return np.array([X[labels == label].mean(axis=0) for label in np.unique(labels)])


def _means(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["method"] == name]
    figures = ("success", "ari", "worst", "seconds")
    return {"method": name, "sets": len(own)} | {
        figure: round(float(np.mean([row[figure] for row in own])), 4) for figure in figures
    }
