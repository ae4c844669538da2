import numpy as np
import pytest

from divmix.kernels import compile as compiling
from divmix.kernels import particles
from tests import reference


def cloud(m, dims, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, dims)), rng.normal(size=(m, dims))


def smallest_distance(theta):
    distances = np.linalg.norm(theta[:, None] - theta[None], axis=2)
    return distances[np.triu_indices(len(theta), 1)].min()


@pytest.fixture(autouse=True)
def default_threads():
    yield
    compiling.set_threads(None)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize(("m", "dims"), [(1, 1), (2, 3), (255, 4), (256, 2), (257, 5), (600, 9)])
def test_direction_equals_twin(m, dims, kernel):
    theta, drive = cloud(m, dims)
    actual = particles.direction(theta, drive, 0.3, 0.8, kernel)
    expected = reference.direction(theta, drive, 0.3, 0.8, kernel)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize("spread", [1.0, 100.0])  # s by products, and by differences
@pytest.mark.parametrize(("m", "dims"), [(1, 1), (5, 2), (64, 3), (65, 9), (200, 33)])
def test_pairs_equal_twin(m, dims, spread, kernel):
    theta, drive = cloud(m, dims)
    theta *= spread
    weights = np.random.default_rng(1).dirichlet(np.ones(m))
    actual = particles.pairs(theta, drive, weights, 0.3, 0.8, kernel)
    expected = reference.pairs(theta, drive, weights, 0.3, 0.8, kernel)
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11 * np.abs(theirs).max())


