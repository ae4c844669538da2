"""The search of the default method: births, deaths, agreement, plain maximum likelihood."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from divmix.engine.monitor import Monitor
from divmix.families import make_family
from divmix.families.noise import broad_component
from divmix.metrics import clustering_metrics
from divmix.rows.memory import InMemory
from divmix.search import births
from divmix.search.phases import SEARCHES, Search
from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table


def rows_of(X, covariance="full", noise=False):
    family = make_family("gaussian", covariance, np.full(X.shape[1], 1e-6))
    weights = np.ones(len(X))
    return InMemory(
        X, weights, family, noise=broad_component(family, X, weights) if noise else None
    )


def search(sample, k=2, alpha=0.03, seed=0):
    return Search(sample, k, alpha, np.random.default_rng(seed), Monitor())


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("covariance", ["spherical", "diag", "full"])
def test_a_cluster_without_a_component_is_where_one_is_born(covariance, noise):
    generator = np.random.default_rng(0)
    X = np.vstack([generator.normal(0, 1, (300, 2)), generator.normal((9, 9), 0.7, (60, 2))])
    sample = rows_of(X, covariance, noise)
    one = sample.family.start(np.full(1, 0.9 if noise else 1.0), np.zeros((1, 2)), np.eye(2))
    born = births.birth(sample, one, generator)
    assert born.count == 2
    np.testing.assert_allclose(born.means[1], [9, 9], atol=1.4)  # two of its deviations
    assert born.weights.sum() == pytest.approx(one.weights.sum())


def test_where_nothing_is_missing_none_is_born():
    X = np.random.default_rng(1).normal(size=(2_000, 2))
    sample = rows_of(X)
    one = sample.family.start(np.ones(1), X.mean(axis=0)[None], np.cov(X.T))
    assert births.birth(sample, one, np.random.default_rng(0)) is None


def test_components_that_hold_less_than_a_row_die_and_leave_their_weight():
    X = np.random.default_rng(0).normal(size=(100, 2))
    found = search(rows_of(X), k=1)
    components = found.family.start(np.array([0.6, 0.395, 0.005]), X[:3], np.eye(2))
    alive = found.alive(components)
    assert alive.count == 2 and alive.weights.sum() == pytest.approx(1)


def test_few_rows_are_searched_again_and_the_searches_agree_on_one(monkeypatch):
    X, _ = make_blobs(200, centers=3, random_state=0)
    found = search(rows_of(X), k=3)
    seen = []
    reduce = found.reduce
    monkeypatch.setattr(found, "reduce", lambda m: seen.append(reduce(m)) or seen[-1])
    agreed = found.agreed(30)
    assert len(seen) == SEARCHES and any(agreed is one for one in seen)
    found.alpha, seen[:] = 0.0, []
    found.agreed(30)
    assert len(seen) == 1


@pytest.mark.parametrize("covariance", ["diag", "full"])
@pytest.mark.parametrize("seed", range(2))
def test_for_alpha_0_no_start_of_scikit_learn_is_likelier(covariance, seed):
    X, _ = make_blobs(400, centers=8, cluster_std=2.5, n_features=3, random_state=seed)
    peer = GaussianMixture(
        8, covariance_type=covariance, n_init=10, max_iter=500, tol=1e-5, random_state=seed
    ).fit(X)
    sample = rows_of(np.ascontiguousarray(X), covariance)
    found = search(sample, k=8, alpha=0.0, seed=seed)
    components = found.likeliest(found.relax(8))
    assert found.log_likelihood(components) >= peer.score(X) - 0.01


@pytest.mark.parametrize("seed", range(3))
def test_clusters_of_very_unequal_size_are_found(seed):
    generator = np.random.default_rng(seed)
    centers, sizes = [(0, 0), (10, 0), (0, 10), (10, 10)], [2000, 2000, 20, 20]
    X = np.vstack([generator.normal(c, 1.0, (n, 2)) for c, n in zip(centers, sizes)])
    table = pa.table({"x": X[:, 0].copy(), "y": X[:, 1].copy()})
    cluster = fit_table(table, DiversifiedSettings(clusters=4, seed=seed)).scores.cluster
    assert clustering_metrics(np.repeat(np.arange(4), sizes), cluster)["ari"] > 0.99
