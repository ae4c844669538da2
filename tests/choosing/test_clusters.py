"""Choosing the number of clusters and alpha, on made data."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from divmix.choosing.alpha import ALPHAS, START_ALPHA, choose_alpha, held_out_by_alpha
from divmix.choosing.clusters import (
    Candidate,
    Path,
    assess,
    choose_clusters,
    count_clusters,
    explain,
)
from divmix.core import candidate_models, fit_rows
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.errors import UsageError
from divmix.families import Components, make_family
from divmix.rows import MemoryRows
from divmix.search.run import Model, Searching
from divmix.settings import DiversifiedSettings, fit_settings


def blobs(centers, sizes, spread=1.0, seed=0):
    generator = np.random.default_rng(seed)
    parts = [
        center + spread * generator.standard_normal((size, len(center)))
        for center, size in zip(np.asarray(centers, float), sizes)
    ]
    X = np.vstack(parts)
    return np.ascontiguousarray((X - X.mean(axis=0)) / X.std(axis=0))


def choose(X, seed=0, **settings):
    rows = MemoryRows(X)
    settings = DiversifiedSettings(clusters="auto", family="gaussian", floor=1e-6, **settings)
    models = candidate_models(rows, rows.summary(), settings)
    return choose_clusters(rows, models, np.random.default_rng(seed), Monitor())


def gaussian(covariance, d):
    return make_family("gaussian", covariance, np.full(d, 1e-6))


def searching_of(X, covariance, row_weights=None, **options):
    """A search on all rows of X with Gaussian components of this covariance."""
    family = gaussian(covariance, X.shape[1])
    return Searching(MemoryRows(X, row_weights), family, None, Monitor(), **options)


GRID = [(8.0 * i, 8.0 * j) for i in range(4) for j in range(3)]


@pytest.mark.parametrize("seed", range(2))
def test_every_blob_of_a_grid_is_counted(seed):
    assert choose(blobs(GRID, [40] * 12, seed=seed), seed).chosen.k == 12


@pytest.mark.parametrize("seed", range(2))
def test_small_clusters_beside_large_ones_are_counted(seed):
    X = blobs([(0, 0), (12, 0), (0, 12), (12, 12)], [1100, 1100, 25, 25], seed=seed)
    assert choose(X, seed).chosen.k == 4


@pytest.mark.parametrize("seed", range(2))
def test_one_gaussian_is_one_cluster(seed):
    assert choose(blobs([(0, 0, 0)], [500], seed=seed), seed).chosen.k == 1


def test_more_clusters_than_the_first_mixture_has_room_for_are_counted():
    X = blobs([(8.0 * i, 8.0 * j) for i in range(8) for j in range(8)], [40] * 64)
    assert choose(X, covariance="spherical").best.k == 64


def test_the_covariance_that_fits_best_is_the_one_that_counts():
    generator = np.random.default_rng(0)
    slanted = generator.standard_normal((300, 2)) @ np.array([[1.0, 0.95], [0.0, 0.3]])
    path = choose(slanted)
    assert path.chosen.k == 1
    assert path.searching.family.structure.name == "full"
    assert choose(slanted, covariance="diag").best.k > 1


def test_the_same_seed_gives_the_same_choice():
    X = blobs([(0, 0), (3, 0), (0, 3)], [40, 50, 60])
    one, other = choose(X, 5), choose(X, 5)
    assert one.best.bic == other.best.bic
    assert np.array_equal(one.best.components.means, other.best.components.means)


def test_the_reason_names_the_runner_up_and_groups_far_apart():
    path = choose(blobs([(0, 0), (3.2, 0), (40, 0), (43.2, 0)], [600] * 4))
    reason = explain(path)
    assert reason.startswith("4 clusters have the lowest BIC on 2,400 rows")
    assert "they form 2 groups" in reason


def test_a_slightly_lower_bic_is_no_reason_for_one_more_cluster():
    path = Path(searching_of(np.zeros((4, 1)), "diag"), np.random.default_rng(0))
    for k, bic in ((2, 130.0), (3, 109.0), (4, 100.0), (5, 104.0)):
        components = Components(np.full(k, 1 / k), np.zeros((k, 1)), np.ones((k, 1)), None)
        path.candidates[k] = Candidate(components, 0.0, bic, bic)
    assert path.best.k == 4
    assert path.chosen.k == 3


def test_splinters_of_a_cluster_are_not_counted():
    weights = np.array([0.4, 0.3, 0.2, 0.04, 0.03, 0.02, 0.01])
    candidate = Candidate(Components(weights, *[None] * 2), 0.0, 0.0, 0.0)
    assert count_clusters(candidate, 0.0) == 7
    assert count_clusters(candidate, 0.1) == 6  # 0.01 is less than a tenth of 1 / 7
    # Without it and the next ones the mean is larger: 0.03 and 0.04 are splinters of 1 / 5, 1 / 4.
    assert count_clusters(candidate, 0.2) == 3


def test_criteria_are_those_of_their_definition():
    X = blobs([(0, 0), (4, 1)], [40, 60])
    covariances = np.array([[[0.3, 0.1], [0.1, 0.5]], [[0.4, -0.1], [-0.1, 0.6]]])
    components = Components(
        np.array([0.4, 0.6]), np.array([[-1.0, 0.0], [0.8, 0.1]]), covariances, None
    )
    joint = np.stack(
        [
            w * multivariate_normal(mean, covariance).pdf(X)
            for w, mean, covariance in zip(components.weights, components.means, covariances)
        ],
        axis=1,
    )
    likelihood = np.log(joint.sum(axis=1)).sum()
    share = joint / joint.sum(axis=1, keepdims=True)
    found = assess(searching_of(X, "full"), components)
    bic = 11 * np.log(100) - 2 * likelihood
    assert found.log_likelihood == pytest.approx(likelihood / 100)
    assert found.bic == pytest.approx(bic)
    assert found.icl == pytest.approx(bic - 2 * (share * np.log(share)).sum())


def test_criteria_do_not_depend_on_the_unit_of_the_weights():
    X = blobs([(0, 0), (4, 1)], [40, 60])
    path = Path(searching_of(X, "diag"), np.random.default_rng(0))
    path.cover(2, 3)
    components = path.candidates[2].components
    plain = assess(searching_of(X, "diag"), components)
    scaled = assess(searching_of(X, "diag", np.full(100, 0.01)), components)
    assert scaled.bic == pytest.approx(plain.bic)
    assert scaled.icl == pytest.approx(plain.icl)


def test_cover_has_a_candidate_for_each_number_and_no_other():
    X = blobs(GRID, [50] * 12)
    path = Path(searching_of(X, "full"), np.random.default_rng(0))
    path.cover(3, 15)
    assert sorted(path.candidates) == list(range(3, 16))
    assert path.best.k == 12


@pytest.mark.parametrize("seed", range(3))
def test_alpha_auto_smooths_a_mixture_with_too_many_components(seed):
    X = blobs([(0, 0), (5, 0)], [60, 60], seed=seed)
    fresh = blobs([(0, 0), (5, 0)], [600, 600], seed=seed + 100)
    searching = searching_of(X, "full", k=15, alpha=START_ALPHA, merge="auto")
    means = held_out_by_alpha(MemoryRows(X), searching, 15, np.random.default_rng(seed))
    assert means.shape == (len(ALPHAS),) and means.argmax() > 0

    scores = {}
    for alpha in (0.0, ALPHAS[int(means.argmax())]):
        settings = DiversifiedSettings(
            clusters=15, components=15, alpha=alpha, covariance="full", seed=seed
        )
        fitted = fit_rows(X, settings, family=gaussian("full", 2))
        log_density = Objective(fitted.family).posterior(fresh, fitted.components).log_density
        scores[alpha] = log_density.mean()
    assert max(scores, key=scores.get) > 0


def test_alpha_is_chosen_with_the_model_and_the_kind_of_clusters():
    generator = np.random.default_rng(0)
    slanted = generator.standard_normal((200, 2)) @ np.array([[1.0, 0.95], [0.0, 0.3]])
    models = [Model(gaussian(covariance, 2)) for covariance in ("full", "spherical")]
    rows = MemoryRows(slanted)
    searching = searching_of(slanted, "full", k=1)
    chosen = choose_alpha(rows, models, ("kl",), searching, None, 0)
    assert chosen.model is models[0] and chosen.merge == "kl"
    assert chosen.alpha in ALPHAS and chosen.gain >= 0


def test_alpha_auto_needs_a_method_with_a_base_measure():
    with pytest.raises(UsageError, match="--method em") as refused:
        fit_settings("em", clusters=2, alpha="auto")
    assert "diversified" in refused.value.hint
