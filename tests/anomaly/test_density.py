"""Densities that anomalies are held against: who has a say in them."""

import numpy as np

from divmix.anomaly import density, p_values
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.rows import MemoryRows


def test_the_least_likely_rows_have_no_say():
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(450, 2))
    far = generator.normal(12.0, 0.3, size=(50, 2))  # a tenth, close together
    X = np.vstack([normal, far])
    family, components = density.robust(
        MemoryRows(X), np.zeros(2), np.random.default_rng(0), Monitor(), 2
    )
    log_density = Objective(family).posterior(X, components).log_density
    assert log_density[450:].max() < np.quantile(log_density[:450], 0.02)


def test_anomalies_do_not_make_the_tail_heavy():
    # A twelfth of the scores lie far out; by their steps alone the tail would have no end.
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.exponential(size=900), 40 + generator.exponential(size=120)])
    known = np.sort(scores)
    assert p_values.tail_p_values(np.array([60.0]), known)[0] < 1e-3


def test_distinct_rows_carry_the_weight_of_their_repetitions():
    X = np.array([[1.0, 2], [1, 2], [3, 4], [1, 2], [5, 6]])
    rows, weights = density.distinct(MemoryRows(X, np.array([1.0, 2, 1, 0, 1])))
    order = np.argsort(rows[:, 0])
    np.testing.assert_array_equal(rows[order], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(weights[order], [3, 1, 1])
