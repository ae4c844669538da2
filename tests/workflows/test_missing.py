"""Tables with empty cells, from the fit to predict and its filled cells."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

from divmix.benchmarks.made_tables import ellipses
from divmix.core import fit_rows
from divmix.errors import InputError, UsageError
from divmix.families.posterior import log_weights
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import (
    DetectSettings,
    DetectTableSettings,
    EmSettings,
    TableSettings,
    fit_settings,
)
from divmix.workflows.beside import Beside
from divmix.workflows.detect import run_detect
from divmix.workflows.fit import run_fit
from divmix.workflows.predict import run_predict
from divmix.workflows.report import contents_of, run_report

MODEL = TableSettings(truth="label", missing="model")


def groups(rows=400, seed=0):
    """Three groups in correlated columns of very different units, a word, and the group."""
    generator = np.random.default_rng(seed)
    label = np.sort(generator.integers(0, 3, rows))
    centers = np.array([[0, 0, 0], [5, 1, 3], [1, 6, -3.0]])
    points = centers[label] + generator.normal(size=(rows, 3))
    points[:, 2] += 1.5 * points[:, 1]
    return pd.DataFrame(
        {
            "height": 170 + 10 * points[:, 0],
            "ratio": 1e-3 * points[:, 1],
            "amount": np.exp(0.3 * points[:, 2]) * 100,
            "kind": np.where(generator.random(rows) < 0.9, np.array(list("abc"))[label], "a"),
            "label": label,
        }
    )


def with_gaps(frame, share=0.2, seed=1):
    generator, frame = np.random.default_rng(seed), frame.copy()
    for name in [name for name in frame.columns if name != "label"]:
        frame.loc[generator.random(len(frame)) < share, name] = None
    return frame


@pytest.fixture
def table(tmp_path):
    with_gaps(groups()).to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def test_the_log_likelihood_is_that_of_another_implementation_on_the_same_rows(tmp_path):
    """By scipy, row by row and in the table's own units."""
    frame = with_gaps(groups())
    numbers = ["height", "ratio", "amount"]
    frame[[*numbers, "label"]].to_csv(tmp_path / "table.csv", index=False)
    run = run_fit(
        [str(tmp_path / "table.csv")],
        fit_settings("diversified", clusters=3, covariance="full"),
        MODEL,
        tmp_path / "run",
    )
    mixture = Mixture.load(tmp_path / "run")
    scale = np.array([column.scale for column in mixture.design.preprocessing.columns])
    center = np.array([column.center for column in mixture.design.preprocessing.columns])
    components = mixture.components
    values = frame[numbers].to_numpy()
    there = ~np.isnan(values)
    z, found = (values - center) / scale, np.zeros(len(values))
    for i, own in enumerate(there):
        terms: list[float] = []
        if not own.any():
            continue
        for j in range(components.count):
            covariance = components.covariances[j][np.ix_(own, own)]
            of_cells = stats.multivariate_normal(components.means[j][own], covariance)
            terms.append(of_cells.logpdf(z[i][own]) - np.log(scale[own]).sum())
        found[i] = logsumexp(np.log(components.weights) + terms)
    known = there.any(axis=1)
    assert run["result"]["log_likelihood"] == pytest.approx(found[known].mean(), abs=1e-6)
    told = pd.read_csv(tmp_path / "run" / "assignments.csv")
    np.testing.assert_allclose(told["log_density"][known], found[known], atol=1e-6)
    assert (~known).any() and told["cluster"].isna().equals(pd.Series(~known))


@pytest.mark.parametrize("log", [(), ("amount",)])
def test_groups_are_found_with_gaps_and_predict_says_the_same(table, tmp_path, log):
    settings = fit_settings("diversified", clusters=3)
    tables = TableSettings(truth="label", missing="model", log=log)
    run = run_fit([table], settings, tables, tmp_path / "run")
    blurred = run_fit(
        [table], settings, TableSettings(truth="label", missing="mean"), tmp_path / "blurred"
    )
    found, other = (one["result"]["evaluation"]["ari"] for one in (run, blurred))
    assert found > 0.8 and found > other
    assert any("of the cells are empty" in note for note in run["notes"])
    run_predict(tmp_path / "run", [table], str(tmp_path / "again.csv"))
    fitted = (tmp_path / "run" / "assignments.csv").read_bytes()
    assert (tmp_path / "again.csv").read_bytes() == fitted


