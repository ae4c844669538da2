"""Duplicates, leaks and novelties between two tables."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from divmix.cli.main import cli
from divmix.errors import InputError
from divmix.workflows.audit import row_digests, run_audit
from divmix.workflows.evaluate import run_evaluate

TRAINING = pd.DataFrame(
    {
        "a": [1, 2, 2, 3],
        "b": [0.5, 1.5, 1.5, 2.5],
        "kind": list("xyyx"),
        "same": [7, 7, 7, 7],
        "gone": 0,
    }
)
NEW = pd.DataFrame(
    {
        "b": [1.5, 1.5001, 9.0],
        "a": [2.0, 2.0, 1.0],
        "kind": ["y", "y", "z"],
        "same": [7.0, 7.0, 8.0],
        "more": 1,
        "attack": ["no", "no", "yes"],
    }
)


@pytest.fixture
def paths(tmp_path):
    TRAINING.to_csv(tmp_path / "train.csv", index=False)
    NEW.to_csv(tmp_path / "new.csv", index=False)
    return str(tmp_path / "train.csv"), str(tmp_path / "new.csv")


def test_an_audit_tells_what_two_small_tables_share(paths):
    told = run_audit([paths[0]], [paths[1]], truth="attack", anomaly="yes")
    assert told["missing_columns"] == ["gone"] and told["additional_columns"] == ["more"]
    assert told["duplicates"]["training"]["rows"] == 1
    # Row 0 stands in training although its numbers are written as 2.0; row 1 does when rounded.
    assert told["new_rows_in_training"]["rows"] == 1
    assert told["new_rows_in_training_at_3_digits"]["rows"] == 2
    by_column = {one["column"]: one for one in told["columns_that_differ"]}
    assert set(by_column) == {"b", "kind", "same"}
    assert by_column["kind"]["new_values"] == ["z"]
    assert by_column["same"]["constant"] == "7 in training"
    assert by_column["b"]["range"] == "0.5 to 2.5 in training, 1.5 to 9 now"
    look_up = told["look_up_of_known_rows"]
    assert look_up["rounded"]["f1"] == 1.0
    assert look_up["exact"]["precision"] == 0.5


def test_digests_are_equal_for_equal_rows_of_any_type_and_for_no_others():
    whole = pa.table(
        {"a": [1, 2, 0, None], "b": ["x", "y", None, ""], "c": [True, False, True, True]}
    )
    other = pa.table(
        {
            "a": pa.chunked_array([[1.0, 2.0], [-0.0, float("nan")]]),
            "b": pa.array(["x", "y", "", None]).dictionary_encode(),
            "c": [1, 0, 1, 1],
        }
    )
    names = ["a", "b", "c"]
    np.testing.assert_array_equal(row_digests(whole, names), row_digests(other, names))
    grid = np.arange(300)
    pairs = pa.table({"a": np.repeat(grid, 300), "b": np.tile(grid, 300)})
    assert len(np.unique(row_digests(pairs, ["a", "b"]))) == 90_000
    numbers = pa.table({"a": [1234.0, 1233.9, 1250.0]})
    rounded = row_digests(numbers, ["a"], 3)
    assert rounded[0] == rounded[1] != rounded[2]


def test_the_command_prints_json_and_text(paths):
    printed = CliRunner().invoke(cli, ["audit", *paths, "--json"])
    assert json.loads(printed.output)["columns"] == 4
    assert "new rows in training" in CliRunner().invoke(cli, ["audit", *paths]).output


def test_tables_without_a_common_column_are_refused(paths, tmp_path):
    pd.DataFrame({"other": [1]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(InputError, match="no column in common"):
        run_audit([paths[0]], [str(tmp_path / "other.csv")])


def test_what_is_left_out_may_hold_anything_and_has_to_be_there(tmp_path):
    path = str(tmp_path / "t.csv")
    pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["1", "2", "3", "x"]}).to_csv(path, index=False)
    with pytest.raises(InputError, match="column 'b' is text"):
        run_audit([path], [path])
    assert run_audit([path], [path], exclude=["b"])["columns"] == 1
    with pytest.raises(InputError, match="no column 'c'"):
        run_audit([path], [path], exclude=["b", "c"])
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "1"], "c": [0, 1]}).to_csv(path, index=False)
    printed = CliRunner().invoke(cli, ["audit", path, path, "--exclude", "a,b", "--exclude=c"])
    assert printed.exit_code == 3 and "no column in common" in printed.stderr


def test_an_unknown_class_of_anomalies_is_told(paths):
    with pytest.raises(InputError, match="never 1 or true") as caught:
        run_audit([paths[0]], [paths[1]], truth="attack")
    assert "--anomaly" in caught.value.hint


def test_scores_of_detect_are_evaluated_as_such(tmp_path):
    scores, truth = tmp_path / "scores.csv", tmp_path / "truth.csv"
    pd.DataFrame(
        {"row": range(4), "score": [0.1, 3.0, 2.0, None], "flagged": [False, True, False, False]}
    ).to_csv(scores, index=False)
    pd.DataFrame({"label": [0, 1, 0, 1]}).to_csv(truth, index=False)
    told = run_evaluate(str(scores), "label", data=str(truth))
    # The last row has no score and is left out.
    assert told == {
        "rows": 3,
        "anomalies": 1,
        "auroc": 1.0,
        "average_precision": 1.0,
        "flagged": 1,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }


def test_tables_of_another_encoding_are_read_where_it_is_named(tmp_path):
    text = "straße,sorte\n" + "".join(f"{i},{'süß' if i % 2 else 'herb'}\n" for i in range(8))
    (tmp_path / "table.csv").write_bytes(text.encode("latin-1"))
    source = str(tmp_path / "table.csv")
    with pytest.raises(InputError, match="encod"):
        run_audit([source], [source])
    audit = run_audit([source], [source], encoding="latin-1")
    assert audit["columns"] == 2 and audit["rows"] == {"training": 8, "new": 8}
    labels = tmp_path / "labels.csv"
    labels.write_text("cluster\n" + "".join(f"{i % 2}\n" for i in range(8)))
    found = run_evaluate(str(labels), "sorte", data=source, encoding="latin-1")
    assert found["ari"] == 1.0
