"""Merge trees: costs by hand, cuts that nest, and clusters found on made data."""

import warnings

import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage
from scipy.stats import multivariate_normal
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from divmix.errors import UsageError
from divmix.families import Moments
from divmix.families.moments import moment_match
from divmix.kernels.merges import NO_OVERLAP, NO_SADDLE
from divmix.merging.criteria import Heights, heights_of, shared_mass
from divmix.merging.tree import adjusted_rand_index, cut, medoid_partition, merge_tree

SEEDS = range(3)
TWO = Moments(np.full(2, 0.5), np.array([[0.0], [2.0]]), np.ones((2, 1, 1)))
ONE = Moments(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))


def rich_mixture(X, m, seed):
    """An over-rich mixture of X, and its responsibilities."""
    mixture = GaussianMixture(m, max_iter=30, tol=1e-4, reg_covar=1e-4, random_state=seed)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        mixture.fit(X)
    moments = Moments(mixture.weights_, mixture.means_, mixture.covariances_)
    return moments, mixture.predict_proba(X)


def labels(responsibilities, clusters):
    members = np.eye(clusters.max() + 1)[clusters]
    return (responsibilities @ members).argmax(axis=1)


def tree_by(criterion, mixture, X, responsibilities, smallest=0.0):
    log_joint = np.column_stack(
        [
            np.log(weight) + multivariate_normal.logpdf(X, mean, covariance)
            for weight, mean, covariance in zip(*mixture[:3])
        ]
    )
    shared, heights = shared_mass(responsibilities), heights_of(log_joint)
    return merge_tree(
        mixture, criterion=criterion, shared=shared, heights=heights, smallest=smallest
    )


def clusters_by(criteria, X, m, k, seed, smallest=0.0):
    """For each criterion the cluster of each row, and the weights of the clusters."""
    mixture, responsibilities = rich_mixture(X, m, seed)
    for criterion in criteria:
        clusters = cut(tree_by(criterion, mixture, X, responsibilities, smallest), k)
        yield labels(responsibilities, clusters), np.bincount(clusters, mixture.weights)


def random_mixture(m, d, seed):
    generator = np.random.default_rng(seed)
    factors = generator.normal(size=(m, d, d))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(d)
    weights = generator.dirichlet(np.ones(m))
    responsibilities = generator.dirichlet(np.full(m, 0.3), 200)
    moments = Moments(weights, generator.normal(size=(m, d)), covariances)
    return moments, shared_mass(responsibilities), heights_of(np.log(responsibilities))


def test_kl_cost_of_two_gaussians_by_hand():
    # N(0, 1) and N(2, 1), half each: together variance 1 + 1/4 * 2^2 = 2; B = 1/2 log 2.
    tree = merge_tree(TWO)
    np.testing.assert_allclose(tree.costs, [0.5 * np.log(2)])
    np.testing.assert_array_equal(tree.pairs, [[0, 1]])


def test_overlap_cost_of_two_components_by_hand():
    # Two rows: (3/4, 1/4) and (1/4, 3/4). Shared mass 3/16, weights 1/2: probability 3/8.
    responsibilities = np.array([[0.75, 0.25], [0.25, 0.75]])
    tree = merge_tree(TWO, criterion="overlap", shared=shared_mass(responsibilities))
    np.testing.assert_allclose(tree.costs, [-np.log(3 / 8)])


def test_saddle_cost_of_two_components_by_hand():
    # Log-densities at three rows. Peaks 3 and 2; both are dense to 1 at the second row, so the
    # lower one stands out by 1; its weight is 1/4.
    heights = heights_of(np.array([[3.0, -2.0], [1.0, 1.5], [0.0, 2.0]]))
    moments = TWO._replace(weights=np.array([0.75, 0.25]))
    tree = merge_tree(moments, criterion="saddle", heights=heights)
    np.testing.assert_allclose(tree.costs, [1 * np.sqrt(0.25)])


