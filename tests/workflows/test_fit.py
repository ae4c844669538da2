"""What a fit promises, from a table to the run folder and back through predict."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from divmix.errors import InputError, NotConvergedError, OutputError, UsageError
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.evaluate import run_evaluate
from divmix.workflows.fit import fit_table, run_fit
from divmix.workflows.predict import run_predict
from divmix.workflows.sample import run_sample
from divmix.workflows.unfinished import Unfinished

METHODS = ["diversified", "nsvgd", "em"]
FILES = {"model.divmix", "assignments.csv", "components.csv", "trace.csv", "run.json"}


def blobs(n=300, seed=0):
    """Three clusters of sizes 3 : 2 : 1 in columns of very different units, and a text column."""
    generator = np.random.default_rng(seed)
    label = np.repeat([0, 1, 2], [n // 2, n // 3, n - n // 2 - n // 3])
    centers = np.array([[0.0, 0.0], [6.0, 1.0], [1.0, 7.0]])
    points = centers[label] + generator.normal(size=(n, 2))
    frame = pd.DataFrame(
        {
            "height": 170 + 10 * points[:, 0],
            "ratio": 1e-3 * points[:, 1],
            "kind": np.where(label == 0, "a", np.where(generator.random(n) < 0.8, "b", "c")),
            "label": label,
        }
    )
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def settings(**changes):
    return fit_settings(**{"clusters": 3, "max_iter": 60} | changes)


def fitted(frame, tables=None, **changes):
    return fit_table(
        pa.Table.from_pandas(frame, preserve_index=False),
        settings(**changes),
        tables or TableSettings(truth="label"),
    )


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "blobs.csv"
    blobs().to_csv(path, index=False)
    return path


def run(csv, output, tables=None, overwrite=False, **changes):
    return run_fit(
        [str(csv)],
        settings(**changes),
        tables or TableSettings(truth="label"),
        output,
        overwrite=overwrite,
    )


@pytest.mark.parametrize("method", ["diversified", "em"])
def test_clusters_are_found_and_the_largest_comes_first(method):
    frame = blobs()
    fit = fitted(frame, method=method)
    sizes = np.bincount(fit.scores.cluster)
    assert list(sizes) == sorted(sizes, reverse=True)
    majority = pd.Series(frame["label"]).groupby(fit.scores.cluster).agg(lambda s: s.mode()[0])
    assert (majority.to_numpy()[fit.scores.cluster] == frame["label"]).mean() > 0.98


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "family, covariance",
    [
        ("gaussian", "spherical"),
        ("gaussian", "tied"),
        ("student", "diag"),
        ("student", "full"),
    ],
)
def test_no_output_holds_a_number_that_is_none(method, family, covariance):
    fit = fitted(blobs(), method=method, family=family, covariance=covariance)
    for values in (*fit.scores[:3], *fit.mixture.components[:3]):
        assert np.isfinite(values).all()
    assert all(np.isfinite(row[3:8]).all() for row in fit.trace)


def test_the_run_folder_is_complete_and_consistent(csv, tmp_path):
    document = run(csv, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == document
    assignments = pd.read_csv(tmp_path / "run" / "assignments.csv")
    assert list(assignments.columns) == ["row", "cluster", "probability", "log_density"]
    assert list(assignments["row"]) == list(range(300))
    assert assignments["probability"].between(0, 1).all()
    result = document["result"]
    assert result["log_likelihood"] == pytest.approx(assignments["log_density"].mean(), abs=1e-9)
    assert [c["size"] for c in result["clusters"]] == list(
        assignments["cluster"].value_counts().sort_index()
    )
    assert result["evaluation"]["ari"] > 0.95
    trace = pd.read_csv(tmp_path / "run" / "trace.csv")
    assert list(trace["iteration"]) == list(range(len(trace))) and result["iterations"] == len(
        trace
    )
    assert trace["log_likelihood"].iloc[-1] == pytest.approx(result["log_likelihood"], abs=1e-3)
    components = pd.read_csv(tmp_path / "run" / "components.csv")
    assert components["weight"].sum() == pytest.approx(1)
    by_hand = pd.read_csv(csv).groupby(assignments["cluster"])["height"].mean()
    mixed = (components["height_mean"] * components["weight"]).groupby(components["cluster"]).sum()
    mixed /= components["weight"].groupby(components["cluster"]).sum()
    np.testing.assert_allclose(mixed, by_hand, rtol=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_predict_equals_assignments_bit_for_bit(csv, tmp_path, method, covariance):
    run(csv, tmp_path / "run", method=method, covariance=covariance)
    run_predict(tmp_path / "run", [str(csv)], str(tmp_path / "labels.csv"))
    assert (tmp_path / "labels.csv").read_bytes() == (
        tmp_path / "run" / "assignments.csv"
    ).read_bytes()


def test_rows_with_missing_cells_are_dropped_but_keep_their_line(csv, tmp_path):
    frame = pd.read_csv(csv)
    frame.loc[[3, 70], "height"] = np.nan
    frame.to_csv(csv, index=False)
    with pytest.raises(InputError, match="height"):
        run(csv, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    tables = TableSettings(truth="label", missing="drop")
    document = run(csv, tmp_path / "run", tables)
    assignments = pd.read_csv(tmp_path / "run" / "assignments.csv")
    assert len(assignments) == 300 and list(np.flatnonzero(assignments["cluster"].isna())) == [
        3,
        70,
    ]
    assert "2 rows left out" in " ".join(document["notes"])
    run_predict(tmp_path / "run", [str(csv)], str(tmp_path / "labels.csv"))
    assert (tmp_path / "labels.csv").read_text() == (
        tmp_path / "run" / "assignments.csv"
    ).read_text()


@pytest.mark.parametrize("method", METHODS)
def test_same_bits_at_one_and_two_threads_and_again(method):
    frame = blobs(2000)
    one, two, again = (fitted(frame, method=method, threads=threads) for threads in (1, 2, 2))
    for other in (two, again):
        for mine, theirs in zip(one.mixture.components[:3], other.mixture.components[:3]):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(one.scores.log_density, other.scores.log_density)


def test_another_seed_is_another_start():
    frame = blobs()
    fits = [fitted(frame, seed=seed, max_iter=1, method="em") for seed in (0, 1)]
    assert not np.array_equal(*(fit.mixture.components.means for fit in fits))


def test_an_integer_weight_equals_repeated_rows():
    frame = blobs(120).drop(columns="kind")
    frame["w"] = np.random.default_rng(0).integers(1, 4, len(frame))
    repeated = frame.loc[frame.index.repeat(frame["w"])].drop(columns="w")
    weighted = fitted(
        frame,
        TableSettings(truth="label", weight="w"),
        method="em",
        tol=1e-10,
        max_iter=500,
        covariance="diag",
    )
    plain = fitted(repeated, method="em", tol=1e-10, max_iter=500, covariance="diag")
    assert weighted.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(
        weighted.mixture.components.means, plain.mixture.components.means, atol=1e-4
    )


def test_log_likelihood_is_scikit_learns_in_the_datas_own_units():
    from sklearn.mixture import GaussianMixture

    frame = blobs().drop(columns="kind")
    fit = fitted(frame, method="em", covariance="full", tol=1e-9, max_iter=500)
    values = frame[["height", "ratio"]].to_numpy()
    peer = GaussianMixture(3, n_init=5, tol=1e-9, max_iter=500, reg_covar=1e-12, random_state=0)
    assert fit.log_likelihood == pytest.approx(peer.fit(values).score(values), abs=1e-4)


def test_a_logged_column_has_the_density_of_the_data():
    """A log-normal column: the mean log-density is minus its entropy, 1/2 log(2 pi e s^2) + mu."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": np.expm1(generator.normal(3, 0.5, 20_000))})
    fit = fitted(frame, TableSettings(log=("x",)), clusters=1, method="em")
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.25) + 3
    assert fit.log_likelihood == pytest.approx(-entropy, abs=0.02)


