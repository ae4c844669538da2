import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import multivariate_normal, multivariate_t

from divmix.anomaly import surprisal
from divmix.anomaly.pool import Pool
from divmix.anomaly.reasons import Reasons, number_told
from divmix.design.design import Design
from divmix.design.preprocessing import Preprocessing
from divmix.families import Components, make_family
from divmix.settings import TableSettings

D, M = 3, 2
WEIGHTS = np.array([0.3, 0.7])


BLOCKS = tuple(np.arange(D)[:, None])


def made_pool(family, covariance, seed=0):
    """A mixture over three number columns, and a design matrix that is the table itself."""
    generator = np.random.default_rng(seed)
    table = pa.table({f"x{j}": generator.normal(size=50) for j in range(D)})
    design = Design(Preprocessing.learn(table, TableSettings(scale="none")))
    law = make_family(family, covariance, np.full(D, 1e-6))
    roots = generator.normal(size=(M, D, D))
    full = roots @ roots.transpose(0, 2, 1) + np.eye(D)
    dof = np.array([3.0, 8.0]) if family == "student" else None
    means = generator.normal(size=(M, D))
    components = Components(WEIGHTS, means, law.structure.from_full(full), dof)
    return Pool(law, components, np.zeros(M, np.int64)), design


def density_by_scipy(pool, X, columns):
    """Mixture density of some columns, from the marginals of whole matrices."""
    parts, total = pool.components, 0.0
    full = pool.family.structure.as_full(parts.covariances, M, D)
    for j in range(M):
        mean, shape = parts.means[j, columns], full[j][np.ix_(columns, columns)]
        law = (
            multivariate_normal(mean, shape)
            if parts.dof is None
            else multivariate_t(mean, shape, df=parts.dof[j])
        )
        total = total + parts.weights[j] * law.pdf(X[:, columns])
    return total


@pytest.mark.parametrize(
    "family, covariance",
    [
        ("gaussian", "spherical"),
        ("gaussian", "diag"),
        ("gaussian", "tied"),
        ("gaussian", "full"),
        ("student", "spherical"),
        ("student", "diag"),
        ("student", "full"),
    ],
)
def test_the_surprisal_of_a_column_is_that_of_the_whole_less_that_of_the_others(family, covariance):
    pool, _ = made_pool(family, covariance)
    X = np.random.default_rng(1).normal(scale=2.0, size=(20, D))
    found = surprisal.by_column(pool, X, BLOCKS)
    for j in range(D):
        others = [i for i in range(D) if i != j]
        expected = np.log(density_by_scipy(pool, X, others)) - np.log(
            density_by_scipy(pool, X, [0, 1, 2])
        )
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "student"])
@pytest.mark.parametrize("column", range(D))
def test_an_injected_column_is_named_with_its_value_and_what_is_usual(column, family):
    pool, design = made_pool(family, "full")
    X = np.repeat(pool.components.means[1:], 5, axis=0)
    X[:, column] += 60.0
    for reason in Reasons(pool, design, np.zeros(D)).of(X, np.zeros((5, D), bool)):
        name, value, low, high = re.match(r"(\S+) (\S+), usually (\S+) to ([^;]+)", reason).groups()
        own = X[0, column] + design.preprocessing.columns[column].center
        assert name == f"x{column}" and float(value) == pytest.approx(own, rel=1e-5)
        assert float(low) < float(high) < own


@pytest.mark.parametrize("family", ["gaussian", "student"])
def test_beside_an_empty_cell_a_column_is_judged_by_the_others_that_are_there(family):
    """By scipy: -log p(x2 | x0) is -log p(x0, x2) + log p(x0)."""
    pool, design = made_pool(family, "full")
    X = np.random.default_rng(3).normal(size=(4, D))
    whole = surprisal.by_column(pool, X[:1], BLOCKS)
    X[1:, 1] = np.nan
    found = surprisal.by_column(pool, X, BLOCKS)
    both, one = density_by_scipy(pool, X[1:], [0, 2]), density_by_scipy(pool, X[1:], [0])
    np.testing.assert_allclose(found[1:, 2], np.log(one) - np.log(both), rtol=1e-9)
    np.testing.assert_array_equal(found[1:, 1], 0.0)
    np.testing.assert_array_equal(found[:1], whole)
    reasons = Reasons(pool, design, np.full(D, -9.0))  # what is usual has a high density
    assert not any("x1" in told for told in reasons.of(X, np.zeros_like(X, bool))[1:])


