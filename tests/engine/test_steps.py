"""The published update, its convention of alpha, its sign, its bandwidth; optimisers; stopping."""

import numpy as np
import pytest

from divmix.engine.loop import Limits, follow
from divmix.engine.monitor import Monitor, has_converged
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.engine.steps import Published, annealed, published_step
from divmix.families import Components, make_family
from divmix.kernels import particles
from divmix.particles import bandwidths, optimizers
from divmix.rows import MemoryRows

PLAIN = Published(normalize="mean", optimizer="sgd", step=1.0)


def toy(m=4, seed=0):
    generator = np.random.default_rng(seed)
    X = np.concatenate([generator.normal(c, 0.3, (80, 2)) for c in (-2, 0, 2)])
    family = make_family("gaussian", "diag", np.full(2, 1e-6))
    components = Components(
        np.full(m, 1 / m), generator.normal(size=(m, 2)), generator.uniform(0.5, 2, (m, 2))
    )
    return family, components, MemoryRows(X)


def published_increment(family, components, rows, alpha):
    """theta_i <- theta_i + mean_j [dF/dtheta_j k(j, i) + alpha grad_j k(j, i)], from the paper.

    dF/dtheta_j has the factor 1/m of the mixture weight inside; plain loops over particles.
    """
    theta = family.coordinates(components)
    slope = family.gradient(rows.sums(family, components), components) / rows.total_weight
    m = len(theta)
    squared = [np.sum((theta[i] - theta[j]) ** 2) for i in range(m) for j in range(m)]
    h = np.median(squared)
    increment = np.zeros_like(theta)
    row_sums = np.zeros(m)
    for i in range(m):
        for j in range(m):
            k = np.exp(-np.sum((theta[j] - theta[i]) ** 2) / h)
            increment[i] += slope[j] * k - alpha * 2 * (theta[j] - theta[i]) / h * k
            row_sums[i] += k
    return increment, row_sums


@pytest.mark.parametrize("normalize", ["mean", "rows"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_published_update_and_its_alpha_divided_by_m(alpha, normalize):
    family, components, rows = toy(m=4)
    how = PLAIN._replace(normalize=normalize)
    step = published_step(family, np.array([alpha]), how, np.random.default_rng(0))
    moved = step(components, rows.sums(family, components), None).components
    ours = family.coordinates(moved) - family.coordinates(components)
    theirs, row_sums = published_increment(family, components, rows, alpha / 4)
    divisor = row_sums[:, None] if normalize == "rows" else 4
    np.testing.assert_allclose(ours, 4 * theirs / divisor, rtol=1e-10, atol=1e-12)


def test_with_m_1_there_is_no_repulsion():
    family, components, rows = toy(m=1)
    sums = rows.sums(family, components)
    moves = [
        published_step(family, np.array([alpha]), PLAIN, np.random.default_rng(0))(
            components, sums, None
        ).components.means
        for alpha in (0.0, 5.0)
    ]
    np.testing.assert_array_equal(*moves)


def test_repulsion_drives_particles_apart_when_nothing_else_does():
    theta = np.random.default_rng(0).normal(size=(6, 2))
    push = particles.direction(theta, np.zeros_like(theta), 1.0, 1.0)

    def smallest_gap(points):
        return min(np.linalg.norm(points[i] - points[j]) for i in range(6) for j in range(i))

    assert smallest_gap(theta + 1e-3 * push) > smallest_gap(theta)


def test_bandwidths_by_hand():
    generator = np.random.default_rng(0)
    # Distances on a line: 1, 2, 3; squares over all nine pairs: 0 0 0 1 1 4 4 9 9, median 1.
    line = np.array([[0.0], [1.0], [3.0]])
    assert bandwidths.median(line, generator) == pytest.approx(np.sqrt(0.5))
    assert bandwidths.narrow(line, generator) == pytest.approx(2 / np.sqrt(2 * np.log(4)))
    assert bandwidths.local(line, generator) == 1.0  # nearest neighbours 1, 1, 2
    assert bandwidths.bandwidth_of(0.7, line, generator) == 0.7
    for rule in bandwidths.RULES:
        assert bandwidths.bandwidth_of(rule, line[:1], generator) > 0
        assert bandwidths.bandwidth_of(rule, np.zeros((3, 2)), generator) > 0
        assert bandwidths.bandwidth_of(rule, line[:2], generator) > 0.1


def test_alpha_is_annealed_in_equal_ratios_and_ends_at_its_value():
    alphas = annealed(100.0, 0.01, 5)
    np.testing.assert_allclose(alphas, [100, 10, 1, 0.1, 0.01])
    assert annealed(1.0, 0.0, 4)[-1] == 0.0


def test_annealing_reaches_the_step():
    family, components, rows = toy()
    step = published_step(family, annealed(8.0, 0.5, 3), PLAIN, np.random.default_rng(0))
    told, memory = [], None
    for _ in range(4):
        move = step(components, rows.sums(family, components), memory)
        told.append(move.alpha)
        memory = move.memory
    np.testing.assert_allclose(told, [8, 2, 0.5, 0.5])


def test_first_adam_step_is_the_learning_rate_times_the_sign():
    direction = np.array([[3.0, -0.2]])
    increment, memory = optimizers.adam(direction, optimizers.start((1, 2)), 0.1)
    np.testing.assert_allclose(increment, 0.1 * np.sign(direction), rtol=1e-6)
    assert memory.steps == 1


def test_rmsprop_step_by_hand():
    direction = np.array([[2.0]])
    increment, _ = optimizers.rmsprop(direction, optimizers.start((1, 1)), 0.1)
    # second moment .1 * 4, so the step is .1 * 2 / sqrt(.4)
    np.testing.assert_allclose(increment, 0.1 * 2 / np.sqrt(0.4), rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_gradient_ascent_climbs(name, kernel):
    family, components, rows = toy()
    how = Published(kernel, "local", "mean", name, 0.02)
    generator = np.random.default_rng(0)
    step = published_step(family, np.zeros(1), how, generator)
    monitor = Monitor()
    follow(
        step,
        Objective(family),
        rows,
        State(generator, components),
        monitor,
        "test",
        Limits(60, 0.0),
    )
    values = [row.log_likelihood for row in monitor.trace]
    assert len(values) == 60 and values[-1] > values[0] + 0.1


def test_convergence_compares_windows():
    assert has_converged([1.0, 2.0, 2.0], tol=1e-3, window=1)
    assert not has_converged([1.0, 2.0], tol=1e-3, window=1)
    assert not has_converged([2.0, 2.0], tol=0, window=1)
    wandering = [1.0, 3.0] * 4
    assert not has_converged(wandering, tol=1e-3, window=1)
    assert has_converged(wandering, tol=1e-3, window=4)