def test_a_density_has_the_units_of_the_cells_that_are_there(tmp_path):
    """Of a row with one cell the log-density is that of this column alone, in its own units."""
    frame = with_gaps(groups())[["height", "amount", "label"]]
    frame.loc[0, ["height", "amount"]] = [np.nan, 120.0]
    frame.to_csv(tmp_path / "table.csv", index=False)
    tables = TableSettings(truth="label", missing="model", log=("amount",))
    source = str(tmp_path / "table.csv")
    run_fit([source], EmSettings(clusters=2, covariance="full"), tables, tmp_path / "run")
    mixture = Mixture.load(tmp_path / "run")
    column = mixture.design.preprocessing.columns[1]
    z = (np.log1p(120.0) - column.center) / column.scale
    deviations = np.sqrt(mixture.components.covariances[:, 1, 1])
    density = stats.norm(mixture.components.means[:, 1], deviations).pdf(z)
    own = np.log(mixture.components.weights @ density) - np.log(column.scale * 121.0)
    told = pd.read_csv(tmp_path / "run" / "assignments.csv")["log_density"][0]
    assert told == pytest.approx(own, abs=1e-9)


@pytest.mark.parametrize("settings", [
    fit_settings("nsvgd", clusters=3, max_iter=30),
    fit_settings("em", clusters=3, batch_size=64, max_iter=30),
    fit_settings("em", clusters=3, family="student", covariance="full"),
    fit_settings("diversified", clusters=3, noise=True),
    fit_settings("diversified", clusters=3, covariance="tied", alpha=0.1),
    fit_settings("diversified", clusters=3, restarts=2, bootstrap=10),
])  # fmt: skip
def test_every_method_takes_rows_with_gaps(table, tmp_path, settings):
    run = run_fit([table], settings, MODEL, tmp_path / "run")
    assert np.isfinite(run["result"]["log_likelihood"])
    told = pd.read_csv(tmp_path / "run" / "assignments.csv")
    assert told["cluster"].nunique() >= 2 and not told["probability"].isna().any()


def test_a_model_of_complete_rows_labels_rows_with_gaps(tmp_path):
    groups().to_csv(tmp_path / "whole.csv", index=False)
    with_gaps(groups()).to_csv(tmp_path / "gaps.csv", index=False)
    settings, source = fit_settings("diversified", clusters=3), str(tmp_path / "gaps.csv")
    run_fit([str(tmp_path / "whole.csv")], settings, TableSettings(truth="label"), tmp_path / "run")
    with pytest.raises(InputError, match="have an empty cell") as failure:
        run_predict(tmp_path / "run", [source], str(tmp_path / "a.csv"))
    assert "predict --missing model" in failure.value.hint
    run_predict(tmp_path / "run", [source], str(tmp_path / "b.csv"), missing="model")
    labels = pd.read_csv(tmp_path / "b.csv")
    assert adjusted_rand_score(labels["cluster"], groups()["label"]) > 0.8
    run_predict(tmp_path / "run", [source], str(tmp_path / "c.csv"), missing="drop")
    dropped = pd.read_csv(tmp_path / "c.csv")
    gone = with_gaps(groups()).drop(columns="label").isna().any(axis=1)
    assert (dropped["cluster"].isna() == gone).all()


