"""Tables of many columns: no array of columns by columns anywhere in a fit."""

import tracemalloc

import numpy as np
import pytest

from divmix.core import fit_rows
from divmix.families import Categories, CategoryColumn, Coded, Moments, make_family
from divmix.merging.tree import merge_tree
from divmix.metrics import clustering_metrics
from divmix.rows import Features, MemoryRows
from divmix.settings import DiversifiedSettings


@pytest.mark.parametrize("gap", [False, True])
def test_a_wide_table_is_fitted_without_a_matrix_of_its_columns(gap):
    generator = np.random.default_rng(0)
    d, truth = 1500, np.arange(60) % 3
    X = generator.normal(size=(3, d))[truth] + generator.normal(size=(60, d))
    settings = DiversifiedSettings(clusters=3, gap=gap)
    fit_rows(X[:, :120], settings)  # kernels are there
    tracemalloc.start()
    fitted = fit_rows(X, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix = d * d * 8
    assert peak < matrix * (2 if gap else 1)
    found = fitted.family.log_densities(X, fitted.components).argmax(axis=1)
    assert clustering_metrics(truth, fitted.clusters[found])["ari"] == 1.0
    assert fitted.components.covariances.ndim < 3


def test_many_categories_are_fitted_without_their_features():
    """No array of rows by features, none of features by features."""
    n, columns, levels = 2_000, 300, 5
    generator = np.random.default_rng(0)
    places = 2 + np.arange(columns * levels).reshape(columns, levels)
    made = [CategoryColumn(tuple(own.tolist()), (1 / levels,) * levels) for own in places]
    categories, truth = Categories(2 + columns * levels, tuple(made)), np.arange(n) % 2
    X = Coded.empty(n, categories)
    X.numbers[:] = generator.normal(size=(n, 2))
    own = generator.random((n, columns)) < 0.3
    X.codes[:] = np.where(own, truth[:, None], generator.integers(levels, size=(n, columns)))
    features = Features(np.arange(categories.d) > 1, categories=categories)
    settings = DiversifiedSettings(clusters=2, covariance="diag")
    fit_rows(MemoryRows(X[:300], features=features), settings)  # kernels are there
    tracemalloc.start()
    fitted = fit_rows(MemoryRows(X, features=features), settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n * categories.d / 2
    found = fitted.family.log_densities(X, fitted.components).argmax(axis=1)
    assert clustering_metrics(truth, fitted.clusters[found])["ari"] > 0.99


def test_moments_of_a_wide_table_are_variances_and_merge_like_them():
    d = 101
    family = make_family("gaussian", "diag", np.full(d, 1e-6))
    means = np.zeros((3, d))
    means[1, 0], means[2, 0] = 2.0, 30.0
    components = family.start(np.array([0.25, 0.25, 0.5]), means, np.ones(d))
    moments = family.moments(components)
    assert moments.covariances.shape == (3, d)
    tree = merge_tree(moments)
    # N(0, 1) and N(2, 1), a quarter each: variance 2 together; then 15 from the rest, half each.
    np.testing.assert_array_equal(tree.pairs, [[0, 1], [2, 3]])
    between = 0.25 * 29**2
    costs = 0.25 * np.log(2), 0.5 * (np.log(1.5 + between) - 0.5 * np.log(2))
    np.testing.assert_allclose(tree.costs, costs, rtol=1e-4)
    joined = family.joined(components, np.array([0, 0, 1]))
    np.testing.assert_allclose(joined.covariances[0, :2], [2.0, 1.0], rtol=1e-5)
    full = Moments(moments.weights, means, moments.covariances[:, :, None] * np.eye(d))
    np.testing.assert_allclose(tree.costs, merge_tree(full).costs)
