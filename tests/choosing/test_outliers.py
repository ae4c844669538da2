"""What a first way from many components to k tells: outliers, and clusters that are no ellipses."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_moons

from divmix.choosing.outliers import look_for_outliers
from divmix.choosing.settle import settle
from divmix.core import fit_rows
from divmix.engine.monitor import Monitor
from divmix.engine.state import State
from divmix.families import Components, make_family
from divmix.families.noise import broad_component
from divmix.metrics import clustering_metrics
from divmix.model.mixture import Mixture
from divmix.problem import Problem
from divmix.progress import Progress
from divmix.rows import MemoryRows
from divmix.search.phases import draw
from divmix.search.run import Searching
from divmix.search.thinning import aic3
from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table

PLACES = ((0, 0), (9, 0), (0, 9), (9, 9))


def blobs(outliers, seed=0):
    """Four blobs of 100 rows, and outliers over a wider box: rows, and the blob of each or -1."""
    generator = np.random.default_rng(seed)
    X = np.vstack([place + generator.normal(size=(100, 2)) for place in PLACES])
    X = np.vstack([X, generator.uniform(-6, 15, (outliers, 2))])
    return X, np.concatenate([np.repeat(np.arange(4), 100), np.full(outliers, -1)])


def look(X, k, seed=0):
    family = make_family("gaussian", "full", np.full(2, 1e-6))
    searching = Searching(MemoryRows(X), family, None, Monitor(), k)
    noise = broad_component(family, X.min(axis=0), X.max(axis=0))
    return look_for_outliers(searching, noise, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def among_outliers():
    X, truth = blobs(100)
    fit = fit_table(pa.table(dict(zip("ab", X.T))), DiversifiedSettings(clusters=4, threads=1))
    return fit, X, truth


@pytest.mark.parametrize("share, found", [(0, False), (20, True), (100, True)])
def test_outliers_are_seen_where_there_are_some(share, found):
    X, _ = blobs(share, seed=1)
    ways = [look(X, 4, seed) for seed in range(3)]
    assert [way.outliers for way in ways] == 3 * [found] and not any(way.rich for way in ways)


def test_outliers_about_a_curve_are_not_a_heap_of_components():
    # AIC3 would rather have some components for them: they are not normal about the middle.
    generator, x = np.random.default_rng(0), np.arange(12.0)
    places = np.column_stack([x, 3 * np.sin(x)])
    X = np.vstack([place + 0.1 * generator.normal(size=(150, 2)) for place in places])
    low, high = X.min(axis=0) - [1, 0.5], X.max(axis=0) + [1, 0.5]
    X = np.vstack([X, generator.uniform(low, high, (450, 2))])
    assert all(look(X, 12, seed).outliers for seed in range(3))


def test_a_wide_cluster_is_no_cloud_of_outliers():
    generator = np.random.default_rng(1)
    X = np.vstack([generator.normal(0, 8, (300, 2)), generator.normal(0, 1, (300, 2)) + [30, 0]])
    assert not look(X, 2).outliers


def test_curves_are_rich_and_blobs_are_not():
    assert look(make_moons(1000, noise=0.05, random_state=0)[0], 2).rich
    assert not look(blobs(0)[0], 4).rich


class Counted(Progress):
    """How many iterations there were of each phase."""

    def __init__(self):
        self.phases = Counter()

    def iteration(self, row, limit):
        self.phases[row.phase] += 1


@pytest.mark.parametrize("covariance", ["full", "spherical"])
def test_the_way_that_is_looked_at_is_the_first_of_the_search(covariance):
    X, _ = blobs(0)
    counted = Counted()
    monitor = Monitor(progress=counted)
    fit_rows(X, DiversifiedSettings(clusters=4, covariance=covariance), monitor)
    traced = Counter(row.phase for row in monitor.trace)
    assert traced["relax"] == counted.phases["relax"] > 0
    assert traced["diversify"] >= counted.phases["diversify"] / 2 > 0
    assert [row.iteration for row in monitor.trace] == list(range(len(monitor.trace)))


def test_no_outliers_are_looked_for_where_components_are_given():
    X, _ = blobs(100)
    counted = Counted()
    start = Components(np.full(4, 0.25), np.array(PLACES, float), np.stack([np.eye(2)] * 4))
    settings = DiversifiedSettings(clusters=4, covariance="full")
    fitted = fit_rows(X, settings, Monitor(progress=counted), start=start)
    assert set(counted.phases) == {"refine"} and fitted.noise is None
    assert fit_rows(X, settings).noise is not None


def test_the_way_that_is_looked_at_is_one_of_the_rows_that_are_searched():
    X = np.random.default_rng(0).normal(size=(6_000, 2)) + np.repeat(
        [[0, 0], [9, 9]], 3_000, axis=0
    )
    rows, settings = MemoryRows(X), DiversifiedSettings(clusters=2, covariance="full", seed=3)
    settings, model, way = settle(rows, settings, Monitor(), [])
    sample = draw(Problem(rows, model.family, Monitor(), 2), State(np.random.default_rng(3)))
    searching = Searching(sample.carried.sample, model.family, None, Monitor(), 2)
    for level in way.levels:
        assert level.aic3 == pytest.approx(aic3(searching, level.components), rel=1e-12)


def test_outliers_widen_no_cluster_and_count_to_the_likeliest(among_outliers):
    fit, X, truth = among_outliers
    assert clustering_metrics(truth, fit.scores.cluster)["ari"] > 0.99
    assert fit.scores.cluster.min() == 0
    variances = fit.mixture.family.variances(fit.mixture.components) * X.var(axis=0)
    assert (variances < 1.5).all()  # 1 as drawn
    assert any("are outliers" in note for note in fit.notes)
    # They are as likely to belong to no cluster as their density has it.
    assert np.median(fit.scores.probability[truth < 0]) < 0.1
    assert np.median(fit.scores.probability[truth >= 0]) > 0.95


def test_the_model_keeps_whose_the_outliers_are(among_outliers, tmp_path):
    fit, _, _ = among_outliers
    fit.mixture.save(tmp_path / "model.divmix")
    again = Mixture.load(tmp_path / "model.divmix")
    assert np.array_equal(again.score(fit.X).cluster, fit.scores.cluster)
    far = 1e3 * fit.mixture.components.means[:1]  # all but the noise underflows there
    assert again.score(far).cluster == 0 and again.score(far).probability < 1e-9
    assert again.draw(500, np.random.default_rng(0))[1].min() == 0


def test_a_few_broad_components_do_not_make_what_they_have_in_common_broad():
    family = make_family("gaussian", "full", np.full(2, 1e-9))
    covariances = np.stack([np.eye(2), np.eye(2), 1e4 * np.eye(2)])
    components = Components(np.array([0.45, 0.45, 0.1]), np.zeros((3, 2)), covariances)
    np.testing.assert_allclose(family.pooled(components), 1e4**0.1 * np.eye(2))
