import numpy as np
import pytest

from divmix.benchmarks import speed
from divmix.benchmarks.speed import convergence, iterations, peers, processes, timing
from divmix.benchmarks.speed.problems import make_problem
from divmix.errors import DivmixError, MissingExtraError, UsageError
from divmix.kernels import compile as compiling
from divmix.kernels import particles


@pytest.mark.parametrize(
    ("measured", "higher_is_better", "met"),
    [(0.1, False, True), (0.3, False, False), (0.1, True, False), (0.3, True, True)],
)
def test_a_bar_is_met_on_its_better_side(measured, higher_is_better, met):
    made = timing.row("work", 5.0, unit="ms", bar=0.2, peer=50.0, ratio=measured,
                      higher_is_better=higher_is_better)  # fmt: skip
    assert made["met"] is met


def test_a_row_without_a_bar_is_neither_met_nor_missed():
    assert timing.row("work", 5.0, unit="ms", bar=None)["met"] is None


def test_side_by_side_calls_both_sides_in_turns():
    calls = []
    timing.side_by_side(lambda: calls.append("ours"), lambda: calls.append("peer"), rounds=2)
    turns = [call for call, before in zip(calls, [None, *calls], strict=False) if call != before]
    assert turns == ["ours", "peer"] * 3


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_scikit_learn_starts_where_we_start(covariance):
    problem = make_problem(600, 3, 4, covariance=covariance)
    trace = peers.sklearn_mixture(
        problem.X, problem.start.means, covariance, max_iter=2, tol=0.0
    ).trace
    sums = problem.family.sums(problem.X, np.ones(600), problem.start)
    second = problem.family.maximize(sums, problem.start, learn_weights=True)
    ours = [sums, problem.family.sums(problem.X, np.ones(600), second)]
    for (_, theirs), mine in zip(trace, ours, strict=False):
        assert mine.log_likelihood / 600 == pytest.approx(theirs, abs=1e-5)


def test_the_numpy_form_does_the_same_work_as_the_particle_kernel():
    theta, drive = np.random.default_rng(0).normal(size=(2, 20, 3))
    weights = np.full(20, 1 / 20)
    theirs = iterations.numpy_pairs(theta, drive, weights, 0.3, 1.2)
    ours = particles.pairs(theta, drive, weights, 0.3, 1.2)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10)


def test_rows_say_what_was_measured_and_leave_the_threads_as_they_were():
    compiling.set_threads(1)
    try:
        rows = list(iterations.among_ourselves(rounds=1, scale=100))
        assert compiling.threads() == 1
    finally:
        compiling.set_threads(None)
    assert "two threads over one, diag 1e4 x 8 x 16" in [made["name"] for made in rows]
    assert all(made["ours"] > 0 and made["ratio"] > 0 for made in rows)


def test_convergence_counts_the_trials_that_reached_the_target():
    ratio, reached = convergence.same_log_likelihood(trials=1, scale=100)
    assert ratio["ratio"] > 0
    assert (reached["ours"], reached["met"]) == (1, True)


def test_unknown_and_missing_peers_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="--peers mclust"):
        speed.run(("mclust",))
    monkeypatch.setitem(peers.MODULES, "absent", "no_such_module")
    with pytest.raises(MissingExtraError, match="absent"):
        speed.run(("absent",))


def test_a_failing_process_is_an_error_with_its_last_words():
    with pytest.raises(DivmixError) as caught:
        processes.divmix(["no-such-command"])
    assert "no-such-command" in caught.value.hint
