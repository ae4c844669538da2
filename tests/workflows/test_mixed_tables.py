"""Tables of numbers and categories: what both know is found, what a column does not know is no harm."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score

from divmix.anomaly.detector import fit_density, flags_of, reasons_of, score_itself, score_rows
from divmix.choosing.relevance import relevant_categories
from divmix.cli.clusters import apart
from divmix.errors import UsageError
from divmix.families import Gaussian, Mixed, make_family
from divmix.model.mixture import Mixture
from divmix.rows import MemoryRows
from divmix.settings import (
    DetectSettings,
    DetectTableSettings,
    DiversifiedSettings,
    TableSettings,
    fit_settings,
)
from divmix.workflows.describe import describe_model
from divmix.workflows.fit import fit_table, rows_of, run_fit
from divmix.workflows.predict import run_predict
from divmix.workflows.sample import run_sample


def planted(n=700, k=3, gap=2.8, texts=3, strength=0.75, seed=0):
    """Clusters that overlap in two numbers, with text columns that know them partly."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(k, size=n)
    angles = 2 * np.pi * np.arange(k) / k
    centers = gap / (2 * np.sin(np.pi / k)) * np.column_stack([np.cos(angles), np.sin(angles)])
    points = centers[truth] + generator.normal(size=(n, 2))
    frame = pd.DataFrame({"height": 170 + 10 * points[:, 0], "ratio": 1e-3 * points[:, 1]})
    for j in range(texts):
        right = generator.random(n) < strength
        code = np.where(right, (truth + j) % k, generator.integers(k, size=n))
        frame[f"kind{j}"] = np.array(list("abcdefgh"))[code]
    return frame, truth


def with_random_texts(frame, count, seed=0, categories=4):
    generator = np.random.default_rng([seed, 1])
    added = frame.copy()
    for j in range(count):
        shares = generator.dirichlet(np.full(categories, 3.0))
        added[f"random{j}"] = generator.choice(list("pqrstuvw"[:categories]), len(frame), p=shares)
    return added


def fit(frame, **changes):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return fit_table(table, fit_settings(**{"clusters": 3} | changes), TableSettings())


def agreement(truth, fitted):
    return adjusted_rand_score(truth, fitted.scores.cluster)


@pytest.mark.parametrize("method", ["diversified", "em"])
def test_clusters_are_found_that_numbers_or_categories_alone_do_not_show(method):
    frame, truth = planted()
    numbers, texts = frame.columns[:2], frame.columns[2:]
    found = [agreement(truth, fit(frame[own], method=method)) for own in (numbers, texts)]
    assert max(found) < 0.85
    fitted = fit(frame, method=method)
    assert isinstance(fitted.mixture.family, Mixed)
    assert agreement(truth, fitted) > 0.9


@pytest.mark.parametrize("count", range(1, 6))
def test_text_columns_that_know_nothing_change_nothing(count):
    frame, truth = planted(gap=5.0, texts=0, seed=count)
    alone = agreement(truth, fit(frame))
    assert alone > 0.9
    fitted = fit(with_random_texts(frame, count, count))
    assert agreement(truth, fitted) >= alone - 0.02
    assert any("random0" in note for note in fitted.notes)


@pytest.mark.parametrize("count", [1, 5])
def test_random_columns_are_borne_also_where_they_are_taken_for_relevant(count, monkeypatch):
    frame, truth = planted(gap=5.0, texts=0)
    alone = agreement(truth, fit(frame))
    monkeypatch.setattr(
        "divmix.choosing.settle.relevant_categories", lambda rows: rows.features.categories
    )
    fitted = fit(with_random_texts(frame, count))
    assert len(fitted.mixture.family.categories.varying) == 4 * count
    assert agreement(truth, fitted) >= alone - 0.05


def test_the_number_of_clusters_is_that_of_the_numbers():
    frame, _ = planted(k=4, gap=6.0, texts=0, n=400)
    fitted = fit(with_random_texts(frame, 3), clusters="auto")
    assert fitted.mixture.n_clusters == 4


def test_columns_that_know_the_clusters_help_to_count_them():
    frame, truth = planted(texts=3, strength=0.9)
    fitted = fit(with_random_texts(frame, 1), clusters="auto")
    assert fitted.mixture.n_clusters == 3 and agreement(truth, fitted) > 0.9