def test_filled_cells_are_nearer_the_truth_than_means_are_and_the_rest_is_as_written(
    table, tmp_path
):
    run_fit([table], fit_settings("diversified", clusters=3), MODEL, tmp_path / "run")
    whole, gaps = groups(), with_gaps(groups())
    written = pd.read_csv(table, dtype=str)
    names = ["height", "ratio", "amount", "kind"]
    errors = {}
    for how in ("mean", "draw"):
        output = str(tmp_path / f"{how}.csv")
        run_predict(tmp_path / "run", [table], output, fill=how)
        filled = pd.read_csv(output, dtype=str)
        assert list(filled.columns) == ["row", *names, "cluster", "probability", "log_density"]
        assert not filled[names].isna().any().any()
        for name in names:
            there = ~gaps[name].isna()
            assert (filled[name][there] == written[name][there]).all()
        gone = gaps["height"].isna()
        values = filled["height"][gone].astype(float)
        errors[how] = np.sqrt(((values - whole["height"][gone]) ** 2).mean())
    gone = gaps["kind"].isna()
    assert (pd.read_csv(tmp_path / "mean.csv")["kind"] == whole["kind"])[gone].mean() > 0.7
    assert errors["mean"] < 0.8 * whole["height"].std()
    assert errors["mean"] < errors["draw"]  # a draw has the spread of the cells, and so errs more
    run_predict(tmp_path / "run", [table], str(tmp_path / "other.csv"), fill="draw", seed=1)
    assert (tmp_path / "other.csv").read_bytes() != (tmp_path / "draw.csv").read_bytes()


def test_filled_tables_keep_their_kinds_words_and_other_columns(tmp_path):
    generator = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "id": [f"n{i}" for i in range(60)],
            "count": generator.integers(0, 9, 60).astype(float),
            "size": generator.normal(size=60),
            "member": np.where(generator.random(60) < 0.5, "yes", "no"),
        }
    )
    frame.loc[3, "member"] = None
    frame.loc[4, "count"] = None
    frame.to_csv(tmp_path / "table.csv", index=False)
    source, output = str(tmp_path / "table.csv"), str(tmp_path / "filled.parquet")
    tables = TableSettings(columns=("count", "size", "member"), missing="model")
    run_fit([source], EmSettings(clusters=2), tables, tmp_path / "run")
    run_predict(tmp_path / "run", [source], output, fill="mean", beside=Beside(id="id", digits=2))
    filled = pd.read_parquet(output)
    assert list(filled.columns[:4]) == ["id", "count", "size", "member"]
    assert filled["member"][3] in ("yes", "no")
    assert len(str(float(filled["count"][4])).replace(".", "").strip("0")) <= 2


