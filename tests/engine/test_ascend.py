"""J = F + alpha H is climbed, never lowered, and its steps are those of its gradient."""

import numpy as np
import pytest

from divmix.engine.checkpoint import Journal
from divmix.engine.loop import Limits, ascend
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import STRUCTURES, Components, Prior, make_family
from divmix.rows import MemoryRows

SHAPES = ["spherical", "diag", "tied", "full"]
STEPS = [{}, {"share": True}, {"overrelaxed": True}]


def problem(covariance, m=5, d=3, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(300, d)) + 2 * generator.integers(3, size=(300, 1))
    family = make_family("gaussian", covariance, np.full(d, 1e-6))
    roots = generator.normal(size=(m, d, d))
    components = Components(
        generator.dirichlet(np.full(m, 5.0)),
        X[generator.choice(300, m)],
        STRUCTURES[covariance]().from_full(roots @ roots.transpose(0, 2, 1) + np.eye(d)),
    )
    return family, components, MemoryRows(X)


def climbed(objective, components, rows, max_iter=60, tol=0.0, **options):
    monitor = Monitor()
    state = State(np.random.default_rng(0), components)
    end = ascend(objective, rows, state, monitor, "test", Limits(max_iter, tol), **options)
    return end, monitor.trace


@pytest.mark.parametrize("how", STEPS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("covariance", SHAPES)
def test_the_objective_never_falls_and_the_trace_adds_up(covariance, alpha, how):
    family, components, rows = problem(covariance)
    _, trace = climbed(Objective(family, alpha), components, rows, **how)
    values = np.array([row.objective for row in trace])
    assert np.diff(values).min() >= -1e-12
    assert values[-1] > values[0]
    for row in trace:
        assert row.objective == pytest.approx(
            row.log_likelihood + row.alpha * row.entropy + row.log_prior, abs=1e-12
        )
        assert row.alpha == alpha
        assert row.effective_components == pytest.approx(np.exp(row.entropy))
        assert row.rows == 300


@pytest.mark.parametrize("covariance", SHAPES)
def test_the_push_of_the_entropy_is_an_ascent_of_it(covariance):
    family, components, rows = problem(covariance)
    objective = Objective(family, 1e-4)
    look = objective.look(rows, components)
    pushed, plain = objective.ascended(look), objective.m_step(components, look.sums)

    def entropy(share):
        # what alpha adds to the M-step, applied to the components themselves
        moved = Components(
            *(
                None if one is None else one + share * (two - three)
                for one, two, three in zip(components, pushed, plain)
            )
        )
        return family.overlap(moved, gradient=False).entropy

    assert entropy(1.0) > entropy(0.0) > entropy(-1.0)


def test_where_it_ends_j_is_stationary():
    family, components, rows = problem("full")
    objective = Objective(family, 0.3)
    end, _ = climbed(objective, components, rows, max_iter=2_000, tol=1e-13)
    theta = family.coordinates(end.moved)
    best = objective.look(rows, end.moved).J
    for step in (1e-4, -1e-4):
        for j in range(theta.shape[1]):
            moved = theta.copy()
            moved[0, j] += step
            there = objective.look(rows, family.from_coordinates(moved, end.moved)).J
            assert there <= best + 1e-7


def test_alpha_raises_the_entropy_of_what_is_found_and_is_continuous_at_0():
    family, components, rows = problem("full", m=6)
    entropies, likelihoods = [], []
    for alpha in (0.0, 1e-6, 0.3, 1.0):
        end, trace = climbed(Objective(family, alpha), components, rows, max_iter=300, tol=1e-9)
        entropies.append(trace[-1].entropy)
        likelihoods.append(trace[-1].log_likelihood)
    assert entropies[3] > entropies[2] > entropies[0] + 0.01
    assert entropies[1] == pytest.approx(entropies[0], abs=1e-2)
    assert likelihoods[1] == pytest.approx(likelihoods[0], abs=1e-4)


def test_coinciding_components_are_driven_apart_by_alpha_alone():
    generator = np.random.default_rng(0)
    rows = MemoryRows(np.concatenate([generator.normal(c, 0.5, (200, 1)) for c in (-3, 3)]))
    family = make_family("gaussian", "diag", np.full(1, 1e-6))
    start = Components(np.full(2, 0.5), np.array([[-1e-6], [1e-6]]), np.full((2, 1), 9.0))
    ends = []
    for alpha in (0.0, 1.0):
        end, _ = climbed(Objective(family, alpha), start, rows, max_iter=15)
        ends.append(np.ptp(end.moved.means))
    assert ends[1] > 10 * ends[0]


def test_a_prior_is_a_part_of_j():
    family, components, rows = problem("full")
    prior = Prior(20.0, np.eye(3))
    _, trace = climbed(Objective(family, 0.1, prior), components, rows)
    assert all(row.log_prior != 0 for row in trace)
    assert np.diff([row.objective for row in trace]).min() >= -1e-12
    plain, _ = climbed(Objective(family, 0.1), components, rows)
    smooth, _ = climbed(Objective(family, 0.1, prior), components, rows)
    narrowest = [np.linalg.eigvalsh(end.moved.covariances)[:, 0].min() for end in (plain, smooth)]
    assert narrowest[1] > narrowest[0]


def test_em_of_one_component_is_the_mean_and_covariance():
    family, _, rows = problem("full")
    one = family.start(np.ones(1), np.zeros((1, 3)), np.eye(3))
    end, _ = climbed(Objective(family, 0.5), one, rows, max_iter=10)
    X = rows.matrix.X
    np.testing.assert_allclose(end.moved.means[0], X.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(end.moved.covariances[0], np.cov(X.T, ddof=0), rtol=1e-9)


def test_tol_0_means_exactly_max_iter_visits():
    family, components, rows = problem("diag")
    visits = []

    class Counted(MemoryRows):
        def sums(self, *arguments, **options):
            visits.append(1)
            return super().sums(*arguments, **options)

    end, trace = climbed(Objective(family), components, Counted(rows.matrix.X), max_iter=50)
    assert len(visits) == len(trace) == 50 and end.stop_reason == "max_iter"


@pytest.mark.parametrize("keep, digits", [(False, 1e-9), (True, 1e-6)])
def test_float32_changes_the_end_of_a_climb_by_no_more_than_stated(keep, digits):
    family, components, rows = problem("diag")
    ends = []
    for coarse in (False, True):
        state = State(np.random.default_rng(0), components, coarse=coarse)
        limits = Limits(2_000, 1e-12, keep_coarse=keep and coarse)
        end = ascend(Objective(family), rows, state, Monitor(), "test", limits)
        ends.append(Objective(family).log_likelihood(rows, end.moved))
    assert ends[0] == pytest.approx(ends[1], abs=digits)


def test_components_that_coincide_share_their_drive():
    # With equal components the kernel is 1 between all, and each gets the mean displacement.
    family, components, rows = problem("diag", m=2)
    same = components.take(np.array([0, 0]))._replace(weights=np.array([0.5, 0.5]))
    apart = same._replace(means=same.means + np.array([[0.0], [1e-9]]))
    objective = Objective(family)
    look = objective.look(rows, apart, share=True)
    lone = objective.m_step(apart, look.sums)
    lone = lone._replace(means=lone.means + np.array([[3.0], [0.0]]))
    look = look._replace(displacement=family.coordinates(lone) - family.coordinates(apart))
    overlap = family.overlap(apart, look.displacement, gradient=False)
    shared = objective.shared(look._replace(overlap=overlap), lone)
    moves = shared.means - apart.means
    np.testing.assert_allclose(moves[0], moves[1], atol=1e-6)
    np.testing.assert_allclose(moves[0], (lone.means - apart.means).mean(axis=0), atol=1e-6)


def test_a_step_too_long_is_shortened(monkeypatch):
    family, components, rows = problem("diag")
    ascended = Objective.ascended

    def far(self, look):
        target = ascended(self, look)
        return target._replace(means=look.components.means
                               + 3 * (target.means - look.components.means))  # fmt: skip

    monkeypatch.setattr(Objective, "ascended", far)
    _, trace = climbed(Objective(family), components, rows, max_iter=40)
    assert np.diff([row.objective for row in trace]).min() >= -1e-12
    assert trace[-1].objective > trace[0].objective


def ring(n=600, seed=3):
    """Rows about a circle: components slide along it, so that EM is slow."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(0, 2 * np.pi, n)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * generator.standard_normal((n, 2))
    family = make_family("gaussian", "full", np.full(2, 1e-6))
    return family, family.start(np.full(12, 1 / 12), X[:12], 0.1 * np.eye(2)), MemoryRows(X)


@pytest.mark.parametrize("alpha", [0.0, 0.03])
def test_overrelaxed_steps_settle_in_half_the_visits(alpha):
    family, components, rows = ring()
    objective = Objective(family, alpha)
    (slow, trace), (fast, fewer) = (
        climbed(objective, components, rows, 2_000, 1e-7, overrelaxed=overrelaxed)
        for overrelaxed in (False, True)
    )
    assert slow.stop_reason == fast.stop_reason == "converged"
    assert len(fewer) < 0.6 * len(trace)
    assert fast.objective > slow.objective - 1e-6


def test_overrelaxed_weights_keep_their_sum_and_those_that_are_not_learned_stay():
    family, components, rows = ring()
    for learned in (True, False):
        objective = Objective(family, 0.03, learn_weights=learned)
        look = objective.look(rows, components)
        target = objective.ascended(look)
        beyond = objective.beyond(look, target, 4.0)
        assert beyond.weights.sum() == pytest.approx(1)
        moved = beyond.weights - components.weights
        assert bool(np.abs(moved).max() > 1e-3) == learned
        np.testing.assert_allclose(
            beyond.means - components.means, 4 * (target.means - components.means), atol=1e-12
        )


def test_a_climb_ends_where_an_m_step_has_settled(monkeypatch):
    # A step that reaches too far may bring little where an M-step would bring more.
    family, components, rows = ring()
    monkeypatch.setattr(Objective, "beyond", lambda self, look, target, reach: look.components)
    end, _ = climbed(Objective(family), components, rows, 2_000, 1e-6, overrelaxed=True)
    plain, _ = climbed(Objective(family), components, rows, 2_000, 1e-6)
    assert end.objective == pytest.approx(plain.objective, abs=1e-12)


def test_a_prior_weighs_as_many_rows_as_it_says():
    family, _, rows = problem("full")
    X = rows.matrix.X
    one = family.start(np.ones(1), X.mean(axis=0)[None], np.eye(3))
    end, _ = climbed(Objective(family, 0.0, Prior(150.0, 4 * np.eye(3))), one, rows, max_iter=5)
    own = np.cov(X.T, ddof=0)
    expected = (300 * own + 150 * 4 * np.eye(3)) / 450
    np.testing.assert_allclose(end.moved.covariances[0], expected, rtol=1e-9)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("how", STEPS)
@pytest.mark.parametrize("covariance", SHAPES)
def test_a_hundred_steps_are_forty_and_sixty(covariance, how, coarse):
    family, components, rows = problem(covariance)
    objective = Objective(family, 0.3)
    state, limits = State(np.random.default_rng(0), components, coarse=coarse), Limits(100, 0.0)

    def climb(state, monitor):
        return ascend(objective, rows, state, monitor, "test", limits, resumable=True, **how)

    whole = Monitor()
    end = climb(state, whole)
    asked, journal = iter(range(1000)), Journal()
    monitor = Monitor(should_stop=lambda: next(asked) >= 40, journal=journal)
    climb(monitor.watch("run", state), monitor)
    # A turn may look again, and an overrelaxed one in vain.
    assert 25 <= len(journal.entries["run"].trace) <= 41
    monitor = Monitor(journal=Journal(journal.entries))
    again = climb(monitor.watch("run", state), monitor)
    for one, two in zip(again.components[:3], end.components[:3]):
        np.testing.assert_array_equal(one, two)
    untimed = [[row._replace(seconds=0) for row in own.trace] for own in (monitor, whole)]
    assert untimed[0] == untimed[1] and len(untimed[0]) > 60
