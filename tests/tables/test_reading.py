"""What is read is what was written, whatever the format, the separators and the batches."""

import gzip
import hashlib
import io
import subprocess
import sys
import types

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from divmix.settings import TableSettings
from divmix.tables import arrays, csv_dialect, csv_head
from divmix.tables.csv_rows import RowCutter
from divmix.tables.reading import open_table, reading_options, rechunk

TABLE = pa.table(
    {
        "x": [1.5, -2.25, None, 1e300],
        "n": pa.array([1.0, 2.0, 3.0, 4.0]),
        "ok": [True, False, None, True],
        "city": ["Bern", "São Paulo", None, 'the "Hague", NL'],
    }
)


def written(folder, kind):
    path = folder / f"table.{kind}"
    if kind == "parquet":
        parquet.write_table(TABLE, path)
    elif kind in ("arrow", "stream"):
        make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with make(path, TABLE.schema) as writer:
            writer.write(TABLE)
    else:
        text = io.BytesIO()
        csv.write_csv(TABLE, text)
        codec = {"csv.gz": "gzip", "csv.zst": "zstd"}.get(kind)
        with pa.output_stream(path, compression=codec) as sink:
            sink.write(text.getvalue())
    return path


KINDS = ["csv", "csv.gz", "csv.zst", "parquet", "arrow", "stream"]


def feed_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_table(tmp_path, kind):
    path = written(tmp_path, kind)
    assert open_table([path]).read().to_pydict() == TABLE.to_pydict()


@pytest.mark.parametrize("kind", KINDS)
def test_standard_input_gives_the_same_table_and_digest(tmp_path, monkeypatch, kind):
    content = written(tmp_path, kind).read_bytes()
    feed_standard_input(monkeypatch, content)
    reader = open_table(["-"])
    assert reader.read().to_pydict() == TABLE.to_pydict()
    assert reader.describe() == {
        "names": ["standard input"],
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1.5,x\n2,y\n",
        "a;b\n1,5;x\n2;y\n",
        "a;b\n1.5;x\n2;y\n",
        "a\tb\n1.5\tx\n2\ty\n",
        "a\tb\n1,5\tx\n2\ty\n",
        "\ufeffa,b\n1.5,x\n2,y\n",
        '"a","b"\n"1.5","x"\n"2","y"\n',
        "a,b\r\n1.5,x\r\n2,y\r\n",
        "a,b\r1.5,x\r2,y\r",
        "a,b\n1.5,x\n2,y",
        "\n\na,b\n1.5,x\n\n2,y\n",
        " a , b \n1.5,x\n 2 ,y\n",
        ",a,b\n0,1.5,x\n1,2,y\n",
    ],
)
def test_every_way_to_write_a_csv_gives_the_same_table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    assert open_table([path]).read().to_pydict() == {"a": [1.5, 2.0], "b": ["x", "y"]}


def test_row_numbers_without_a_name_are_left_out_and_said(tmp_path):
    path = tmp_path / "pandas.csv"
    path.write_text(",a\n0,5\n1,6\n")
    reader = open_table([path])
    assert reader.names == ["a"]
    assert "first column has no name" in reader.notes[0]


