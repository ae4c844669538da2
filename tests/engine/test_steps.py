"""The published update, its convention of alpha, its sign, its bandwidth; optimisers; stopping."""

import numpy as np
import pytest

from divmix.engine.loop import climb
from divmix.engine.monitor import Monitor, has_converged
from divmix.engine.steps import em_step, local_step, published_step
from divmix.families import Components, make_family
from divmix.particles import directions as particle_step
from divmix.particles import optimizers as optimizer
from divmix.rows.memory import InMemory, MiniBatch


def toy(m=4, seed=0):
    generator = np.random.default_rng(seed)
    X = np.concatenate([generator.normal(c, 0.3, (80, 2)) for c in (-2, 0, 2)])
    family = make_family("gaussian", "diag", np.full(2, 1e-6))
    components = Components(
        np.full(m, 1 / m), generator.normal(size=(m, 2)), generator.uniform(0.5, 2, (m, 2))
    )
    return family, components, InMemory(X, np.ones(len(X)), family)


def published_increment(family, components, data_term, alpha):
    """theta_i <- theta_i + mean_j [dF/dtheta_j k(j, i) + alpha grad_j k(j, i)], from the paper.

    dF/dtheta_j has the factor 1/m of the mixture weight inside; plain loops over particles.
    """
    theta = family.coordinates(components)
    slope = family.gradient(data_term(components), components) / data_term.total_weight
    m = len(theta)
    gaps = [np.linalg.norm(theta[i] - theta[j]) for i in range(m) for j in range(i)]
    h = np.median(gaps) / np.sqrt(2 * np.log(m + 1))
    increment = np.zeros_like(theta)
    for i in range(m):
        for j in range(m):
            k = np.exp(-np.sum((theta[j] - theta[i]) ** 2) / (2 * h**2))
            increment[i] += slope[j] * k - alpha * (theta[j] - theta[i]) / h**2 * k
    return increment / m


@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_published_update_and_its_alpha_divided_by_m(alpha):
    family, components, data_term = toy(m=4)
    step = published_step(
        family,
        alpha,
        kernel="rbf",
        bandwidth="median",
        optimizer_name="sgd",
        learning_rate=1.0,
        generator=np.random.default_rng(0),
    )
    moved = step(components, data_term(components), None).components
    ours = family.coordinates(moved) - family.coordinates(components)
    theirs = published_increment(family, components, data_term, alpha / 4)
    np.testing.assert_allclose(ours, 4 * theirs, rtol=1e-10, atol=1e-12)


def test_with_m_1_there_is_no_repulsion():
    family, components, data_term = toy(m=1)
    moves = [
        published_step(
            family,
            alpha,
            kernel="rbf",
            bandwidth="median",
            optimizer_name="sgd",
            learning_rate=0.1,
            generator=np.random.default_rng(0),
        )(components, data_term(components), None).components.means
        for alpha in (0.0, 5.0)
    ]
    np.testing.assert_array_equal(*moves)


def test_repulsion_drives_particles_apart_when_nothing_else_does():
    theta = np.random.default_rng(0).normal(size=(6, 2))
    push = particle_step.published_direction(theta, np.zeros_like(theta), 1.0, 1.0)

    def smallest_gap(points):
        return min(np.linalg.norm(points[i] - points[j]) for i in range(6) for j in range(i))

    assert smallest_gap(theta + 1e-3 * push) > smallest_gap(theta)


def test_local_step_with_one_component_is_em_and_alpha_pushes_overlapping_ones_apart():
    family, components, data_term = toy(m=1)
    sums = data_term(components)
    local = local_step(family, 0.5, learn_weights=True)(components, sums, None).components
    em = em_step(family)(components, sums, None).components
    np.testing.assert_allclose(local.means, em.means)
    np.testing.assert_allclose(local.covariances, em.covariances)

    family, components, data_term = toy(m=4)
    sums = data_term(components)
    spread = [
        local_step(family, alpha, learn_weights=True)(components, sums, None)
        .components.means.std(axis=0)
        .sum()
        for alpha in (0.0, 0.5)
    ]
    assert spread[1] > spread[0]


