"""The mixture as an estimator: the command line's results, and what code for GaussianMixture expects."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import divmix
from divmix import DiversifiedMixture
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.describe import describe_model
from divmix.workflows.fit import run_fit


def three_clusters(n=240, seed=0):
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    centres = np.array([[0.0, 100.0], [6.0, 140.0], [-6.0, 180.0]])
    return centres[truth] + generator.normal(size=(n, 2)) * [1.0, 5.0], truth


@pytest.fixture(scope="module")
def fitted():
    X, truth = three_clusters()
    return DiversifiedMixture(3, covariance_type="full", random_state=0).fit(X), X, truth


def test_labels_and_bits_are_those_of_the_command_line(tmp_path):
    X, _ = three_clusters()
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame.to_csv(tmp_path / "table.csv", index=False)
    run_fit(
        [str(tmp_path / "table.csv")],
        DiversifiedSettings(clusters=3, seed=7),
        TableSettings(),
        tmp_path / "run",
    )
    written = pd.read_csv(tmp_path / "run" / "assignments.csv", float_precision="round_trip")
    read = pd.read_csv(tmp_path / "table.csv", float_precision="round_trip")
    for table in (read, read.to_numpy()):
        model = divmix.fit(table, 3, seed=7)
        np.testing.assert_array_equal(model.labels_, written["cluster"])
        np.testing.assert_array_equal(model.predict(table), written["cluster"])
        np.testing.assert_array_equal(model.score_samples(table), written["log_density"])
    loaded = divmix.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.score_samples(read), written["log_density"])
    assert loaded.converged_ and loaded.n_iter_ == model.n_iter_


def test_clusters_are_found_and_attributes_have_the_shapes_of_gaussian_mixture(fitted):
    model, X, truth = fitted
    assert adjusted_rand_score(truth, model.labels_) == 1
    theirs = GaussianMixture(3, covariance_type="full", random_state=0).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(model, name).shape == getattr(theirs, name).shape, name
    order = [np.argmin(np.abs(model.means_[:, 0] - mean)) for mean in theirs.means_[:, 0]]
    np.testing.assert_allclose(model.means_[order], theirs.means_, rtol=0.02, atol=0.1)
    np.testing.assert_allclose(model.covariances_[order], theirs.covariances_, rtol=0.1, atol=0.3)
    assert model.converged_ and model.n_iter_ > 0
    assert (np.diff(model.lower_bounds_) >= -1e-9).all()
    assert model.lower_bound_ == model.lower_bounds_[-1]


def as_matrices(values, shape):
    """(3, 2, 2), whatever the shape of three covariances of two columns."""
    if shape == "full":
        return values
    if shape == "tied":
        return np.stack([values] * 3)
    return np.stack([np.diag(np.broadcast_to(own, 2)) for own in values])


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
def test_the_density_is_that_of_the_attributes(shape):
    X, _ = three_clusters()
    model = DiversifiedMixture(3, covariance_type=shape, scale="none", random_state=0).fit(X)
    assert model.covariance_type_ == shape
    density = np.zeros(len(X))
    covariances = as_matrices(model.covariances_, shape)
    factors = as_matrices(model.precisions_cholesky_, shape)
    for weight, mean, covariance, factor in zip(model.weights_, model.means_, covariances, factors):
        density += weight * multivariate_normal(mean, covariance).pdf(X)
        np.testing.assert_allclose(factor @ factor.T @ covariance, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(model.score_samples(X), np.log(density), rtol=1e-9)


def test_scaled_spheres_are_ellipsoids_along_the_axes():
    X, _ = three_clusters()
    model = DiversifiedMixture(3, covariance_type="spherical", random_state=0).fit(X)
    assert model.covariance_type_ == "diag" and model.covariances_.shape == (3, 2)


def test_probabilities_criteria_and_scores_agree(fitted):
    model, X, _ = fitted
    shares = model.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), model.predict(X))
    assert model.score(X) == pytest.approx(model.score_samples(X).mean())
    weights = np.arange(len(X), dtype=float)
    weighted = np.average(model.score_samples(X), weights=weights)
    assert model.score(X, sample_weight=weights) == pytest.approx(weighted)
    free = 2 + 3 * 2 + 3 * 3  # weights, means, covariances
    assert model.aic(X) == pytest.approx(-2 * model.score(X) * len(X) + 2 * free)
    assert model.bic(X) == pytest.approx(-2 * model.score(X) * len(X) + free * np.log(len(X)))


@pytest.mark.parametrize("shape", ["full", "spherical"])
def test_criteria_count_the_parameters_that_describe_tells(shape, tmp_path):
    X, _ = three_clusters(300)
    unrelated = np.random.default_rng(1).normal(size=(300, 2))
    model = DiversifiedMixture(
        3, covariance_type=shape, scale="none", missing="drop", random_state=0
    ).fit(np.column_stack([X * [1.0, 0.2], unrelated]))
    model.save(tmp_path / "model.divmix")
    told = describe_model(tmp_path / "model.divmix")["parameters"]
    # Weights and means; covariances of two columns; two columns in which all components are one.
    assert told == 2 + 3 * 2 + 3 * {"full": 3, "spherical": 1}[shape] + 2 * 2
    lacking = np.column_stack([X * [1.0, 0.2], unrelated])
    lacking[:100, 0] = np.nan
    known = model.score_samples(lacking[100:]).sum()
    assert model.bic(lacking) == pytest.approx(-2 * known + told * np.log(200))
    assert model.aic(lacking) == pytest.approx(-2 * known + 2 * told)


def test_drawn_rows_are_those_of_the_mixture(fitted):
    model, X, _ = fitted
    drawn, clusters = model.sample(3000)
    assert drawn.shape == (3000, 2) and clusters.shape == (3000,)
    np.testing.assert_array_equal(model.predict(drawn), clusters)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), rtol=0.03, atol=0.3)
    with pytest.raises(ValueError, match=r"n_samples.*at least one row"):
        model.sample(0)


def test_a_cut_has_fewer_clusters_and_the_model_stays(fitted):
    model, X, truth = fitted
    two = model.cut(2)
    assert two.n_clusters_ == 2 and model.n_clusters_ == 3
    assert adjusted_rand_score(two.predict(X), truth) < 1
    for label in range(3):  # clusters join whole
        assert len(set(two.predict(X)[truth == label])) == 1
    assert not hasattr(two, "labels_")
    with pytest.raises(ValueError, match="choose 1 to"):
        model.cut(10_000)


def test_weights_are_repeated_rows():
    X, _ = three_clusters(60)
    weights = np.repeat([0, 1, 2], 20)
    model = DiversifiedMixture(1, random_state=0).fit(X, sample_weight=weights)
    repeated = DiversifiedMixture(1, random_state=0).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(model.means_, repeated.means_)
    np.testing.assert_allclose(model.covariances_, repeated.covariances_)
    assert len(model.labels_) == 60
    with pytest.raises(ValueError, match="egative"):
        model.fit(X, sample_weight=-weights)


def test_clone_pickle_and_pipeline(fitted):
    model, X, truth = fitted
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
    again = clone(model).fit(X)
    np.testing.assert_array_equal(again.labels_, model.labels_)
    pipeline = make_pipeline(StandardScaler(), DiversifiedMixture(3, random_state=0))
    assert adjusted_rand_score(truth, pipeline.fit(X).predict(X)) == 1
    pipeline.set_output(transform="pandas")
    frame = pipeline.transform(pd.DataFrame(X, index=np.arange(len(X)) + 5))
    assert list(frame.columns) == ["probability_0", "probability_1", "probability_2"]
    assert frame.index[0] == 5


def test_a_grid_search_finds_the_number_of_clusters():
    X, _ = three_clusters(120)
    search = GridSearchCV(DiversifiedMixture(random_state=0), {"n_components": [1, 3]}, cv=2)
    assert search.fit(X).best_params_ == {"n_components": 3}


def test_weights_are_routed():
    X, _ = three_clusters(60)
    with config_context(enable_metadata_routing=True):
        model = DiversifiedMixture(2, random_state=0).set_fit_request(sample_weight=True)
        weights = np.r_[np.ones(40), np.zeros(20)]
        pipeline = make_pipeline(StandardScaler(), model)
        pipeline[0].set_fit_request(sample_weight=False)
        pipeline.fit(X, sample_weight=weights)
    assert any(note.startswith("20 rows left out") for note in pipeline[1].notes_)


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
def test_a_fit_goes_on_from_given_components(shape):
    X, truth = three_clusters()
    means = np.array([[0.0, 100.0], [6.0, 140.0], [-6.0, 180.0]])
    precisions = {
        "full": np.repeat([np.diag([1.0, 0.04])], 3, axis=0),
        "tied": np.diag([1.0, 0.04]),
        "diag": np.repeat([[1.0, 0.04]], 3, axis=0),
        "spherical": np.full(3, 0.2),
    }[shape]
    given = {"means_init": means, "weights_init": [0.5, 0.25, 0.25], "precisions_init": precisions}
    model = DiversifiedMixture(3, covariance_type=shape, alpha=0, **given).fit(X)
    searched = DiversifiedMixture(3, covariance_type=shape, alpha=0, random_state=0).fit(X)
    assert adjusted_rand_score(truth, model.labels_) == 1
    assert model.score(X) == pytest.approx(searched.score(X), abs=1e-4)
    assert model.n_iter_ < searched.n_iter_ and {row.phase for row in model.trace_} == {"refine"}


def test_given_components_keep_their_order():
    X, _ = three_clusters()
    X = np.r_[X, X[2::3]]  # the last cluster is the largest
    given = np.array([[0.0, 100.0], [6.0, 140.0], [-6.0, 180.0]])
    model = DiversifiedMixture(3, covariance_type="full", means_init=given, random_state=0).fit(X)
    assert np.argmax(model.weights_) == 2
    np.testing.assert_allclose(model.means_, given, atol=3)
    np.testing.assert_array_equal(model.predict(given), [0, 1, 2])
    warm = DiversifiedMixture(3, warm_start=True, means_init=given).fit(X).fit(X[::-1])
    np.testing.assert_allclose(warm.means_, given, atol=3)


def test_a_bad_start_stays_where_no_search_mends_it():
    X, truth = three_clusters()
    means = [[0.0, 100.0], [0.1, 101.0], [0.0, 160.0]]  # two in one group
    model = DiversifiedMixture(3, covariance_type="full", alpha=0, max_iter=1, means_init=means)
    with pytest.warns(ConvergenceWarning):
        model.fit(X)
    assert adjusted_rand_score(truth, model.labels_) < 0.9


def test_a_warm_start_takes_the_fit_up_where_it_ended():
    X, _ = three_clusters()
    means = [[0.0, 120.0], [0.0, 140.0], [0.0, 160.0]]
    # Shares and covariances that are not given are drawn: by the same numbers for both.
    own = dict(covariance_type="full", means_init=means, tol=1e-9, random_state=0)
    whole = DiversifiedMixture(3, **own).fit(X)
    parts = DiversifiedMixture(3, max_iter=2, warm_start=True, **own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = [parts.fit(X).score(X)]
        while not parts.converged_ and len(scores) < 100:
            scores.append(parts.fit(X).score(X))
    assert len(scores) > 2 and parts.n_iter_ <= 2
    assert scores[1] > scores[0]
    assert scores[-1] == pytest.approx(whole.score(X), abs=1e-6)


def test_a_start_that_does_not_fit_the_table_is_a_value_error():
    X, _ = three_clusters(30)
    for given, told in (
        ({"means_init": [[0.0, 0.0, 0.0]] * 2}, r"means.*\(2, 2\)"),
        ({"weights_init": [0.5, 0.6]}, "normalized"),
        ({"precisions_init": -np.ones(2), "covariance_type": "spherical"}, "positive"),
        ({"precisions_init": np.ones(2)}, "covariance_type"),
        ({"means_init": X[:2], "n_clusters": 2}, "n_clusters"),
    ):
        with pytest.raises(ValueError, match=told):
            DiversifiedMixture(2, **given).fit(X)
    table = pd.DataFrame({"a": X[:, 0], "kind": ["x", "y", "z"] * 10})
    with pytest.raises(ValueError, match="columns of numbers"):
        DiversifiedMixture(2, means_init=[[0.0]] * 2).fit(table)


def test_what_cannot_be_used_is_a_value_error_with_a_remedy():
    X, _ = three_clusters(30)
    with pytest.raises(ValueError, match=r"--alpha -1.*at least 0"):
        DiversifiedMixture(2, alpha=-1).fit(X)
    with pytest.raises(ValueError, match="has no such option"):
        DiversifiedMixture(2, method="em", alpha=0.1).fit(X)
    with pytest.raises(ValueError, match="output"):
        DiversifiedMixture(2, output="frame").fit(X)
    with pytest.raises(ValueError, match="NaN"):
        DiversifiedMixture(2).fit(np.where(X > 150, np.nan, X))


def test_empty_cells_can_be_allowed():
    X, _ = three_clusters(60)
    X[3, 0] = np.nan
    model = DiversifiedMixture(3, missing="drop", random_state=0).fit(X)
    assert model.labels_[3] == -2 and np.isnan(model.score_samples(X)[3])
    assert np.isfinite(model.score(X))
    assert (DiversifiedMixture(3, missing="mean", random_state=0).fit(X).labels_ >= 0).all()


def test_a_fit_that_did_not_converge_warns():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = DiversifiedMixture(3, max_iter=1, tol=0, random_state=0).fit(three_clusters()[0])
    assert not model.converged_


def test_scikit_learns_callbacks_see_each_iteration():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has no callbacks")

    class Watching:
        def __init__(self):
            self.phases = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            self.phases.append("end")

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, metadata=None):
            if metadata:
                self.phases.append(metadata["trace"]["phase"])

    watching = Watching()
    assert isinstance(watching, callback.FitCallback)
    model = DiversifiedMixture(2, random_state=0).set_callbacks(watching)
    model.fit(three_clusters(60)[0])
    assert len(watching.phases) > model.n_iter_  # those of what is chosen before the fit, too
    assert watching.phases[-2:] == ["refine", "end"]


def test_the_package_is_imported_quickly_and_names_are_imported_when_used():
    code = "import divmix, sys; print('numpy' in sys.modules, divmix.DiversifiedMixture.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "DiversifiedMixture"]
    assert set(divmix.__all__) <= set(dir(divmix))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        divmix.fitt  # noqa: B018
