"""The door to the method: rows of any make, families of any kind, runs that go on from a state."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from divmix.choosing.settle import settle
from divmix.core import Interrupted, fit_rows
from divmix.engine.monitor import Monitor
from divmix.engine.state import State, run_phases
from divmix.errors import UsageError
from divmix.families import Components, Moments
from divmix.families.moments import moment_match
from divmix.families.posterior import log_weights, posterior
from divmix.kernels.components import Overlap
from divmix.kernels.sums import Sums
from divmix.methods import method_of
from divmix.problem import Problem
from divmix.rows import Block, Features, MemoryRows, summarize
from divmix.settings import DiversifiedSettings, EmSettings, NsvgdSettings


class ListRows:
    """Rows in a list of blocks, which are put together at each visit."""

    def __init__(self, blocks):
        self._blocks = [Block(*block) for block in blocks]
        self.features = Features(np.zeros(self._blocks[0].X.shape[1], bool))

    @property
    def total_weight(self):
        return float(self._joined.row_weights.sum())

    @property
    def visited(self):
        return sum(len(block.X) for block in self._blocks)

    @property
    def _joined(self):
        return Block(*(np.concatenate(parts) for parts in zip(*self._blocks)))

    def summary(self):
        return summarize([self._joined])

    def sums(self, family, components, *, coarse=False):
        X, row_weights = self._joined
        return family.sums(X.astype(np.float32) if coarse else X, row_weights, components)

    def sample(self, size, generator):
        return MemoryRows(*self._joined).sample(size, generator)

    def among(self, features):
        return MemoryRows(*self._joined).among(features)

    def blocks(self):
        return iter(self._blocks)


class AddedRows(ListRows):
    """Rows of which no more than a block is looked at at a time."""

    def summary(self):
        return summarize(self._blocks)

    def sums(self, family, components, *, coarse=False):
        first, *others = (family.sums(*block, components) for block in self._blocks)
        return sum(others, first)


class Bernoulli:
    """Independent 0/1 columns: means (m, d) are the probabilities of a 1, kept off 0 and 1."""

    def __init__(self, d):
        self.name, self.floor = "bernoulli", np.full(d, 1e-4)

    diagonal_only = False

    def made(self, weights, means):
        return Components(weights, p := np.clip(means, 1e-3, 1 - 1e-3), p * (1 - p))

    def start(self, weights, means, covariance):
        return self.made(weights, 0.25 + 0.5 * means)

    def n_parameters(self, m, d):
        return m - 1 + m * d

    def log_densities(self, X, components):
        return X @ np.log(components.means).T + (1 - X) @ np.log(1 - components.means).T

    def sums(self, X, row_weights, components):
        joint = self.log_densities(X, components) + log_weights(components.weights)
        log_density, shares = posterior(joint)
        mass, first = row_weights @ shares, (shares * row_weights[:, None]).T @ X
        return Sums(float(row_weights @ log_density), mass, mass, first, first, 0 * mass)

    def maximize(self, sums, components, *, learn_weights=True, prior=None, push=None):
        rows = prior.rows if prior else 0.0  # half of them ones
        weights = sums.mass / sums.mass.sum() if learn_weights else components.weights
        return self.made(weights, (sums.first + rows / 2) / (sums.mass[:, None] + rows + 1e-9))

    def log_prior(self, components, prior):
        return prior.rows / 2 * float(np.log(components.covariances).sum()) if prior else 0.0

    def moments(self, components):
        return Moments(
            *components[:2], components.covariances[:, :, None] * np.eye(len(self.floor))
        )

    def from_moments(self, moments):
        return self.made(moments.weights, moments.means)

    def joined(self, components, labels):
        return self.from_moments(moment_match(self.moments(components), labels))

    def pooled(self, components):
        return np.diag(components.weights @ components.covariances)

    def overlap(self, components, values=None, *, gradient=True):
        roots = np.sqrt([components.means, 1 - components.means])
        k = np.einsum("sid,sjd->ijd", roots, roots).prod(axis=2)
        weighted = k @ components.weights
        shared = k @ (np.empty((len(k), 0)) if values is None else values)
        entropy = float(-components.weights @ np.log(weighted))
        return Overlap(entropy, weighted, k.sum(axis=1), shared, None)  # H is told, not climbed

    def coordinates(self, components):
        return np.log(components.means) - np.log(1 - components.means)

    def from_coordinates(self, theta, components):
        return self.made(components.weights, 1 / (1 + np.exp(-theta)))


def blobs(n=600, seed=0):
    """Rows of three blobs in random order, weights that differ, and the blob of each row."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=n)
    X = np.array([[0.0, 0], [6, 0], [0, 6]])[truth] + generator.normal(size=(n, 2))
    return X, generator.uniform(0.5, 2, n), truth


