"""The density of clean rows."""

import numpy as np

from divmix.anomaly import density
from divmix.rows import MemoryRows


def test_rows_without_repetitions_are_those_of_any_order_of_the_table():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(50, 3))[generator.integers(50, size=300)]
    row_weights = generator.integers(0, 3, 300).astype(float)
    order = generator.permutation(300)
    one, other = (
        density.without_repetitions(MemoryRows(X[own], row_weights[own])).matrix
        for own in (np.arange(300), order)
    )
    np.testing.assert_array_equal(one.X, other.X)
    np.testing.assert_array_equal(one.row_weights, other.row_weights)
    assert len(one.X) <= 50 and one.row_weights.sum() == row_weights.sum()