def test_what_is_usual_is_told_by_the_other_columns_where_it_depends_on_them():
    generator = np.random.default_rng(0)
    x = generator.normal(size=500)
    values = {"x": x, "y": x + 0.1 * generator.normal(size=500)}
    design = Design(Preprocessing.learn(pa.table(values), TableSettings(scale="none")))
    law = make_family("gaussian", "full", np.full(2, 1e-6))
    full = np.array([[[1.0, 1.0], [1.0, 1.01]]])
    pool = Pool(law, Components(np.ones(1), np.zeros((1, 2)), full), np.zeros(1, np.int64))
    # By hand: given x = 1.5, y is 1.5 +- 2.576 * 0.1, and x given y = -1.5 is about -1.485.
    reason = Reasons(pool, design, np.zeros(2)).of(np.array([[1.5, -1.5]]), np.zeros((1, 2), bool))
    low, high = map(
        float, re.search(r"y \S+, here usually (\S+) to (\S+?)(;|$)", reason[0]).groups()[:2]
    )
    center = design.preprocessing.columns[1].center
    assert low == pytest.approx(1.5 - 0.258 + center, abs=0.02)
    assert high == pytest.approx(1.5 + 0.258 + center, abs=0.02)


def test_a_row_that_is_a_little_unusual_in_many_columns_has_a_reason_too():
    d = 30
    table = pa.table({f"x{j}": np.random.default_rng(j).normal(size=50) for j in range(d)})
    design = Design(Preprocessing.learn(table, TableSettings(scale="none")))
    law = make_family("gaussian", "diag", np.full(d, 1e-6))
    pool = Pool(law, Components(np.ones(1), np.zeros((1, d)), np.ones((1, d))), np.zeros(1, int))
    X = np.tile(np.linspace(2.0, 1.9, d), (2, 1))  # the usual reaches to 2.576
    X[1, 7] = 9.0
    many, one = Reasons(pool, design, np.zeros(d)).of(X, np.zeros((2, d), bool))
    values = [X[0, j] + design.preprocessing.columns[j].center for j in range(3)]
    expected = re.fullmatch(r"x0 (\S+), x1 (\S+) and x2 (\S+), unusual together", many).groups()
    assert [float(value) for value in expected] == pytest.approx(values, rel=1e-4)
    assert one.startswith("x7 ") and "usually" in one and "together" not in one


def test_unseen_values_count_more_than_any_density_and_alone_are_named():
    pool, design = made_pool("gaussian", "diag")
    columns = design.preprocessing.columns
    constant = [replace(column, minimum=0.0, maximum=0.0) for column in columns[1:]]
    design = Design(replace(design.preprocessing, columns=(columns[0], *constant)))
    X = np.repeat(pool.components.means[1:], 3, axis=0)
    X[:, 0] += 1e3
    unseen = np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
    scores = surprisal.score(pool, X, unseen)
    np.testing.assert_allclose(np.diff(scores), surprisal.UNSEEN_VALUE)
    first, second, third = Reasons(pool, design, np.zeros(D)).of(X, unseen)
    assert first.startswith("x0 ") and second.startswith("x1 is not ")
    assert third.count(" is not ") == 2 and "x0" not in second + third


@pytest.mark.parametrize(
    "value, told",
    [(99_999_999.00000001, "99999999"), (1234567.5, "1234568"), (-2e6, "-2000000"), (0.1234567, "0.123457"),
     (41.0, "41"), (1e20, "1e+20")],
)  # fmt: skip
def test_a_number_is_told_in_six_digits_and_all_before_the_point(value, told):
    assert number_told(value) == told