def test_components_that_no_row_has_in_common_join_last_and_by_kl():
    log_joint = np.array([[0.0, -1.0, -99.0], [-1.0, 0.0, -99.0], [-99.0, -99.0, 0.0]])
    moments = Moments(np.full(3, 1 / 3), np.array([[0.0], [1.0], [50.0]]), np.ones((3, 1, 1)))
    tree = merge_tree(moments, criterion="saddle", heights=heights_of(log_joint))
    np.testing.assert_array_equal(tree.pairs, [[0, 1], [2, 3]])
    assert tree.costs[0] < NO_SADDLE < tree.costs[1]


def test_scattered_rows_do_not_bridge_a_valley():
    # Two parallel curves of six components each, and a broad one over both for outliers.
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 300, 150])
    X = generator.uniform([0, -1], [6, 2], (750, 2))
    X[:600, 1] = truth[:600] + generator.normal(0, 0.12, 600)
    line = np.arange(6) + 0.5
    means = np.vstack([np.column_stack([line, 0 * line]), np.column_stack([line, 0 * line + 1])])
    covariances = np.array([np.diag([0.12, 0.015])] * 12 + [np.diag([3.0, 0.75])])
    weights = np.append(np.full(12, 0.8 / 12), 0.2)
    mixture = Moments(weights, np.vstack([means, [[3.0, 0.5]]]), covariances)
    densities = np.column_stack(
        [w * multivariate_normal.pdf(X, *one) for w, *one in zip(*mixture[:3])]
    )
    responsibilities = densities / densities.sum(axis=1, keepdims=True)
    found = {}
    for criterion in ("overlap", "saddle"):
        tree = tree_by(criterion, mixture, X, responsibilities)
        found[criterion] = labels(responsibilities, cut(tree, 2))[:600]
    assert adjusted_rand_score(truth[:600], found["saddle"]) > 0.95
    assert adjusted_rand_score(truth[:600], found["overlap"]) < 0.5


def test_row_weights_of_the_shared_mass_equal_repeats():
    generator = np.random.default_rng(0)
    responsibilities = generator.dirichlet(np.ones(4), 30)
    counts = generator.integers(0, 4, 30)
    repeated = np.repeat(responsibilities, counts, axis=0)
    np.testing.assert_allclose(shared_mass(responsibilities, counts), shared_mass(repeated))


@pytest.mark.parametrize("criterion", ["kl", "overlap", "saddle"])
def test_each_merge_costs_what_the_merged_components_cost_afresh(criterion):
    mixture, shared, heights = random_mixture(7, 3, seed=1)
    tree = merge_tree(mixture, criterion=criterion, shared=shared, heights=heights)
    for k in range(6, 1, -1):
        clusters = cut(tree, k)
        members = np.eye(k)[clusters]
        merged = moment_match(mixture, clusters)
        fresh = merge_tree(
            merged,
            criterion=criterion,
            shared=members.T @ shared @ members,
            heights=heights_within(heights, clusters),
        )
        np.testing.assert_allclose(fresh.costs[0], tree.costs[7 - k], rtol=1e-10)


def heights_within(heights, clusters):
    """Those of unions: the highest peak of each, the highest saddle between two."""
    k = clusters.max() + 1
    peaks = np.array([heights.peaks[clusters == c].max() for c in range(k)])
    saddles = np.array(
        [
            [heights.saddles[np.ix_(clusters == a, clusters == b)].max() for b in range(k)]
            for a in range(k)
        ]
    )
    np.fill_diagonal(saddles, -np.inf)
    return Heights(peaks, saddles)


