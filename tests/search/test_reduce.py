"""From many components to k clusters: which level is read, and when clusters are ellipses."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from divmix.benchmarks.labelled import COLUMNS
from divmix.benchmarks.made_tables import make
from divmix.core import fit_rows
from divmix.engine.monitor import Monitor
from divmix.families import make_family
from divmix.families.noise import broad_component
from divmix.rows import MemoryRows
from divmix.search.reduce import unions
from divmix.search.relax import relax
from divmix.search.run import Searching, partition
from divmix.search.thinning import fewer
from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table


def scattered(X, n, generator):
    """X and n rows even over a wider box."""
    margin = 0.125 * (X.max(axis=0) - X.min(axis=0))
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    return np.vstack([X, generator.uniform(low, high, (n, X.shape[1]))])


def agreement(labelled, seed):
    """Adjusted Rand index of a fit to a labelled table, rows of noise left out."""
    settings = DiversifiedSettings(clusters=labelled.n_classes, seed=seed, threads=1)
    found = fit_table(labelled.table, settings, COLUMNS).scores.cluster
    inside = labelled.classes >= 0
    return adjusted_rand_score(labelled.classes[inside], found[inside])


@pytest.mark.parametrize("order", [1, -1])
def test_unions_are_read_where_their_clusters_are_parted_most_clearly(order):
    X, truth = make_moons(600, noise=0.06, random_state=0)
    family = make_family("gaussian", "full", np.full(2, 1e-6))
    searching = Searching(MemoryRows(X), family, None, Monitor(), 2)
    mixtures = [relax(searching, m, np.random.default_rng(0)) for m in (3, 30)]
    found = unions(searching, mixtures[::order])
    assert found.components.count == mixtures[1].count
    assert adjusted_rand_score(truth, partition(searching, found.components, found.clusters)) > 0.98


@pytest.mark.parametrize("family, made, seed", [("moons", 408, 0), ("rings", 404, 4)])
def test_unions_do_not_hang_on_one_start(family, made, seed):
    # Few moons, which some starts miss; rings, of which some levels part the halves most clearly.
    assert agreement(make(family, made), seed) > 0.97


def test_shapes_of_few_rows_are_unions():
    # By BIC, with log n for each parameter, these 234 rows on three circles are three ellipses
    # whatever the seed; as unions some starts find all of them.
    rings = make("rings", 885)
    assert max(agreement(rings, seed) for seed in range(6)) > 0.97


def test_few_rows_that_scatter_leave_ellipses_ellipses():
    # Three ellipses among 516 rows, of which 26 scatter: alone they need more components.
    labelled = make("ellipses", 850)
    settings = DiversifiedSettings(clusters=3, threads=1)
    fit = fit_table(labelled.table, settings, COLUMNS)
    assert fit.mixture.hierarchy.criterion == "kl"


@pytest.mark.parametrize("seed", [0, 3])
def test_more_parameters_than_rows_make_no_unions(seed):
    # Two clusters with tails in 30 columns: three components have 1,488 parameters on 569 rows.
    X = StandardScaler().fit_transform(load_breast_cancer().data)
    fitted = fit_rows(X, DiversifiedSettings(clusters=2, seed=seed))
    assert fitted.components.count == 2 and fitted.hierarchy.criterion == "kl"


def test_outliers_are_no_reason_to_take_crossing_ellipses_for_unions():
    generator = np.random.default_rng(0)
    bars = generator.normal(size=(800, 2)) * [1.0, 0.06]
    bars[400:] = bars[400:, ::-1]
    X = scattered(bars, 100, generator)
    fitted = fit_rows(X, DiversifiedSettings(clusters=2))
    assert fitted.hierarchy.criterion == "kl"


def test_a_handful_of_outliers_is_left_to_the_noise_and_no_clusters_join_for_it():
    generator = np.random.default_rng(0)
    centers = np.array([[0.0, 0], [6, 0], [40, 40]])
    X = np.vstack([center + generator.normal(size=(200, 2)) for center in centers[:2]])
    X = np.vstack([X, generator.uniform(-50, 50, (40, 2))])
    family = make_family("gaussian", "full", np.full(2, 1e-6))
    noise = broad_component(family, X.min(axis=0), X.max(axis=0))
    searching = Searching(MemoryRows(X), family, noise, Monitor(), 2)
    weights = np.array([0.45, 0.45, 0.02])
    found = fewer(searching, family.start(weights, centers, np.eye(2)), 2)
    np.testing.assert_allclose(found.means, centers[:2])
    # Alone the two clusters that are near each other are the cheapest pair.
    alone = fewer(searching._replace(noise=None), family.start(weights, centers, np.eye(2)), 2)
    np.testing.assert_allclose(alone.means, [[3, 0], [40, 40]])


def test_spirals_among_outliers_are_unions():
    generator = np.random.default_rng(0)
    angle = 2 * np.pi * np.sqrt(generator.uniform(0.0625, 1.5, 1_200))
    truth = np.arange(1_200) % 2
    turned = angle + np.pi * truth
    X = (angle / np.pi * [np.cos(turned), np.sin(turned)]).T
    X = scattered(X + generator.normal(0, 0.08, X.shape), 300, generator)
    fitted = fit_rows(X, DiversifiedSettings(clusters=2))
    assert fitted.hierarchy.criterion == "saddle"
    searching = Searching(MemoryRows(X), fitted.family, None, Monitor(), 2)
    found = partition(searching, fitted.components, fitted.clusters)[:1_200]
    assert adjusted_rand_score(truth, found) > 0.95
