"""The detector as an estimator."""

import numpy as np
import pandas as pd
import pytest

import divmix
from divmix import MixtureOutlierDetector
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.workflows.detect import run_detect


def rows(n=400, outliers=8):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, 3)) @ np.diag([1, 2, 5]) + 50
    X[:outliers, 1] += 40
    return pd.DataFrame(X, columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def fitted():
    return MixtureOutlierDetector(random_state=0).fit(rows())


def test_outliers_are_found_and_explained(fitted):
    X = rows()
    found = fitted.predict(X)
    assert (found[:8] == -1).all() and (found[8:] == -1).mean() < 0.03
    assert all(reason.startswith("b ") for reason in fitted.explain(X)[:8])
    assert (fitted.p_values(X)[:8] <= 8 / len(X)).all()  # ranks among the training rows
    np.testing.assert_array_equal(fitted.labels_, found == -1)
    np.testing.assert_array_equal(fitted.decision_scores_, -fitted.score_samples(X))
    np.testing.assert_allclose(
        fitted.decision_function(X), fitted.score_samples(X) - fitted.offset_
    )
    np.testing.assert_array_equal(fitted.decision_function(X) < 0, found == -1)


def test_scores_are_those_of_the_command_line(tmp_path, fitted):
    rows().to_csv(tmp_path / "rows.csv", index=False)
    table, settings, tables = [str(tmp_path / "rows.csv")], DetectSettings(), DetectTableSettings()
    run_detect(table, settings, tables, None, run=tmp_path / "run")
    scores = str(tmp_path / "scores.csv")
    run_detect(table, settings, tables, scores, model=tmp_path / "run")
    written = pd.read_csv(tmp_path / "scores.csv")
    read = pd.read_csv(tmp_path / "rows.csv")
    model = MixtureOutlierDetector(random_state=0).fit(read)
    np.testing.assert_array_equal(model.decision_scores_, written["score"])
    np.testing.assert_array_equal(model.p_values(read), written["p_value"])
    loaded = divmix.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.score_samples(read), -written["score"])


def test_a_saved_detector_flags_the_same(tmp_path, fitted):
    fitted.save(tmp_path / "model.divmix")
    loaded = divmix.load(tmp_path / "model.divmix")
    assert isinstance(loaded.predict(rows()), pd.Series)
    np.testing.assert_array_equal(loaded.predict(rows()), fitted.predict(rows()))


def test_a_share_can_be_asked_for_and_what_is_wrong_is_told():
    X = rows()
    detector = MixtureOutlierDetector(0.05, n_components=1, random_state=0)
    assert (detector.fit_predict(X) == -1).sum() == 20
    for wrong in (0, 0.7, "some"):
        with pytest.raises(ValueError, match="contamination"):
            MixtureOutlierDetector(wrong).fit(X)
    with pytest.raises(ValueError, match="training"):
        MixtureOutlierDetector(training="dirty").fit(X)
    with pytest.raises(ValueError, match=r"output='pandas' \(choose 'array' or 'same'\)"):
        MixtureOutlierDetector(output="pandas").fit(X)


def test_clean_rows_calibrate_p_values_of_new_ones():
    normal = rows(800, 0)
    detector = MixtureOutlierDetector(training="clean", n_components=2, random_state=0)
    new = detector.fit(normal.iloc[:600]).p_values(normal.iloc[600:])
    assert abs(np.mean(new <= 0.1) - 0.1) < 0.05
    far = normal.iloc[600:].assign(c=500.0)
    assert (detector.predict(far) == -1).all()
    assert (detector.p_values(far) == detector.p_values(far)[0]).all()


def test_text_columns_need_no_encoding():
    X = rows().assign(kind=np.where(np.arange(400) % 2, "even", "odd"))
    detector = MixtureOutlierDetector(n_components=2, random_state=0, output="same").fit(X)
    odd = X.iloc[20:22].assign(kind="neither")
    assert list(detector.predict(odd)) == [-1, -1]
    assert detector.explain(odd).iloc[0].startswith("kind")