def cards(n=1200, d=12, seed=0):
    """0/1 rows of three groups, each with four columns that are mostly 1, and the group of each."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=n)
    likely = np.where(np.arange(d) // 4 == np.arange(3)[:, None], 0.85, 0.15)
    return (generator.random((n, d)) < likely[truth]).astype(float), likely, truth


def clusters_of(fitted, X):
    """The cluster of each row."""
    joint = fitted.family.log_densities(X, fitted.components)
    shares = posterior(joint + log_weights(fitted.components.weights)).responsibilities
    return (shares @ np.eye(fitted.clusters.max() + 1)[fitted.clusters]).argmax(axis=1)


def assert_same_bits(one, other):
    for mine, theirs in zip(one, other, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, theirs)


SETTINGS = [
    DiversifiedSettings(clusters=3),
    DiversifiedSettings(clusters=3, family="student", merge="overlap", covariance="diag"),
    EmSettings(clusters=3),
    EmSettings(clusters=3, batch_size=200, max_iter=30),
    NsvgdSettings(clusters=3, max_iter=40),
    NsvgdSettings(clusters=3, batch_size=200, max_iter=30),
]
NAMES = ["default", "student unions", "em", "em batches", "nsvgd", "nsvgd batches"]
COUNTED = DiversifiedSettings(clusters="auto")
each_method = pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)


@pytest.mark.parametrize("settings", [*SETTINGS, COUNTED], ids=[*NAMES, "clusters auto"])
def test_home_made_rows_give_the_bits_of_rows_in_memory(settings):
    X, row_weights, _ = blobs()
    fitted = fit_rows(MemoryRows(X, row_weights), settings)
    ends = [10, 10, 500]
    rows = ListRows(zip(np.split(X, ends), np.split(row_weights, ends)))
    again = fit_rows(rows, settings)
    assert_same_bits(again.components, fitted.components)
    np.testing.assert_array_equal(again.clusters, fitted.clusters)
    assert again.notes == fitted.notes


def test_sums_added_block_by_block_end_at_the_same_fit():
    X, row_weights, truth = blobs()
    settings = DiversifiedSettings(clusters=3)
    fitted = fit_rows(MemoryRows(X, row_weights), settings)
    rows = AddedRows(zip(np.array_split(X, 9), np.array_split(row_weights, 9)))
    again = fit_rows(rows, settings)
    np.testing.assert_allclose(again.components.means, fitted.components.means, atol=1e-6)
    np.testing.assert_array_equal(clusters_of(again, X), clusters_of(fitted, X))
    assert adjusted_rand_score(truth, clusters_of(again, X)) > 0.95


@each_method
def test_an_array_is_rows_in_memory(settings):
    X, _, _ = blobs()
    assert_same_bits(fit_rows(X, settings).components, fit_rows(MemoryRows(X), settings).components)


@each_method
def test_a_fit_that_is_told_to_stop_is_interrupted(settings):
    asked = iter(range(10_000))
    with pytest.raises(Interrupted):
        fit_rows(blobs()[0], settings, Monitor(should_stop=lambda: next(asked) >= 5))


def test_several_starts_that_are_told_to_stop_are_interrupted():
    asked = iter(range(10_000))
    monitor = Monitor(should_stop=lambda: next(asked) >= 5)
    with pytest.raises(Interrupted):
        fit_rows(blobs()[0], EmSettings(clusters=3, restarts=3), monitor)


@pytest.mark.parametrize(
    "settings",
    [
        DiversifiedSettings(clusters=3),
        DiversifiedSettings(clusters=3, merge="kl", alpha=0.0),
        EmSettings(clusters=3, restarts=4),
    ],
    ids=["default", "ellipses, alpha 0", "em"],
)
def test_a_family_of_another_kind_finds_planted_groups(settings):
    X, likely, truth = cards()
    fitted = fit_rows(X, settings, family=Bernoulli(X.shape[1]))
    assert isinstance(fitted.family, Bernoulli)
    assert fitted.clusters.max() + 1 == 3
    assert adjusted_rand_score(truth, clusters_of(fitted, X)) > 0.85
    if fitted.components.count == 3:
        found = fitted.components.means
        order = np.abs(found[:, None] - likely).sum(axis=2).argmin(axis=0)
        np.testing.assert_allclose(found[order], likely, atol=0.08)


def test_clusters_of_a_family_of_another_kind_are_counted():
    X, _, truth = cards()
    fitted = fit_rows(X, DiversifiedSettings(clusters="auto"), family=Bernoulli(X.shape[1]))
    assert fitted.settings.clusters == 3
    assert adjusted_rand_score(truth, clusters_of(fitted, X)) > 0.85


def test_a_family_that_the_certificate_does_not_cover_has_no_gap():
    X, _, _ = cards(100)
    with pytest.raises(UsageError, match="--gap"):
        fit_rows(X, EmSettings(clusters=2, gap=True), family=Bernoulli(X.shape[1]))


def problem_of(settings):
    X, row_weights, _ = blobs()
    rows, monitor = MemoryRows(X, row_weights), Monitor()
    settings, model, _ = settle(rows, settings, monitor, [])
    alpha = getattr(settings, "alpha", 0.0)
    problem = Problem(rows, model.family, monitor, 3, alpha, max_iter=settings.max_iter)
    return replace(problem, merge=getattr(settings, "merge", "auto"))


@each_method
def test_a_run_stopped_after_any_phase_goes_on_to_the_same_bits(settings):
    problem, method = problem_of(settings), method_of(settings)
    phases = method.phases(problem)
    end = run_phases(phases, State(np.random.default_rng(0)))
    whole = method.outcome(problem, end)
    assert end.phase == len(phases)
    for done in range(len(phases) + 1):
        stopped = run_phases(phases[:done], State(np.random.default_rng(0)))
        assert stopped.phase == done
        before = copy.deepcopy(stopped)
        for state in (stopped, copy.deepcopy(stopped)):  # a copy of the data is as good
            again = run_phases(method.phases(problem), state)
            outcome = method.outcome(problem, again)
            assert_same_bits(outcome.components, whole.components)
            np.testing.assert_array_equal(outcome.clusters, whole.clusters)
            assert outcome.stop_reason == whole.stop_reason and outcome.notes == whole.notes
            assert again.generator.bit_generator.state == end.generator.bit_generator.state
        # Going on left the state as it was.
        known = copy.deepcopy(stopped.generator.bit_generator.state)
        assert known == before.generator.bit_generator.state and stopped.phase == done
        if before.components is not None:
            assert_same_bits(stopped.components, before.components)


def test_alpha_of_a_family_of_another_kind_is_chosen():
    X, _, truth = cards(600)
    settings = DiversifiedSettings(clusters=3, alpha="auto", merge="kl")
    fitted = fit_rows(X, settings, family=Bernoulli(X.shape[1]))
    assert isinstance(fitted.settings.alpha, float)
    assert adjusted_rand_score(truth, clusters_of(fitted, X)) > 0.85
