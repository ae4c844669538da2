"""Densities that anomalies are held against: who has a say in them."""

import numpy as np

from divmix.anomaly import density, p_values
from divmix.engine.monitor import Monitor
from divmix.rows import MemoryRows


def test_the_least_likely_rows_have_no_say():
    # Scattered rows would make one component's tail as heavy as a tail can be.
    generator = np.random.default_rng(0)
    X = np.vstack([generator.normal(size=(425, 2)), generator.uniform(-30, 30, size=(75, 2))])
    _, components = density.robust(MemoryRows(X), np.random.default_rng(0), Monitor(), 1)
    assert components.degrees_of_freedom[0] > 5


def test_anomalies_do_not_make_the_tail_heavy():
    # Steps that grow fourfold are anomalies, not a tail without end.
    shape, scale = p_values._pareto(1.0, 4.0)
    assert shape == p_values.MOST_SHAPE and scale > 0


def test_distinct_rows_carry_the_weight_of_their_repetitions():
    X = np.array([[1.0, 2], [1, 2], [3, 4], [1, 2], [5, 6]])
    rows, weights = density.distinct(MemoryRows(X, np.array([1.0, 2, 1, 0, 1])))
    order = np.argsort(rows[:, 0])
    np.testing.assert_array_equal(rows[order], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(weights[order], [3, 1, 1])
