"""Rows with missing cells: the likelihood of the others, expected sums, EM, and cells filled in."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, logsumexp

from divmix.engine.loop import Limits, ascend
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import Categories, CategoryColumn, make_family
from divmix.kernels import compile as compiling
from divmix.kernels.gaps import has_gaps
from divmix.rows import MemoryRows

EACH = [("gaussian", one) for one in ("spherical", "diag", "tied", "full")]
EACH += [("student", one) for one in ("spherical", "diag", "full")]
each_family = pytest.mark.parametrize(("name", "covariance"), EACH)
D, M = 9, 3  # more columns than a block of the kernel has


def family_of(name, covariance, d=D):
    return make_family(name, covariance, np.full(d, 1e-6))


def components_of(family, seed=0, d=D, m=M):
    generator = np.random.default_rng(seed)
    shape = generator.standard_normal((m, d, d))
    made = family.start(np.full(m, 1 / m), generator.standard_normal((m, d)), np.eye(d))
    covariances = family.structure.from_full(shape @ shape.transpose(0, 2, 1) / d + np.eye(d) / 2)
    weights = np.array([0.5, 0.3, 0.2])[:m]
    return made._replace(
        weights=weights / weights.sum(),
        covariances=covariances,
        dof=None if made.dof is None else np.linspace(3, 8, m),
    )


def rows_of(n=60, seed=1, d=D, share=0.3):
    generator = np.random.default_rng(seed)
    X = 1.5 * generator.standard_normal((n, d))
    X[generator.random(X.shape) < share] = np.nan
    X[0], X[1, 0] = np.nan, 0.5  # a row of nothing, and one that misses all but a cell at most
    return X


class Naive:
    """The textbook formulas, row by row and component by component."""

    def __init__(self, family, components):
        self.family, self.components = family, components
        m, d = components.means.shape
        self.full = family.structure.as_full(components.covariances, m, d)

    def log_density(self, x, j):
        there = ~np.isnan(x)
        if not there.any():
            return 0.0
        mean, scale = self.components.means[j][there], self.full[j][np.ix_(there, there)]
        if self.components.dof is None:
            return stats.multivariate_normal(mean, scale).logpdf(x[there])
        return stats.multivariate_t(mean, scale, df=self.components.dof[j]).logpdf(x[there])

    def log_densities(self, X):
        return np.array([[self.log_density(x, j) for j in range(len(self.full))] for x in X])

    def completed(self, x, j):
        """E[x | observed], the scale matrix of what is missing given it, and the weight u."""
        there, d = ~np.isnan(x), len(x)
        scale, mean = self.full[j], self.components.means[j]
        inverse = np.linalg.inv(scale[np.ix_(there, there)])
        slopes = scale[np.ix_(~there, there)] @ inverse
        apart = x[there] - mean[there]
        whole, left = x.copy(), np.zeros((d, d))
        whole[~there] = mean[~there] + slopes @ apart
        left[np.ix_(~there, ~there)] = (
            scale[np.ix_(~there, ~there)] - slopes @ scale[np.ix_(there, ~there)]
        )
        if self.components.dof is None:
            return whole, left, 1.0
        dof = self.components.dof[j]
        return whole, left, (dof + there.sum()) / (dof + apart @ inverse @ apart)


@each_family
def test_the_density_of_a_row_is_that_of_the_cells_it_has(name, covariance):
    family = family_of(name, covariance)
    components, X = components_of(family), rows_of()
    expected = Naive(family, components).log_densities(X)
    np.testing.assert_allclose(family.log_densities(X, components), expected, atol=1e-9)


@each_family
def test_sums_are_those_of_the_complete_rows_that_are_expected(name, covariance):
    family = family_of(name, covariance)
    components, X = components_of(family), rows_of()
    row_weights = np.random.default_rng(3).random(len(X))
    naive = Naive(family, components)
    joint = naive.log_densities(X) + np.log(components.weights)
    log_density = logsumexp(joint, axis=1)
    shares = np.exp(joint - log_density[:, None]) * row_weights[:, None]
    first, second = np.zeros((M, D)), np.zeros((M, D, D))
    mass, log_scale = np.zeros(M), np.zeros(M)
    for i, j in np.ndindex(*shares.shape):
        whole, left, u = naive.completed(X[i], j)
        first[j] += shares[i, j] * u * whole
        second[j] += shares[i, j] * (u * np.outer(whole, whole) + left)
        mass[j] += shares[i, j] * u
        excess = 0.0
        if components.dof is not None:  # E[log] of a gamma of shape (nu + d) / 2
            of_row, of_all = (
                0.5 * (components.dof[j] + columns) for columns in ((~np.isnan(X[i])).sum(), D)
            )
            excess = digamma(of_row) - np.log(of_row) - digamma(of_all) + np.log(of_all)
        log_scale[j] += shares[i, j] * (np.log(u) - u + excess)
    found = family.sums(X, row_weights, components)
    assert found.log_likelihood == pytest.approx(row_weights @ log_density, abs=1e-9)
    np.testing.assert_allclose(found.mass, shares.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.scaled_mass, mass, atol=1e-9)
    np.testing.assert_allclose(found.first, first, atol=1e-9)
    np.testing.assert_allclose(found.log_scale, log_scale, atol=1e-9)
    if family.structure.shared:
        second = second.sum(axis=0)
    if family.axis_aligned:
        second = np.einsum("mkk->mk", second)
    np.testing.assert_allclose(found.second, second, atol=1e-9)


@each_family
def test_sums_of_complete_rows_are_the_limit_of_those_with_gaps(name, covariance):
    family = family_of(name, covariance)
    components = components_of(family)
    X = np.nan_to_num(rows_of(300))
    with_gap = np.vstack([X, np.full((1, D), np.nan)])  # of weight 0
    weights = np.ones(len(X))
    complete = family.sums(X, weights, components)
    found = family.sums(with_gap, np.append(weights, 0.0), components)
    for one, other in zip(found, complete, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@each_family
def test_the_gradient_is_that_of_the_likelihood_of_the_observed_cells(name, covariance):
    family = family_of(name, covariance, 4)
    components, X = components_of(family, d=4), rows_of(d=4)
    weights = np.ones(len(X))
    theta = family.coordinates(components)
    found = family.gradient(family.sums(X, weights, components), components)
    step = 1e-5
    for j, k in np.ndindex(*theta.shape):
        values = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[j, k] += sign * step
            own = family.from_coordinates(moved, components)
            values.append(family.sums(X, weights, own).log_likelihood)
        assert found[j, k] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-4)


@each_family
def test_em_climbs_the_likelihood_and_its_end_is_a_peak_of_it(name, covariance):
    family = family_of(name, covariance, 3)
    generator = np.random.default_rng(4)
    X = np.vstack([generator.standard_normal((150, 3)), 4 + generator.standard_normal((150, 3))])
    X[generator.random(X.shape) < 0.3] = np.nan
    rows, monitor = MemoryRows(X), Monitor()
    start = State(generator, components_of(family, d=3, m=2))
    end = ascend(Objective(family), rows, start, monitor, "refine", Limits(3000, 1e-13))
    climbed = [row.log_likelihood for row in monitor.trace]
    assert (np.diff(climbed) >= -1e-10).all()
    naive = Naive(family, end.moved)
    best = logsumexp(naive.log_densities(X) + np.log(end.moved.weights), axis=1).mean()
    assert climbed[-1] == pytest.approx(best, abs=1e-6)
    slopes = family.gradient(family.sums(X, np.ones(len(X)), end.moved), end.moved)
    assert np.abs(slopes).max() / len(X) < 1e-4


def test_a_column_that_is_never_there_has_no_say():
    family = family_of("gaussian", "full", 3)
    X = rows_of(200, d=3)
    X[:, 2] = np.nan
    components = components_of(family, d=3)
    part = family.marginal(components, np.array([0, 1]))
    np.testing.assert_allclose(
        family.log_densities(X, components),
        family_of("gaussian", "full", 2).log_densities(X[:, :2], part),
        atol=1e-12,
    )


@pytest.mark.parametrize(("name", "covariance"), [("gaussian", "full"), ("student", "diag")])
def test_the_number_of_threads_changes_no_bit(name, covariance):
    family = family_of(name, covariance)
    components, X = components_of(family), rows_of(200_000, share=0.1)
    found = []
    for threads in (1, 2):
        compiling.set_threads(threads)
        try:
            found.append(family.sums(X, np.ones(len(X)), components))
        finally:
            compiling.set_threads(None)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@each_family
def test_filled_cells_are_conditional_means_and_the_others_as_they_were(name, covariance):
    family = family_of(name, covariance)
    components, X = components_of(family), rows_of()
    naive = Naive(family, components)
    joint = naive.log_densities(X) + np.log(components.weights)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    expected = np.zeros(X.shape)
    for i, j in np.ndindex(*shares.shape):
        expected[i] += shares[i, j] * naive.completed(X[i], j)[0]
    found = family.filled(X, components)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_array_equal(found[~np.isnan(X)], X[~np.isnan(X)])


@pytest.mark.parametrize("name", ["gaussian", "student"])
def test_draws_have_the_distribution_of_what_is_missing_given_the_rest(name):
    family = family_of(name, "full", 3)
    components = components_of(family, d=3)._replace(
        dof=np.full(3, 9.0) if name == "student" else None
    )
    n, row = 200_000, np.array([0.3, np.nan, np.nan])
    drawn = family.filled(np.tile(row, (n, 1)), components, np.random.default_rng(5))
    naive = Naive(family, components)
    joint = np.array([naive.log_density(row, j) for j in range(3)]) + np.log(components.weights)
    shares = np.exp(joint - logsumexp(joint))
    means, within = np.zeros(2), np.zeros((2, 2))
    for j, share in enumerate(shares):
        whole, left, u = naive.completed(row, j)
        # a t of nu + 1 degrees of freedom and scale left / u
        spread = 1.0 if name == "gaussian" else 10 / (10 - 2)
        means += share * whole[1:]
        within += share * (spread * left[1:, 1:] / u + np.outer(whole[1:], whole[1:]))
    np.testing.assert_allclose(drawn[:, 1:].mean(axis=0), means, atol=0.02)
    np.testing.assert_allclose(
        np.cov(drawn[:, 1:].T), within - np.outer(means, means), rtol=0.05, atol=0.02
    )
    assert (drawn[:, 0] == 0.3).all()


# categories

SHARES, YES, COMMON = (0.5, 0.3, 0.2), 0.4, (0.6, 0.4)
CATEGORIES = Categories(
    8,
    (
        CategoryColumn((1, 2, 3), SHARES),
        CategoryColumn((5,), (YES,), yes_no=True),
        CategoryColumn((6, 7), COMMON, common=True),
    ),
)


def mixed(name="gaussian", covariance="full", n=60):
    """A family, components, rows with gaps, and what these show: numbers (n, 2) and codes (n, 3)."""
    generator = np.random.default_rng(6)
    family = make_family(name, covariance, np.full(8, 1e-4), CATEGORIES)
    numbers = generator.standard_normal((n, 2))
    numbers[generator.random(numbers.shape) < 0.3] = np.nan
    codes = np.stack([generator.integers(k, size=n) for k in (3, 2, 2)], axis=1)
    codes[generator.random(codes.shape) < 0.3] = -1
    X = np.empty((n, 8))
    X[:, [0, 4]] = numbers
    X[:, 1:4] = np.eye(4, 3)[codes[:, 0]] - SHARES
    X[:, 5] = codes[:, 1] - YES
    X[:, 6:] = np.eye(3, 2)[codes[:, 2]] - COMMON
    for column, features in enumerate(([1, 2, 3], [5], [6, 7])):
        X[np.ix_(codes[:, column] < 0, features)] = np.nan
    probabilities = np.array([[0.7, 0.2, 0.1, 0.9, 0.1], [0.1, 0.3, 0.6, 0.2, 0.8]])
    means = np.zeros((2, 8))
    levels = CATEGORIES.varying
    means[:, levels.features] = levels.means(probabilities)
    means[:, [0, 4]] = [[-1, 0], [1, 0.5]]
    own = components_of(family.numbers, d=2, m=2)
    return family, own._replace(means=means), X, numbers, codes, probabilities


@each_family
def test_categories_that_are_missing_say_nothing_and_count_by_their_probabilities(name, covariance):
    family, components, X, numbers, codes, probabilities = mixed(name, covariance)
    naive = Naive(family.numbers, family.of_numbers(components))
    joint = naive.log_densities(numbers) + np.log(components.weights)
    texts, flags = probabilities[:, :3], probabilities[:, 3:]
    for of_column, column in ((texts, 0), (flags, 1), (np.tile(COMMON, (2, 1)), 2)):
        there = codes[:, column] >= 0
        joint[there] += np.log(of_column[:, codes[there, column]].T)
    found = family.log_densities(X, components) + np.log(components.weights)
    np.testing.assert_allclose(found, joint, atol=1e-9)
    log_density = logsumexp(joint, axis=1)
    shares = np.exp(joint - log_density[:, None])
    expected = np.zeros((2, 5))
    for i, j in np.ndindex(*shares.shape):
        for of_column, column, at in ((texts, 0, 0), (flags, 1, 3)):
            code, size = codes[i, column], of_column.shape[1]
            counted = of_column[j] if code < 0 else np.eye(size)[code]
            expected[j, at : at + size] += shares[i, j] * counted
    sums = family.sums(X, np.ones(len(X)), components)
    levels = CATEGORIES.varying
    counts = levels.counts(sums.first[:, levels.features], sums.mass)
    np.testing.assert_allclose(counts, expected, atol=1e-9)
    assert sums.log_likelihood == pytest.approx(log_density.sum(), abs=1e-9)


def test_mixed_rows_climb_and_are_filled_by_their_likeliest_categories():
    family, components, X, _, codes, _ = mixed(n=400)
    monitor = Monitor()
    start = State(np.random.default_rng(0), components)
    end = ascend(Objective(family), MemoryRows(X), start, monitor, "refine", Limits(200, 1e-10))
    climbed = [row.objective for row in monitor.trace]
    assert (np.diff(climbed) >= -1e-10).all()
    for generator in (None, np.random.default_rng(1)):
        filled = family.filled(X, end.moved, generator)
        assert not has_gaps(filled)
        np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    chosen = (filled[:, 1:4] + SHARES) > 0.5  # of a draw: one category each
    assert (chosen.sum(axis=1) == 1).all()


def test_starts_see_rows_that_one_normal_density_has_completed():
    generator = np.random.default_rng(7)
    whole = generator.standard_normal((2000, 2)) @ np.array([[1, 0.9], [0, 0.3]])
    X = whole.copy()
    X[generator.random(X.shape) < 0.3] = np.nan
    X[np.isnan(X).all(axis=1), 0] = 0.0
    rows = MemoryRows(X)
    filled, covariance = rows.completed
    assert not has_gaps(filled)
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    np.testing.assert_allclose(covariance, np.cov(whole.T), atol=0.1)
    gone = np.isnan(X[:, 1])
    slope = covariance[0, 1] / covariance[0, 0]
    centre = X[:, 0] - np.nanmean(X[:, 0])
    assert np.corrcoef(filled[gone, 1], centre[gone])[0, 1] > 0.999
    assert slope == pytest.approx(np.polyfit(centre[gone], filled[gone, 1], 1)[0], abs=0.02)
    part = rows.take(np.arange(100))
    np.testing.assert_array_equal(part.filled.X, filled[:100])


def test_a_summary_is_one_of_the_cells_that_are_there():
    X = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, np.nan]])
    summary = MemoryRows(X, np.array([1.0, 1.0, 2.0])).summary()
    assert summary.number == 3 and summary.weight == 4.0 and summary.has_gaps
    np.testing.assert_array_equal(summary.there, [2.0, 1.0])
    np.testing.assert_array_equal(summary.mean, [2.0, 5.0])
    np.testing.assert_array_equal(summary.variances, [1.0, 0.0])
    np.testing.assert_array_equal([summary.low, summary.high], [[1.0, 5.0], [3.0, 5.0]])
    parts = [
        MemoryRows(X[i : i + 1], np.array([w])).summary() for i, w in enumerate((1.0, 1.0, 2.0))
    ]
    merged = parts[0].merged(parts[1]).merged(parts[2])
    for one, other in zip(merged, summary, strict=True):
        np.testing.assert_allclose(one, other)
