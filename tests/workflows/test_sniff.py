"""A look at a long table: by batches, and as at one in memory."""

import os
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from divmix.sampling import pool_rows
from divmix.settings import TableSettings
from divmix.tables.reading import TableReader
from divmix.workflows.sniff import run_sniff

ROWS = 2 * pool_rows(3)


@pytest.fixture(scope="module")
def long_table(tmp_path_factory):
    generator = np.random.default_rng(0)
    x = generator.normal(size=ROWS).round(2)
    x[-2:] = np.nan  # told of exactly, wherever the sample comes from
    kinds = np.array(["a", "b"])[generator.integers(0, 2, ROWS)]
    frame = pd.DataFrame({"x": x, "kind": kinds, "n": generator.integers(0, 9, ROWS)})
    path = tmp_path_factory.mktemp("sniff") / "long.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_long_table_goes_by_and_is_never_held(long_table, monkeypatch):
    monkeypatch.setattr(TableReader, "read", None)
    before = pa.total_allocated_bytes()
    found = run_sniff([str(long_table)], TableSettings())
    assert found["rows"] == ROWS
    assert [(own["column"], own["role"]) for own in found["columns"]] == [
        ("x", "number"), ("kind", "category"), ("n", "number"),
    ]  # fmt: skip
    assert [own["empty"] for own in found["columns"]] == [2 / ROWS, 0, 0]
    assert "--missing model" in found["command"]
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_a_table_from_a_pipe_is_looked_at_as_one_in_a_file(long_table, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(
        target=lambda: (tmp_path / "fifo").write_bytes(long_table.read_bytes())
    )
    writer.start()
    piped = run_sniff([str(tmp_path / "fifo")], TableSettings())
    writer.join()
    told = run_sniff([str(long_table)], TableSettings())
    assert piped["columns"] == told["columns"] and piped["rows"] == told["rows"]


def test_whole_numbers_that_are_too_long_late_in_a_file_are_told(long_table, tmp_path):
    """Where they stand first the column is text: later ones are read as numbers, and rounded."""
    path = tmp_path / "late.csv"
    path.write_bytes(long_table.read_bytes() + b"1,a,9007199254740995\n")
    note, _ = run_sniff([str(path)], TableSettings(missing="drop"))["notes"]  # it is far away, too
    assert "column 'n' has whole numbers beyond" in note and "--exclude n" in note


@pytest.mark.parametrize("bits", [63, 64, 80, 127])
def test_whole_numbers_of_any_length_are_text_or_told(tmp_path, bits):
    values = [(1 << bits) + i * i for i in range(20)]
    path = tmp_path / "long.csv"
    path.write_text("n,x\n" + "".join(f"{n},{i % 7}.5\n" for i, n in enumerate(values)))
    found = run_sniff([str(path)], TableSettings())
    column = found["columns"][0]
    assert (column["type"], column["role"], column["fit"]) == ("text", "id", "left out")
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f'{{"n": {n % (i + 1) or n}}}\n' for i, n in enumerate(values)))
    (note,) = run_sniff([str(path)], TableSettings())["notes"]
    assert "column 'n' has whole numbers beyond" in note


def test_large_numbers_with_an_exponent_are_numbers(tmp_path):
    path = tmp_path / "masses.csv"
    path.write_text("kg,x\n" + "".join(f"{i * i + 1}e29,{i % 7}\n" for i in range(20)))
    assert run_sniff([str(path)], TableSettings())["columns"][0]["type"] == "number"


def test_a_column_that_is_left_out_for_a_problem_says_so(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "a,b,c\n" + "".join(f"{i % 7}.5,{i % 5}.25,{i}\n" for i in range(40)) + "oops,1,2\n"
    )
    found = run_sniff([str(path)], TableSettings(exclude=("b",)))["columns"]
    assert [column["why"] for column in found[:2]] == ["see the problem", "excluded"]
