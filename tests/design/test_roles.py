"""What each column of a table is taken for, and what is left out unasked."""

import math

import numpy as np
import pyarrow as pa
import pytest

from divmix.design.date_text import date_order
from divmix.design.preprocessing import Preprocessing
from divmix.design.roles import assign_roles, left_out, notes_on_roles
from divmix.errors import InputError
from divmix.settings import TableSettings

N = 200


def role(values, name="x", **options):
    return assign_roles(pa.table({name: values}), TableSettings(**options))[0]


def numbers(seed=0):
    return np.random.default_rng(seed)


# All-different integers as tables have them: none may enter a fit unasked.
IDS = {
    "in order": np.arange(N),
    "in order, as floats": np.arange(N, dtype=float) + 1000,
    "in any order": numbers().permutation(N),
    "with gaps": np.cumsum(numbers().integers(1, 4, N)),
    "with gaps, in any order": numbers().permutation(np.cumsum(numbers().integers(1, 4, N))),
    "descending": np.arange(N)[::-1],
    "rising, far apart": np.cumsum(numbers().integers(1, 1_000_000, N)),
    "eight digits, drawn": 10_000_000 + numbers().choice(90_000_000, N, replace=False),
    "up to nine digits, drawn": numbers().choice(10**9, N, replace=False),
    "31 bits, drawn": numbers().choice(2**31, N, replace=False),
    "19 digits": 10**18 + numbers().integers(0, 10**17, N),
    "seven of them": np.arange(7),
}


@pytest.mark.parametrize("case", IDS)
def test_whole_numbers_that_all_differ_are_left_out_by_what_they_are(case):
    found = role(IDS[case])
    assert not found.used and found.role in ("id", "code"), found


@pytest.mark.parametrize(
    "name", ["id", "customer_id", "orderId", "zip", "Customer No", "IBAN", "plz"]
)
def test_whole_numbers_that_all_differ_are_left_out_by_their_name(name):
    values = numbers().lognormal(8, 1, N).astype(int) * N + np.arange(N)
    assert role(values, "inhabitants").role == "number"
    assert role(values, name).role == "id"


@pytest.mark.parametrize(
    "values",
    [
        numbers().lognormal(11, 1, N).astype(int),  # incomes, all different or nearly so
        numbers().normal(52_000, 9_000, 60).astype(int),
        numbers().integers(0, 50, N),
        np.arange(5),
        np.arange(N) + 0.5,
        np.array([1.0, np.nan, 3.0, 4.0]),
        numbers().normal(0, 1e306, N),
        np.array([1e308, -1e308, 3.0, 4e307]),
    ],
)
def test_quantities_stay_numbers(values):
    assert role(values).role == "number" and role(values).used


def test_a_quantity_is_rarely_taken_for_an_id():
    """Smooth densities of many widths, with as many rows: at most a few of a hundred."""
    taken = 0
    for seed in range(300):
        rng = numbers(seed)
        n = int(rng.integers(10, 500))
        values = np.rint(rng.normal(0, 10 ** rng.uniform(1, 7), n) + 10 ** rng.uniform(0, 8))
        taken += not role(values, "amount").used
    assert taken <= 6


def test_codes_with_repeats_are_known_by_name_or_leading_zeros():
    post_codes = numbers().integers(10_000, 99_999, 80)[numbers().integers(0, 80, N)]
    assert role(post_codes, "postal_code").role == "code"
    assert role(post_codes, "amount").role == "number"
    assert role([f"{code:06d}" for code in post_codes]).role == "code"
    assert role(numbers().integers(0, 5, N), "class_id").role == "number"


@pytest.mark.parametrize(
    "values, expected",
    [
        ([f"customer {i}" for i in range(N)], "id"),
        ([f"{i:032x}" for i in range(N)], "id"),
        ([f"it was {w} and then {v}" for w in range(20) for v in range(10)], "free text"),
        (["red", "green", "blue", "grey"] * 50, "category"),
        (["yes", "No"] * 100, "yes/no"),
        (["same"] * N, "constant"),
        ([None] * N, "empty"),
        (["a", "b", "c"], "category"),
        ([f"2024-01-{i % 28 + 1:02d}" for i in range(N)], "date"),
        ([20240100 + i % 28 + 1 for i in range(N)], "date"),
        ([["nested"]] * N, "other"),
    ],
)
def test_text_and_the_rest(values, expected):
    assert role(values).role == expected