def test_column_order_and_further_columns_do_not_matter_to_predict(csv, tmp_path):
    run(csv, tmp_path / "run")
    frame = pd.read_csv(csv)
    shuffled = frame[["kind", "ratio", "height"]].assign(extra=1)
    shuffled.to_parquet(tmp_path / "new.parquet")
    run_predict(tmp_path / "run", [str(tmp_path / "new.parquet")], str(tmp_path / "labels.csv"))
    assert (tmp_path / "labels.csv").read_text() == (
        tmp_path / "run" / "assignments.csv"
    ).read_text()


def test_probabilities_of_the_clusters_sum_to_one(csv, tmp_path):
    run(csv, tmp_path / "run")
    run_predict(tmp_path / "run", [str(csv)], str(tmp_path / "p.parquet"), probabilities=True)
    table = pd.read_parquet(tmp_path / "p.parquet")
    posterior = table[["probability_0", "probability_1", "probability_2"]].to_numpy()
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    np.testing.assert_array_equal(posterior.argmax(axis=1), table["cluster"])


def test_a_far_row_is_labelled_and_never_nan(csv, tmp_path):
    run(csv, tmp_path / "run")
    far = pd.DataFrame({"height": [1e12], "ratio": [-1e9], "kind": ["a"]})
    far.to_csv(tmp_path / "far.csv", index=False)
    run_predict(tmp_path / "run", [str(tmp_path / "far.csv")], str(tmp_path / "labels.csv"))
    row = pd.read_csv(tmp_path / "labels.csv").iloc[0]
    assert row["log_density"] < -1e6 and 0 <= row["probability"] <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "frame, clusters",
    [
        (pd.DataFrame({"x": [1.0, 2.0]}), 1),
        (pd.DataFrame({"x": [1.0, 2.0]}), 2),
        (pd.DataFrame({"x": np.arange(50.0) / 2, "constant": 7.0, "copy": np.arange(50.0) / 2}), 3),
        (pd.DataFrame({"x": [0.0] * 30 + [1.0] * 3}), 2),
        (pd.DataFrame({"x": [1e-300, 1.0, 2.0, 1e100]}), 2),
        (pd.DataFrame({"flag": [True, False] * 10, "text": list("abcd") * 5}), 2),
    ],
)
def test_odd_tables_are_fitted_without_nan(method, frame, clusters):
    for covariance in ("spherical", "diag", "tied", "full"):
        fit = fitted(
            frame, TableSettings(), clusters=clusters, method=method, covariance=covariance
        )
        assert np.isfinite(fit.scores.log_density).all()
        assert np.isfinite(fit.scores.probability).all()


