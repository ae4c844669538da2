"""Metrics on cases small enough to do by hand."""

import numpy as np
import pytest

from divmix.metrics import centroid_index, clustering_metrics


def test_renamed_clusters_are_perfect():
    truth = np.array([0, 0, 1, 1, 2])
    metrics = clustering_metrics(truth, np.array([2, 2, 0, 0, 1]))
    for name in ("ari", "nmi", "ami", "accuracy"):
        assert metrics[name] == pytest.approx(1)


def test_accuracy_matches_each_cluster_to_one_class():
    # The best matching pairs cluster 0 with class 0 (2 rows) and cluster 1 with class 1 (1 row).
    metrics = clustering_metrics(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    assert metrics["accuracy"] == 0.75


def test_unknown_rows_are_left_out():
    metrics = clustering_metrics(np.array([0, 0, 1, -1]), np.array([1, 1, 0, 0]))
    assert metrics["rows"] == 3 and metrics["ari"] == pytest.approx(1)
    assert clustering_metrics(np.array([-1]), np.array([0])) == {"rows": 0}


def test_centroid_index_counts_missed_clusters():
    truth = np.array([[0.0], [10.0], [20.0]])
    assert centroid_index(truth, np.array([[0.1], [9.0], [21.0]])) == 0
    # Two found centers share the first cluster, the third is missed.
    assert centroid_index(truth, np.array([[0.1], [-0.1], [10.0]])) == 1
