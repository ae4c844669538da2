"""Results beside the data they are of, in the format asked for."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from divmix.workflows.beside import significant
from tests.cli.helpers import FIT, assert_two_lines

ROWS = [
    ["A1", "1.50", "$10", "yes", "Smith, J"],
    ["B2", "2.25", "$1,200", "NA", 'the "big" one'],
    ["C3", "9.00", "$11", "no", ""],
    ["D4", "8.10", "$1,300", "no", "two\nlines"],
] * 5
HEAD = ["key", "x", "price", "ok", "note"]


@pytest.fixture
def shop(run, tmp_path):
    """A fitted table that no program writes twice the same: shop.csv, and the run shop.divmix."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEAD, *ROWS])
    (tmp_path / "shop.csv").write_text(text.getvalue())
    done = run(*FIT, "shop.csv", "--columns", "x,price", "--labels", "labels.csv", "--id", "key")
    assert done.exit_code == 0, done.stderr
    return tmp_path


def table(text, separator=","):
    return list(csv.reader(io.StringIO(text), delimiter=separator))


def test_labels_are_the_input_as_written_with_cluster_and_probability(run, shop):
    head, *rows = table((shop / "labels.csv").read_text())
    assert head == [*HEAD, "cluster", "probability"]
    assert [row[:5] for row in rows] == ROWS
    head, *assigned = table((shop / "shop.divmix/assignments.csv").read_text())
    assert head == ["key", "cluster", "probability", "log_density"]
    assert [[row[0], *row[1:3]] for row in assigned] == [[r[0], *r[5:]] for r in rows]
    on_stdout = run(*FIT, "shop.csv", "--columns", "x,price", "--labels", "-", "-o", "other")
    assert on_stdout.stdout == (shop / "labels.csv").read_text()
    refused = run(*FIT, "shop.csv", "--labels", "-", "--json", "-o", "third")
    assert refused.exit_code == 2 and "--json" in refused.stderr


def test_predict_keeps_columns_labels_rows_and_rounds(run, shop):
    done = run("predict", "shop.divmix", "shop.csv", "--keep", "all", "--id", "key", "--digits", 3)
    head, *rows = table(done.stdout)
    assert head == [*HEAD, "cluster", "probability", "log_density"]
    assert [row[:5] for row in rows] == ROWS
    assert all(len(row[-1].lstrip("-").replace(".", "").lstrip("0")) <= 3 for row in rows)
    two = table(run("predict", "shop.divmix", "shop.csv", "--keep", "note,x").stdout)
    assert two[0] == ["row", "note", "x", "cluster", "probability", "log_density"]
    assert [row[1:3] for row in two[1:]] == [[row[4], row[1]] for row in ROWS]


def test_predict_keeps_columns_of_parquet_with_their_types(run, shop, tmp_path):
    wide = pa.table({"x": [1.5, 9.0], "price": [10, 11], "day": [3, 4], "who": ["a", None]})
    parquet.write_table(wide, tmp_path / "new.parquet")
    done = run("predict", "shop.divmix", "new.parquet", "--keep", "who,day", "-o", "out.parquet")
    assert done.exit_code == 0, done.stderr
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.select(["who", "day"]).to_pydict() == {"who": ["a", None], "day": [3, 4]}


def test_predict_keeps_what_is_nested_as_json(run, shop):
    (shop / "new.jsonl").write_text('{"x": 1, "price": 2, "tags": ["a", "b\\"c"], "n": {"k": 1}}\n')
    done = run("predict", "shop.divmix", "new.jsonl", "--keep", "all")
    assert table(done.stdout)[1][3:5] == ['["a", "b\\"c"]', '{"k": 1}']


@pytest.mark.parametrize("to", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_stdout_and_files_have_the_same_rows_in_every_format(run, shop, to):
    plain = table(run("predict", "shop.divmix", "shop.csv", "--keep", "note").stdout)[1:]
    done = run("predict", "shop.divmix", "shop.csv", "--keep", "note", "--to", to)
    run("predict", "shop.divmix", "shop.csv", "--keep", "note", "-o", f"out.{to}")
    assert done.stdout_bytes == (shop / f"out.{to}").read_bytes()
    if to == "jsonl":
        rows = [list(json.loads(line).values()) for line in done.stdout.splitlines()]
    elif to in ("parquet", "arrow"):
        read = parquet.read_table if to == "parquet" else lambda b: pa.ipc.open_file(b).read_all()
        rows = [list(row.values()) for row in read(pa.BufferReader(done.stdout_bytes)).to_pylist()]
    else:
        rows = table(done.stdout, "\t" if to == "tsv" else ",")[1:]
    assert [[str(row[0]), row[1], float(row[4])] for row in rows] == [
        [row[0], row[1], float(row[4])] for row in plain
    ]


@pytest.mark.parametrize("new", [[], ["--score", "shop.csv"]])
def test_detect_keeps_columns_of_the_rows_it_scores(run, shop, new):
    done = run(
        "detect",
        "shop.csv",
        *new,
        "--columns",
        "x,price",
        "--keep",
        "note",
        "--id",
        "key",
        "--contamination",
        "0.1",
    )
    head, *rows = table(done.stdout)
    assert head == ["key", "note", "score", "p_value", "flagged", "because"]
    assert [row[:2] for row in rows] == [[row[0], row[4]] for row in ROWS]


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["--keep", "nope"], 3, "'nope'"),
        (["--id", "kay"], 3, "did you mean key"),
        (["--keep", "cluster"], 2, "'cluster'"),
        (["--to", "xlsx"], 2, "xlsx"),
    ],
)
def test_what_cannot_stand_beside_is_two_lines(run, shop, arguments, code, words):
    (shop / "new.csv").write_text("key,x,price,cluster\na,1,2,3\n")
    done = run("predict", "shop.divmix", "new.csv", *arguments)
    assert done.exit_code == code and words in done.stderr and done.stdout == ""
    assert_two_lines(done.stderr)


@given(
    values=st.lists(st.floats(allow_infinity=False), min_size=1, max_size=20),
    digits=st.integers(1, 12),
)
def test_significant_digits_are_those_of_python(values, digits):
    found = significant(np.array(values), digits)
    for value, rounded in zip(values, found):
        if abs(value) < 1e-280 or abs(value) > 1e280:
            continue  # near the ends a last digit may differ
        assert rounded == pytest.approx(
            float(f"{value:.{digits - 1}e}"), rel=10.0**-digits, nan_ok=True
        )
