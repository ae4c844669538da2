"""A table that is read anew at each visit gives what it gives in memory, bit for bit."""

import json

import numpy as np
import pandas as pd
import pytest

from divmix.errors import InputError, UsageError
from divmix.families import Coded
from divmix.model.mixture import Mixture
from divmix.settings import DiversifiedSettings, TableSettings, fit_settings
from divmix.tables import reading
from divmix.tables.reading import open_table
from divmix.workflows.beside import Beside
from divmix.workflows.fit import run_fit
from divmix.workflows.predict import write_labels

N = 140_000  # three batches
FILES = ("model.divmix", "assignments.csv", "components.csv")


@pytest.fixture(autouse=True)
def short(cut_short):
    cut_short(30_000)


@pytest.fixture(scope="module")
def frame():
    """Three clusters in numbers, one of them with a heavy tail, a text, a flag, weights and gaps."""
    generator = np.random.default_rng(3)
    label = generator.integers(0, 3, N)
    centers = np.array([[0.0, 0.0], [6.0, 1.0], [2.0, 7.0]])
    x, y = (centers[label] + generator.normal(size=(N, 2))).T
    frame = pd.DataFrame(
        {
            "x": x * 100 + 1e4,
            "y": y,
            "money": np.exp(2 * label + generator.normal(0, 0.5, N)),
            "kind": np.array(["a", "b", "c"])[(label + (generator.random(N) < 0.2)) % 3],
            "flag": generator.random(N) < 0.2 + 0.3 * label,
            "place": np.char.add(
                "p", ((label * 30 + 60 * generator.random(N)) % 90).astype(int).astype(str)
            ),
            "w": generator.integers(0, 3, N) * 0.5,
            "class": label,
        }
    )
    frame.loc[generator.random(N) < 0.05, "y"] = np.nan
    return frame


