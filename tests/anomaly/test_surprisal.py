import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import multivariate_normal, multivariate_t

from divmix.anomaly import surprisal
from divmix.design.design import Design
from divmix.design.preprocessing import Preprocessing
from divmix.families import Components, make_family
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings

D, M = 3, 2
WEIGHTS = np.array([0.3, 0.7])


def made_mixture(family, covariance, seed=0):
    """A mixture over three number columns whose design matrix is the table itself."""
    generator = np.random.default_rng(seed)
    table = pa.table({f"x{j}": generator.normal(size=50) for j in range(D)})
    design = Design(Preprocessing.learn(table, TableSettings(scale="none")))
    law = make_family(family, covariance, np.full(D, 1e-6))
    roots = generator.normal(size=(M, D, D))
    full = roots @ roots.transpose(0, 2, 1) + np.eye(D)
    dof = np.array([3.0, 8.0]) if family == "student" else None
    means = generator.normal(size=(M, D))
    components = Components(WEIGHTS, means, law.structure.from_full(full), dof)
    return Mixture(law, components, np.arange(M), design, {})


def density_by_scipy(mixture, X, columns):
    """Mixture density of some columns, from the marginals of whole matrices."""
    parts, total = mixture.components, 0.0
    full = mixture.family.structure.as_full(parts.covariances, M, D)
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
    mixture = made_mixture(family, covariance)
    X = np.random.default_rng(1).normal(scale=2.0, size=(20, D))
    found = surprisal.by_column(mixture, X)
    for j in range(D):
        others = [i for i in range(D) if i != j]
        expected = np.log(density_by_scipy(mixture, X, others)) - np.log(
            density_by_scipy(mixture, X, [0, 1, 2])
        )
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("column", range(D))
def test_an_injected_column_is_named(column):
    mixture = made_mixture("gaussian", "full")
    X = np.repeat(mixture.components.means[1:], 5, axis=0)
    X[:, column] += 30.0
    reasons = surprisal.because(mixture, X, np.zeros((5, D), bool), np.zeros(D))
    assert all(reason.startswith(f"x{column} ") for reason in reasons)


def test_unseen_values_count_more_than_any_density_and_alone_are_named():
    mixture = made_mixture("gaussian", "diag")
    X = np.repeat(mixture.components.means[1:], 3, axis=0)
    X[:, 0] += 1e3
    unseen = np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
    scores = surprisal.score(mixture, X, unseen)
    np.testing.assert_allclose(np.diff(scores), surprisal.UNSEEN_VALUE)
    assert surprisal.because(mixture, X, unseen, np.zeros(D)) == [
        "x0 100%",
        "x1 100%",
        "x1 50%, x2 50%",
    ]