@pytest.mark.parametrize("criterion", ["kl", "overlap", "saddle"])
def test_cuts_nest_and_the_tree_is_in_the_numbering_of_scipy(criterion):
    mixture, shared, landscape = random_mixture(12, 2, seed=2)
    tree = merge_tree(mixture, criterion=criterion, shared=shared, heights=landscape)
    heights = np.arange(11.0)  # scipy wants them to rise, which the order of merges does
    sizes = [np.sum(cut(tree, 11 - t) == cut(tree, 11 - t)[leaf_of(tree, t)]) for t in range(11)]
    assert is_valid_linkage(np.column_stack([tree.pairs, heights, np.array(sizes, float)]))
    np.testing.assert_array_equal(cut(tree, 12), np.arange(12))
    np.testing.assert_array_equal(cut(tree, 1), np.zeros(12))
    for k in range(2, 13):
        finer, coarser = cut(tree, k), cut(tree, k - 1)
        assert finer.max() == k - 1
        assert all(len(set(coarser[finer == c])) == 1 for c in range(k))


def leaf_of(tree, step):
    """A component inside the cluster that merge `step` made."""
    m = len(tree.pairs) + 1
    node = m + step
    while node >= m:
        node = tree.pairs[node - m, 0]
    return node


def test_moment_match_keeps_the_moments_of_the_whole():
    moments, *_ = random_mixture(6, 2, seed=3)
    all_of = moment_match(moments, np.zeros(6, int))
    by_parts = moment_match(moments, np.array([0, 1, 0, 2, 1, 2]))
    twice = moment_match(by_parts, np.zeros(3, int))
    for one, other in zip(all_of[:3], twice[:3], strict=True):
        np.testing.assert_allclose(one, other)


def test_empty_and_far_components_leave_no_nan():
    weights = np.array([0.5, 0.5, 0.0, 0.0])
    means = np.array([[0.0], [1e3], [1.0], [1e6]])
    moments = Moments(weights, means, np.ones((4, 1, 1)))
    responsibilities = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    heights = heights_of(np.log(np.maximum(responsibilities, 1e-300)))
    for criterion in ("kl", "overlap", "saddle"):
        tree = merge_tree(
            moments, criterion=criterion, shared=shared_mass(responsibilities), heights=heights
        )
        assert np.isfinite(tree.costs).all()
        matched = moment_match(moments, cut(tree, 3))
        assert all(np.isfinite(array).all() for array in matched[:3])


def test_components_without_a_shared_row_join_last_and_by_kl():
    means = np.array([[0.0], [0.5], [50.0], [1000.0]])
    responsibilities = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    moments = Moments(np.full(4, 0.25), means, np.ones((4, 1, 1)))
    tree = merge_tree(moments, criterion="overlap", shared=shared_mass(responsibilities))
    np.testing.assert_array_equal(tree.pairs, [[0, 1], [2, 4], [3, 5]])
    assert tree.costs[0] < NO_OVERLAP < tree.costs[1]


def test_small_clusters_join_first():
    weights = np.array([0.49, 0.49, 0.02])
    means = np.array([[0.0], [1.0], [30.0]])
    moments = Moments(weights, means, np.ones((3, 1, 1)))
    np.testing.assert_array_equal(cut(merge_tree(moments), 2), [0, 0, 1])
    guarded = merge_tree(moments, smallest=0.05)
    np.testing.assert_array_equal(cut(guarded, 2), [0, 1, 1])


def test_one_component_is_a_tree_without_merges():
    tree = merge_tree(ONE)
    assert tree.pairs.shape == (0, 2)
    np.testing.assert_array_equal(cut(tree, 1), [0])


def test_impossible_requests_say_so():
    tree = merge_tree(TWO)
    with pytest.raises(UsageError, match="-k 3: the model has 2 components"):
        cut(tree, 3)
    with pytest.raises(UsageError, match="-k 0"):
        cut(tree, 0)
    with pytest.raises(UsageError, match="no such criterion"):
        merge_tree(ONE, criterion="ward")
    with pytest.raises(ValueError, match="shared mass"):
        merge_tree(ONE, criterion="overlap")
    with pytest.raises(ValueError, match="heights"):
        merge_tree(ONE, criterion="saddle")


