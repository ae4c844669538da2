"""Tables are held against known classes batch by batch."""

import numpy as np
import pandas as pd
import pytest

from divmix.errors import InputError
from divmix.metrics import anomaly_metrics, clustering_metrics
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader
from divmix.workflows.detect import run_detect
from divmix.workflows.evaluate import run_evaluate

N = 2 * BATCH_ROWS + 100


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Labels and classes of three batches; a class and a cluster begin in the last one."""
    generator = np.random.default_rng(0)
    truth = generator.choice(["b", "a", "c"], N).astype(object)
    truth[:BATCH_ROWS][truth[:BATCH_ROWS] == "c"] = "a"
    cluster = np.where(generator.random(N) < 0.9, np.unique(truth, return_inverse=True)[1], -1)
    score = generator.random(N) + (truth == "c")
    frame = pd.DataFrame({"cluster": cluster, "score": score, "flagged": score > 1})
    frame.to_parquet(tmp_path / "labels.parquet")
    truth[[5, N - 5]] = None
    pd.DataFrame({"class": truth}).to_csv(tmp_path / "truth.csv", index=False)

    def whole(self, *arguments):
        raise AssertionError("the table was read as a whole")

    monkeypatch.setattr(TableReader, "read", whole)
    return frame, truth


def test_clusters_of_many_batches_are_those_of_one(tables, tmp_path):
    frame, truth = tables
    files = str(tmp_path / "labels.parquet"), str(tmp_path / "truth.csv")
    found = run_evaluate(files[0], "class", data=files[1])
    codes, _ = pd.factorize(truth)
    expected = clustering_metrics(codes, pd.factorize(frame["cluster"])[0])
    assert found == pytest.approx(expected) and found["rows"] == N - 2


def test_scores_of_many_batches_are_those_of_one(tables, tmp_path):
    frame, truth = tables
    found = run_evaluate(
        str(tmp_path / "labels.parquet"), "class", prediction="none",
        data=str(tmp_path / "truth.csv"), anomaly="c",
    )  # fmt: skip
    expected = anomaly_metrics(truth == "c", frame["score"].to_numpy(), frame["flagged"].to_numpy())
    assert found == expected and found["auroc"] > 0.95


@pytest.mark.parametrize("rows", [BATCH_ROWS, N - 1, N + BATCH_ROWS])
def test_tables_of_other_lengths_are_told_by_both(tables, tmp_path, rows):
    pd.DataFrame({"class": np.arange(rows) % 2}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match=rf"has {N:,} rows, .*other.parquet has {rows:,}"):
        run_evaluate(
            str(tmp_path / "labels.parquet"), "class", data=str(tmp_path / "other.parquet")
        )


@pytest.mark.parametrize("same", [False, True], ids=["two tables", "one table"])
def test_a_bad_value_in_a_column_that_does_not_count_is_not_read(tmp_path, same):
    """And classes are text, as those of a fit are."""
    truth, other = ["0", "1"] * 40 + ["none given"], [*map(str, range(80)), "oops"]
    known = pd.DataFrame({"class": truth, "other": other})
    labels = pd.DataFrame({"cluster": [0, 1] * 40 + [2], "score": [*other[:40], "?", *other[41:]]})
    pd.concat([labels, known], axis=1).to_csv(tmp_path / "both.csv", index=False)
    known.to_csv(tmp_path / "known.csv", index=False)
    files = {"source": str(tmp_path / "both.csv")}
    if not same:
        files["data"] = str(tmp_path / "known.csv")
    found = run_evaluate(truth="class", **files)
    assert (found["rows"], found["classes"], found["ari"]) == (81, 3, 1.0)


@pytest.mark.parametrize("score", [False, True], ids=["itself", "new rows"])
def test_the_scores_of_a_run_folder_are_held_against_the_table_that_has_them(tmp_path, score):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(80, 2)), columns=["a", "b"])
    frame["odd"] = np.arange(80) < 4
    frame.loc[:3, "a"] += 20
    frame.to_csv(tmp_path / "new.csv", index=False)
    frame[4:].to_csv(tmp_path / "known.csv", index=False)
    files = [str(tmp_path / name) for name in (("known.csv", "new.csv") if score else ("new.csv",))]
    settings, tables = DetectSettings(components=1), DetectTableSettings(exclude=("odd",))
    run = tmp_path / "run"
    run_detect(files[:1], settings, tables, None, score=files[1:], run=run)
    found = run_evaluate(str(run), "odd")
    assert (found["rows"], found["anomalies"], found["auroc"]) == (80, 4, 1.0)


def test_a_truth_that_the_labels_lack_is_asked_for_by_data(tmp_path):
    pd.DataFrame({"cluster": [0, 1]}).to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(InputError, match="no column 'class'") as failure:
        run_evaluate(str(tmp_path / "labels.csv"), "class")
    assert "--data FILE" in failure.value.hint
