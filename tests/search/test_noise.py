"""The broad component that takes rows scattered among the clusters."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_moons

from divmix.engine.objective import Objective
from divmix.errors import UsageError
from divmix.families import Components, make_family
from divmix.families.noise import broad_component, with_noise
from divmix.metrics import clustering_metrics
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, NOISE
from divmix.rows import MemoryRows
from divmix.settings import DiversifiedSettings, TableSettings, fit_settings
from divmix.workflows.fit import fit_table, run_fit


def scattered(X, share, seed):
    """Rows X and as many others that they are `share` of all, even over a wider box."""
    generator = np.random.default_rng(seed)
    low, high = X.min(axis=0), X.max(axis=0)
    width = high - low
    n = int(share * len(X) / (1 - share))
    others = generator.uniform(low - 0.3 * width, high + 0.3 * width, (n, X.shape[1]))
    return as_table(np.vstack([X, others]))


def as_table(X):
    return pa.table({f"x{j}": column.copy() for j, column in enumerate(X.T)})


def grid(seed):
    generator = np.random.default_rng(seed)
    parts = [generator.normal((4 * i, 4 * j), 0.5, (100, 2)) for i in range(3) for j in range(3)]
    return np.vstack(parts), np.repeat(np.arange(9), 100)


@pytest.mark.parametrize("seed", range(3))
def test_clusters_in_noise_are_found_and_most_of_the_noise_too(seed):
    X, truth = grid(seed)
    table = scattered(X, 0.2, seed)
    cluster = fit_table(
        table, DiversifiedSettings(clusters=9, noise=True, seed=seed)
    ).scores.cluster
    assert clustering_metrics(truth, np.where(cluster == NOISE, 9, cluster)[:900])["ari"] > 0.95
    # Measured over five seeds: .73 to .8 of them; the others lie within clusters.
    assert np.mean(cluster[900:] == NOISE) > 0.6
    # A row in the tail of a cluster may be noise: measured .01 to .027.
    assert np.mean(cluster[:900] == NOISE) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_unions_in_noise_are_found(seed):
    X, truth = make_moons(1000, noise=0.06, random_state=seed)
    table = scattered(X, 0.2, seed)
    cluster = fit_table(
        table, DiversifiedSettings(clusters=2, noise=True, seed=seed)
    ).scores.cluster
    assert clustering_metrics(truth, np.where(cluster == NOISE, 2, cluster)[:1000])["ari"] > 0.95
    assert np.sum(cluster[1000:] == NOISE) > 10 * np.sum(cluster[:1000] == NOISE)


@pytest.mark.parametrize("seed", range(2))
def test_without_scattered_rows_no_row_is_noise(seed):
    X, truth = grid(seed)
    settings = DiversifiedSettings(clusters=9, noise=True, seed=seed)
    cluster = fit_table(as_table(X), settings).scores.cluster
    assert clustering_metrics(truth, cluster)["ari"] > 0.98
    assert np.sum(cluster == NOISE) <= 2


@pytest.mark.parametrize(
    "family, covariance", [("gaussian", "full"), ("gaussian", "spherical"), ("student", "diag")]
)
def test_beside_noise_a_density_is_that_of_all_components(family, covariance):
    X = np.random.default_rng(0).normal(size=(200, 2))
    family = make_family(family, covariance, np.full(2, 1e-6))
    start = family.start(np.array([0.4, 0.3]), X[:2], np.eye(2))
    noise = broad_component(family, X.min(axis=0), X.max(axis=0))
    objective = Objective(family, noise=noise)
    beside = with_noise(start, noise)
    assert beside.weights[-1] == pytest.approx(0.3)
    density = np.exp(family.log_densities(X, beside)) @ beside.weights
    sums = objective.sums(MemoryRows(X), start)
    assert sums.log_likelihood == pytest.approx(np.log(density).sum())
    assert sums.mass.sum() + sums.outside == pytest.approx(200)
    np.testing.assert_allclose(np.exp(objective.log_joint(X, start)).sum(axis=1), density)
    updated = family.maximize(sums, start, learn_weights=True)
    assert 1 - updated.weights.sum() == pytest.approx(sums.outside / 200)


def test_the_noise_is_as_wide_as_the_table_and_never_moves():
    X, _ = grid(0)
    fit = fit_table(
        scattered(X, 0.2, 0), DiversifiedSettings(clusters=9, covariance="full", noise=True)
    )
    noise = fit.mixture.noise
    rows = fit.X
    np.testing.assert_allclose(noise.means[0], (rows.min(axis=0) + rows.max(axis=0)) / 2)
    spread = fit.mixture.family.variances(noise)[0]
    np.testing.assert_allclose(spread, np.ptp(rows, axis=0) ** 2 / 12, rtol=1e-5)
    assert 0.1 < fit.mixture.noise_weight < 0.25


def test_a_model_with_noise_is_stored_labels_draws_and_is_cut(tmp_path):
    X, _ = grid(1)
    table = scattered(X, 0.2, 1)
    fit = fit_table(table, DiversifiedSettings(clusters=9, noise=True))
    fit.mixture.save(tmp_path / "model.divmix")
    again = Mixture.load(tmp_path / "model.divmix")
    scores = again.score_batch(table, posterior=True)
    np.testing.assert_array_equal(scores.cluster, fit.scores.cluster)
    noise = scores.cluster == NOISE
    rest = 1 - scores.posterior.sum(axis=1)
    np.testing.assert_allclose(rest[noise], scores.probability[noise], atol=1e-9)
    drawn, clusters = again.draw(4_000, np.random.default_rng(0))
    assert np.mean(clusters == NOISE) == pytest.approx(again.noise_weight, abs=0.03)
    cut = again.cut(4)
    assert cut.n_clusters == 4
    assert cut.noise_weight == pytest.approx(again.noise_weight, abs=0.15)


def test_the_run_folder_tells_noise_from_empty_cells(tmp_path):
    X, _ = grid(2)
    table = scattered(X, 0.2, 2).to_pandas()
    table.loc[3, "x0"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    document = run_fit(
        [str(tmp_path / "t.csv")],
        DiversifiedSettings(clusters=9, noise=True),
        TableSettings(missing="drop"),
        tmp_path / "run",
    )
    lines = (tmp_path / "run" / "assignments.csv").read_text().splitlines()[1:]
    told = [line.split(",")[1] for line in lines]
    assert told[3] == "" and told.count("-1") == document["result"]["noise"]["size"] > 100
    shares = [cluster["share"] for cluster in document["result"]["clusters"]]
    assert sum(shares) + document["result"]["noise"]["share"] == pytest.approx(1)
    assert INCOMPLETE not in map(int, filter(None, told))


def test_k_auto_counts_clusters_beside_noise():
    X, _ = grid(0)
    settings = DiversifiedSettings(clusters="auto", noise=True)
    assert fit_table(scattered(X, 0.2, 0), settings).mixture.n_clusters == 9


@pytest.mark.parametrize(
    "settings", [{"covariance": "tied"}, {"method": "nsvgd"}, {"weights": "uniform"}]
)
def test_noise_needs_weights_and_a_spread_of_its_own(settings):
    X, _ = grid(0)
    with pytest.raises(UsageError, match="--noise"):
        fit_table(as_table(X), fit_settings(clusters=9, noise=True, **settings))


def test_em_has_noise_too():
    X, _ = grid(0)
    fit = fit_table(scattered(X, 0.2, 0), fit_settings(clusters=9, noise=True, method="em"))
    assert 0 < fit.mixture.noise_weight < 1
    assert isinstance(fit.mixture.noise, Components)