def test_bandwidth_by_hand():
    generator = np.random.default_rng(0)
    # Distances of the three points: 1, 2, 3 on a line; median 2, nearest neighbours 1, 1, 2.
    line = np.array([[0.0], [1.0], [3.0]])
    assert particle_step.median_bandwidth(line, generator) == pytest.approx(
        2 / np.sqrt(2 * np.log(4))
    )
    assert particle_step.local_bandwidth(line) == 1.0
    pair = line[:2]
    assert particle_step.median_bandwidth(pair, generator) == pytest.approx(
        1 / np.sqrt(2 * np.log(3))
    )
    assert particle_step.median_bandwidth(line[:1], generator) == 1.0
    assert particle_step.local_bandwidth(line[:1]) == 1.0
    coinciding = np.zeros((3, 2))
    assert particle_step.median_bandwidth(coinciding, generator) > 0


def test_entropy_runs_from_zero_to_log_m():
    weights = np.full(5, 0.2)
    together, apart = np.zeros((5, 1)), 1e3 * np.arange(5.0)[:, None]
    for kernel, far in (("rbf", np.log(5)), ("imq", np.log(5))):
        assert particle_step.entropy(together, weights, 1.0, kernel) == pytest.approx(0, abs=1e-12)
        assert particle_step.entropy(apart, weights, 1.0, kernel) == pytest.approx(far, abs=1e-2)


def test_first_adam_step_is_the_learning_rate_times_the_sign():
    direction = np.array([[3.0, -0.2]])
    increment, memory = optimizer.adam(direction, optimizer.start((1, 2)), 0.1)
    np.testing.assert_allclose(increment, 0.1 * np.sign(direction), rtol=1e-6)
    assert memory.count == 1


def test_rmsprop_step_by_hand():
    direction = np.array([[2.0]])
    increment, _ = optimizer.rmsprop(direction, optimizer.start((1, 1)), 0.1)
    # second moment .1 * 4, so the step is .1 * 2 / sqrt(.4)
    np.testing.assert_allclose(increment, 0.1 * 2 / np.sqrt(0.4), rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_gradient_ascent_climbs(name, kernel):
    family, components, data_term = toy()
    step = published_step(
        family,
        0.0,
        kernel=kernel,
        bandwidth="local",
        optimizer_name=name,
        learning_rate=0.02,
        generator=np.random.default_rng(0),
    )
    monitor = Monitor()
    climb(step, components, data_term, monitor, phase="test", alpha=0.0, max_iter=60, tol=0)
    values = [row.log_likelihood for row in monitor.trace]
    assert len(values) == 60 and values[-1] > values[0] + 0.1


def test_a_mini_batch_stands_for_all_rows():
    family, components, data_term = toy()
    batch = MiniBatch(data_term, 60, np.random.default_rng(0))
    estimates = [batch(components).log_likelihood / batch.total_weight for _ in range(300)]
    exact = data_term(components).log_likelihood / data_term.total_weight
    standard_error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * standard_error
    whole = MiniBatch(data_term, 10_000, np.random.default_rng(0))
    assert whole(components).log_likelihood == pytest.approx(data_term(components).log_likelihood)


def test_convergence_compares_windows():
    assert has_converged([1.0, 2.0, 2.0], tol=1e-3, window=1)
    assert not has_converged([1.0, 2.0], tol=1e-3, window=1)
    assert not has_converged([2.0, 2.0], tol=0, window=1)
    wandering = [1.0, 3.0] * 4
    assert not has_converged(wandering, tol=1e-3, window=1)
    assert has_converged(wandering, tol=1e-3, window=4)


def test_tol_0_means_exactly_max_iter_passes():
    family, components, data_term = toy()
    monitor = Monitor()
    result = climb(
        em_step(family),
        components,
        data_term,
        monitor,
        phase="test",
        alpha=0.0,
        max_iter=50,
        tol=0,
    )
    assert len(monitor.trace) == 50 and result.stop_reason == "max_iter"


@pytest.mark.parametrize("precision, digits", [("auto", 1e-9), ("float32", 1e-6)])
def test_precision_changes_the_end_of_a_climb_by_no_more_than_stated(
    precision, digits, monkeypatch
):
    monkeypatch.setattr("divmix.rows.memory.WORTH_A_COPY", 0)
    family, components, exact = toy()
    ends = []
    for data_term in (exact, InMemory(exact.X, exact.row_weights, family, precision)):
        result = climb(
            em_step(family),
            components,
            data_term,
            Monitor(),
            phase="test",
            alpha=0.0,
            max_iter=2000,
            tol=1e-12,
        )
        ends.append(exact(result.components).log_likelihood / exact.total_weight)
    assert ends[0] == pytest.approx(ends[1], abs=digits)
