"""Frames in, the same kind out."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import divmix


def table(n=90):
    generator = np.random.default_rng(0)
    kind = np.arange(n) % 2
    return {
        "size": kind * 8 + generator.normal(size=n),
        "count": kind * 20 + generator.integers(0, 5, n),
        "colour": np.where(generator.random(n) < 0.9, np.where(kind, "red", "blue"), "green"),
    }


def of(library):
    if library == "pandas":
        return pd.DataFrame(table(), index=[f"row {i}" for i in range(90)])
    if library == "polars":
        return pytest.importorskip("polars").DataFrame(table())
    if library == "lazy":
        return pytest.importorskip("polars").LazyFrame(table())
    if library == "dask":
        return pytest.importorskip("dask.dataframe").from_pandas(pd.DataFrame(table()), 3)
    return pa.table(table())


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "lazy", "dask"])
def test_a_frame_with_text_gives_a_frame_of_its_kind(library):
    frame = of(library)
    model = divmix.fit(frame, 2)
    labels = model.predict(frame)
    np.testing.assert_array_equal(np.asarray(labels), np.arange(90) % 2 == np.asarray(labels)[1])
    assert list(model.feature_names_in_) == ["size", "count", "colour"]
    assert "colour=red" in model.component_features_
    expected = {
        "pandas": "pandas", "polars": "polars", "pyarrow": "pyarrow", "lazy": "pyarrow", "dask": "dask",
    }[library]  # fmt: skip
    probabilities = model.predict_proba(frame)
    drawn, _ = model.sample(5)
    for made in (labels, probabilities, model.fit_predict(frame)):
        assert type(made).__module__.split(".")[0] == expected
    of_rows = "pandas" if library == "dask" else expected
    assert type(drawn).__module__.split(".")[0] == of_rows
    names = getattr(probabilities, "column_names", None) or list(probabilities.columns)
    assert names == ["probability_0", "probability_1"]
    if library == "pandas":
        assert labels.index.equals(frame.index) and labels.name == "cluster"
        assert probabilities.index.equals(frame.index)
        assert list(drawn.columns) == list(frame.columns)


def test_all_libraries_give_the_same_bits():
    scores = [
        np.asarray(divmix.fit(of(library), 2).score_samples(of(library)))
        for library in ("pandas", "polars", "pyarrow")
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_any_object_with_arrows_interface_is_a_frame():
    class Foreign:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table(table()).__arrow_c_stream__(requested_schema)

    labels = divmix.fit(Foreign(), 2).predict(Foreign())
    assert isinstance(labels, pa.ChunkedArray) and len(labels) == 90


def test_the_class_returns_arrays_unless_it_is_told():
    frame = of("pandas")
    model = divmix.DiversifiedMixture(n_clusters=2, random_state=0).fit(frame)
    assert isinstance(model.predict(frame), np.ndarray)
    drawn, _ = model.sample(3)
    assert drawn.shape == (3, 3) and drawn.dtype == object


def test_an_array_after_a_frame_and_the_other_way_round():
    frame = of("pandas")[["size", "count"]]
    model = divmix.fit(frame, 2)
    with pytest.warns(UserWarning, match="valid feature names"):
        labels = model.predict(frame.to_numpy())
    np.testing.assert_array_equal(labels, model.predict(frame))
    unnamed = divmix.fit(frame.to_numpy(), 2)
    with pytest.warns(UserWarning, match="without feature names"):
        np.testing.assert_array_equal(unnamed.predict(frame), labels)


def test_pandas_peculiarities():
    frame = of("pandas")
    frame["colour"] = frame["colour"].astype("category")
    frame["code"] = pd.Categorical(np.arange(90) % 3)  # numbers that are categories
    numbered = frame.set_axis([0, 1, 2, 3], axis=1)
    assert "3=2" in divmix.fit(numbered, 2).component_features_
    with pytest.raises(ValueError, match="unique column names"):
        divmix.fit(frame.rename(columns={"count": "size"}), 2)
    frame["mixed"] = [1, "one"] * 45
    with pytest.raises(ValueError, match="cannot be read"):
        divmix.fit(frame, 2)


def test_errors_of_a_frame_name_row_and_column():
    frame = of("pandas")
    model = divmix.fit(frame, 2)
    new = frame.assign(colour=frame["colour"].where(frame.index != "row 4", "pink"))
    with pytest.raises(ValueError, match="row 5: column 'colour' is 'pink'"):
        model.predict(new)
    model.set_params(handle_unknown="ignore")
    assert len(model.predict(new)) == 90
    with pytest.raises(ValueError, match="eature names"):
        model.predict(frame.drop(columns="size"))
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(frame.iloc[:0])


def test_a_saved_model_comes_back(tmp_path):
    frame = of("polars")
    model = divmix.fit(frame, 2)
    model.save(tmp_path / "model.divmix")
    loaded = divmix.load(tmp_path / "model.divmix")
    assert (loaded.predict(frame) == model.predict(frame)).all()
    np.testing.assert_array_equal(loaded.means_, model.means_)
    with pytest.raises(divmix.DivmixError):
        divmix.load(tmp_path / "nothing.divmix")


def test_from_a_frame_to_a_page(tmp_path):
    frame = of("polars")
    model = divmix.fit(frame, 2)
    model.report(tmp_path / "page.html", frame)
    page = (tmp_path / "page.html").read_text()
    assert "colour: red" in page and 'id="trace"' in page and "rows by" in page.lower()
    model.cut(1).report(tmp_path / "one.html", frame)
    with pytest.raises(divmix.DivmixError, match="exists already"):
        model.report(tmp_path / "page.html", frame)