def relevant(frame):
    """Names of the columns that are found to know anything of the others."""
    from divmix.design.prepare import prepare
    from divmix.progress import Progress

    table = pa.Table.from_pandas(frame, preserve_index=False)
    design, matrix = prepare(table, TableSettings(), np.random.default_rng(0), Progress())
    found = relevant_categories(rows_of(design, matrix, DiversifiedSettings()))
    return [column.name for column in found.columns if not column.common]


def test_few_random_columns_are_taken_for_relevant_and_few_others_are_missed():
    random, known = 0, 0
    for seed in range(10):
        frame, _ = planted(gap=5.0, texts=3, strength=0.5, seed=seed, n=400)
        names = relevant(with_random_texts(frame, 6, seed))
        random += sum(name.startswith("random") for name in names)
        known += sum(name.startswith("kind") for name in names)
    assert random <= 3 and known >= 29  # of 60 and 30


def test_a_column_that_numbers_explain_only_together_is_relevant():
    generator = np.random.default_rng(0)
    signs = generator.integers(2, size=(600, 2))
    frame = pd.DataFrame(4.0 * signs + generator.normal(size=(600, 2)), columns=["x", "y"])
    frame["same"] = signs[:, 0] == signs[:, 1]  # known to neither x nor y alone
    assert relevant(frame) == ["same"]


def test_names_of_rows_are_common_and_harmless():
    frame, truth = planted(gap=5.0, texts=0, n=90)
    frame["name"] = [f"row {i}" for i in range(90)]
    assert agreement(truth, fit(frame)) > 0.9


@pytest.mark.parametrize(
    ("family", "covariance"), [("gaussian", "full"), ("gaussian", "tied"), ("student", "diag")]
)
@pytest.mark.parametrize("texts_alone", [False, True])
def test_a_model_that_was_read_has_the_bits_of_the_one_written(
    family, covariance, texts_alone, tmp_path
):
    frame = with_random_texts(planted(n=300)[0], 1)
    frame = frame.drop(columns=["height", "ratio"]) if texts_alone else frame
    fitted = fit(frame, family=family, covariance=covariance)
    fitted.mixture.save(tmp_path / "model.divmix")
    again = Mixture.load(tmp_path / "model.divmix")
    for one, other in zip(again.components, fitted.mixture.components):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(again.score(fitted.X), fitted.mixture.score(fitted.X)):
        np.testing.assert_array_equal(one, other)
    assert again.family.categories == fitted.mixture.family.categories
    assert again.cut(2).n_clusters == 2


def test_a_model_of_an_older_version_has_gaussians_for_its_categories(tmp_path):
    frame = planted(n=200)[0]
    fitted = fit(frame)
    d = fitted.X.shape[1]
    family = make_family("gaussian", "diag", np.full(d, 0.25))
    components = family.start(np.full(3, 1 / 3), fitted.X[:3], np.eye(d))
    old = Mixture(family, components, np.arange(3), fitted.mixture.design, fitted.mixture.about)
    old.save(tmp_path / "model.divmix")
    again = Mixture.load(tmp_path / "model.divmix")
    assert isinstance(again.family, Gaussian)
    np.testing.assert_array_equal(again.score(fitted.X).cluster, old.score(fitted.X).cluster)
    assert describe_model(tmp_path / "model.divmix")["parameters"] == 2 + 2 * 3 * d


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    frame, truth = planted()
    frame["flag"] = truth == 1
    frame.to_csv(folder / "table.csv", index=False)
    settings = fit_settings(clusters=3)
    run_fit([str(folder / "table.csv")], settings, TableSettings(), folder / "run")
    return folder


def test_rows_of_an_unknown_category_are_labelled_by_their_other_columns(run_dir, tmp_path):
    frame = pd.read_csv(run_dir / "table.csv").head(50)
    frame.assign(kind0="new").to_csv(tmp_path / "new.csv", index=False)
    labels = tmp_path / "labels.csv"
    run_predict(run_dir / "run", [str(tmp_path / "new.csv")], str(labels), unknown="ignore")
    found = pd.read_csv(labels)
    before = pd.read_csv(run_dir / "run" / "assignments.csv").head(50)
    assert found["log_density"].notna().all()
    assert (found["cluster"] == before["cluster"]).mean() > 0.85


