"""The one door: rows of any kind, families of any kind, and runs that can be taken up again."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from divmix.core import Interrupted, fit_rows, settle
from divmix.engine.monitor import Monitor
from divmix.engine.state import State, run_phases
from divmix.families import Components, Moments
from divmix.families.family import Array
from divmix.families.moments import moment_match
from divmix.families.posterior import log_sum_exp, log_weights
from divmix.kernels.components import Overlap
from divmix.kernels.sums import Sums
from divmix.methods import method_of
from divmix.problem import Problem
from divmix.rows import Block, Features, MemoryRows, summarize
from divmix.rows.memory import drawn
from divmix.settings import DiversifiedSettings, EmSettings, NsvgdSettings

X, TRUTH = make_blobs(700, centers=4, n_features=3, cluster_std=1.2, random_state=1)


class ListedRows:
    """A list of blocks, of which a visit makes one matrix as long as it lasts."""

    def __init__(self, X, sizes):
        self.listed = [Block(part, np.ones(len(part))) for part in np.split(X, np.cumsum(sizes))]
        self.features = Features(np.zeros(X.shape[1], bool))
        self.visited = len(X)
        self.total_weight = float(len(X))

    def together(self):
        return (np.concatenate(parts) for parts in zip(*self.listed))

    def blocks(self):
        yield from self.listed

    def summary(self):
        return summarize([Block(*self.together())])

    def sums(self, family, components, *, coarse=False):
        return family.sums(*self.together(), components)

    def sample(self, size, generator):
        X, row_weights = self.together()
        rows = drawn(row_weights, size, generator)
        return MemoryRows(X[rows], row_weights[rows], self.features)


@pytest.mark.parametrize("settings", [
    DiversifiedSettings(clusters=4),
    DiversifiedSettings(clusters="auto"),
    EmSettings(clusters=4),
    NsvgdSettings(clusters=4, batch_size=100, max_iter=50),
])  # fmt: skip
def test_rows_in_a_list_of_blocks_give_the_bits_of_rows_in_memory(settings):
    fits = [fit_rows(rows, settings) for rows in (X, MemoryRows(X), ListedRows(X, [100, 30, 400]))]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.components.means, fits[0].components.means)
        np.testing.assert_array_equal(other.components.covariances, fits[0].components.covariances)
        np.testing.assert_array_equal(other.clusters, fits[0].clusters)


def test_a_signal_raises():
    with pytest.raises(Interrupted):
        fit_rows(X, DiversifiedSettings(clusters=4), Monitor(should_stop=lambda: True))


@dataclass(frozen=True)
class Bernoulli:
    """Independent columns of 0 and 1; means are probabilities."""

    floor: Array
    name = "bernoulli"

    def start(self, weights, means, covariance):
        return Components(weights, np.clip(means, 0.25, 0.75), np.zeros(len(weights)))

    def n_parameters(self, m, d):
        return m - 1 + m * d

    def log_densities(self, X, components):
        p = np.clip(components.means, 1e-3, 1 - 1e-3)
        return X @ np.log(p).T + (1 - X) @ np.log1p(-p).T

    def sums(self, X, row_weights, components):
        joint = self.log_densities(X, components) + log_weights(components.weights)
        log_density = log_sum_exp(joint)
        shares = np.exp(joint - log_density[:, None]) * row_weights[:, None]
        mass, first = shares.sum(axis=0), shares.T @ X
        return Sums(float(row_weights @ log_density), mass, mass, first, first, -mass)

    def maximize(self, sums, components, *, learn_weights=True, prior=None):
        rows = 0.0 if prior is None else prior.rows
        means = (sums.first + 0.5 * rows) / (sums.mass[:, None] + rows + 1e-9)
        weights = sums.mass / sums.mass.sum() if learn_weights else components.weights
        return components._replace(weights=weights, means=means)

    def moments(self, components):
        p = components.means
        spread = (p * (1 - p) + 1e-3)[:, :, None] * np.eye(p.shape[1])
        return Moments(components.weights, p, spread)

    def from_moments(self, moments):
        return Components(moments.weights, moments.means, np.zeros(len(moments.weights)))

    def joined(self, components, labels):
        return self.from_moments(moment_match(self.moments(components), labels))

    def pooled(self, components):
        return np.eye(components.means.shape[1])

    def log_prior(self, components, prior):
        if prior is None:
            return 0.0
        p = np.clip(components.means, 1e-9, 1 - 1e-9)
        return 0.5 * prior.rows * float((np.log(p) + np.log1p(-p)).sum())

    def overlap(self, components, values=None, *, gradient=True):
        p = np.clip(components.means, 0, 1)
        k = np.prod(
            np.sqrt(p[:, None] * p) + np.sqrt((1 - p[:, None]) * (1 - p)), axis=2
        )  # the sum over all rows of sqrt(p_i p_j)
        q, values = k @ components.weights, np.zeros((len(p), 0)) if values is None else values
        entropy = -float(components.weights @ np.log(q))
        return Overlap(entropy, q, k.sum(axis=1), k @ values, None)

    def coordinates(self, components):
        return components.means

    def from_coordinates(self, theta, components):
        return components._replace(means=np.clip(theta, 0.0, 1.0))


@pytest.mark.parametrize("settings", [EmSettings, DiversifiedSettings])
def test_a_family_of_another_kind_finds_its_groups(settings):
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=600)
    probabilities = np.repeat(np.eye(3), 4, axis=1) * 0.8 + 0.1
    rows = (generator.uniform(size=(600, 12)) < probabilities[truth]).astype(float)
    family = Bernoulli(np.full(12, 1e-6))
    fitted = fit_rows(rows, settings(clusters=3, seed=1), family=family)
    joint = family.log_densities(rows, fitted.components) + log_weights(fitted.components.weights)
    members = np.eye(fitted.clusters.max() + 1)[fitted.clusters]
    labels = (np.exp(joint - log_sum_exp(joint)[:, None]) @ members).argmax(axis=1)
    assert adjusted_rand_score(truth, labels) > 0.9


@pytest.mark.parametrize("settings", [
    DiversifiedSettings(clusters=4, covariance="full"),
    EmSettings(clusters=4, covariance="full"),
    NsvgdSettings(clusters=4, covariance="diag", batch_size=100, max_iter=40),
])  # fmt: skip
def test_a_run_taken_up_after_any_phase_ends_in_the_same_bits(settings):
    rows = MemoryRows(X)
    settled, model = settle(rows, settings, Monitor(), [])
    problem = Problem(rows, model.family, Monitor(), 4, alpha=0.03, max_iter=settled.max_iter)
    method = method_of(settled)
    phases = method.phases(problem)
    whole = run_phases(phases, State(np.random.default_rng(0)))
    for stop in range(1, len(phases)):
        half = run_phases(phases[:stop], State(np.random.default_rng(0)))
        assert half.phase == stop
        known = copy.deepcopy(half.generator.bit_generator.state)
        for _ in range(2):  # a state is data: it can be taken up again and again
            end = run_phases(phases, half)
            assert half.generator.bit_generator.state == known
            np.testing.assert_array_equal(end.moved.means, whole.moved.means)
            np.testing.assert_array_equal(end.moved.covariances, whole.moved.covariances)
            assert end.stop_reason == whole.stop_reason
            assert end.generator.bit_generator.state == whole.generator.bit_generator.state
        one, other = method.outcome(problem, end), method.outcome(problem, whole)
        np.testing.assert_array_equal(one.clusters, other.clusters)