def test_the_median_fills_a_skewed_column_where_most_values_are(tmp_path):
    values = [1.0, 2.0, 3.0, 1000.0, None, 2.0]
    frame = pd.DataFrame({"a": values, "b": [1.0, 2.0, 1.5, 2.5, 1.0, 2.0]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    found = {}
    for missing in ("mean", "median"):
        tables = TableSettings(missing=missing)
        run_fit([str(tmp_path / "table.csv")], EmSettings(clusters=1), tables, tmp_path / missing)
        column = Mixture.load(tmp_path / missing).design.preprocessing.columns[0]
        found[missing] = column.fill * column.scale + column.center
    assert found == {"mean": pytest.approx(201.6), "median": pytest.approx(2.0)}


def test_what_needs_a_value_in_each_cell_refuses_the_choice(table, tmp_path):
    settings = EmSettings(clusters=3)
    with pytest.raises(UsageError, match="--missing model is not available with --encoder pca:2"):
        run_fit(
            [table],
            settings,
            TableSettings(truth="label", missing="model", encoder="pca:2"),
            tmp_path / "run",
        )
    with pytest.raises(UsageError, match="--gap is not available with --missing model"):
        numbers = TableSettings(columns=("height", "ratio"), missing="model")
        run_fit([table], fit_settings("diversified", clusters=3, gap=True), numbers, tmp_path / "g")
    with pytest.raises(UsageError, match="must be one of error, drop, mean, median") as refused:
        DetectTableSettings(missing="model")
    assert "a score needs a value in each" in refused.value.hint
    with pytest.raises(InputError, match="is empty") as failure:
        run_detect([table], DetectSettings(), DetectTableSettings(exclude=("label",)), output="-")
    assert "model" not in failure.value.hint and "--missing drop loses" in failure.value.hint


def test_labels_do_not_depend_on_a_column_that_knows_nothing_and_has_gaps(tmp_path):
    frame = groups(600)[["height", "ratio", "label"]]
    generator = np.random.default_rng(3)
    frame["noise"] = generator.normal(size=len(frame))
    frame.loc[generator.random(len(frame)) < 0.3, "noise"] = None
    frame.to_csv(tmp_path / "table.csv", index=False)
    run = run_fit(
        [str(tmp_path / "table.csv")],
        fit_settings("diversified", clusters=3),
        MODEL,
        tmp_path / "r",
    )
    assert any(note.startswith("noise: depends on no other column") for note in run["notes"])


def test_the_report_of_a_run_draws_rows_with_gaps(table, tmp_path):
    run_fit([table], fit_settings("em", clusters=3), MODEL, tmp_path / "run")
    run_report(tmp_path / "run", tmp_path / "report.html")
    assert "NaN" not in (tmp_path / "report.html").read_text()
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["settings"]["missing"] == "model"


@pytest.mark.parametrize("missing", ["model", "mean"])
def test_the_report_of_a_run_blames_no_empty_cell(tmp_path, missing):
    frame = with_gaps(groups())
    frame.loc[:7, "ratio"] = 0.015  # which does not go with the mean of what is empty
    frame.loc[:7, "amount"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    settings = EmSettings(clusters=3, covariance="full")
    tables = TableSettings(truth="label", missing=missing)
    run_fit([str(tmp_path / "table.csv")], settings, tables, tmp_path / "run")
    outliers = contents_of(tmp_path / "run", [], Progress()).outliers
    assert sum(own.because is not None for own in outliers) > 5
    for own in outliers:
        empty = frame.columns[frame.loc[own.row].isna()]
        assert not any(f"{name} " in (own.because or "") for name in empty)


@pytest.mark.long
def test_ellipses_with_a_fifth_of_the_cells_missing_lose_little():
    """Against the model of the complete rows on the same rows with gaps, which loses what these
    hide; where the mean is put into gaps far more is lost."""

    def labels(fitted, X):
        joint = fitted.family.log_densities(X, fitted.components)
        joint += log_weights(fitted.components.weights)
        return fitted.clusters[joint.argmax(axis=1)]

    hidden, lost, by_mean = [], [], []
    for seed in range(3):
        X, truth = ellipses.table(5, 8, 1000, np.random.default_rng(seed))[:2]
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        gaps = X.copy()
        gaps[np.random.default_rng(seed).random(X.shape) < 0.2] = np.nan
        means = np.where(np.isnan(gaps), np.nanmean(gaps, axis=0), gaps)
        settings = fit_settings("diversified", clusters=5)
        whole = fit_rows(X, settings)
        complete, floor = (adjusted_rand_score(truth, labels(whole, rows)) for rows in (X, gaps))
        of_gaps, of_means = (
            adjusted_rand_score(truth, labels(fit_rows(rows, settings), rows))
            for rows in (gaps, means)
        )
        hidden.append(complete - floor)
        lost.append(floor - of_gaps)
        by_mean.append(floor - of_means)
    print(
        f"hidden {np.mean(hidden):.3f}, lost beyond {np.mean(lost):.3f}, by means {np.mean(by_mean):.3f}"
    )
    assert np.mean(lost) <= 0.03 < 0.1 < np.mean(by_mean)


def test_components_of_rows_with_gaps_lie_in_no_plane_that_no_row_shows():
    """Few rows in many columns: flat components would call the complete rows impossible."""
    generator = np.random.default_rng(8)
    label = np.arange(120) % 2
    X = generator.standard_normal((120, 8)) + 4 * label[:, None] * np.eye(8)[0]
    gaps = X.copy()
    gaps[generator.random(X.shape) < 0.3] = np.nan
    fitted = fit_rows(gaps, fit_settings("diversified", clusters=2, covariance="full"))
    narrowest = np.linalg.eigvalsh(fitted.components.covariances)[:, 0]
    assert narrowest.min() > 0.05
