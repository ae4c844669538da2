"""Numbers and categories in one component: densities, the M-step, overlap, starts, draws."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from divmix.engine.loop import Limits, ascend
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import Categories, CategoryColumn, Components, Mixed, Prior, make_family
from divmix.families.mixed_sums import BLOCK_ROWS, second_moments
from divmix.merging.tree import cut, merge_tree
from divmix.rows import MemoryRows
from divmix.search.starts import from_centers

# Two numbers, a column of three categories between them, a yes/no column, and one common to all.
SHARES, YES, COMMON = (0.5, 0.3, 0.2), 0.4, (0.6, 0.4)
COLUMNS = (
    CategoryColumn((1, 2, 3), SHARES),
    CategoryColumn((5,), (YES,), yes_no=True),
    CategoryColumn((6, 7), COMMON, common=True),
)
CATEGORIES = Categories(8, COLUMNS)
STRUCTURES = ("spherical", "diag", "tied", "full")
EACH = [("gaussian", one) for one in STRUCTURES] + [("student", "diag"), ("student", "full")]
each_family = pytest.mark.parametrize(("name", "covariance"), EACH)


def family_of(name="gaussian", covariance="full", categories=CATEGORIES):
    return make_family(name, covariance, np.full(categories.d, 1e-4), categories)


def rows_of(texts, flags, numbers, others):
    """Rows of the design matrix: codes (n,) of each column and numbers (n, 2)."""
    X = np.empty((len(texts), 8))
    X[:, [0, 4]] = numbers
    X[:, 1:4] = np.eye(3)[texts] - SHARES
    X[:, 5] = flags - YES
    X[:, 6:] = np.eye(2)[others] - COMMON
    return X


def random_rows(n=400, seed=0, groups=3):
    """Rows of groups that differ in numbers, text and flag; their codes and groups."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(groups, size=n)
    likely = np.eye(groups, 3) * 0.6 + 0.4 / 3
    texts = np.array([generator.choice(3, p=likely[j] / likely[j].sum()) for j in truth])
    flags = (generator.random(n) < np.linspace(0.1, 0.9, groups)[truth]).astype(float)
    numbers = generator.normal(size=(n, 2)) + 1.5 * np.eye(groups, 2)[truth]
    others = generator.choice(2, size=n, p=COMMON)
    return rows_of(texts, flags, numbers, others), (texts, flags, numbers, others), truth


def random_components(family, m=4, seed=1):
    generator = np.random.default_rng(seed)
    X, _, _ = random_rows(seed=seed)
    shares = generator.dirichlet(np.ones(m), size=len(X))
    sums = sums_of(family, X, shares)
    numbers = X[:, family.categories.numeric]
    start = family.start(np.full(m, 1 / m), X[:m], np.cov(numbers.T))
    return family.maximize(sums, start)


def sums_of(family, X, shares):
    """The sums of rows with these responsibilities."""
    from divmix.kernels.sums import Sums

    mass, N = shares.sum(axis=0), X[:, family.categories.numeric]
    second = second_moments(family.structure, N, np.ones(len(X)), shares)
    return Sums(0.0, mass, mass, shares.T @ X, second, -mass)


@each_family
def test_the_log_density_is_that_of_scipy(name, covariance):
    family = family_of(name, covariance)
    components = random_components(family)
    X, (texts, flags, numbers, others), _ = random_rows(50, seed=3)
    found = family.log_densities(X, components)
    full = family.numbers.moments(family.of_numbers(components)).covariances
    for j, mean in enumerate(components.means):
        law = stats.multivariate_normal(mean[[0, 4]], full[j])
        if name == "student":
            law = stats.multivariate_t(mean[[0, 4]], full[j], components.dof[j])
        text, flag = mean[1:4] + SHARES, mean[5] + YES
        expected = law.logpdf(numbers) + np.log(text[texts]) + np.log(COMMON)[others]
        expected += stats.bernoulli(flag).logpmf(flags.astype(int))
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-9)
    np.testing.assert_allclose(text.sum(), 1)


