"""The default method: what each phase is for."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from divmix.core import fit_rows
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import make_family
from divmix.rows import MemoryRows
from divmix.search.compete import agreed, different, together
from divmix.search.relax import diversify, relax
from divmix.search.run import Searching
from divmix.settings import DiversifiedSettings


def searching_of(X, covariance="full", **options):
    family = make_family("gaussian", covariance, np.full(X.shape[1], 1e-6))
    return Searching(MemoryRows(X), family, None, Monitor(), **options)


def labels_of(fitted, X):
    found = Objective(fitted.family, noise=fitted.noise).posterior(X, fitted.components)
    return found.clusters(fitted.clusters)


def objective_of(searching, components, prior):
    return searching.objective(prior).look(searching.sample, components).J


def agreed_by(searching, mixtures, votes, prior):
    values = np.array([objective_of(searching, components, prior) for components in mixtures])
    return agreed(searching, mixtures, values, votes)


def test_components_that_hold_less_than_a_row_die_and_leave_their_weight():
    X = np.random.default_rng(0).normal(size=(100, 2))
    searching = searching_of(X, k=1)
    start = searching.family.start(np.array([0.6, 0.395, 0.005]), X[:3], np.eye(2))
    alive = searching.alive(start)
    assert alive.count == 2 and alive.weights.sum() == pytest.approx(1)


def test_diversifying_raises_the_entropy_of_components_that_overlap():
    X = np.random.default_rng(0).normal(size=(600, 2))
    gains = []
    for alpha in (0.0, 0.5):
        searching = searching_of(X, k=1, alpha=alpha)
        relaxed = relax(searching_of(X, k=1), 20, np.random.default_rng(0))
        diverse = diversify(searching, relaxed)
        entropy = [searching.family.overlap(c, gradient=False).entropy for c in (relaxed, diverse)]
        gains.append(entropy[1] - entropy[0])
    assert gains[1] > gains[0] + 0.05


@pytest.mark.parametrize("init", ["kmeans++", "random", "centre"])
@pytest.mark.parametrize("seed", range(2))
def test_every_blob_is_found_from_any_start(init, seed):
    centers = 6.0 * np.array([(i % 4, i // 4) for i in range(12)])
    X, truth = make_blobs(1_200, centers=centers, cluster_std=0.7, random_state=seed)
    fitted = fit_rows(X, DiversifiedSettings(clusters=12, seed=seed, init=init))
    assert adjusted_rand_score(truth, labels_of(fitted, X)) > 0.99


@pytest.mark.parametrize("seed", range(2))
def test_from_the_centre_repulsion_parts_components_in_half_the_steps(seed):
    # before k-means has a say: what the relaxed mixture covers
    centers = 6.0 * np.array([(i % 4, i // 4) for i in range(12)])
    X, _ = make_blobs(1_200, centers=centers, cluster_std=0.7, random_state=seed)
    covered = []
    for alpha in (0.0, 0.03):
        searching = searching_of(X, k=12, alpha=alpha, init="centre")
        relaxed = relax(searching, 72, np.random.default_rng(seed))
        nearest = np.linalg.norm(relaxed.means[:, None] - centers, axis=2).min(axis=0)
        covered.append(int((nearest < 1.0).sum()))
    assert covered[0] < 8 and covered[1] == 12


@pytest.mark.parametrize("seed", range(3))
def test_clusters_of_very_unequal_size_are_found(seed):
    generator = np.random.default_rng(seed)
    centers, sizes = [(0, 0), (10, 0), (0, 10), (10, 10)], [2000, 2000, 20, 20]
    X = np.vstack([generator.normal(c, 1.0, (n, 2)) for c, n in zip(centers, sizes)])
    fitted = fit_rows(X, DiversifiedSettings(clusters=4, seed=seed))
    assert adjusted_rand_score(np.repeat(np.arange(4), sizes), labels_of(fitted, X)) > 0.99


@pytest.mark.parametrize("seed", [0, 3])
def test_many_clusters_along_a_curve_are_found(seed):
    generator = np.random.default_rng([77, seed])
    places = np.column_stack([np.arange(60.0), 8 * np.sin(np.arange(60) / 5)])
    truth = np.repeat(np.arange(60), generator.integers(20, 60, 60))
    X = places[truth] + generator.normal(0, 0.14, (len(truth), 2))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    fitted = fit_rows(X, DiversifiedSettings(clusters=60, seed=seed))
    assert adjusted_rand_score(truth, labels_of(fitted, X)) > 0.995


def test_small_clusters_beside_large_ones_are_found():
    """Three of 3,000 rows and twenty of 30, which the path joins, as its merges are weighed by mass."""
    generator = np.random.default_rng(0)
    large = [4 * generator.normal(size=(3_000, 2)) + at for at in ([0, 0], [0, 30], [30, 0])]
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=-1).reshape(-1, 2)[:20]
    small = [generator.normal(size=(30, 2)) + at for at in 100 + 15 * grid]
    X = np.vstack(large + small)
    truth = np.repeat(np.arange(23), [3_000] * 3 + [30] * 20)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    fitted = fit_rows(X, DiversifiedSettings(clusters=23))
    assert adjusted_rand_score(truth, labels_of(fitted, X)) > 0.99


@pytest.mark.parametrize("covariance", ["diag", "tied", "full"])
def test_mixtures_together_have_the_components_of_all(covariance):
    family = make_family("gaussian", covariance, np.full(2, 1e-6))
    one = family.start(np.array([0.3, 0.7]), np.array([[0.0, 0], [5, 0]]), np.eye(2))
    other = family.start(np.ones(1), np.array([[0.0, 5]]), np.eye(2))
    joint = together(family, [one, other])
    np.testing.assert_array_equal(joint.means, [[0, 0], [5, 0], [0, 5]])
    np.testing.assert_allclose(joint.weights, [0.15, 0.35, 0.5])
    np.testing.assert_allclose(joint.covariances, family.start(*joint[:2], np.eye(2)).covariances)


def test_of_starts_that_the_rows_do_not_tell_apart_the_one_that_others_agree_with_is_kept():
    generator = np.random.default_rng(0)
    X = np.vstack([generator.normal(c, 1.0, (100, 2)) for c in ((0, 0), (8, 0), (0, 8))])
    searching = searching_of(X, k=3, alpha=0.03)
    right = searching.family.start(
        np.full(3, 1 / 3), np.array([[0.0, 0], [8, 0], [0, 8]]), np.eye(2)
    )
    near = right._replace(means=right.means + 0.02)
    wrong = right._replace(means=np.array([[0.0, 0], [8, 0], [8, 0.5]]))
    prior = searching.weak(right)
    assert agreed_by(searching, [wrong, near, right], [1] * 3, prior) in (1, 2)
    assert agreed_by(searching, [wrong, wrong, wrong, right], [1] * 4, prior) == 3


@pytest.mark.parametrize("seed", range(3))
def test_no_component_sits_on_a_few_rows_that_nearly_lie_on_a_line(seed):
    generator = np.random.default_rng(seed)
    X = np.vstack([generator.normal(c, 1.0, (60, 3)) for c in ((0, 0, 0), (7, 0, 0), (0, 7, 0))])
    line = generator.normal(size=(4, 1)) * [1.0, 1.0, 1.0] + 1e-4 * generator.normal(size=(4, 3))
    X = np.vstack([X, line])
    fitted = fit_rows(X, DiversifiedSettings(clusters=3, seed=seed, covariance="full"))
    assert fitted.components.weights.min() > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_noise_in_many_columns_gets_no_full_matrices(seed):
    X = np.random.default_rng(seed).normal(size=(90, 30))
    fitted = fit_rows(X, DiversifiedSettings(clusters=3, seed=seed))
    assert fitted.settings.covariance in ("spherical", "diag")


def test_correlated_clusters_get_full_matrices():
    generator = np.random.default_rng(0)
    along = generator.normal(size=(400, 1)) * [1.0, 1.0]
    across = generator.normal(size=(400, 1)) * [1.0, -1.0]
    rest = 0.2 * generator.normal(size=(800, 2))
    X = np.vstack([along, across + [0.0, 6.0]]) + rest
    fitted = fit_rows(X, DiversifiedSettings(clusters=2))
    assert fitted.settings.covariance == "full"


def test_alpha_of_a_millionth_gives_the_labels_of_alpha_0():
    X, _ = make_blobs(400, centers=5, cluster_std=1.5, random_state=3)
    labels = [
        labels_of(fit_rows(X, DiversifiedSettings(clusters=5, alpha=alpha)), X)
        for alpha in (0.0, 1e-6)
    ]
    assert adjusted_rand_score(*labels) > 0.99


def test_starts_that_lead_to_one_mixture_compete_together_once():
    values = [-3.0, -1.0, -2.0, -1.05, -1.1, -2.0]
    ends = [State(np.random.default_rng(0), objective=value) for value in values]
    assert [end.objective for end in different(ends, 0.08)] == [-1.0, -2.0, -3.0]
    assert len(different(ends, 0.0)) == 5


def test_the_vote_of_the_starts_counts():
    # One start is likelier by a few rows, all others agree on another partition.
    X = np.random.default_rng(1).normal(size=(60, 4))  # no clusters: any partition will do
    searching = searching_of(X, k=2, alpha=0.03)
    family = searching.family
    apart = np.array([[0.7, 0, 0, 0], [-0.7, 0, 0, 0]])
    halves = family.start(np.full(2, 0.5), apart, np.eye(4))
    other = family.start(np.full(2, 0.5), apart[:, [1, 0, 2, 3]], np.eye(4))
    prior = searching.weak(halves)
    values = [objective_of(searching, c, prior) for c in (halves, other)]
    best, rest = (halves, other) if values[0] > values[1] else (other, halves)
    assert agreed_by(searching, [best, rest, rest, rest], [1] * 4, prior) != 0
    assert agreed_by(searching, [best, rest], [1, 3], prior) == 1


def test_relaxed_components_are_no_narrower_than_their_prior_has_it():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 3))
    relaxed = relax(searching_of(X, k=1), 40, generator)
    # five rows each: without the prior many lie nearly in a plane
    assert np.linalg.eigvalsh(relaxed.covariances)[:, 0].min() > 0.02
