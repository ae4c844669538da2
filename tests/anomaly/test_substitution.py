"""Why a row is unlike the others, where its features are those of an encoder: in columns of the table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from divmix.anomaly.detector import (
    explained,
    fit_density,
    load_detector,
    pool_of,
    reasons_of,
    score_rows,
)
from divmix.anomaly.substitution import SubstitutedReasons
from divmix.settings import DetectSettings, DetectTableSettings

N, STRANGE = 600, {17: "c3", 40: "c5", 41: "unit"}


@pytest.fixture(scope="module")
def table():
    """Six columns of two factors, and a unit; in some rows one of these is wrong."""
    generator = np.random.default_rng(0)
    factors, loadings = generator.standard_normal((N, 2)), generator.uniform(0.5, 1, (2, 6))
    values = 50 + 10 * (factors @ loadings + 0.3 * generator.standard_normal((N, 6)))
    frame = pd.DataFrame(values, columns=[f"c{j}" for j in range(6)])
    frame["unit"] = np.where(generator.random(N) < 0.7, "a", "b")
    frame.loc[17, "c3"] += 120
    frame.loc[40, "c5"] -= 90
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.fixture(scope="module")
def fitted(table):
    tables = DetectTableSettings(encoder="pca:6")
    return fit_density(table, DetectSettings(seed=1), tables, itself=True)


def because(mixture, table, rows):
    columns = mixture.design.of_columns.transform(table.take(pa.array(rows)), unknown="ignore")
    empty = mixture.design.empty_cells(table.take(pa.array(rows)))
    return reasons_of(mixture)(columns.X, empty)


def test_the_column_that_is_wrong_is_named_first_in_its_units(fitted, table):
    told = because(fitted.mixture, table, [17, 40])
    for row, text in zip((17, 40), told):
        value = table.column(STRANGE[row])[row].as_py()
        assert text.startswith(f"{STRANGE[row]} {value:.6g}, usually ")
        low, high = map(float, text.split(";")[0].split("usually ")[1].split(" to "))
        assert 15 < low < 40 and 60 < high < 85


def test_a_cell_that_was_filled_is_not_named(fitted, table):
    empty = np.zeros((2, 7), bool)
    empty[0, 3] = True
    X = fitted.mixture.design.of_columns.transform(table.take(pa.array([17, 17]))).X
    filled, own = reasons_of(fitted.mixture)(X, empty)
    assert "c3" in own and "c3" not in (filled or "")


def test_a_category_that_training_did_not_have_is_new(fitted, table):
    new = table.slice(41, 1).set_column(6, "unit", pa.array(["c"]))
    assert because(fitted.mixture, new, [0])[0].startswith("unit is new")


def test_a_share_is_what_the_score_falls_by(fitted, table):
    """By hand: the row with the median, or the commonest category, in place of the column."""
    mixture = fitted.mixture
    reasons = SubstitutedReasons(pool_of(mixture), mixture.design, mixture.calibration.usual)
    X = mixture.design.of_columns.transform(table.slice(17, 1)).X
    found = reasons.contributions(X)[0]
    scores = []
    for name in table.column_names:
        frame = table.to_pandas()
        usual = "a" if name == "unit" else np.median(frame[name])
        frame.loc[17, name] = usual
        changed = pa.Table.from_pandas(frame.iloc[[17]], preserve_index=False)
        scores.append(score_rows(mixture, [changed]).score[0])
    own = score_rows(mixture, [table.slice(17, 1)]).score[0]
    np.testing.assert_allclose(found, np.maximum(own - np.array(scores), 0), atol=1e-6)
    assert found.argmax() == 3


def test_the_highest_rows_are_told_of_by_a_stored_model_too(fitted, table, tmp_path):
    fitted.mixture.save(tmp_path / "model.divmix")
    mixture = load_detector(tmp_path / "model.divmix")
    scored = score_rows(mixture, table.to_batches(200))
    found = explained(mixture, scored, np.zeros(N, bool))
    told = dict(zip(found.highest.tolist(), found.because))
    assert told[17].startswith("c3 ") and told[40].startswith("c5 ")
    assert list(because(mixture, table, [17, 40])) == [told[17], told[40]]


def test_many_rows_are_not_all_encoded(fitted, table, monkeypatch):
    monkeypatch.setattr("divmix.anomaly.substitution.MOST_ENCODED", 24)
    told = because(fitted.mixture, table, [17, 40, 1, 2])
    assert told[0].startswith("c3 ") and told[3] is None


def test_a_number_that_training_could_not_have_is_told_as_such(table):
    """Its own value is not in the features: it was put in the midst of its column."""
    grown = np.exp(np.random.default_rng(3).standard_normal(N))
    known = table.append_column("only", pa.array(np.full(N, 7.0)))
    known = known.append_column("load", pa.array(grown))
    tables = DetectTableSettings(encoder="pca:6", log=("load",))
    mixture = fit_density(known, DetectSettings(seed=1), tables, itself=True).mixture
    new = known.slice(5, 2).to_pandas()
    new.loc[0, "only"], new.loc[1, "load"] = 9.0, -3.0
    told = because(mixture, pa.Table.from_pandas(new, preserve_index=False), [0, 1])
    assert told[0].startswith("only is not 7")
    assert told[1].startswith("load is -1 or less, usually ")
