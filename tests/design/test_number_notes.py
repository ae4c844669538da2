import numpy as np
import pyarrow as pa
import pytest

from divmix.design.number_notes import notes_on_numbers, point_mass
from divmix.design.preprocessing import Preprocessing
from divmix.metrics import clustering_metrics
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.fit import fit_table


def drawn(seed=0):
    return np.random.default_rng(seed)


def notes(columns, **settings):
    table, settings = pa.table(columns), TableSettings(**settings)
    return notes_on_numbers(table, Preprocessing.learn(table, settings).columns, settings)


def test_a_zero_among_amounts_is_told_with_its_share():
    amounts = np.round(drawn().lognormal(size=400), 2)
    amounts[:120] = 0
    assert point_mass(amounts) == (0.0, 0.3)
    (note,) = notes({"paid": amounts, "x": drawn().standard_normal(400)})
    assert note.startswith("paid is 0 in 30% of the rows: ") and "--missing model" in note
    assert notes({"paid": amounts}, encoder="pca:1") == []


def test_missing_cells_are_no_value():
    amounts = drawn().lognormal(size=400)
    amounts[:120] = np.nan
    assert notes({"paid": amounts, "x": drawn().standard_normal(400)}, missing="model") == []


@pytest.mark.parametrize(
    "values",
    [
        drawn().integers(0, 5, 500),  # codes
        drawn().poisson(0.3, 500),  # counts of few values
        drawn().geometric(0.2, 2_000),  # counts of many: zero is the first among alike
        np.round(drawn().standard_normal(500), 1),  # rounded
        np.append(np.full(20, 7.0), drawn().standard_normal(480)),  # rare
    ],
)
def test_scales_counts_and_rounded_numbers_have_no_such_value(values):
    assert point_mass(np.asarray(values, float)) is None


def test_of_many_columns_some_are_named():
    amounts = drawn().lognormal(size=(300, 8))
    amounts[:100] = 0
    (note,) = notes({f"a{j}": column for j, column in enumerate(amounts.T)})
    assert "a4 is 0" in note and "a5" not in note and "and 3 more likewise" in note


def test_a_value_far_from_all_others_is_told_with_what_the_others_are():
    amounts = drawn().uniform(10, 20, 400)
    amounts[7] = 99_999_999
    (note,) = notes({"paid": amounts, "x": drawn().standard_normal(400)})
    assert note.startswith("far from all others: paid 99999999 (98% are 10.1 to 19.9): ")
    amounts[7] = -999
    (note,) = notes({"paid": amounts})
    assert "paid -999 " in note
    assert notes({"paid": np.exp(amounts[8:] / 3)}, log=("paid",)) == []


@pytest.mark.parametrize(
    "values",
    [
        drawn().standard_normal(2_000),
        drawn().standard_exponential(2_000),
        drawn().standard_t(2, 2_000),  # a tail all along the way
        np.where(np.arange(20_000) < 180, np.arange(20_000), drawn().random(20_000)),  # 1 to 179
        np.append(np.zeros(1_999), 5.0),  # a middle without any width
    ],
)
def test_tails_that_are_usual_hold_no_value_far_from_all_others(values):
    assert not any(
        "far from" in note for note in notes({"a": values, "b": drawn(1).random(len(values))})
    )


def test_correcting_a_far_value_brings_the_clusters_back():
    generator = drawn()
    truth = generator.integers(3, size=400)
    amounts = 100 + 60 * truth + generator.normal(0, 10, 400)
    agreements = []
    for value in (9.9e7, np.nan):
        amounts[7] = value
        table = pa.table({"paid": amounts, "x": truth + generator.standard_normal(400)})
        fitted = fit_table(table, DiversifiedSettings(clusters=3), TableSettings(missing="model"))
        agreements.append(clustering_metrics(truth, fitted.scores.cluster)["ari"])
    assert agreements[0] < 0.6 and agreements[1] > 0.9


def test_what_the_note_says_brings_the_clusters_back():
    generator = drawn()
    truth = generator.integers(3, size=400)
    X = np.array([[9, 9, 9], [13, 9, 9], [9, 13, 9]])[truth] + generator.standard_normal((400, 3))
    unknown = generator.uniform(size=400) < 0.4
    found = []
    for value, missing in ((0.0, "error"), (np.nan, "model")):
        X[unknown, 2] = value
        table = pa.table({f"x{j}": column for j, column in enumerate(X.T)})
        fit = fit_table(table, DiversifiedSettings(clusters=3), TableSettings(missing=missing))
        found.append(clustering_metrics(truth, fit.scores.cluster)["ari"])
        assert any("x2 is 0 in 4" in note for note in fit.notes) == (missing == "error")
    assert found[0] < 0.7 and found[1] > 0.85
