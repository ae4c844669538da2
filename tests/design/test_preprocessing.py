"""What the design matrix promises: batches, weights, units, the way back, clear refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divmix.design.preprocessing import Preprocessing
from divmix.errors import InputError, ModelFileError
from divmix.settings import TableSettings

SCALES = ["standard", "robust", "minmax", "none"]


def mixed_table(n=500, seed=3):
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "height": draw.normal(1e6, 3.0, n),
            "bytes": np.floor(draw.lognormal(3, 2, n)),
            "count": draw.integers(0, 9, n),
            "open": draw.random(n) < 0.3,
            "city": draw.choice(["Bern", "Oslo", "Rome"], n, p=[0.6, 0.3, 0.1]).tolist(),
        }
    )


def learn(table, **options):
    return Preprocessing.learn(table, TableSettings(**options))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rows", [1, 7, 64, 499])
def test_batches_have_the_same_bits_as_the_whole(scale, rows):
    table = mixed_table()
    preprocessing = learn(table, scale=scale, log=("bytes",))
    whole = preprocessing.transform(table)
    parts = [preprocessing.transform(batch) for batch in table.to_batches(rows)]
    assert np.array_equal(np.vstack([part.X for part in parts]), whole.X)
    assert np.array_equal(np.concatenate([p.log_jacobian for p in parts]), whole.log_jacobian)


def test_what_is_learned_does_not_depend_on_chunks():
    table = mixed_table()
    chunked = pa.Table.from_batches(table.to_batches(13))
    assert learn(chunked, log=("auto",)) == learn(table, log=("auto",))


def test_matrix_is_contiguous_float64_and_can_be_filled_in_place():
    table = mixed_table(10)
    preprocessing = learn(table)
    X = np.full((20, preprocessing.n_features), np.nan)
    done = preprocessing.transform(table, out=X[5:15])
    assert done.X.dtype == np.float64 and done.X.flags.c_contiguous
    assert np.array_equal(X[5:15], preprocessing.transform(table).X)
    assert np.isnan(X[:5]).all() and np.isnan(X[15:]).all()


def test_standard_features_have_mean_zero_and_standard_deviation_one_far_from_the_origin():
    table = pa.table({"far": 1e9 + np.random.default_rng(0).normal(0, 1e-3, 10_000)})
    X = learn(table).transform(table).X
    # Neighbouring numbers at 1e9 are 1.2e-7 apart, 1.2e-4 of this standard deviation.
    assert abs(X.mean()) < 1.2e-4
    assert X.std() == pytest.approx(1, abs=1e-6)


def test_scales_by_hand():
    table = pa.table({"x": [0.0, 1.0, 2.0, 3.0, 14.0]})
    by_scale = {scale: learn(table, scale=scale).columns[0] for scale in SCALES}
    assert (by_scale["none"].center, by_scale["none"].scale) == (4, 1)
    assert (by_scale["minmax"].center, by_scale["minmax"].scale) == (4, 14)
    assert by_scale["standard"].center == 4
    assert by_scale["standard"].scale == pytest.approx(math.sqrt(26))
    # Quartiles 1 and 3: an interquartile range of 2, which a normal has at sd 2 / 1.349.
    assert by_scale["robust"].center == 2
    assert by_scale["robust"].scale == pytest.approx(2 / 1.3489795)


def test_robust_scale_falls_back_where_the_quartiles_agree():
    table = pa.table({"x": [0.0] * 9 + [10.0]})
    column = learn(table, scale="robust").columns[0]
    # to the standard deviation, 3, or here to the least difference of two values
    assert (column.center, column.scale) == (1, pytest.approx(10))


@pytest.mark.parametrize("scale", SCALES)
def test_an_integer_weight_equals_a_repeated_row(scale):
    table = mixed_table(200)
    repeats = np.random.default_rng(1).integers(0, 4, 200)
    weighted = table.append_column("w", pa.array(repeats.astype(float)))
    repeated = table.take(np.repeat(np.arange(200), repeats))
    one = learn(weighted, weight="w", scale=scale, log=("bytes",)).transform(table).X
    other = learn(repeated, scale=scale, log=("bytes",)).transform(table).X
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_row_weights_are_ones_without_a_weight_column():
    table = mixed_table(5)
    assert learn(table).row_weights(table).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("weight", "told"),
    [(-1.0, "is -1"), (np.inf, "is inf"), (np.nan, "is empty"), (None, "is empty")],
)
def test_weight_that_is_none_names_its_row(weight, told):
    table = pa.table({"x": [1.0, 2.0, 3.0], "w": pa.array([1.0, weight, 1.0], from_pandas=False)})
    with pytest.raises(InputError, match=f"row 2: the weight 'w' {told}"):
        learn(table, weight="w")


def test_weights_that_are_all_zero_are_refused():
    table = pa.table({"x": [1.0, 2.0], "w": [0, 0]})
    with pytest.raises(InputError, match="only 0 of 2 rows have a weight above zero"):
        learn(table, weight="w")


def test_text_becomes_one_centred_feature_a_category():
    table = pa.table({"city": ["b", "a", "b", "b"]})
    preprocessing = learn(table)
    assert preprocessing.feature_names == ("city=a", "city=b")
    assert preprocessing.transform(table).X.tolist() == [
        [-0.25, 0.25],
        [0.75, -0.75],
        [-0.25, 0.25],
        [-0.25, 0.25],
    ]


def test_number_column_can_be_read_as_categories():
    table = pa.table({"code": [3, 1, 3]})
    assert learn(table, categorical=("code",)).feature_names == ("code=1", "code=3")
    floats = pa.table({"code": [3.0, 1.0, 3.0]})
    assert learn(floats, categorical=("code",)).feature_names == ("code=1", "code=3")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_arrow_type_of_text_is_the_same_text(kind):
    table = pa.table({"city": pa.array(["b", "a", None, "b"]).cast(kind)})
    X = learn(table, missing="mean").transform(table).X
    share = 1 / 3
    expected = [[-share, share], [1 - share, share - 1], [-share, share], [-share, share]]
    np.testing.assert_allclose(X, expected, rtol=1e-12)


def test_unseen_category_is_refused_with_row_and_value_or_has_none_of_the_known():
    preprocessing = learn(pa.table({"city": ["a", "b"]}))
    new = pa.table({"city": ["a", "zz"]})
    with pytest.raises(InputError, match="row 12: column 'city' is 'zz'"):
        preprocessing.transform(new, first_row=10)
    assert preprocessing.transform(new, unknown="ignore").X[1].tolist() == [-0.5, -0.5]


def test_constant_columns_are_kept_without_scaling():
    table = pa.table({"x": [1.0, 2.0], "same": [0.1, 0.1]})
    preprocessing = learn(table)
    assert preprocessing.transform(table).X[:, 1].tolist() == [0, 0]
    changed = pa.table({"x": [1.0], "same": [0.6]})
    assert preprocessing.transform(changed).X[0, 1] == 0.5


def test_missing_values_are_refused_with_the_first_row_and_the_count():
    table = pa.table({"a": [1.0, 2.0, None, float("nan")], "b": ["x", None, "y", "x"]})
    with pytest.raises(InputError) as failure:
        learn(table)
    assert str(failure.value) == ("row 2: column 'b' is empty (3 of 4 rows have an empty cell)")
    assert "--missing drop" in failure.value.hint


def test_rows_with_missing_values_are_dropped_and_have_no_say():
    table = pa.table({"a": [1.0, 3.0, None, 99.0], "b": ["x", "y", "x", None]})
    preprocessing = learn(table, missing="drop")
    encoded = preprocessing.transform(table)
    assert encoded.complete.tolist() == [True, True, False, False]
    assert preprocessing.columns[0].center == 2
    assert np.isfinite(encoded.X).all()


def test_missing_values_become_the_mean_or_the_most_frequent():
    table = pa.table(
        {"a": [1.0, 2.0, 6.0, None], "b": [True, True, False, None], "c": ["x", "y", "y", None]}
    )
    preprocessing = learn(table, missing="mean", scale="robust")
    encoded = preprocessing.transform(table)
    assert encoded.complete.all()
    assert preprocessing.inverse(encoded.X).to_pylist()[3] == {
        "a": pytest.approx(3),
        "b": True,
        "c": "y",
    }


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_values_are_refused_at_fit_and_at_predict(bad):
    table = pa.table({"x": [1.0, 2.0, bad]})
    with pytest.raises(InputError, match="row 3: column 'x' is infinite"):
        learn(table, missing="mean")
    with pytest.raises(InputError, match="row 1,003: column 'x' is infinite"):
        learn(table.slice(0, 2)).transform(table, first_row=1000)


def test_values_whose_square_overflows_are_refused_unless_logged():
    table = pa.table({"x": [1.0, 1e300, 2.0]})
    with pytest.raises(InputError, match="row 2: column 'x' is 1e\\+300"):
        learn(table)
    assert np.isfinite(learn(table, log=("x",)).transform(table).X).all()


def test_values_below_minus_one_have_no_logarithm():
    with pytest.raises(InputError, match="row 2: column 'x' is -3"):
        learn(pa.table({"x": [1.0, -3.0]}), log=("x",))


def test_what_has_no_logarithm_is_refused_in_a_new_table_or_taken_as_just_above_minus_one():
    known = learn(pa.table({"x": [0.0, 1.0, 5.0, 70.0]}), log=("x",))
    new = pa.table({"x": [-0.5, -1.0, -3.0, None]})
    with pytest.raises(InputError, match="row 2: column 'x' is -1") as caught:
        known.transform(new)
    assert "--unknown ignore" in caught.value.hint
    encoded = replace(known, missing="mean").transform(new, unknown="ignore")
    values = known.inverse(encoded.X)["x"].to_pylist()
    assert values[0] == pytest.approx(-0.5) and values[3] > 0
    assert values[1] == values[2] == pytest.approx(-1.0, abs=1e-15)
    assert np.isfinite(encoded.X).all() and np.isfinite(encoded.log_jacobian).all()


def test_log_auto_takes_heavy_tails_only():
    draw = np.random.default_rng(0)
    table = pa.table(
        {
            "normal": draw.normal(size=5000),
            "uniform": draw.random(5000),
            "heavy": draw.lognormal(3, 1.5, 5000),
            "shifted": -draw.lognormal(3, 1, 5000),
            "rare": (draw.random(5000) < 0.01).astype(float),
        }
    )
    logged = [column.name for column in learn(table, log=("auto",)).columns if column.log]
    assert logged == ["heavy"]


def test_log_jacobian_gives_the_density_in_own_units():
    table = pa.table({"x": [1.0, 5.0, 7.0, 2.0], "y": [0.5, 100.0, 3.0, 8.0]})
    preprocessing = learn(table, log=("y",))
    step = 1e-6
    for row in range(4):
        x, y = table["x"][row].as_py(), table["y"][row].as_py()
        here = preprocessing.transform(pa.table({"x": [x], "y": [y]}))
        there = preprocessing.transform(pa.table({"x": [x + step], "y": [y + step]}))
        slopes = (there.X - here.X)[0] / step
        assert here.log_jacobian[0] == pytest.approx(np.log(slopes).sum(), abs=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_inverse_gives_the_table_back(scale):
    table = mixed_table()
    preprocessing = learn(table, scale=scale, log=("bytes",))
    back = preprocessing.inverse(preprocessing.transform(table).X)
    assert back.column_names == table.column_names
    for name in ("height", "bytes", "count"):
        np.testing.assert_allclose(back[name], table[name], rtol=1e-12, atol=1e-9)
    assert back["open"].to_pylist() == table["open"].to_pylist()
    assert back["city"].to_pylist() == table["city"].to_pylist()


def test_column_summary_is_in_the_table_s_own_units():
    table = mixed_table(2000)
    preprocessing = learn(table, log=("bytes",))
    X = preprocessing.transform(table).X
    told = preprocessing.column_summary(X.mean(axis=0)[None], X.var(axis=0)[None])
    mean = dict(zip(told.names, told.mean[0], strict=True))
    spread = dict(zip(told.names, told.spread[0], strict=True))
    height, sizes = np.array(table["height"]), np.array(table["bytes"])
    assert (mean["height"], spread["height"]) == (
        pytest.approx(height.mean()),
        pytest.approx(height.std()),
    )
    logs = np.log1p(sizes)
    assert mean["bytes"] == pytest.approx(np.expm1(logs.mean()))
    assert spread["bytes"] == pytest.approx(logs.std() * np.exp(logs.mean()))
    share = np.mean(np.array(table["city"]) == "Oslo")
    assert mean["city=Oslo"] == pytest.approx(share)
    assert spread["city=Oslo"] == pytest.approx(math.sqrt(share * (1 - share)))


def test_what_is_learned_survives_json_exactly():
    preprocessing = learn(mixed_table(), log=("auto",), missing="mean")
    text = json.dumps(preprocessing.to_dict(), allow_nan=False)
    assert Preprocessing.from_dict(json.loads(text)) == preprocessing


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"columns": 3},
        {"columns": [{"kind": "vector"}]},
        {"columns": [{"kind": "numeric", "name": "x"}]},
    ],
)
def test_damaged_description_is_a_model_file_error(document):
    whole = dict(weight=None, missing="error", header=True)
    with pytest.raises(ModelFileError, match="damaged"):
        Preprocessing.from_dict(whole | document)


def test_truth_weight_and_excluded_columns_never_enter():
    table = mixed_table().append_column("w", pa.array(np.ones(500)))
    preprocessing = learn(table, truth="city", weight="w", exclude=("count",))
    assert preprocessing.feature_names == ("height", "bytes", "open")
    named = learn(table, columns=("height", "city", "w"), truth="city", weight="w")
    assert named.feature_names == ("height",)


REFUSED = {
    "unknown column": (dict(exclude=("heigth",)), "no column 'heigth'", "did you mean height"),
    "unknown truth": (dict(truth="label"), "no column 'label'", "its columns are"),
    "nothing left": (dict(columns=("city",), exclude=("city",)), "no column is left", "--columns"),
    "logged text": (dict(log=("city",)), "--log city: the column is categorical", "--log"),
    "logged outsider": (dict(log=("bytes",), exclude=("bytes",)), "does not enter", "--log"),
    "text as weight": (dict(weight="city"), "weight column 'city'", "a weight is a number"),
    "too many categories": (
        dict(categorical=("bytes",), max_categories=5),
        "column 'bytes' is text with",
        "--exclude bytes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_cannot_be_served_are_refused(case):
    options, message, hint = REFUSED[case]
    with pytest.raises(InputError) as failure:
        learn(mixed_table(), **options)
    assert message in str(failure.value)
    assert hint in failure.value.hint


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0]}, "too few rows: 1"),
        (
            {"x": [2.0, 2.0], "c": ["a", "a"], "t": [True, True]},
            "every column of the fit is constant",
        ),
        ({"y": pa.nulls(2)}, "no column is left to fit: y (empty)"),
        ({"y": [[1], [2]]}, "no column is left to fit: y (list"),
        ({"y": pa.array([1, 2], pa.timestamp("s"))}, "no column is left to fit: y (date)"),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused(columns, message):
    with pytest.raises(InputError) as failure:
        learn(pa.table(columns))
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("policy", "message"),
    [("drop", "only 0 of 2 rows are complete"), ("mean", "column 'y' is empty in every row")],
)
def test_a_column_without_any_value_is_refused(policy, message):
    table = pa.table({"x": [1.0, 2.0], "y": pa.nulls(2, pa.float64())})
    with pytest.raises(InputError, match=message):
        learn(table, missing=policy, columns=("x", "y"))
    assert learn(table, missing=policy).feature_names == ("x",)


def test_a_column_that_cannot_enter_is_left_out_and_refused_where_it_is_asked_for():
    table = pa.table({"x": [1.0, 2.0], "y": [b"a", b"b"]})
    assert learn(table).feature_names == ("x",)
    with pytest.raises(InputError, match="column 'y' is binary, which cannot enter a fit"):
        learn(table, columns=("x", "y"))


def test_a_table_that_lacks_a_column_of_the_model_is_refused():
    preprocessing = learn(mixed_table())
    with pytest.raises(InputError, match="no column 'city'"):
        preprocessing.transform(mixed_table().drop(["city"]))


def test_text_where_the_model_has_numbers_is_refused():
    preprocessing = learn(pa.table({"x": [1.0, 2.0]}))
    with pytest.raises(InputError, match="row 1: column 'x' is text \\('a'\\)"):
        preprocessing.transform(pa.table({"x": ["a"]}))


def test_columns_are_matched_by_name_and_others_ignored():
    table = mixed_table()
    preprocessing = learn(table)
    shuffled = table.select(table.column_names[::-1]).append_column("new", pa.nulls(500))
    assert np.array_equal(preprocessing.transform(shuffled).X, preprocessing.transform(table).X)


FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150)


@given(
    values=st.lists(st.one_of(FINITE, st.just(0.0)), min_size=2, max_size=20),
    new=st.lists(FINITE, max_size=5),
    scale=st.sampled_from(SCALES),
    missing=st.lists(st.booleans(), min_size=20, max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_any_numbers_give_a_finite_matrix_or_a_clear_refusal(values, new, scale, missing):
    cells = [None if gone else value for value, gone in zip(values, missing, strict=False)]
    table = pa.table({"x": pa.array(cells, pa.float64()), "c": ["u"] + ["v"] * (len(cells) - 1)})
    try:
        preprocessing = learn(table, scale=scale, missing="mean")
    except InputError as refusal:
        assert all(cell is None for cell in cells), str(refusal)
        return
    for given_table in (table, pa.table({"x": pa.array(new, pa.float64()), "c": ["u"] * len(new)})):
        encoded = preprocessing.transform(given_table)
        assert np.isfinite(encoded.X).all()
        assert np.isfinite(encoded.X**2).all()
        assert np.isfinite(encoded.log_jacobian).all()
    json.dumps(preprocessing.to_dict(), allow_nan=False)


def test_a_column_with_codes_is_the_column_of_its_texts():
    """Of texts that no row has, of one that comes twice and of empty cells nothing is different."""
    texts = pa.array(["unused", "b", "a", "b"])
    codes = pa.array([1, 2, None, 3, 2, 1], pa.int8())
    coded = pa.table({"x": pa.DictionaryArray.from_arrays(codes, texts)})
    plain = pa.table({"x": ["b", "a", None, "b", "a", "b"]})
    settings = TableSettings(missing="mean")
    learned = [Preprocessing.learn(table, settings) for table in (coded, plain)]
    assert learned[0] == learned[1] and learned[0].columns[0].categories == ("a", "b")
    new = pa.table({"x": pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), texts)})
    whole = new.cast(pa.schema([("x", pa.string())]))
    done = [learned[0].transform(table, unknown="ignore").X for table in (new, whole)]
    np.testing.assert_array_equal(*done)
    with pytest.raises(InputError, match="'unused', a category the model does not know"):
        learned[0].transform(new)