def test_alpha_0_is_plain_maximum_likelihood_for_one_component():
    frame = blobs().drop(columns="kind")
    fit = fitted(frame, clusters=1, components=1, alpha=0.0, covariance="diag")
    told = fit.mixture.design.column_summary(
        fit.mixture.components.means, fit.mixture.family.variances(fit.mixture.components)
    )
    np.testing.assert_allclose(told.mean[0], frame[["height", "ratio"]].mean(), rtol=1e-9)
    np.testing.assert_allclose(told.spread[0], frame[["height", "ratio"]].std(ddof=0), rtol=1e-6)


def test_more_clusters_than_distinct_rows_is_refused():
    frame = pd.DataFrame({"x": [1.0, 2.0, 2.0, 3.0]})
    with pytest.raises(InputError, match="3 distinct rows"):
        fitted(frame, TableSettings(), clusters=4)


@pytest.mark.parametrize("method", METHODS)
def test_more_components_than_clusters_are_united(method):
    fit = fitted(blobs(), method=method, components=9)
    assert fit.mixture.n_clusters == 3 and fit.scores.cluster.max() < 3


@pytest.mark.parametrize("method", METHODS)
def test_fewer_components_than_clusters_are_refused(method):
    with pytest.raises(UsageError, match="--components 2"):
        fitted(blobs(), method=method, components=2)


