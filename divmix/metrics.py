"""How well clusters agree with known classes, and scores with known anomalies.

scikit-learn's measures, and two of the field. Rows whose truth or cluster is missing (-1) are left
out.
"""

import numpy as np


def clustering_metrics(truth: np.ndarray, cluster: np.ndarray) -> dict[str, float | int]:
    """Agreement of clusters (n,) with classes (n,), both int codes, -1 = unknown.

    `rows` compared; `ari`, `nmi` (arithmetic), `ami`; `accuracy` under the best one-to-one
    matching of clusters to classes (Kuhn 1955).
    """
    from sklearn import metrics

    known = (truth >= 0) & (cluster >= 0)
    truth, cluster = truth[known], cluster[known]
    if not len(truth):
        return {"rows": 0}
    return {
        "rows": len(truth),
        "classes": len(np.unique(truth)),
        "clusters": len(np.unique(cluster)),
        "ari": float(metrics.adjusted_rand_score(truth, cluster)),
        "nmi": float(metrics.normalized_mutual_info_score(truth, cluster)),
        "ami": float(metrics.adjusted_mutual_info_score(truth, cluster)),
        "accuracy": matched_accuracy(truth, cluster),
    }


def matched_accuracy(truth: np.ndarray, cluster: np.ndarray) -> float:
    """Share of rows on the best one-to-one matching of clusters (n,) to classes (n,)."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(truth, cluster)
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
