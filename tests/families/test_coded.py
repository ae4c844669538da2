"""Rows that hold the codes of their categories say what rows with all of their features say."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from divmix.design.design import CODED_FROM, Design
from divmix.design.preprocessing import Preprocessing
from divmix.families import Categories, CategoryColumn, Coded, make_family
from divmix.families.coded import cells_of
from divmix.rows import MemoryRows
from divmix.settings import TableSettings

N, MANY = 3_000, 300  # more levels than a byte has numbers
COLUMNS = (
    CategoryColumn((1, 2, 3), (0.2, 0.3, 0.5)),
    CategoryColumn((4,), (0.4,), yes_no=True),
    CategoryColumn(tuple(range(6, 6 + MANY)), (1 / MANY,) * MANY),
)
CATEGORIES = Categories(6 + MANY, COLUMNS)


@pytest.fixture(scope="module")
def coded():
    """Two numbers and three columns of categories; some rows have none of the first one's."""
    generator = np.random.default_rng(0)
    rows = Coded.empty(N, CATEGORIES)
    rows.numbers[:] = generator.standard_normal((N, 2))
    for place, column in enumerate(COLUMNS):
        rows.codes[:, place] = generator.integers(len(column.levels), size=N)
    rows.codes[:50, 0] = 3
    return rows


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).integers(0, 3, N) / 2


def components_of(family, m=4):
    generator = np.random.default_rng(2)
    means = 0.3 * generator.random((m, CATEGORIES.d))
    return family.start(generator.dirichlet(np.ones(m)), means, np.eye(2))


def test_a_code_stands_for_the_features_of_its_column(coded):
    X = coded.matrix()
    assert coded.codes.dtype == np.uint16 and X.shape == coded.shape
    np.testing.assert_array_equal(X[:, [0, 5]], coded.numbers)
    np.testing.assert_array_equal(X[50:, 1:4] + COLUMNS[0].shares, np.eye(3)[coded.codes[50:, 0]])
    np.testing.assert_array_equal(X[:50, 1:4] + COLUMNS[0].shares, np.zeros((50, 3)))
    np.testing.assert_allclose(X[:, 4] + 0.4, coded.codes[:, 1])
    np.testing.assert_array_equal(X[:, 6:].argmax(axis=1), coded.codes[:, 2])


def test_products_and_equal_rows_are_those_of_all_features(coded):
    V, X = np.random.default_rng(5).normal(size=CATEGORIES.d), coded.matrix()
    np.testing.assert_allclose(coded @ V, X @ V, rtol=1e-10, atol=1e-12)
    twice = coded[np.array([3, 3, 60])].copy()
    twice.numbers[0, 0], twice.numbers[1, 0] = 0.0, -0.0
    one, same, other = cells_of(twice)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("common", [(False,) * 3, (True, False, False), (True,) * 3])
@pytest.mark.parametrize("name", ["gaussian", "student"])
def test_densities_and_sums_are_those_of_all_features(coded, weights, name, common):
    floor = np.full(CATEGORIES.d, 1e-3)
    family = make_family(name, "full", floor, CATEGORIES.with_common(common))
    components = components_of(family)
    own, whole = MemoryRows(coded, weights), MemoryRows(coded.matrix(), weights)
    for one, other in zip(own.sums(family, components), whole.sums(family, components)):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)
    densities = partial(family.log_densities, components=components)
    np.testing.assert_allclose(densities(coded), densities(coded.matrix()), rtol=1e-12)


def test_a_family_that_knows_no_categories_sees_all_features(coded, weights):
    family = make_family("gaussian", "diag", np.full(CATEGORIES.d, 1e-3))
    components = family.start(np.array([0.5, 0.5]), coded.matrix()[:2], np.full(CATEGORIES.d, 0.5))
    own, whole = MemoryRows(coded, weights), MemoryRows(coded.matrix(), weights)
    for one, other in zip(own.sums(family, components), whole.sums(family, components)):
        np.testing.assert_array_equal(one, other)


def test_summary_samples_and_parts_are_those_of_all_features(coded, weights):
    own, whole = MemoryRows(coded, weights), MemoryRows(coded.matrix(), weights)
    for one, other in zip(own.summary(), whole.summary()):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    draws = [rows.sample(500, np.random.default_rng(3)).matrix.X for rows in (own, whole)]
    np.testing.assert_array_equal(*draws)
    features = np.array([4, 5, *range(6, 6 + MANY)])
    parts = [rows.among(features) for rows in (own, whole)]
    np.testing.assert_array_equal(*(part.matrix.X for part in parts))
    np.testing.assert_array_equal(
        np.concatenate([block.X for block in own.blocks()]), coded.matrix()
    )


def table_of(n, places=90):
    generator = np.random.default_rng(4)
    place = [f"p{j}" for j in generator.integers(places, size=n)]
    flag = pa.array(generator.random(n) < 0.3, mask=generator.random(n) < 0.1)
    return pa.table({"x": generator.random(n), "place": place, "flag": flag})


@pytest.mark.parametrize("missing", ["mean", "drop"])
def test_a_table_fills_codes_as_it_fills_features(missing):
    settings = TableSettings(missing=missing)
    design = Design(Preprocessing.learn(table_of(2_000), settings))
    new = table_of(1_000, places=95).slice(0, 500)
    room = design.room(500, coded=True)
    assert isinstance(room, Coded) and room.codes.dtype == np.uint8
    complete, log_jacobian = design.fill(room, new, unknown="ignore")
    done = design.transform(new, unknown="ignore")
    np.testing.assert_array_equal(room.matrix(), done.X)
    np.testing.assert_array_equal(complete, done.complete)
    np.testing.assert_array_equal(log_jacobian, done.log_jacobian)


@pytest.mark.parametrize(
    ("places", "missing", "held"),
    [
        (CODED_FROM - 2, "mean", np.ndarray),
        (CODED_FROM - 1, "mean", Coded),
        (90, "model", np.ndarray),
    ],
)
def test_codes_are_for_many_features_and_for_complete_rows(places, missing, held):
    design = Design(Preprocessing.learn(table_of(2_000, places), TableSettings(missing=missing)))
    assert isinstance(design.room(1, coded=True), held)
    assert isinstance(design.room(1), np.ndarray)