def test_file_without_header_has_numbered_columns(tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("1,2\n3,4\n")
    assert open_table([path], header=False).read().to_pydict() == {"x1": [1, 3], "x2": [2, 4]}


def test_names_may_be_running_numbers(tmp_path):
    path = tmp_path / "pandas.csv"
    path.write_text("0,1\n5,6\n")
    assert open_table([path]).read().to_pydict() == {"0": [5.0], "1": [6.0]}


def test_line_ends_in_quoted_names_and_cells_are_part_of_them(tmp_path):
    path = tmp_path / "lines.csv"
    path.write_text('"a\nb",c\n"x\ny",1\n')
    assert open_table([path]).read().to_pydict() == {"a\nb": ["x\ny"], "c": [1.0]}


@pytest.mark.parametrize(("late", "values"), [("7.5", [7.5]), ("true", [True]), ("x y", ["x y"])])
def test_column_empty_in_the_first_block_gets_the_type_of_its_first_value(tmp_path, late, values):
    path = tmp_path / "late.csv"
    path.write_text("a,b\n" + "1,\n" * (csv_head.BLOCK // 2) + f"1,{late}\n")
    column = open_table([path]).read()["b"]
    assert column.drop_null().to_pylist() == values
    assert column.null_count == len(column) - 1


def test_column_of_whole_numbers_may_go_on_with_fractions(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a\n" + "1\n" * csv_head.BLOCK + "1.5\n")
    assert open_table([path]).read()["a"][-1].as_py() == 1.5


def test_text_column_reads_numbers_as_text_when_told(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("code\n007\n12\nA3\n")
    reader = open_table([path], text_columns=["code"])
    assert reader.read()["code"].to_pylist() == ["007", "12", "A3"]


def test_number_column_reads_numbers_when_told_though_the_rows_look_empty(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("a,b\n,NA\n")
    schema = open_table([path], number_columns=["a"], text_columns=["b"]).read().schema
    assert schema.types == [pa.float64(), pa.large_string()]


def test_rows_longer_than_a_block_are_read(tmp_path):
    path = tmp_path / "wide.csv"
    width = 1000
    row = ",".join(["1.25" + "0" * (csv_head.BLOCK // 500)] * width)
    path.write_text(",".join(f"c{i}" for i in range(width)) + "\n" + row)
    table = open_table([path]).read()
    assert table.num_columns == width
    assert table.column(width - 1).to_pylist() == [1.25]


def test_columns_are_read_in_the_order_asked_for(tmp_path):
    for kind in ("csv", "parquet"):
        assert open_table([written(tmp_path, kind)], columns=["city", "x"]).names == ["city", "x"]


def test_columns_that_are_not_read_may_be_of_different_kinds(tmp_path):
    (tmp_path / "a.csv").write_text("x,note\n1,5\n")
    (tmp_path / "b.csv").write_text("x,note\n2,late\n")
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    parquet.write_table(pa.table({"x": [2.0], "note": ["late"]}), tmp_path / "c.parquet")
    for paths in (files, [files[0], tmp_path / "c.parquet"]):
        assert open_table(paths, columns=["x"]).read().column("x").to_pylist() == [1, 2]


def test_folder_is_its_tables_in_order_with_columns_matched_by_name(tmp_path):
    (tmp_path / "b.csv").write_text("y,x\n30,3\n")
    (tmp_path / "a.csv").write_text("x,y\n1,10\n2,20\n")
    parquet.write_table(pa.table({"x": [4], "y": [40]}), tmp_path / "c.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "notes.md").write_text("no table")
    reader = open_table([tmp_path])
    assert reader.read().to_pydict() == {"x": [1, 2, 3, 4], "y": [10, 20, 30, 40]}
    assert reader.locate(1) == f"line 3 of {tmp_path}/a.csv"
    assert reader.locate(2) == f"line 2 of {tmp_path}/b.csv"
    assert reader.locate(3).endswith("c.parquet row 1")


def test_a_file_without_rows_among_others_is_passed_over(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n")
    (tmp_path / "b.csv").write_text("x,y\n1,u\n")
    assert open_table([tmp_path]).read().to_pydict() == {"x": [1.0], "y": ["u"]}


def test_rows_are_known_for_parquet_and_arrow_files(tmp_path):
    assert open_table([written(tmp_path, "parquet"), written(tmp_path, "arrow")]).rows == 8
    assert open_table([written(tmp_path, "csv")]).rows is None


def test_dictionary_columns_and_row_labels_of_pandas_are_plain_columns_or_none(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(
        pa.table({"c": pa.array(["u", "v"]).dictionary_encode(), "__index_level_0__": [5, 6]}), path
    )
    table = open_table([path]).read()
    assert table.to_pydict() == {"c": ["u", "v"]}
    assert table.schema.field("c").type == pa.large_string()


def test_excluded_and_truth_columns_may_hold_anything(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,note,label,w\n" + "1,5,0,1\n" * 3 + "2,n.a.,noise,1\n")
    options = reading_options(TableSettings(exclude=("note",), truth="label", weight="w"))
    table = open_table([path], **options).read()
    assert table["label"].to_pylist() == ["0", "0", "0", "noise"]
    assert table["w"].type == pa.float64()


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_batches_have_the_size_asked_for_across_files_and_equal_the_whole(tmp_path, kind):
    values = np.arange(1000.0)
    for part, piece in enumerate(np.split(values, [1, 300, 301, 900])):
        table = pa.table({"a": piece})
        path = tmp_path / f"{part}.{kind}"
        if kind == "parquet":
            parquet.write_table(table, path, row_group_size=17)
        elif kind == "arrow":
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=13)
        else:
            csv.write_csv(table, path)
    reader = open_table([tmp_path])
    batches = list(reader.batches(64))
    assert [len(batch) for batch in batches] == [64] * 15 + [40]
    assert pa.Table.from_batches(batches).equals(reader.read())
    assert reader.read()["a"].to_pylist() == values.tolist()


@given(st.lists(st.integers(0, 30)), st.integers(1, 12))
def test_rechunked_batches_are_full_but_the_last(sizes, rows):
    values = iter(range(sum(sizes)))
    batches = [
        pa.record_batch({"a": pa.array([next(values) for _ in range(size)], pa.int64())})
        for size in sizes
    ]
    found = list(rechunk(batches, rows))
    assert all(len(batch) == rows for batch in found[:-1])
    assert all(0 < len(batch) <= rows for batch in found)
    assert [v for batch in found for v in batch["a"].to_pylist()] == list(range(sum(sizes)))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(
    rows=st.lists(st.tuples(CELLS, st.floats(allow_nan=False)), min_size=1, max_size=20),
    size=st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_csv_survives_any_text_any_number_and_any_block_size(tmp_path_factory, rows, size):
    table = pa.table({"text": [text for text, _ in rows], "number": [x for _, x in rows]})
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    csv.write_csv(table, path)
    reader = open_table([path], text_columns=["text"], number_columns=["number"])
    cutter = RowCutter(",", b"\n")
    pieces = list(cutter.pieces(io.BytesIO(path.read_bytes()), size))
    assert b"".join(pieces) == path.read_bytes()
    assert all(cutter.row_of_open_quote(piece, 0) is None for piece in pieces)
    found = reader.read().to_pydict()
    assert found["number"] == table["number"].to_pylist()
    expected = [None if text in csv_dialect.NULLS else text for text in table["text"].to_pylist()]
    assert found["text"] == expected


def test_a_reading_error_on_standard_input_ends_the_process_in_good_order():
    program = (
        "from divmix.errors import InputError\n"
        "from divmix.tables.reading import open_table\n"
        "try: open_table(['-']).read()\n"
        "except InputError as error: print(error)\n"
    )
    content = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000 + b"oops,1\n" + b"1,2\n" * 1_000_000)
    done = subprocess.run(
        [sys.executable, "-c", program], input=content, capture_output=True, timeout=60
    )
    assert done.stdout.decode() == "standard input row 1,000,001: column 'a' is text ('oops')\n"
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_small_table_is_read_prepared_and_written_without_pandas(tmp_path):
    path = written(tmp_path, "csv")
    program = f"""
import sys
from divmix.settings import TableSettings
from divmix.design.preprocessing import Preprocessing
from divmix.tables.reading import open_table
from divmix.tables.writing import TableWriter
table = open_table([{str(path)!r}], columns=["n", "ok", "city"]).read()
preprocessing = Preprocessing.learn(table, TableSettings(missing="mean"))
encoded = preprocessing.transform(table, unknown="ignore")
inverse = preprocessing.inverse(encoded.X)
for suffix in ("csv", "csv.gz", "parquet", "arrow"):
    with TableWriter({str(tmp_path)!r} + "/out." + suffix, inverse.schema) as writer:
        for batch in inverse.to_batches():
            writer.write(batch)
print(sorted({{"pandas", "sklearn", "numba"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_arrow_holds_nothing_of_pythons():
    """Its threads would abort an interpreter that exits while they let go of it."""
    data = bytes(range(256)) * 100
    before = sys.getrefcount(data)
    buffer = arrays.owned(data)
    assert sys.getrefcount(data) == before
    assert buffer.to_pybytes() == data and arrays.owned(b"").size == 0
