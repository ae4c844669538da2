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
def test_same_bits_at_any_thread_count(kernel, monkeypatch):
    monkeypatch.setattr(particles, "LEAST_WORK", 1)  # a group for each tile
    theta, drive = cloud(1100, 3)
    compiling.set_threads(1)
    alone = particles.direction(theta, drive, 0.3, 0.8, kernel)
    for threads in (2, 4):
        compiling.set_threads(threads)
        together = particles.direction(theta, drive, 0.3, 0.8, kernel)
        np.testing.assert_array_equal(together, alone)


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
    exact = np.median(
        np.linalg.norm(theta[:, None] - theta[None], axis=2)[np.triu_indices(1000, 1)]
    )
    sampled = particles.median_distance(theta, np.random.default_rng(0))
    assert sampled == pytest.approx(exact, rel=0.03)


def test_sampled_median_never_pairs_a_particle_with_itself():
    theta = 1e9 * np.arange(600.0)[:, None]
    assert particles.median_distance(theta, np.random.default_rng(0)) >= 1e9


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_a_bandwidth_far_below_the_distances_leaves_each_particle_to_itself(kernel):
    theta, drive = cloud(300, 2)
    alone = particles.direction(theta, drive, 0.0, 1e-12, kernel)
    np.testing.assert_allclose(alone, drive / len(theta), atol=1e-8)