@each_family
def test_sums_are_those_of_the_responsibilities(name, covariance):
    family = family_of(name, covariance)
    components = random_components(family)
    X, _, _ = random_rows(BLOCK_ROWS + 300, seed=4)  # more than a block
    row_weights = np.random.default_rng(5).uniform(0, 2, len(X))
    joint = family.log_densities(X, components) + np.log(components.weights)
    log_density = np.logaddexp.reduce(joint, axis=1)
    shares = np.exp(joint - log_density[:, None]) * row_weights[:, None]
    sums = family.sums(X, row_weights, components)
    np.testing.assert_allclose(sums.log_likelihood, row_weights @ log_density)
    np.testing.assert_allclose(sums.mass, shares.sum(axis=0))
    np.testing.assert_allclose(sums.first[:, 1:4], shares.T @ X[:, 1:4], atol=1e-9)
    # The numbers' own family agrees, at rows whose categories say the same of all components.
    plain = components._replace(means=components.means.copy())
    plain.means[:, [1, 2, 3, 5]] = 0.0
    numbers = X[:, [0, 4]].copy()
    own = family.numbers.sums(numbers, row_weights, family.of_numbers(plain))
    found = family.sums(X, row_weights, plain)
    for part in ("mass", "scaled_mass", "second", "log_scale"):
        expected = getattr(own, part)
        np.testing.assert_allclose(getattr(found, part), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.first[:, [0, 4]], own.first, rtol=1e-8, atol=1e-8)


def test_a_row_of_an_unknown_category_is_judged_by_its_other_columns():
    family = family_of()
    components = random_components(family)
    X, _, _ = random_rows(5)
    X[0, 1:4] = [-s for s in SHARES]
    X[0, 6:] = [-s for s in COMMON]
    kept = np.array([0, 4, 5])
    found = family.log_densities(X, components)[0]
    np.testing.assert_allclose(found, family.log_marginal(X, components, kept)[0], atol=1e-12)