def test_the_medoid_is_the_partition_that_agrees_most():
    halves, thirds = np.arange(60) // 30, np.arange(60) // 20
    almost = halves.copy()
    almost[:2] = 1
    assert medoid_partition([thirds, almost, halves, halves]) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_of_25_gaussians_is_found(seed):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 25, 2500)
    X = np.column_stack([truth // 5, truth % 5]) + generator.normal(0, 0.12, (2500, 2))
    for found, _ in clusters_by(("kl", "overlap", "saddle"), X, 75, 25, seed):
        assert adjusted_rand_score(truth, found) > 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_two_moons_are_unions(seed):
    X, truth = make_moons(800, noise=0.06, random_state=seed)
    for found, _ in clusters_by(("overlap", "saddle"), X, 30, 2, seed):
        assert adjusted_rand_score(truth, found) > 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_clusters_of_one_row_in_a_hundred_are_kept(seed):
    generator = np.random.default_rng(seed)
    sizes = [3000, 30, 30]
    truth = np.repeat([0, 1, 2], sizes)
    X = np.array([[0, 0], [6, 0], [0, 6]])[truth] + generator.normal(0, 0.6, (3060, 2))
    for found, _ in clusters_by(("overlap", "saddle"), X, 30, 3, seed, smallest=0.003):
        assert adjusted_rand_score(truth, found) > 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fifth_of_noise_makes_no_cluster(seed):
    generator = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2, 3, 4], 160)
    centres = np.array([[0, 0], [4, 0], [0, 4], [4, 4], [2, 2]])
    X = centres[truth] + generator.normal(0, 0.3, (800, 2))
    X = np.concatenate([X, generator.uniform(-2, 6, (200, 2))])
    for found, weights in clusters_by(("overlap", "saddle"), X, 40, 5, seed, smallest=0.03):
        assert adjusted_rand_score(truth, found[:800]) > 0.95
        assert weights.min() >= 0.03


@pytest.mark.parametrize("criterion", ["kl", "overlap"])
def test_a_tree_joins_the_cheapest_pair_of_all_each_time(criterion):
    mixture, shared, _ = random_mixture(9, 3, seed=4)
    probabilities = np.random.default_rng(4).dirichlet(np.ones(3), 9)
    mixture = mixture._replace(probabilities=probabilities)
    tree = merge_tree(mixture, criterion=criterion, shared=shared)
    for step in range(8):
        labels = cut(tree, 9 - step)
        merged, members = moment_match(mixture, labels), np.eye(9 - step)[labels]
        costs = pair_costs(merged, criterion, members.T @ shared @ members)
        np.testing.assert_allclose(tree.costs[step], costs.min(), rtol=1e-10)
        a, b = np.unravel_index(costs.argmin(), costs.shape)
        after = cut(tree, 8 - step)
        assert after[labels.tolist().index(a)] == after[labels.tolist().index(b)]


def pair_costs(mixture, criterion, shared):
    """Costs of all pairs by the formulas, inf on the diagonal."""
    m = len(mixture.weights)
    costs = np.full((m, m), np.inf)

    def entropy(moments):
        categories = -(moments.probabilities * np.log(moments.probabilities)).sum()
        return 0.5 * np.linalg.slogdet(moments.covariances[0])[1] + categories

    for a in range(m):
        for b in range(a):
            if criterion == "overlap":
                costs[a, b] = -np.log(shared[a, b] / mixture.weights[[a, b]].min())
                continue
            pair = Moments(*(array[[a, b]] for array in mixture))
            parts = [Moments(*(array[[i]] for array in mixture)) for i in (a, b)]
            joined = moment_match(pair, np.zeros(2, int))
            costs[a, b] = joined.weights[0] * entropy(joined)
            costs[a, b] -= sum(part.weights[0] * entropy(part) for part in parts)
    return costs


def test_the_adjusted_rand_index_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    for k in (1, 2, 5):
        one, other = generator.integers(0, 5, 40), generator.integers(0, k, 40)
        np.testing.assert_allclose(
            adjusted_rand_index(one, other), adjusted_rand_score(one, other), atol=1e-12
        )
    assert adjusted_rand_index(np.zeros(3, int), np.zeros(3, int)) == 1.0
