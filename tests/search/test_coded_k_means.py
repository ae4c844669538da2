"""k-means of rows by codes is that of their features, and so are the starts that are made of it."""

import numpy as np
import pytest

from divmix.families import Categories, CategoryColumn, Coded, make_family
from divmix.kernels import k_means as clustering
from divmix.rows import Features, MemoryRows, MiniBatches
from divmix.search import coded_k_means, starts
from divmix.search.coded_k_means import Compared


def coded_rows(n=600, numbers=2, columns=30, levels=4, common=()):
    """Rows of three groups: numbers, text columns and a last one of yes and no."""
    generator = np.random.default_rng(0)
    places = np.arange(columns * levels).reshape(columns, levels) + numbers
    shares = generator.dirichlet(np.ones(levels), columns)
    made = [
        CategoryColumn(tuple(own.tolist()), tuple(s), common=j in common)
        for j, (own, s) in enumerate(zip(places, shares))
    ]
    made.append(CategoryColumn((numbers + columns * levels,), (0.4,), yes_no=True))
    categories = Categories(numbers + columns * levels + 1, tuple(made))
    rows, group = Coded.empty(n, categories), generator.integers(3, size=n)
    rows.numbers[:] = generator.normal(size=(n, numbers)) + group[:, None]
    for j, column in enumerate(made):
        below = generator.dirichlet(np.ones(len(column.levels)), 3).cumsum(axis=1)[group, :-1]
        rows.codes[:, j] = (generator.random((n, 1)) >= below).sum(axis=1)
    rows.codes[:9, 0] = levels  # none of the first column's
    return rows


@pytest.fixture(params=[2, 0], ids=["numbers", "categories alone"])
def rows(request):
    return coded_rows(numbers=request.param, common=(3, 5))


def family_of(rows, covariance="full"):
    d = rows.shape[1]
    return make_family("gaussian", covariance, np.full(d, 1e-3), rows.categories)


def weights_of(rows):
    return np.random.default_rng(1).integers(0, 3, len(rows)) / 2


def test_distances_are_those_of_the_features(rows):
    family, weights = family_of(rows), weights_of(rows)
    own, X = Compared(family, rows), family.comparable(rows.matrix())
    labels = np.arange(len(X)) % 4
    shares = np.eye(4)[labels] * weights[:, None]
    means = shares.T @ X / shares.sum(axis=0)[:, None]
    for places, centers in (
        (own.at(np.arange(7)), X[:7]),
        (own.means(labels, weights, 4), means),
    ):
        expected = ((X[:, None] - centers) ** 2).sum(axis=2)
        np.testing.assert_allclose(own.distances(places), expected, rtol=1e-10, atol=1e-10)
    share = weights / weights.sum()
    expected = (share @ (X - share @ X) ** 2).mean()
    np.testing.assert_allclose(own.mean_variance(weights), expected)
    way = own.way(own.means(labels, weights, 4), own.at(np.arange(4)))
    np.testing.assert_allclose(way, ((means - X[:4]) ** 2).sum())


@pytest.mark.parametrize("m", [3, 40])
def test_places_and_clusters_are_those_of_the_features(rows, m):
    family, weights = family_of(rows), weights_of(rows)
    own, X = Compared(family, rows), family.comparable(rows.matrix())
    for coded, dense in (
        (coded_k_means.spread, clustering.spread),
        (coded_k_means.k_means, clustering.k_means),
    ):
        found = coded(own, weights, m, np.random.default_rng(2))
        np.testing.assert_array_equal(found, dense(X, weights, m, np.random.default_rng(2)))


def test_a_place_without_rows_goes_to_the_farthest_row():
    rows = coded_rows(8, columns=20)
    rows.numbers[:], rows.codes[:] = 0.0, 0
    rows.codes[6:] = 1
    own = Compared(family_of(rows), rows)
    labels = coded_k_means.k_means(own, np.ones(8), 3, np.random.default_rng(0))
    assert len(set(labels[:6])) == 1 and labels[0] != labels[6] == labels[7]


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("method", ["kmeans++", "random", "centre"])
def test_components_start_where_those_of_the_features_do(rows, method, covariance):
    family, weights = family_of(rows, covariance), weights_of(rows)
    features = Features(np.zeros(rows.shape[1], bool), categories=rows.categories)
    one, other = (MemoryRows(X, weights, features) for X in (rows, rows.matrix()))
    assert starts.count_distinct(one) == starts.count_distinct(other)
    began = [starts.start(family, own, 5, method, np.random.default_rng(3)) for own in (one, other)]
    labels = np.arange(len(rows)) % 4
    began += [starts.from_clusters(family, own, labels, 4) for own in (one, other)]
    for own, dense in (began[:2], began[2:]):
        for part, expected in zip(own[:3], dense[:3]):
            np.testing.assert_allclose(part, expected, rtol=1e-9, atol=1e-12)


def test_a_batch_is_visited_by_its_codes(rows, monkeypatch):
    family = family_of(rows)
    X = rows.matrix()
    components = family.start(np.full(2, 0.5), X[:2], np.eye(len(rows.categories.numeric)))
    dense = MiniBatches(MemoryRows(X), 100, np.random.default_rng(4))
    expected = dense.sums(family, components)
    monkeypatch.delattr(Coded, "matrix")
    found = MiniBatches(MemoryRows(rows), 100, np.random.default_rng(4)).sums(family, components)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