def test_what_options_name_is_taken_as_asked_for():
    ids = np.arange(N)
    assert role(ids, columns=("x",)).kind == "numeric"
    assert role(ids, categorical=("x",)).kind == "categorical"
    assert role(ids, log=("x",)).kind == "numeric"
    assert role(["2024-01-01", "2024-01-02"], columns=("x",)).kind == "date"
    assert role(["2024-01-01", "2024-01-02"], dates="parts").kind == "date"
    assert role([f"t{i}" for i in range(N)], columns=("x",)).kind == "categorical"
    assert role(ids + 0.5, exclude=("x",)).kind is None


def test_what_is_left_out_is_said_with_the_way_to_bring_it_in():
    table = pa.table(
        {
            "id": np.arange(N),
            "signup": ["2024-05-01", "2024-06-01"] * 100,
            "class": ["a", "b"] * 100,
            "x": numbers().normal(size=N),
        }
    )
    roles = assign_roles(table, TableSettings())
    assert [r.told() for r in left_out(roles)] == ["id (all different)", "signup (date)"]
    notes = notes_on_roles(roles, TableSettings())
    assert notes[0] == (
        "left out: id (all different), signup (date); --columns brings them in, or --dates numeric"
    )
    assert "--truth class" in notes[1]
    assert (
        len(
            notes_on_roles(
                assign_roles(table, TableSettings(truth="class")), TableSettings(truth="class")
            )
        )
        == 1
    )


def test_a_table_of_nothing_but_ids_says_how_to_fit_them_all_the_same():
    with pytest.raises(
        InputError, match=r"no column is left to fit: id \(all different\)"
    ) as found:
        Preprocessing.learn(pa.table({"id": np.arange(N)}), TableSettings())
    assert found.value.hint == "--columns id brings it in"


@pytest.mark.parametrize(
    "texts, order",
    [
        (["2024-01-31", "2023-12-01 10:30:00", "2024-02-01T00:00:00.123Z"], "year-month-day"),
        (["31.12.2024", "1.2.24"], "day.month.year"),
        (["12/31/2024", "1/2/2024"], "month/day/year"),
        (["31/12/2024", "1/2/2024"], "day/month/year"),
        (["31 Dec 2024", "1-Jan-24"], "day month-name year"),
        (["Dec 31, 2024"], "month-name day year"),
        (["20241231"], "yyyymmdd"),
        (["2024-13-01"], None),
        (["31.02.2024"], None),
        (["1.5", "2.25"], None),
    ],
)
def test_orders_of_dates(texts, order):
    found = date_order(texts)
    assert (found and found.name) == order


def dates(texts, **options):
    table = pa.table({"d": texts})
    learned = Preprocessing.learn(table, TableSettings(scale="none", **options))
    return learned, learned.transform(table).X


def test_dates_as_numbers_are_days_and_come_back():
    texts = ["1970-01-01", "1970-01-03", "1970-01-11"]
    learned, X = dates(texts, dates="numeric")
    assert (X[:, 0] - X[0, 0]).tolist() == [0, 2, 10]
    assert learned.inverse(X)["d"].to_pylist() == [
        np.datetime64(text).astype(object) for text in texts
    ]
    same = Preprocessing.from_dict(learned.to_dict())
    typed = pa.table({"d": pa.array(texts).cast(pa.date32())})
    assert np.array_equal(same.transform(typed).X, X)


def test_dates_in_parts_are_year_month_day_weekday_and_hour_and_come_back():
    texts = ["2024-02-29 18:00", "2023-12-31 00:00", "2025-07-04 06:30"]
    learned, X = dates(texts, dates="parts")
    assert learned.feature_names == ("d_year", "d_month", "d_day", "d_weekday", "d_hour")
    summary = learned.column_summary(X, np.ones_like(X))
    assert summary.mean[0] == pytest.approx([2024, 2, 29, 3, 18])
    assert [str(moment) for moment in learned.inverse(X)["d"].to_pylist()] == [
        f"{text}:00" for text in texts
    ]


def test_what_is_no_date_is_said_with_its_row():
    learned, _ = dates(["1.2.2024", "31.12.2024"], dates="numeric")
    with pytest.raises(
        InputError, match=r"row 2: column 'd' is 'soon', no date as day\.month\.year"
    ):
        learned.transform(pa.table({"d": ["1.1.2024", "soon"]}))


def test_the_evidence_of_all_different_numbers_is_that_of_the_birthday_paradox():
    """23 people with different birthdays are no evidence, 60 are."""
    days = numbers(1).permutation(366)
    assert math.isclose(np.prod(1 - np.arange(60) / 366), 0.0059, abs_tol=1e-3)
    assert role(np.r_[0, 365, days[(days > 0) & (days < 365)][:21]]).used
    assert not role(np.r_[0, 365, days[(days > 0) & (days < 365)][:58]]).used