def test_the_summary_tells_the_shares_of_categories(run_dir):
    document = json.loads((run_dir / "run" / "run.json").read_text())
    described = describe_model(run_dir / "run")
    for clusters in (document["result"]["clusters"], described["clusters"]):
        told = {column["column"]: column for one in clusters for column in one["apart"]}
        shares = told["flag"]["shares"]
        assert set(shares) <= {"true", "false"} and max(shares.values()) > 0.9
    line = apart({"column": "country", "shares": {"US": 0.62, "DE": 0.31}, "difference": 1.0})
    assert line == "country: 62% US, 31% DE"


def test_rows_are_drawn_with_the_shares_of_the_table(run_dir, tmp_path):
    run_sample(run_dir / "run", 20_000, str(tmp_path / "drawn.csv"))
    drawn, table = pd.read_csv(tmp_path / "drawn.csv"), pd.read_csv(run_dir / "table.csv")
    for name in ("kind0", "flag"):
        own, shares = (one[name].value_counts(normalize=True) for one in (drawn, table))
        np.testing.assert_allclose(own.sort_index(), shares.sort_index(), atol=0.02)
    within = pd.crosstab(drawn["cluster"], drawn["flag"], normalize="index")[True]
    assert within.max() > 0.8 and within.min() < 0.1


def test_a_bound_for_gaussians_is_refused(run_dir):
    frame = pd.read_csv(run_dir / "table.csv")
    with pytest.raises(UsageError, match="--gap"):
        fit(frame, gap=True)


@pytest.mark.parametrize("changes", [{"noise": True}, {"init": "centre"}, {"alpha": "auto"}])
def test_what_else_a_fit_can_be_asked_for(changes):
    frame, truth = planted(strength=0.95, n=400)
    assert agreement(truth, fit(frame, **changes)) > 0.8


def test_the_published_method_moves_probabilities_too():
    frame, _ = planted(strength=0.95, n=400)
    fitted = fit(frame, method="nsvgd", max_iter=100)
    assert np.isfinite(fitted.scores.log_density).all()
    assert np.ptp(fitted.mixture.components.means[:, 2]) > 0.05


@pytest.mark.parametrize("training", ["clean", "mixed"])
def test_a_category_that_does_not_go_with_the_others_is_surprising(training):
    generator = np.random.default_rng(0)
    group = generator.integers(2, size=1000)
    frame = pd.DataFrame({
        "x": 8.0 * group + generator.normal(size=1000),
        "kind": np.where(generator.random(1000) < 0.99, np.array(["a", "b"])[group], "c"),
        "other": generator.choice(["p", "q"], 1000),
    })  # fmt: skip
    settings = DetectSettings(training=training, threshold=0.9)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    mixture = fit_density(table, settings, DetectTableSettings(), itself=False).mixture
    odd = pd.DataFrame({"x": [0.0, 0.0, 0.0], "kind": ["a", "b", "new"], "other": ["p", "q", "p"]})
    batches = pa.Table.from_pandas(odd, preserve_index=False).to_batches()
    scored = score_rows(mixture, batches)
    usual, wrong, new = scored.score
    assert wrong > usual + 3 and new > 1e5
    X = mixture.design.transform(batches[0], unknown="ignore").X
    _, because, of_new = reasons_of(mixture)(X, mixture.design.empty_cells(batches[0]))
    assert because.startswith(("kind", "x"))
    assert of_new == "kind is new"


def test_a_category_is_never_blamed_for_being_rare_alone():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 1000))
    x[:10] += 12.0
    frame = pd.DataFrame({"x": x, "y": y, "unit": np.where(np.arange(1000) % 100, "a", "rare")})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fitted = fit_density(table, DetectSettings(), itself=True)
    flagged = flags_of(fitted.mixture, score_itself(fitted), ("contamination", 0.05))
    told = reasons_of(fitted.mixture)(fitted.X[flagged], fitted.empty[flagged])
    assert len(told) == 50 and not any("unit" in (reason or "") for reason in told)
    assert flagged[:10].all() and all(reason.startswith("x ") for reason in told[:10])


def test_home_made_rows_without_categories_keep_gaussians():
    from divmix.core import fit_rows

    X = np.random.default_rng(0).normal(size=(100, 2))
    assert isinstance(fit_rows(MemoryRows(X), fit_settings(clusters=2)).family, Gaussian)
