"""How well clusters agree with known classes, and scores with known anomalies.

scikit-learn's measures, and two of the field. Rows whose truth or cluster is missing (-1) are left
out.
"""

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)


def clustering_metrics(truth: np.ndarray, cluster: np.ndarray) -> dict[str, float | int]:
    """Agreement of clusters (n,) with classes (n,), both int codes, -1 = unknown.

    `rows` compared; `ari`, `nmi` (arithmetic), `ami`; `accuracy` under the best one-to-one
    matching of clusters to classes (Kuhn 1955).
    """
    from sklearn.metrics.cluster import contingency_matrix

    known = (truth >= 0) & (cluster >= 0)
    if not known.any():
        return {"rows": 0}
    return agreement(contingency_matrix(truth[known], cluster[known]))


def agreement(table: np.ndarray) -> dict[str, float | int]:
    """What `clustering_metrics` tells, from the rows (classes, clusters) that are in both; none of
    the classes and clusters is empty."""
    from sklearn import metrics
    from sklearn.metrics.cluster import expected_mutual_information

    rows = int(table.sum())
    by_class, by_cluster = table.sum(axis=1), table.sum(axis=0)
    if len(by_class) == len(by_cluster) == 1:
        normalized = adjusted = 1.0
    elif len(by_class) == 1 or len(by_cluster) == 1:
        normalized = adjusted = 0.0
    else:
        mutual = metrics.mutual_info_score(None, None, contingency=table)
        mean = (_entropy(by_class) + _entropy(by_cluster)) / 2
        expected = expected_mutual_information(table, rows)
        normalized = mutual / mean
        adjusted = _off_zero(mutual - expected) / _off_zero(mean - expected)
    return {
        "rows": rows,
        "classes": len(by_class),
        "clusters": len(by_cluster),
        "ari": _adjusted_rand(table),
        "nmi": float(normalized),
        "ami": float(adjusted),
        "accuracy": matched_accuracy(table),
    }


def _adjusted_rand(table: np.ndarray) -> float:
    """Hubert and Arabie 1985, eq. 5, in whole numbers of pairs."""

    def pairs(counts: np.ndarray) -> int:
        return sum(c * (c - 1) // 2 for c in map(int, counts.ravel()) if c > 1)

    together, by_class, by_cluster = (
        pairs(table),
        pairs(table.sum(axis=1)),
        pairs(table.sum(axis=0)),
    )
    every = pairs(table.sum(keepdims=True))
    if together == by_class == by_cluster:
        return 1.0
    most, least = (by_class + by_cluster) / 2, by_class * by_cluster / every
    return float((together - least) / (most - least))


def _entropy(counts: np.ndarray) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _off_zero(x: float) -> float:
    """x with its sign and no smaller than EPSILON, so that what agrees by chance alone and cannot do
    better (0 / 0) agrees perfectly."""
    return min(x, -EPSILON) if x < 0 else max(x, EPSILON)


def matched_accuracy(table: np.ndarray) -> float:
    """Share of rows on the best one-to-one matching of clusters to classes (Kuhn 1955), of counts
    (classes, clusters)."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def centroid_index(true_centers: np.ndarray, found_centers: np.ndarray) -> int:
    """Clusters missed: 0 where every true center (k, d) has exactly its own found one.

    Franti, Rezaei and Zhao, Pattern Recognition 2014: the larger number of orphans of the two
    nearest-neighbour maps.
    """
    from scipy.spatial.distance import cdist

    distances = cdist(true_centers, found_centers)
    missed = len(true_centers) - len(np.unique(distances.argmin(axis=0)))
    superfluous = len(found_centers) - len(np.unique(distances.argmin(axis=1)))
    return max(missed, superfluous)


def anomaly_metrics(
    anomaly: np.ndarray, score: np.ndarray, flagged: np.ndarray | None = None
) -> dict[str, float | int]:
    """How well scores (n,), the higher the stranger, and flags (n,) find the anomalies (n,) bool.

    `auroc` and `average_precision` of the scores; `precision`, `recall`, `f1` of the flags. Rows
    without a score are left out; the first two need rows of both kinds.
    """
    from sklearn import metrics

    known = ~np.isnan(score)
    anomaly, score = anomaly[known], score[known]
    told: dict[str, float | int] = {"rows": int(known.sum()), "anomalies": int(anomaly.sum())}
    if 0 < anomaly.sum() < len(anomaly):
        told["auroc"] = float(metrics.roc_auc_score(anomaly, score))
        told["average_precision"] = float(metrics.average_precision_score(anomaly, score))
    if flagged is not None:
        flagged = flagged[known]
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            anomaly, flagged, average="binary", zero_division=0.0
        )
        told |= {
            "flagged": int(flagged.sum()),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
        }
    return told