@pytest.mark.parametrize("method", METHODS)
def test_uniform_weights_are_kept(method):
    fit = fitted(blobs(), method=method, weights="uniform")
    np.testing.assert_allclose(fit.mixture.components.weights, 1 / fit.mixture.components.count)


def test_tied_student_is_refused():
    with pytest.raises(UsageError, match="tied"):
        fitted(blobs(), family="student", covariance="tied")


def test_tol_0_makes_exactly_max_iter_passes():
    fit = fitted(blobs(), method="em", max_iter=50, tol=0.0)
    assert len(fit.trace) == 50 and fit.stop_reason == "max_iter"


def test_a_time_budget_ends_the_fit():
    fit = fitted(blobs(), method="em", max_iter=10**6, tol=0.0, time_budget=0.3)
    assert fit.stop_reason == "time_budget" and len(fit.trace) < 10**6


def test_a_time_budget_too_short_for_one_iteration_still_leaves_a_whole_run(csv, tmp_path):
    document = run(csv, tmp_path / "run", method="em", time_budget=1e-9)
    assert document["result"]["stop_reason"] == "time_budget"
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert (tmp_path / "run" / "trace.csv").read_text().count("\n") == 2  # one look


def test_require_convergence_fails_but_keeps_the_run(csv, tmp_path):
    with pytest.raises(NotConvergedError):
        run(csv, tmp_path / "run", method="em", max_iter=2, require_convergence=True)
    assert (tmp_path / "run" / "run.json").exists()


def test_a_run_folder_is_not_overwritten_unasked(csv, tmp_path):
    output = tmp_path / "run"
    run(csv, output)
    before = (output / "model.divmix").read_bytes()
    with pytest.raises(OutputError):
        run(csv, output, clusters=2)
    assert (output / "model.divmix").read_bytes() == before
    run(csv, output, overwrite=True, clusters=2)
    assert (output / "model.divmix").read_bytes() != before
    assert {path.name for path in output.iterdir()} == FILES


def test_an_interrupted_fit_leaves_nothing(csv, tmp_path):
    asked = itertools.chain([False, False], itertools.repeat(True))
    document = run_fit(
        [str(csv)],
        settings(),
        TableSettings(truth="label"),
        tmp_path / "run",
        should_stop=lambda: next(asked),
    )
    assert document == Unfinished(None, "") and not (tmp_path / "run").exists()


def test_the_model_file_gives_back_the_mixture(csv, tmp_path):
    run(csv, tmp_path / "run", family="student")
    mixture = Mixture.load(tmp_path / "run")
    mixture.save(tmp_path / "copy.divmix")
    original = (tmp_path / "run" / "model.divmix").read_bytes()
    assert (tmp_path / "copy.divmix").read_bytes() == original


def test_a_sample_has_the_columns_and_the_clusters_of_its_model(csv, tmp_path):
    run(csv, tmp_path / "run")
    run_sample(tmp_path / "run", 5000, str(tmp_path / "new.csv"), seed=3)
    drawn = pd.read_csv(tmp_path / "new.csv")
    assert list(drawn.columns) == ["height", "ratio", "kind", "cluster"]
    frame = pd.read_csv(csv)
    assert set(drawn["kind"]) <= {"a", "b", "c"}
    assert drawn["height"].mean() == pytest.approx(frame["height"].mean(), rel=0.02)
    run_predict(tmp_path / "run", [str(tmp_path / "new.csv")], str(tmp_path / "labels.csv"))
    labels = pd.read_csv(tmp_path / "labels.csv")
    assert (labels["cluster"] == drawn["cluster"]).mean() > 0.95


def test_evaluate_reads_the_truth_from_the_table_the_labels_were_made_for(csv, tmp_path):
    document = run(csv, tmp_path / "run")
    labels = tmp_path / "run" / "assignments.csv"
    metrics = run_evaluate(str(labels), "label", data=str(csv))
    assert metrics == document["result"]["evaluation"]
    Path(tmp_path / "short.csv").write_text("label\n1\n2\n")
    with pytest.raises(InputError, match="300 rows"):
        run_evaluate(str(labels), "label", data=str(tmp_path / "short.csv"))
