"""How far densities lie apart, and whether rows are still those of a mixture."""

import numpy as np
import pytest

from divmix.design.prepare import design_matrix
from divmix.drift import LEVEL, distance, drift
from divmix.progress import Progress
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.fit import fit_table
from tests.workflows.groups import groups


def test_the_distance_of_two_normals_is_the_known_one():
    generator = np.random.default_rng(0)
    x, y = generator.normal(0, 1, 50_000), generator.normal(1, 2, 50_000)

    def log_ratio(z):
        return (-0.5 * z**2) - (-0.5 * ((z - 1) / 2) ** 2 - np.log(2))

    found = distance(log_ratio(x), log_ratio(y))
    # KL(p, q) = log(s2 / s1) + (s1^2 + gap^2) / (2 s2^2) - 1 / 2
    known = np.log(2) + (1 + 1) / 8 - 0.5 + np.log(0.5) + (4 + 1) / 2 - 0.5
    assert found.symmetric_kl == pytest.approx(known, abs=4 * found.standard_error)
    assert found.standard_error < 0.03


def test_one_density_is_no_distance_from_itself_and_far_ones_have_a_finite_one():
    assert distance(np.zeros(10), np.zeros(10)) == (0.0, 0.0)
    far = distance(np.full(10, 1e4), np.full(10, -1e4))
    assert far.symmetric_kl == pytest.approx(2e4)


@pytest.fixture(scope="module")
def fitted():
    made = {}

    def fit(kind="normal", alpha=0.03):
        if (kind, alpha) not in made:
            settings = fit_settings(clusters=3, covariance="full", merge="kl", alpha=alpha)
            tables = TableSettings()
            made[kind, alpha] = fit_table(groups(4000, 0, kind), settings, tables).mixture
        return made[kind, alpha]

    return fit


def found(mixture, table, alpha=0.03, rows=4000.0):
    matrix = design_matrix(table, mixture.design, Progress())
    return drift(
        mixture,
        matrix.X,
        matrix.row_weights,
        matrix.log_jacobian,
        behind=rows,
        alpha=alpha,
        n_parameters=mixture.n_parameters,
        generator=np.random.default_rng(0),
    )


@pytest.mark.parametrize("kind", ["normal", "uniform", "heavy"])
def test_rows_of_the_same_kind_are_no_drift_whether_the_mixture_fits_them_or_not(fitted, kind):
    mixture = fitted(kind)
    p_values = [found(mixture, groups(1000, seed, kind)).p_value for seed in range(1, 21)]
    assert sum(p < LEVEL for p in p_values) <= 1
    assert np.median(p_values) > 0.05


def test_diversity_is_no_drift(fitted):
    """What alpha moves weights and means by is known, and taken from what rows should look like."""
    mixture, rows = fitted(alpha=1.0), groups(40_000, 1)
    known, ignored = (found(mixture, rows, alpha, 4000.0) for alpha in (1.0, 0.0))
    assert not known.drifted
    z = [max(abs(one.z) for one in own.shares) for own in (known, ignored)]
    assert z[1] > 2 * z[0]


@pytest.mark.parametrize(
    "changes, where",
    [
        (dict(shift=0.2), "shifts"),
        (dict(shares=(0.3, 0.3, 0.4)), "shares"),
        (dict(spread=1.4), "density"),
    ],
)
def test_each_kind_of_drift_is_found_where_it_is(fitted, changes, where):
    told = found(fitted(), groups(2000, 1, **changes))
    assert told.drifted and told.p_value < 1e-4
    z = {
        "shifts": max(abs(one.z) for one in told.shifts),
        "shares": max(abs(one.z) for one in told.shares),
        "density": abs(told.density.z),
    }
    assert max(z, key=z.get) == where


def test_the_column_that_moved_is_named(fitted):
    told = found(fitted(), groups(2000, 1, shift=0.2))
    z = [abs(one.z) for one in told.shifts]
    assert int(np.argmax(z)) == 1
    spread = groups(4000, 0).column("x1").to_numpy().std()
    moved = told.shifts[1].found - told.shifts[1].expected
    # Less than all of it: some rows are now nearer to another cluster.
    assert 0.4 < moved / (0.2 / spread) < 1.1


def test_rows_unlike_all_before_are_counted(fitted):
    assert found(fitted(), groups(2000, 1)).unlike == pytest.approx(0.01, abs=0.01)
    assert found(fitted(), groups(2000, 1, far=0.2)).unlike == pytest.approx(0.2, abs=0.03)


def test_few_rows_are_no_proof(fitted):
    p_values = [found(fitted(), groups(10, seed)).p_value for seed in range(1, 21)]
    assert sum(p < LEVEL for p in p_values) <= 1
