"""What makes clusters of embeddings of digits, and how well they agree with the digits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix.metrics import clustering_metrics
from divmix.settings import DiversifiedSettings, FitSettings, TableSettings
from divmix.workflows.fit import Fit, fit_table

DIGITS = 10


class Head(NamedTuple):
    """What makes clusters of an embedding (n, e): from it, a seed and the family that suits it."""

    name: str
    clusters: Callable[[np.ndarray, int, str], np.ndarray]


def _mixture(**settings: Any) -> Callable[[np.ndarray, int, str], np.ndarray]:
    def clusters(Z: np.ndarray, seed: int, family: str) -> np.ndarray:
        known: dict[str, Any] = {"clusters": DIGITS, "seed": seed, "family": family}
        chosen = DiversifiedSettings(**known | settings)
        return fit_embedding(Z, chosen).scores.cluster

    return clusters


def _k_means(starts: int) -> Callable[[np.ndarray, int, str], np.ndarray]:
    def clusters(Z: np.ndarray, seed: int, family: str) -> np.ndarray:
        from sklearn.cluster import KMeans

        return KMeans(DIGITS, n_init=starts, random_state=seed).fit_predict(Z)

    return clusters


K_MEANS = Head("k-means", _k_means(1))
BEST_K_MEANS = Head("k-means, best of 20", _k_means(20))
MIXTURE = Head("diversified mixture", _mixture())
PLAIN_MIXTURE = Head("diversified mixture, alpha 0", _mixture(alpha=0))


def fit_embedding(Z: np.ndarray, settings: FitSettings) -> Fit:
    """A fit to an embedding (n, e), in its own units."""
    columns = {f"e{j}": column for j, column in enumerate(np.ascontiguousarray(Z.T))}
    return fit_table(pa.table(columns), settings, TableSettings(scale="none"))


def agreement(truth: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Accuracy, NMI (arithmetic and, as in old papers, geometric mean) and ARI."""
    from sklearn.metrics import normalized_mutual_info_score

    told = clustering_metrics(truth, clusters)
    geometric = normalized_mutual_info_score(truth, clusters, average_method="geometric")
    return {name: told[name] for name in ("accuracy", "nmi", "ari")} | {"nmi_geometric": geometric}


def summary(each: list[dict[str, float]]) -> dict[str, float]:
    """Mean and worst of each score over seeds, and the median seconds."""
    told: dict[str, float] = {}
    for name in ("accuracy", "nmi", "nmi_geometric", "ari"):
        values = [one[name] for one in each]
        told |= {
            name: round(float(np.mean(values)), 4),
            f"worst_{name}": round(float(np.min(values)), 4),
        }
    seconds = {
        f"{name}_seconds": round(float(np.median([one[name] for one in each])), 1)
        for name in ("embedding", "clusters")
    }
    return told | seconds