@pytest.fixture(scope="module")
def table(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    frame.to_parquet(path, row_group_size=50_000)
    return path


NUMBERS = {"columns": ("x", "money"), "truth": "class"}
MIXED = {"columns": ("x", "y", "money", "kind", "flag"), "truth": "class"}
CASES = {
    "gaussian diag": ({"covariance": "diag"}, NUMBERS),
    "gaussian full, noise": ({"covariance": "full", "noise": True}, NUMBERS),
    "gaussian spherical": ({"covariance": "spherical"}, NUMBERS | {"scale": "robust"}),
    "gaussian tied": ({"covariance": "tied"}, NUMBERS),
    "student": ({"family": "student", "covariance": "full"}, NUMBERS | {"log": ("auto",)}),
    "mixed, weights, gaps": ({"prior": 0.5}, MIXED | {"missing": "mean", "weight": "w"}),
    "many categories": ({}, MIXED | {"columns": ("x", "money", "place", "flag"), "weight": "w"}),
    "auto, gaps dropped": ({"clusters": "auto"}, {"columns": ("x", "y"), "missing": "drop"}),
    "gaps modelled": ({"covariance": "full"}, MIXED | {"columns": ("x", "y"), "missing": "model"}),
    "em": ({"method": "em"}, NUMBERS | {"weight": "w"}),
    "nsvgd": ({"method": "nsvgd", "max_iter": 5, "batch_size": N}, NUMBERS),
}


def fitted(path, folder, model, tables, **options):
    settings = fit_settings(**{"clusters": 3, "max_iter": 8} | model)
    return run_fit([str(path)], settings, TableSettings(**tables), folder, **options)


@pytest.mark.parametrize("case", CASES)
def test_a_stream_has_the_bits_of_memory(case, table, tmp_path):
    held = fitted(table, tmp_path / "held", *CASES[case])
    streamed = fitted(table, tmp_path / "streamed", *CASES[case], stream=True)
    for name in FILES:
        one, other = ((tmp_path / run / name).read_bytes() for run in ("held", "streamed"))
        assert one == other, name
    assert held["result"] == streamed["result"] and held["notes"] == streamed["notes"]
    traces = [pd.read_csv(tmp_path / run / "trace.csv") for run in ("held", "streamed")]
    pd.testing.assert_frame_equal(*(trace.drop(columns="seconds") for trace in traces))


def test_of_many_categories_no_matrix_is_made(table, tmp_path, monkeypatch):
    """Codes are held in place of features, and a prediction has the bits of the fit."""
    made, whole = [], Coded.matrix

    def matrix(rows):
        made.append(len(rows))
        return whole(rows)

    monkeypatch.setattr(Coded, "matrix", matrix)
    tables = {"columns": ("x", "money", "place", "flag")}
    fitted(table, tmp_path / "run", {}, tables)
    assert made and max(made) <= 30_000
    mixture, labels = Mixture.load(tmp_path / "run" / "model.divmix"), tmp_path / "labels.csv"
    write_labels(mixture, [str(table)], labels)
    assert labels.read_bytes() == (tmp_path / "run" / "assignments.csv").read_bytes()


def test_labels_and_columns_beside_them_are_those_of_memory(frame, tmp_path):
    path = tmp_path / "table.csv"
    frame[["x", "money", "class"]].head(70_000).to_csv(path, index=False)
    for run, stream in (("held", False), ("streamed", True)):
        fitted(
            path, tmp_path / run, {"covariance": "diag"}, {"truth": "class"}, stream=stream,
            beside=Beside(("class",)), labels=str(tmp_path / f"{run}.csv"),
        )  # fmt: skip
    pairs = [("held/assignments.csv", "streamed/assignments.csv"), ("held.csv", "streamed.csv")]
    for one, other in pairs:
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
    assert pd.read_csv(tmp_path / "streamed.csv").columns[-2:].tolist() == [
        "cluster",
        "probability",
    ]


def test_a_table_that_would_not_fit_is_streamed_and_said_to_be(table, tmp_path):
    told = fitted(table, tmp_path / "run", {"max_iter": 1}, NUMBERS, memory=1_000_000)
    assert any("read anew" in note and "table.parquet" in note for note in told["notes"])
    assert told["result"]["n_clusters"] == 3


def test_what_needs_the_rows_in_memory_says_so(table, tmp_path):
    for model, tables in (({"bootstrap": 10}, {}), ({}, {"encoder": "pca:2,spectral:2"})):
        with pytest.raises(UsageError, match="needs the rows in memory"):
            fitted(table, tmp_path / "run", model, tables, stream=True)
    assert not (tmp_path / "run").exists()


def test_principal_components_of_a_stream_are_those_of_memory_but_for_rounding(table, tmp_path):
    """Learned from all rows of positive weight, of which the pool has a quarter."""
    columns = {"columns": ("x", "money", "kind"), "weight": "w", "encoder": "pca:2"}
    runs = []
    for stream in (False, True):
        run = tmp_path / str(stream)
        told = fitted(table, run, {"max_iter": 3}, columns, stream=stream)
        assert any("densities are those of its 2 features" in note for note in told["notes"])
        (pca,) = Mixture.load(run).design.chain.encoders
        runs.append((pca, pd.read_csv(run / "assignments.csv")))
    (held, labels), (streamed, same) = runs
    np.testing.assert_allclose(streamed.directions, held.directions, rtol=0, atol=1e-10)
    np.testing.assert_allclose(streamed.mean, held.mean, rtol=0, atol=1e-12)
    assert (labels.cluster == same.cluster).mean() > 0.999
    np.testing.assert_allclose(same.log_density, labels.log_density, atol=1e-3)


def test_a_file_that_changes_between_visits_ends_the_fit(frame, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    frame[["x", "money"]].head(70_000).to_csv(path, index=False)
    visits = []

    def batches(self, rows, names=()):
        visits.append(1)
        if len(visits) == 4:
            with path.open("a") as file:
                file.write("1,2\n")
        return kept(self, rows, names)

    kept = reading.TableReader.batches
    monkeypatch.setattr(reading.TableReader, "batches", batches)
    with pytest.raises(InputError, match="70,000 rows at first and 70,001 now"):
        fitted(path, tmp_path / "run", {}, {}, stream=True)
    assert not (tmp_path / "run").exists()


def test_estimates_of_what_a_table_needs(frame, table, tmp_path):
    path = tmp_path / "table.csv"
    frame[["x", "money"]].head(70_000).to_csv(path, index=False)
    assert open_table([table]).estimated_bytes == 8 * N * 8
    assert open_table([path]).estimated_bytes == pytest.approx(8 * 70_000 * 2, rel=0.1)


def test_a_run_document_can_repeat_a_streamed_fit(table, tmp_path):
    fitted(table, tmp_path / "run", {"max_iter": 1}, NUMBERS, stream=True)
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["input"]["rows"] == N
    assert DiversifiedSettings(clusters=document["settings"]["clusters"]).clusters == 3
