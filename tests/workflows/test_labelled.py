"""The order of clusters, and how often rows are scored to find it."""

import numpy as np
import pyarrow as pa
import pytest

from divmix.design.design import Design
from divmix.design.preprocessing import Preprocessing
from divmix.families import Components, make_family
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings
from divmix.workflows.fitted import labelled

CENTERS = np.array([0.0, 20.0, 40.0])
DESIGN = Design(
    Preprocessing.learn(pa.table({"x": np.linspace(0, 40, 50)}), TableSettings(scale="none"))
)
ABOUT = {"divmix": "0", "settings": {}, "rows": 1, "rows_used": 1, "log_likelihood": None}


def made_mixture(weights):
    """Three far groups on a line, each a cluster of two components on the same place."""
    weights = np.asarray(weights)
    components = Components(
        np.repeat(weights / 2, 2) * np.tile([0.8, 1.2], 3),
        np.repeat(CENTERS, 2)[:, None],
        np.tile([[1.0], [2.0]], (3, 1)),
    )
    family = make_family("gaussian", "diag", np.array([1e-6]))
    return Mixture(family, components, np.repeat(np.arange(3), 2), DESIGN, ABOUT)


def rows_of(counts, seed=0):
    draw = np.random.default_rng(seed)
    return (np.repeat(CENTERS, counts) + draw.normal(size=sum(counts)))[:, None]


@pytest.fixture
def scorings(monkeypatch):
    """One entry for each time that rows are scored."""
    made, score = [], Mixture.score

    def counted(self, X, **options):
        made.append(len(X))
        return score(self, X, **options)

    monkeypatch.setattr(Mixture, "score", counted)
    return made


def test_rows_are_scored_once_where_mixing_weights_give_the_order(scorings):
    X = rows_of([10, 50, 30])
    mixture, scores = labelled(made_mixture([0.1, 0.55, 0.35]), X, np.ones(90))
    assert scorings == [90]
    assert np.bincount(scores.cluster).tolist() == [50, 30, 10]
    np.testing.assert_allclose(mixture.cluster_weights, [0.55, 0.35, 0.1])


@pytest.mark.parametrize("counts, expected", [([50, 10, 30], [0, 2, 1]), ([10, 30, 50], [2, 1, 0])])
def test_clusters_are_numbered_by_the_weight_of_their_rows(scorings, counts, expected):
    X, row_weights = rows_of([20, 20, 20]), np.repeat(np.array(counts, float), 20)
    mixture, scores = labelled(made_mixture([0.2, 0.5, 0.3]), X, row_weights)
    assert scorings == [60, 60]
    sizes = np.bincount(scores.cluster, weights=row_weights)
    assert (np.diff(sizes) < 0).all()
    # The means in the order of the numbers are those of the groups in the order of their rows.
    np.testing.assert_array_equal(mixture.components.means[::2, 0], CENTERS[expected])
    # Within a cluster the largest component comes first.
    assert (mixture.components.weights[::2] > mixture.components.weights[1::2]).all()


@pytest.mark.parametrize("counts", [[10, 50, 30], [30, 10, 50]])
def test_a_stored_mixture_repeats_the_scores_bit_for_bit(tmp_path, counts):
    X = rows_of(counts)
    mixture, scores = labelled(made_mixture([0.1, 0.55, 0.35]), X, np.ones(len(X)))
    mixture.save(tmp_path / "model.divmix")
    again = Mixture.load(tmp_path / "model.divmix").score(X)
    for one, other in zip(again[:3], scores[:3], strict=True):
        np.testing.assert_array_equal(one, other)
