"""Choosing the number of clusters and alpha, on made data."""

import re

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from divmix.choosing.alpha import ALPHAS, held_out_by_alpha
from divmix.choosing.clusters import (
    Candidate,
    Path,
    assess,
    choose_clusters,
    count_clusters,
    explain,
)
from divmix.choosing.settle import candidate_models, scattered
from divmix.engine.monitor import Monitor
from divmix.families import Components, make_family
from divmix.rows import MemoryRows
from divmix.search.run import Searching
from divmix.settings import DiversifiedSettings


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
    models = candidate_models(
        rows, rows.summary(), DiversifiedSettings(clusters="auto", **settings)
    )
    return choose_clusters(rows, models, np.random.default_rng(seed), Monitor())


def searching_of(X, family, weights=None):
    return Searching(MemoryRows(X, weights), family, None, Monitor())


def gaussian(covariance, d):
    return make_family("gaussian", covariance, np.full(d, 1e-6))


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
    path = choose(blobs([(0, 0), (4.5, 0), (40, 0), (44.5, 0)], [600] * 4))
    reason = explain(path, path.chosen)
    assert reason.startswith("4 clusters have the lowest ICL on 2,400 rows")
    assert "they form 2 groups" in reason


@pytest.mark.parametrize(
    ("icl", "chosen"),
    [
        ((150.0, 140.0, 131.0, 135.0, 150.0), 3),
        ((150.0, 130.0, 131.0, 135.0, 150.0), 2),
        ((110.0, 140.0, 131.0, 135.0, 150.0), 3),  # several are BIC's to say
        (
            (150.0, 140.0, 131.0, 125.0, 120.0),
            3,
        ),  # and as many as the fewest with a BIC near the lowest
    ],
)
def test_the_choice_is_the_lowest_icl_of_several_clusters(icl, chosen):
    path = Path(searching_of(np.zeros((4, 1)), gaussian("diag", 1)), np.random.default_rng(0))
    for k, bic, own in zip(range(1, 6), (150.0, 130.0, 109.0, 100.0, 104.0), icl, strict=True):
        components = Components(np.full(k, 1 / k), np.zeros((k, 1)), np.ones((k, 1)), None)
        path.candidates[k] = Candidate(components, 0.0, bic, own)
    assert path.best.k == 4
    assert path.chosen.k == chosen


@pytest.mark.parametrize("seed", range(2))
def test_a_cluster_that_is_no_ellipse_counts_once(seed):
    """A disc and a square take several components each, which share their rows."""
    generator = np.random.default_rng(seed)
    angle, radius = generator.uniform(0, 2 * np.pi, 1500), np.sqrt(generator.random(1500))
    disc = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    X = np.vstack([disc, generator.uniform((4, 0), (6, 2), (1500, 2))])
    path = choose(X, seed)
    assert path.best.k > 2
    assert path.chosen.k == 2


def test_around_the_choice_no_number_is_left_out():
    """Intervals, of which BIC counts several components each: its way passes their number by."""
    places = np.repeat(2.5 * np.arange(12), 400)
    X = (places + np.random.default_rng(0).random(len(places)))[:, None]
    path = choose(X, covariance="diag")
    assert path.best.k > 20 and path.chosen.k == 12
    assert {11, 13} <= path.candidates.keys()


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
    found = assess(searching_of(X, gaussian("full", 2)), components)
    bic = 11 * np.log(100) - 2 * likelihood
    assert found.log_likelihood == pytest.approx(likelihood / 100)
    assert found.bic == pytest.approx(bic)
    assert found.icl == pytest.approx(bic - 2 * (share * np.log(share)).sum())


def test_criteria_do_not_depend_on_the_unit_of_the_weights():
    X = blobs([(0, 0), (4, 1)], [40, 60])
    family = gaussian("diag", 2)
    path = Path(searching_of(X, family), np.random.default_rng(0))
    path.cover(2, 3)
    components = path.candidates[2].components
    plain = assess(searching_of(X, family), components)
    scaled = assess(searching_of(X, family, np.full(100, 0.01)), components)
    assert scaled.bic == pytest.approx(plain.bic)
    assert scaled.icl == pytest.approx(plain.icl)


def test_cover_has_a_candidate_for_each_number_and_no_other():
    X = blobs(GRID, [50] * 12)
    path = Path(searching_of(X, gaussian("full", 2)), np.random.default_rng(0))
    path.cover(3, 15)
    assert sorted(path.candidates) == list(range(3, 16))
    assert path.best.k == 12


def test_rows_of_no_weight_are_never_drawn():
    X = np.arange(40.0).reshape(20, 2)
    weights = np.tile([0.0, 1.0], 10)
    drawn = MemoryRows(X, weights).sample(6, np.random.default_rng(0)).matrix
    assert len(drawn.X) == 6 and (drawn.row_weights == 1).all()
    assert (np.diff(drawn.X[:, 0]) > 0).all()


def test_every_alpha_is_held_against_rows_that_it_did_not_see():
    X = blobs([(0, 0), (5, 0)], [60, 60])
    family = gaussian("full", 2)
    searching = searching_of(X, family)._replace(k=2, merge="kl")
    means = held_out_by_alpha(MemoryRows(X), searching, None, np.random.default_rng(0))
    assert means.shape == (len(ALPHAS),) and np.isfinite(means).all()
    assert means.max() < searching.log_likelihood(family.start(np.ones(1), X[:1], np.eye(2))) + 5


def with_outliers(X, share, seed=0):
    generator = np.random.default_rng(seed)
    count = int(share * len(X))
    odd = generator.uniform(1.2 * X.min(axis=0), 1.2 * X.max(axis=0), (count, X.shape[1]))
    return np.vstack([X, odd])


def choose_beside_noise(X, **settings):
    rows, settings = MemoryRows(X), DiversifiedSettings(clusters="auto", **settings)
    models = candidate_models(rows, rows.summary(), settings)
    noise = scattered(rows, rows.summary(), settings)
    return choose_clusters(rows, models, np.random.default_rng(0), Monitor(), noise)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_scattered_rows_are_no_cluster(share):
    X = with_outliers(blobs([(0, 0), (9, 0), (0, 9)], [100, 150, 80]), share)
    path = choose_beside_noise(X, covariance="diag")
    assert path.chosen.k == 3
    told = float(re.search(r"beside ([\d.]+)% of scattered", explain(path, path.chosen))[1])
    assert told == pytest.approx(100 * share / (1 + share), rel=0.3)


def test_a_wide_cluster_is_one_and_needs_no_noise():
    generator = np.random.default_rng(0)
    X = np.vstack([generator.normal(0, 1, (150, 2)), generator.normal((9, 0), 3, (150, 2))])
    path = choose_beside_noise(X, covariance="diag")
    assert path.chosen.k == 2 and path.searching.noise is None


def test_noise_that_was_asked_for_or_has_no_room_is_not_tried_again():
    rows = MemoryRows(blobs([(0, 0)], [50]))
    for settings in ({"noise": True}, {"covariance": "tied"}):
        asked = DiversifiedSettings(clusters="auto", **settings)
        assert scattered(rows, rows.summary(), asked) is None


def test_a_small_cluster_is_explained():
    path = choose(blobs([(0, 0), (12, 0), (0, 12)], [400, 400, 15]), covariance="diag")
    told = explain(path, path.chosen)
    assert path.chosen.k == 3
    assert "; 1 has 1.8% of the rows: a rare kind, or odd rows of a larger one" in told
