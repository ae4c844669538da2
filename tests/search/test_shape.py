"""Unions in mixed tables: shapes are those of the numbers."""

import numpy as np

from divmix.engine.monitor import Monitor
from divmix.families import Categories, CategoryColumn, Components, make_family
from divmix.families.noise import broad_component
from divmix.merging.tree import cut
from divmix.rows import MemoryRows
from divmix.search.run import Searching
from divmix.search.shape import shape_joint
from divmix.search.thinning import saddles

YES_NO = Categories(2, (CategoryColumn((1,), (0.5,), True),))


def split_by_sex(noise=False):
    """Two shapes along a number, each of two components of one sex that overlap in the number."""
    generator = np.random.default_rng(0)
    shape, sex = generator.integers(2, size=400), generator.integers(2, size=400)
    X = np.column_stack([4.0 * shape + 1.5 * sex + generator.normal(size=400), sex - 0.5])
    family = make_family("gaussian", "full", np.full(2, 1e-6), YES_NO)
    means = np.array([[0.0, -0.499], [1.5, 0.499], [4.0, -0.499], [5.5, 0.499]])
    components = Components(np.full(4, 0.2 if noise else 0.25), means, np.ones((4, 1, 1)), None)
    broad = broad_component(family, X.min(axis=0), X.max(axis=0)) if noise else None
    return Searching(MemoryRows(X), family, broad, Monitor(), 2), components


def test_halves_that_a_yes_no_column_splits_are_one_union():
    for noise in (False, True):
        searching, components = split_by_sex(noise)
        labels = cut(saddles(searching, components), 2)
        np.testing.assert_array_equal(labels, [0, 0, 1, 1])
        assert shape_joint(searching, components).shape == (400, 4 + noise)


def test_of_numbers_alone_or_categories_alone_nothing_is_left_out():
    searching, components = split_by_sex()
    X = searching.sample.matrix.X
    plain = searching._replace(family=make_family("gaussian", "diag", np.full(2, 1e-6)))
    diagonal = components._replace(covariances=np.ones((4, 2)))
    np.testing.assert_array_equal(shape_joint(plain, diagonal), plain.log_joint(diagonal))
    only = Categories(1, (CategoryColumn((0,), (0.5,), True),))
    family = make_family("gaussian", "diag", np.full(1, 1e-6), only)
    rows = MemoryRows(np.ascontiguousarray(X[:, 1:]))
    texts = Searching(rows, family, None, Monitor(), 2)
    own = Components(components.weights, components.means[:, 1:], np.ones((4, 0)), None)
    np.testing.assert_array_equal(shape_joint(texts, own), texts.log_joint(own))
