"""A shop's export: ids, dates, amounts, percent, yes and no, free text, gaps; one command."""

import json

import pandas as pd
import pytest

from divmix.errors import InputError
from divmix.settings import DiversifiedSettings, EmSettings, TableSettings
from divmix.workflows.fit import run_fit
from divmix.workflows.predict import run_predict
from divmix.workflows.sniff import run_sniff
from tests.customers import write_customers


@pytest.fixture
def customers(tmp_path):
    return str(write_customers(tmp_path / "customers.csv", rows=300, gaps=0.05))


def test_one_command_finds_the_groups(customers, tmp_path):
    run = run_fit(
        [customers],
        DiversifiedSettings(clusters=3),
        TableSettings(truth="segment", missing="drop"),
        tmp_path / "run",
    )
    assert run["result"]["evaluation"]["ari"] >= 0.95
    assert run["columns"] == {
        "used": [
            "age",
            "income",
            "discount",
            "orders",
            "premium (yes/no)",
            "country (5 categories)",
        ],
        "left_out": [
            "customer_id (all different)",
            "name (all different)",
            "signup (date)",
            "zip (299 different texts)",
            "comment (free text)",
        ],
    }
    assert len(run["notes"]) == len(set(run["notes"]))


def test_rows_with_gaps_are_judged_by_the_cells_they_have(customers, tmp_path):
    run = run_fit(
        [customers],
        DiversifiedSettings(clusters=3),
        TableSettings(truth="segment", missing="model"),
        tmp_path / "run",
    )
    assert run["result"]["evaluation"]["ari"] >= 0.95
    assert run["input"]["rows"] == 300
    assert (pd.read_csv(tmp_path / "run" / "assignments.csv")["cluster"] >= 0).all()


@pytest.mark.long
def test_the_number_of_groups_is_found_too(customers, tmp_path):
    run = run_fit(
        [customers],
        DiversifiedSettings(),
        TableSettings(truth="segment", missing="model"),
        tmp_path / "run",
    )
    assert run["result"]["evaluation"]["ari"] >= 0.9


def test_gaps_are_an_error_that_names_the_choice_and_what_it_costs(customers, tmp_path):
    with pytest.raises(InputError, match=r"of 300 rows have an empty cell") as failure:
        run_fit([customers], EmSettings(clusters=3), TableSettings(), tmp_path / "run")
    incomplete = pd.read_csv(customers, na_values="-")[["age", "income", "orders"]].isna()
    share = incomplete.any(axis=1).mean()
    assert f"--missing drop loses {share:.0%} of the rows" in failure.value.hint
    found = run_sniff([customers], TableSettings())
    assert found["command"] == f"divmix fit {customers} --truth segment --missing model"
    json.dumps(found)


def test_columns_that_are_left_out_change_no_label(customers, tmp_path):
    settings = EmSettings(clusters=3, max_iter=20)
    tables = TableSettings(exclude=("segment",), missing="mean")
    run_fit([customers], settings, tables, tmp_path / "whole")
    table = pd.read_csv(customers, dtype=str, keep_default_na=False)
    few = ["age", "income", "discount", "orders", "premium", "country", "segment"]
    table[few].to_csv(tmp_path / "few.csv", index=False)
    run_fit([str(tmp_path / "few.csv")], settings, tables, tmp_path / "bare")
    labels = [(tmp_path / run / "assignments.csv").read_bytes() for run in ("whole", "bare")]
    assert labels[0] == labels[1]
    run_predict(tmp_path / "bare", [customers], str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == labels[0]


def test_dates_enter_where_they_are_asked_for(customers, tmp_path):
    for dates, features in (("numeric", {"signup"}), ("parts", {"signup_year", "signup_weekday"})):
        tables = TableSettings(missing="mean", dates=dates)
        run_fit([customers], EmSettings(clusters=2, max_iter=5), tables, tmp_path / dates)
        columns = pd.read_csv(tmp_path / dates / "components.csv").columns
        assert {f"{name}_mean" for name in features} <= set(columns)
        run_predict(tmp_path / dates, [customers], str(tmp_path / f"{dates}.csv"))
        fitted = (tmp_path / dates / "assignments.csv").read_bytes()
        assert (tmp_path / f"{dates}.csv").read_bytes() == fitted