def test_without_repulsion_the_pull_is_the_shared_drive():
    theta, drive = cloud(70, 3)
    weights = np.full(70, 1 / 70)
    k = np.exp(-((theta[:, None] - theta[None]) ** 2).sum(axis=2) / 2)
    pull = particles.pairs(theta, drive, weights, 0.0, 1.0).pull
    np.testing.assert_allclose(pull, k @ drive, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_same_bits_at_any_thread_count(kernel, monkeypatch):
    monkeypatch.setattr(particles, "LEAST_WORK", 1)  # as many groups as there may be
    theta, drive = cloud(700, 3)
    weights = np.random.default_rng(1).dirichlet(np.ones(len(theta)))
    compiling.set_threads(1)
    alone = particles.pairs(theta, drive, weights, 0.3, 0.8, kernel)
    for threads in (2, 4):
        compiling.set_threads(threads)
        together = particles.pairs(theta, drive, weights, 0.3, 0.8, kernel)
        for mine, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_entropy_is_0_for_one_place_and_log_m_for_particles_far_apart(kernel):
    weights = np.full(7, 1 / 7)
    apart = 1e12 * np.arange(7.0)[:, None]
    assert particles.entropy(np.ones((7, 2)), weights, 1.0, kernel) == pytest.approx(0, abs=1e-15)
    assert particles.entropy(apart, weights, 1.0, kernel) == pytest.approx(np.log(7), rel=1e-10)


def test_a_particle_of_weight_0_far_from_all_others_adds_nothing_to_the_entropy():
    theta = np.array([[0.0], [1e9], [1.0]])
    weights = np.array([0.5, 0.0, 0.5])
    result = particles.pairs(theta, np.ones((3, 1)), weights, 1.0, 1.0)
    assert result.weighted[1] == 0
    assert result.entropy == pytest.approx(particles.entropy(theta[::2], weights[::2], 1.0))
    assert np.isfinite(result.pull).all()


def test_entropy_grows_along_the_repulsion_and_its_weight_is_alpha():
    theta, drive = cloud(40, 2)
    weights = np.full(40, 1 / 40)
    push = particles.pairs(theta, 0 * drive, weights, 1.0, 1.0).pull
    twice = particles.pairs(theta, 0 * drive, weights, 2.0, 1.0).pull
    moved = particles.entropy(theta + 1e-3 * push, weights, 1.0)
    assert moved > particles.entropy(theta, weights, 1.0)
    np.testing.assert_allclose(twice, 2 * push, rtol=1e-12, atol=1e-13)


def test_a_particle_that_is_not_a_number_is_not_hidden():
    theta, drive = cloud(9, 2)
    theta[4, 1] = np.nan
    assert np.isnan(particles.pairs(theta, drive, np.full(9, 1 / 9), 1.0, 1.0).entropy)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_without_drive_particles_move_apart(kernel):
    theta, drive = cloud(30, 2)
    step = 1e-3 * particles.direction(theta, 0 * drive, 1.0, 1.0, kernel)
    assert smallest_distance(theta + step) > smallest_distance(theta)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_alpha_is_m_times_the_published_one(kernel):
    # Published: drive without the factor m, so its alpha is ours divided by m.
    theta, gradient = cloud(12, 3)
    m, alpha = len(theta), 0.7
    ours = particles.direction(theta, m * gradient, alpha, 1.3, kernel)
    published = particles.direction(theta, gradient, alpha / m, 1.3, kernel)
    np.testing.assert_allclose(ours, m * published, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_one_particle_follows_its_drive(kernel):
    theta, drive = cloud(1, 4)
    np.testing.assert_array_equal(particles.direction(theta, drive, 5.0, 1.0, kernel), drive)


def test_repulsion_of_two_particles_by_hand():
    # k = exp(-1/2); particle 0 at 0 is pushed by -k, particle 1 at 1 by +k; mean over 2
    theta = np.array([[0.0], [1.0]])
    push = np.exp(-0.5) / 2
    actual = particles.direction(theta, np.zeros((2, 1)), 1.0, 1.0)
    np.testing.assert_allclose(actual, [[-push], [push]], rtol=1e-14)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_direction_does_not_depend_on_the_origin(kernel):
    theta, drive = cloud(20, 3)
    here = particles.direction(theta, drive, 0.3, 1.0, kernel)
    there = particles.direction(theta + 1e6, drive, 0.3, 1.0, kernel)
    np.testing.assert_allclose(there, here, rtol=1e-8)


def test_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="'cubic'"):
        particles.direction(*cloud(2, 1), 0.1, 1.0, "cubic")


@pytest.mark.parametrize(
    ("points", "median"),
    [
        ([0.0], 1.0),  # nothing to measure
        ([0.0, 3.0], 3.0),
        ([0.0, 1.0, 5.0], 4.0),  # distances 1, 4, 5
    ],
)
def test_median_distance_by_hand(points, median):
    theta = np.array(points)[:, None]
    assert particles.median_distance(theta, np.random.default_rng(0)) == median


def test_sampled_median_is_close_to_the_exact_one():
    theta, _ = cloud(1000, 3)
    distances = np.linalg.norm(theta[:, None] - theta[None], axis=2)
    exact = np.median(distances[np.triu_indices(1000, 1)])
    sampled = particles.median_distance(theta, np.random.default_rng(0))
    assert sampled == pytest.approx(exact, rel=0.03)


def test_sampled_median_never_pairs_a_particle_with_itself():
    theta = 1e9 * np.arange(600.0)[:, None]
    assert particles.median_distance(theta, np.random.default_rng(0)) >= 1e9


def test_the_authors_median_counts_each_particle_with_itself():
    theta, generator = np.array([0.0, 1.0, 5.0])[:, None], np.random.default_rng(0)
    # squared distances 0 0 0, and twice 1, 16, 25
    assert particles.median_squared_distance(theta, generator) == 1.0
    assert particles.median_squared_distance(theta, generator, include_self=False) == 16.0
    assert particles.median_squared_distance(theta[:1], generator) == 0.0


def test_sampled_median_of_squares_is_close_to_the_exact_one():
    theta, _ = cloud(700, 3)
    exact = np.median(((theta[:, None] - theta[None]) ** 2).sum(axis=2))
    sampled = particles.median_squared_distance(theta, np.random.default_rng(0))
    assert sampled == pytest.approx(exact, rel=0.06)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_a_bandwidth_far_below_the_distances_leaves_each_particle_to_itself(kernel):
    theta, drive = cloud(300, 2)
    alone = particles.direction(theta, drive, 0.0, 1e-12, kernel)
    np.testing.assert_allclose(alone, drive / len(theta), atol=1e-8)
