"""The density of clean rows."""

import numpy as np

from divmix.anomaly import density
from divmix.rows import MemoryRows


def test_distinct_rows_carry_the_weight_of_their_repetitions():
    X = np.array([[1.0, 2], [1, 2], [3, 4], [1, 2], [5, 6]])
    rows, weights = density.distinct(MemoryRows(X, np.array([1.0, 2, 1, 0, 1])))
    order = np.argsort(rows[:, 0])
    np.testing.assert_array_equal(rows[order], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(weights[order], [3, 1, 1])