@pytest.mark.parametrize("prior", [None, Prior(5.0, np.eye(2))], ids=["no prior", "prior"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize(("name", "covariance"), [("gaussian", c) for c in STRUCTURES])
def test_no_step_of_a_climb_lowers_j(name, covariance, alpha, prior):
    family, monitor = family_of(name, covariance), Monitor()
    X, _, _ = random_rows()
    objective = Objective(family, alpha, prior)
    state = State(np.random.default_rng(0), random_components(family))
    ascend(objective, MemoryRows(X), state, monitor, "refine", Limits(60, 0.0))
    climbed = np.array([row.objective for row in monitor.trace])
    assert (np.diff(climbed) > -1e-12).all() and climbed[-1] > climbed[0]
    last = monitor.trace[-1]
    parts = last.log_likelihood + alpha * last.entropy + last.log_prior
    np.testing.assert_allclose(parts, last.objective)


def test_plain_steps_of_em_never_lower_j():
    family = family_of()
    X, _, _ = random_rows()
    rows, objective = MemoryRows(X), Objective(family)
    components, before = random_components(family), -np.inf
    for _ in range(50):
        look = objective.look(rows, components)
        assert before - 1e-12 <= look.J
        before, components = look.J, objective.m_step(components, look.sums)


def moved(components, place, by):
    means = components.means.copy()
    means[place] += by
    return components._replace(means=means)


@pytest.mark.parametrize("covariance", STRUCTURES)
def test_the_gradient_of_the_entropy_is_that_of_finite_differences(covariance):
    family = family_of("gaussian", covariance)
    components = random_components(family)
    gradient = family.overlap(components).gradient
    step = 1e-6

    def entropy(changed):
        return family.overlap(changed, gradient=False).entropy

    def slope(one, other):
        return (entropy(one) - entropy(other)) / (2 * step)

    for j in range(components.count):
        for feature in (0, 4, 5):  # numbers, and the probability of yes
            found = slope(
                moved(components, (j, feature), step), moved(components, (j, feature), -step)
            )
            np.testing.assert_allclose(gradient.means[j, feature], found, atol=1e-7)
        for one, other in ((1, 2), (2, 3)):  # along the simplex
            shift = step * (np.eye(8)[one] - np.eye(8)[other])
            found = slope(moved(components, j, shift), moved(components, j, -shift))
            along = gradient.means[j, one] - gradient.means[j, other]
            np.testing.assert_allclose(along, found, atol=1e-7)
    covariances = components.covariances
    direction = np.random.default_rng(2).normal(size=covariances.shape)
    if covariances.ndim == 3:
        direction = direction + direction.transpose(0, 2, 1)
    found = slope(
        components._replace(covariances=covariances + step * direction),
        components._replace(covariances=covariances - step * direction),
    )
    np.testing.assert_allclose((gradient.covariances * direction).sum(), found, atol=1e-7)


def test_the_overlap_is_the_product_of_those_of_the_columns():
    family = family_of()
    components = random_components(family, 3)
    k = family.overlap(components, np.eye(3)).shared
    numbers = family.numbers.overlap(family.of_numbers(components), np.eye(3)).shared
    text, flag = components.means[:, 1:4] + SHARES, components.means[:, 5] + YES
    expected = numbers * (np.sqrt(text) @ np.sqrt(text).T)
    expected *= np.sqrt(np.outer(flag, flag)) + np.sqrt(np.outer(1 - flag, 1 - flag))
    np.testing.assert_allclose(k, expected, rtol=1e-10)
    np.testing.assert_allclose(np.diag(k), 1)


def test_overlaps_of_many_columns_are_not_held_at_once():
    columns, m = 300, 60
    texts = [CategoryColumn((3 * j, 3 * j + 1, 3 * j + 2), SHARES) for j in range(columns)]
    categories = Categories(3 * columns, tuple(texts))
    family = make_family("gaussian", "diag", np.full(3 * columns, 0.25), categories)
    means = 0.1 * np.random.default_rng(0).normal(size=(m, 3 * columns))
    components = family.start(np.full(m, 1 / m), means, np.zeros((0, 0)))
    family.overlap(components)
    tracemalloc.start()
    family.overlap(components)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * columns * m**2 / 2


def test_where_a_climb_stands_still_j_is_stationary():
    """The displacement of `diversified` is 0 where the gradient of J along the simplex is."""
    family, alpha = family_of("gaussian", "diag"), 0.2
    X, _, _ = random_rows(300)
    rows, objective = MemoryRows(X), Objective(family, alpha)
    state = State(np.random.default_rng(0), random_components(family, 2))
    end = ascend(objective, rows, state, Monitor(), "refine", Limits(3000, 1e-14)).moved
    step = 1e-5
    for j in range(2):
        for direction in (np.eye(8)[1] - np.eye(8)[2], np.eye(8)[5], np.eye(8)[0]):
            up, down = (
                objective.look(rows, moved(end, j, sign * step * direction)).J for sign in (1, -1)
            )
            assert abs(up - down) / (2 * step) < 1e-4


def test_joined_components_have_the_mean_of_their_probabilities():
    family = family_of()
    components = random_components(family, 4)
    labels = np.array([0, 1, 0, 1])
    made = family.joined(components, labels)
    own = components.weights[[0, 2]] / components.weights[[0, 2]].sum()
    np.testing.assert_allclose(made.means[0], own @ components.means[[0, 2]])
    np.testing.assert_allclose(made.weights.sum(), 1)


def test_a_merge_costs_the_entropy_that_it_adds_to_the_categories():
    family = family_of("gaussian", "diag")
    base = random_components(family, 3)
    same = Components(base.weights, base.means[[0, 0, 0]].copy(), base.covariances[[0, 0, 0]])
    same.means[2, 1:4] = np.array([0.05, 0.05, 0.9]) - SHARES
    tree = merge_tree(family.moments(same))
    np.testing.assert_array_equal(cut(tree, 2), [0, 0, 1])
    assert abs(tree.costs[0]) < 1e-12
    weights, probabilities = same.weights, same.means[:, 1:4] + SHARES
    both = weights @ probabilities

    def h(p):
        return -(p * np.log(p)).sum()

    expected = h(both) - sum(w * h(p) for w, p in zip(weights, probabilities))
    np.testing.assert_allclose(tree.costs[1], expected, rtol=1e-9)


def test_parameters_count_the_categories_of_columns_that_vary():
    # Two numbers: weights 3 - 1, means 6, variances 6; categories 3 x (2 + 1).
    assert family_of("gaussian", "diag").n_parameters(3, 8) == 2 + 6 + 6 + 9


def test_what_bic_spares_is_what_one_distribution_in_all_components_saves():
    X, _, _ = random_rows(600, groups=2)
    generator = np.random.default_rng(7)
    X[:, 5] = (generator.random(600) < YES) - YES  # a flag without a say
    rows, n = MemoryRows(X), len(X)
    bics, spared, end = [], 0.0, random_components(family_of("gaussian", "diag"), 3)
    for categories in (CATEGORIES, CATEGORIES.with_common([False, True, True])):
        family = family_of("gaussian", "diag", categories)
        state = State(generator, end)
        objective = Objective(family)
        end = ascend(objective, rows, state, Monitor(), "refine", Limits(500, 1e-9)).moved
        likelihood = n * objective.log_likelihood(rows, end)
        bics.append(family.n_parameters(3, 8) * np.log(n) - 2 * likelihood)
        spared = spared or family.spared(end, n)
        end.means[:, 5] = 0.0
    assert spared > 1
    assert bics[1] < bics[0] - spared + 2  # the prior's row is no part of the bound


def test_a_column_without_a_say_starts_with_its_shares():
    family = family_of()
    generator = np.random.default_rng(0)
    texts = generator.choice(3, 4000, p=SHARES)
    numbers = 10.0 * generator.integers(2, size=(4000, 1)) + generator.normal(size=(4000, 2))
    X = rows_of(texts, texts == 2, numbers, np.zeros(4000, int))  # the flag follows the text
    centers = X[[0, np.flatnonzero(np.abs(X[:, 0] - X[0, 0]) > 6)[0]]].copy()
    start = from_centers(family, X, np.ones(4000), centers)
    for own in family.probabilities(start)[:, :3]:
        np.testing.assert_allclose(own, SHARES, atol=0.2)


@each_family
def test_rows_are_drawn_with_the_shares_of_their_component(name, covariance):
    family = family_of(name, covariance)
    components = random_components(family, 2)
    labels = np.repeat([0, 1], 40_000)
    X = family.draw(components, labels, np.random.default_rng(0))
    for j in (0, 1):
        own = X[labels == j]
        categories = [1, 2, 3, 5]
        np.testing.assert_allclose(
            own[:, categories].mean(axis=0), components.means[j, categories], atol=0.012
        )
        np.testing.assert_allclose(own[:, 6:].mean(axis=0), 0, atol=0.012)
        values = own[:, 1:4] + SHARES
        assert np.isin(np.round(values, 12), (0, 1)).all() and (values.sum(axis=1) > 0.99).all()


@each_family
def test_coordinates_lead_back_to_the_components(name, covariance):
    family = family_of(name, covariance)
    components = random_components(family)
    again = family.from_coordinates(family.coordinates(components), components)
    for one, other in zip(again, components):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_the_log_likelihood_is_that_of_finite_differences():
    family = family_of("gaussian", "diag")
    components = random_components(family, 2)
    X, _, _ = random_rows(100)
    weights, theta, step = np.ones(len(X)), family.coordinates(components), 1e-5
    gradient = family.gradient(family.sums(X, weights, components), components)
    for place in np.ndindex(theta.shape):
        values = []
        for sign in (1, -1):
            changed = theta.copy()
            changed[place] += sign * step
            found = family.sums(X, weights, family.from_coordinates(changed, components))
            values.append(found.log_likelihood)
        slope = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(gradient[place], slope, rtol=1e-5, atol=1e-4)


def test_categories_alone_are_a_family():
    columns = (CategoryColumn((0, 1), (0.5, 0.5)), CategoryColumn((2,), (0.3,), yes_no=True))
    family = make_family("gaussian", "full", np.full(3, 0.25), Categories(3, columns))
    assert isinstance(family, Mixed) and family.structure.name == "diag"
    generator = np.random.default_rng(0)
    X = np.column_stack([np.eye(2)[generator.integers(2, size=90)], generator.integers(2, size=90)])
    X = X - [0.5, 0.5, 0.3]
    components = family.start(np.full(2, 0.5), X[[0, 1]] * 0.5, np.zeros((0, 0)))
    objective = Objective(family, 0.1)
    state = State(generator, components)
    end = ascend(objective, MemoryRows(X), state, Monitor(), "refine", Limits(20, 0.0)).moved
    assert np.isfinite(objective.look(MemoryRows(X), end).J)
    assert family.draw(end, np.array([0, 1]), generator).shape == (2, 3)
    assert merge_tree(family.moments(end)).costs.shape == (1,)


@each_family
def test_components_are_the_m_step_of_what_they_expect(name, covariance):
    family = family_of(name, covariance)
    components = random_components(family)
    found = family.maximize(family.expected(components, 500.0), components)
    for own, known in zip(found, components):
        assert (own is None) == (known is None)
        if known is not None:
            np.testing.assert_allclose(own, known, rtol=1e-6, atol=1e-9)


def test_a_category_that_differs_is_a_residual_of_its_column():
    family = family_of()
    components = random_components(family)
    X = random_rows(2000)[0]
    shares = np.full((len(X), components.count), 1 / components.count)
    mean = family.residuals(X, shares, components).mean(axis=0)
    levels = CATEGORIES.varying
    expected = X.mean(axis=0) - components.means.mean(axis=0)
    np.testing.assert_allclose(mean[levels.features], expected[levels.features], atol=1e-12)
    assert np.abs(expected[levels.features]).max() > 0.02
