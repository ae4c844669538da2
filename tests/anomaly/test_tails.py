"""Tails of components by their central rows: which law, and what does not change it."""

import numpy as np
import pytest
from scipy.stats import f

from divmix.anomaly import tails
from divmix.families import Components, make_family
from divmix.rows import MemoryRows


def with_tails(X, weights=None, shape="full"):
    """One component at the origin whose scale is that of the unit matrix."""
    d = X.shape[1]
    family = make_family("student", shape, np.full(d, 1e-6))
    covariances = {"full": np.eye(d)[None], "diag": np.ones((1, d))}[shape]
    begun = Components(np.ones(1), np.zeros((1, d)), covariances, np.array([10.0]))
    return tails.with_central_tails(MemoryRows(X, weights), family, begun)


def student(dof, n, d, seed):
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=(n, d))
    return normal / np.sqrt(generator.chisquare(dof, (n, 1)) / dof)


@pytest.mark.parametrize("columns", [1, 5, 40])
def test_a_tail_has_the_quantiles_it_was_made_of(columns):
    for dof in (1.5, 4.0, 30.0):
        quantiles = 3.0 * columns * f.ppf(tails.CENTRAL, columns, dof)
        np.testing.assert_allclose(tails.tail_of(quantiles, columns), (3.0, dof), rtol=0.01)


@pytest.mark.parametrize("shape", ["diag", "full"])
def test_heavy_and_light_tails_are_told_and_the_scale_of_both(shape):
    for dof, low, high in ((3, 2, 5), (1_000, 30, 201)):
        found = with_tails(2.0 * student(dof, 4_000, 4, 0), shape=shape)
        assert low < found.degrees_of_freedom[0] < high
        variances = np.diagonal(found.covariances[0]) if shape == "full" else found.covariances[0]
        np.testing.assert_allclose(variances, 4.0, rtol=0.15)


def test_anomalies_do_not_make_their_own_tail():
    X = np.random.default_rng(1).normal(size=(2_000, 4))
    X[:60] = 30.0
    assert with_tails(X).degrees_of_freedom[0] > 10


def test_weights_of_rows_count():
    near, far = (student(dof, 3_000, 3, 2) for dof in (1_000, 1.5))
    weights = np.repeat([1.0, 0.0], 3_000)
    found = with_tails(np.vstack([near, far]), weights)
    np.testing.assert_array_equal(found.dof, with_tails(near).dof)


def test_few_and_equal_rows_leave_a_component_as_it_is():
    for X in (np.random.default_rng(3).normal(size=(10, 2)), np.zeros((200, 2))):
        found = with_tails(X)
        assert found.degrees_of_freedom[0] == 10.0
        np.testing.assert_array_equal(found.covariances[0], np.eye(2))
