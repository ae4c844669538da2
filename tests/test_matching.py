"""Clusters matched by the rows they share, and numbers that stay."""

import numpy as np
import pytest

from divmix.matching import matched, numbers_like, shared_weight


def labels_of(counts):
    """Pairs of labels with so many rows in each pair of clusters."""
    pairs = [(i, j) for i, line in enumerate(counts) for j, n in enumerate(line) for _ in range(n)]
    return np.array(pairs).T


def test_shared_weight_counts_pairs_by_weight_and_leaves_out_rows_without_a_cluster():
    one, other = np.array([0, 0, 1, -1, 2]), np.array([1, 1, 0, 0, -2])
    shared = shared_weight(one, other, np.array([1.0, 2.0, 4.0, 8.0, 16.0]), (3, 2))
    np.testing.assert_array_equal(shared, [[0, 3], [4, 0], [0, 0]])


def test_the_pairs_share_the_most_rows_in_all_not_one_by_one():
    # Taking the largest pair first (10) would leave 0 to the other; together 9 + 9 is more.
    pairs = matched(np.array([[10.0, 9.0], [9.0, 0.0]]))
    assert [(pair.one, pair.other) for pair in pairs] == [(0, 1), (1, 0)]
    assert pairs[0].jaccard == pytest.approx(9 / 19)


def test_clusters_without_a_common_row_are_no_pair():
    assert [(p.one, p.other) for p in matched(np.array([[5.0, 0.0], [0.0, 0.0]]))] == [(0, 0)]


def test_numbers_are_those_of_the_clusters_before():
    one, other = labels_of([[0, 90, 0], [1, 0, 50], [40, 0, 2]])
    numbers = numbers_like(shared_weight(one, other))
    np.testing.assert_array_equal(numbers, [2, 0, 1])
    renamed = numbers[other]
    assert (renamed == one).mean() > 0.95


def test_a_new_cluster_takes_a_new_number():
    numbers = numbers_like(np.array([[0.0, 10.0, 90.0], [80.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(numbers, [1, 2, 0])


def test_numbers_close_up_where_clusters_are_gone():
    # Of the clusters 0, 1, 2, 3 only 1 and 3 are left; 1 keeps its number, 3 takes the free one.
    numbers = numbers_like(np.array([[0.0, 0.0], [7.0, 0.0], [0.0, 1.0], [0.0, 9.0]]))
    np.testing.assert_array_equal(numbers, [1, 0])
