"""Densities against scipy, gradients against finite differences, M-steps against their promise."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import digamma

from divmix.families import STRUCTURES, Components, make_family
from divmix.families.structure import floor_eigenvalues
from divmix.families.student import DOF_RANGE, solved_degrees

CASES = [
    ("gaussian", "spherical"),
    ("gaussian", "diag"),
    ("gaussian", "tied"),
    ("gaussian", "full"),
    ("student", "spherical"),
    ("student", "diag"),
    ("student", "full"),
]


def make_case(law, structure, seed=0, m=3, d=2, n=60):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d)) * [1.0, 2.0] + generator.integers(3, size=(n, 1))
    family = make_family(law, structure, np.full(d, 1e-6))
    roots = generator.normal(size=(m, d, d))
    full = roots @ roots.transpose(0, 2, 1) + np.eye(d)
    components = Components(
        generator.dirichlet(np.ones(m)),
        generator.normal(size=(m, d)),
        STRUCTURES[structure]().from_full(full),
        generator.uniform(2.5, 9, m) if law == "student" else None,
    )
    return family, components, X, generator.uniform(0.2, 3, n)


def log_likelihood(family, components, X, row_weights):
    return family.sums(X, row_weights, components).log_likelihood


@pytest.mark.parametrize("law, structure", CASES)
def test_log_density_is_scipys(law, structure):
    family, components, X, _ = make_case(law, structure)
    full = family.structure.as_full(components.covariances, 3, 2)
    for j in range(3):
        if law == "student":
            density = stats.multivariate_t(components.means[j], full[j], df=components.dof[j])
        else:
            density = stats.multivariate_normal(components.means[j], full[j])
        found = family.log_densities(X, components)[:, j]
        np.testing.assert_allclose(found, density.logpdf(X), rtol=1e-10)


@pytest.mark.parametrize("law, structure", CASES)
def test_sums_agree_with_log_densities(law, structure):
    family, components, X, row_weights = make_case(law, structure)
    joint = family.log_densities(X, components) + np.log(components.weights)
    per_row = np.logaddexp.reduce(joint, axis=1)
    responsibilities = np.exp(joint - per_row[:, None]) * row_weights[:, None]
    sums = family.sums(X, row_weights, components)
    np.testing.assert_allclose(sums.log_likelihood, row_weights @ per_row, rtol=1e-11)
    np.testing.assert_allclose(sums.mass, responsibilities.sum(axis=0), rtol=1e-11)


@pytest.mark.parametrize("law, structure", CASES)
def test_gradient_is_the_finite_difference(law, structure):
    family, components, X, row_weights = make_case(law, structure)
    theta = family.coordinates(components)
    gradient = family.gradient(family.sums(X, row_weights, components), components)
    assert gradient.shape == theta.shape
    step = 1e-6
    for index in np.ndindex(theta.shape):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[index] += sign * step
            there = family.from_coordinates(moved, components)
            ends.append(log_likelihood(family, there, X, row_weights))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("law, structure", CASES)
def test_coordinates_lead_back(law, structure):
    family, components, _, _ = make_case(law, structure)
    there = family.from_coordinates(family.coordinates(components), components)
    for before, after in zip(components, there):
        if before is not None:
            np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.parametrize("law, structure", CASES)
def test_em_never_lowers_the_log_likelihood(law, structure):
    family, components, X, row_weights = make_case(law, structure)
    values = []
    for _ in range(30):
        sums = family.sums(X, row_weights, components)
        values.append(sums.log_likelihood)
        components = family.maximize(sums, components, learn_weights=True)
    assert np.diff(values).min() > -1e-9 * abs(values[0])
    assert values[-1] > values[0]


@pytest.mark.parametrize("law, structure", CASES)
def test_an_integer_weight_equals_repeated_rows(law, structure):
    family, components, X, _ = make_case(law, structure)
    counts = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = family.sums(X, counts.astype(float), components)
    repeated = np.repeat(X, counts, axis=0)
    for one, other in zip(weighted, family.sums(repeated, np.ones(len(repeated)), components)):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("law, structure", CASES)
def test_two_halves_sum_to_the_whole(law, structure):
    family, components, X, row_weights = make_case(law, structure)
    halves = [
        family.sums(X[part], row_weights[part], components)
        for part in (slice(0, 23), slice(23, None))
    ]
    whole = family.sums(X, row_weights, components)
    for one, other in zip(halves[0] + halves[1], whole):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("law, structure", CASES)
def test_a_repeated_point_stops_at_the_floor(law, structure):
    family, components, _, _ = make_case(law, structure)
    X = np.zeros((20, 2))
    for _ in range(40):
        sums = family.sums(X, np.ones(20), components)
        components = family.maximize(sums, components, learn_weights=True)
    assert np.isfinite(family.log_densities(X, components)).all()
    assert family.structure.variances(components.covariances, 3, 2).min() >= 1e-6 * (1 - 1e-9)


@pytest.mark.parametrize("law, structure", CASES)
def test_drawn_rows_have_the_components_moments(law, structure):
    family, components, _, _ = make_case(law, structure)
    if law == "student":
        components = components._replace(dof=np.full(3, 8.0))
    generator = np.random.default_rng(3)
    for j in range(3):
        rows = family.draw(components, np.full(200_000, j), generator)
        np.testing.assert_allclose(rows.mean(axis=0), components.means[j], atol=0.05)
        expected = family.variances(components)[j]
        np.testing.assert_allclose(rows.var(axis=0), expected, rtol=0.05)


def test_degrees_of_freedom_solve_the_score_equation_and_keep_to_their_range():
    known = np.array([-3.0, -1.0, -0.3, -0.1, -0.02, -0.0051, 0.0, 1.0])
    wanted = []
    for own in known:
        low, high = DOF_RANGE

        def score(nu, own=own):
            return np.log(nu / 2) - digamma(nu / 2) + own

        inside = score(low) > 0 > score(high)
        wanted.append(
            brentq(score, low, high, xtol=1e-12) if inside else (low if score(low) < 0 else high)
        )
    np.testing.assert_allclose(solved_degrees(known), wanted, rtol=1e-9)
    assert wanted[0] == DOF_RANGE[0] and wanted[-1] == DOF_RANGE[1]


def test_degrees_of_freedom_are_found_again():
    family = make_family("student", "diag", np.full(2, 1e-6))
    truth = Components(np.ones(1), np.zeros((1, 2)), np.ones((1, 2)), np.array([4.0]))
    X = family.draw(truth, np.zeros(20_000, int), np.random.default_rng(0))
    components = family.start(np.ones(1), np.ones((1, 2)), np.eye(2))
    for _ in range(60):
        sums = family.sums(X, np.ones(len(X)), components)
        components = family.maximize(sums, components, learn_weights=True)
    assert components.dof[0] == pytest.approx(4.0, rel=0.1)
    np.testing.assert_allclose(components.covariances, 1.0, rtol=0.05)


def test_an_empty_component_stays_put():
    family, components, X, row_weights = make_case("gaussian", "full")
    far = components._replace(means=components.means + np.array([[0, 0], [0, 0], [1e6, 1e6]]))
    updated = family.maximize(family.sums(X, row_weights, far), far, learn_weights=True)
    np.testing.assert_array_equal(updated.means[2], far.means[2])
    np.testing.assert_array_equal(updated.covariances[2], far.covariances[2])
    assert updated.weights[2] == 0


@pytest.mark.parametrize("structure", ["spherical", "diag", "full"])
def test_the_push_of_the_entropy_leaves_the_floor(structure):
    floor = np.array([0.5, 0.25])
    family = make_family("gaussian", structure, floor)
    at = STRUCTURES[structure]().from_full(np.stack([np.diag(floor)] * 2))
    gradient = -np.ones_like(at) if structure != "full" else -np.stack([np.eye(2)] * 2)
    pushed = family.structure.pushed(at, at, gradient, np.full(2, 0.2), floor)
    np.testing.assert_allclose(pushed, at, rtol=1e-12)


def test_the_floor_raises_only_what_is_too_narrow():
    narrow = np.diag([1e-9, 2.0])
    fine = np.array([[1.0, 0.3], [0.3, 0.5]])
    raised = floor_eigenvalues(np.stack([narrow, fine]), np.array([1e-3, 1e-3]))
    np.testing.assert_allclose(raised[0], np.diag([1e-3, 2.0]), rtol=1e-12)
    np.testing.assert_array_equal(raised[1], fine)


@pytest.mark.parametrize(
    "structure, count",
    [
        # weights 4, means 5 x 3, then covariances: 5, 5 x 3, 6, 5 x 6
        ("spherical", 24),
        ("diag", 34),
        ("tied", 25),
        ("full", 49),
    ],
)
def test_parameters_are_counted(structure, count):
    assert make_family("gaussian", structure, np.ones(3)).n_parameters(5, 3) == count


@pytest.mark.parametrize("law, structure", CASES)
def test_components_are_the_m_step_of_what_they_expect(law, structure):
    family, components, _, _ = make_case(law, structure)
    found = family.maximize(family.expected(components, 500.0), components)
    for own, known in zip(found, components):
        assert (own is None) == (known is None)
        if known is not None:
            np.testing.assert_allclose(own, known, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("law, structure", CASES)
def test_rows_drawn_from_components_leave_what_these_expect(law, structure):
    family, components, _, _ = make_case(law, structure)
    generator = np.random.default_rng(1)
    labels = generator.choice(3, 400_000, p=components.weights)
    X = family.draw(components, labels, generator)
    sums, expected = (
        family.sums(X, np.ones(len(X)), components),
        family.expected(components, float(len(X))),
    )
    for own, known in zip(sums[1:6], expected[1:6]):
        np.testing.assert_allclose(own, known, rtol=0.02, atol=0.02 * np.abs(known).max())


@pytest.mark.parametrize("law, structure", CASES)
def test_rows_lie_about_the_means_of_components_that_are_fitted_to_them(law, structure):
    family, components, X, row_weights = make_case(law, structure, n=400)
    for _ in range(800):
        components = family.maximize(family.sums(X, row_weights, components), components)
    joint = family.log_densities(X, components) + np.log(components.weights)
    shares = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
    elsewhere = components._replace(means=components.means + 0.1)
    for own, far in ((components, False), (elsewhere, True)):
        mean = row_weights @ family.residuals(X, shares, own) / row_weights.sum()
        assert (np.abs(mean).max() > 0.03) == far and (np.abs(mean).max() > 1e-4) == far
