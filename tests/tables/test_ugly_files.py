"""One expected message for each way a table can be broken: file, row, column and value."""

import bz2
import gzip
import os
import threading

import pyarrow as pa
import pytest
from pyarrow import parquet

from divmix.errors import InputError
from divmix.tables import csv_rows
from divmix.tables.reading import open_table

NUMBERS = "".join(f"{i},{i / 7}\n" for i in range(30_000))

UGLY = {
    "empty": (b"", "ugly.csv is empty"),
    "blank lines only": (b"\n\n", "ugly.csv is empty"),
    "header only": (b"a,b\n", "ugly.csv has columns but no rows"),
    "header without line end": (b"a,b", "ugly.csv has columns but no rows"),
    "short row": (
        b"a,b\n1,2\n3\n5,7\n8,4\n",
        "line 3 of ugly.csv: 1 cell where the table has 2 columns",
    ),
    "long row": (
        b"a,b\n1,2\n3,4,5\n5,7\n8,4\n",
        "line 3 of ugly.csv: 3 cells where the table has 2 columns",
    ),
    "short row, late": (
        f"a,b\n{NUMBERS * 4}1\n".encode(),
        "line 120,002 of ugly.csv: 1 cell where the table has 2 columns",
    ),
    "short row among quotes": (
        b'a;b\n1;"x;y"\n3\n5;"x;y"\n8;"z"\n',
        "line 3 of ugly.csv: 1 cell where the table has 2 columns",
    ),
    "short row below R's header": (
        ("a,b\n" + "".join(f"{i},{i * i % 11},{i % 7}\n" for i in range(60)) + "60,1\n").encode(),
        "line 62 of ugly.csv: 2 cells where the table has 3 columns",
    ),
    "no header": (b"1.5,2.5\n3.5,4.5\n", "ugly.csv has no header: its first line is 1.5, 2.5, ..."),
    "text among numbers": (
        b"a,b\n1,2\n3,x\n5,6\n7,8\n",
        "line 3 of ugly.csv: column 'b' is text ('x')",
    ),
    "late text": (
        f"a,b\n{NUMBERS * 24}oops,1\n".encode(),  # in the third piece that is parsed
        "line 720,002 of ugly.csv: column 'a' is text ('oops')",
    ),
    "late text after blank lines": (
        b"\n\na,b\n1,2\n\n3,4\n5,6\n7,x\n",
        "line 8 of ugly.csv: column 'b' is text ('x')",
    ),
    "late text without blanks, windows": (
        b"\xef\xbb\xbfa;b\r\n1;2\r\n3;4\r\n5;6\r\n7;x\r\n",
        "line 5 of ugly.csv: column 'b' is text ('x')",
    ),
    "late text in truth values": (
        b"a,b\n" + b"true,1\n" * 200_000 + b"maybe,1\n",
        "line 200,002 of ugly.csv: column 'a' is 'maybe', neither true nor false",
    ),
    "latin-1": (
        "a,b\nZürich,1\nBern,2\n".encode("latin-1"),
        "line 2 of ugly.csv: column 'a' is not UTF-8",
    ),
    "utf-16 without its mark": (
        "a,b\n1,2\n5,7\n8,4\n".encode("utf-16-le"),
        "ugly.csv is text in UTF-16 without a mark that says so",
    ),
    "a program": (b"\x7fELF\0\0\0\0", "ugly.csv is not a table in a known format"),
    "a workbook": (b"PK\x03\x04xl/workbook.xml", "ugly.csv is an Excel workbook"),
    "cut gzip": (
        gzip.compress(f"a,b\n{NUMBERS}".encode())[:-500],
        "ugly.csv cannot be read: Truncated compressed stream",
    ),
    "gzip of nothing": (gzip.compress(b""), "ugly.csv is empty"),
    "bzip2": (bz2.compress(b"a,b\n1,2\n5,7\n8,4\n"), "ugly.csv is compressed by bzip2"),
    "short rows only": (b"a,b\n1\n2\n", "line 2 of ugly.csv: 1 cell where the table has 2 columns"),
    "an open quote": (
        b'a,b\n"1,2\n3,4\n5,7\n8,4\n',
        "line 2 of ugly.csv: a quote is opened and never closed",
    ),
    "an open quote among names": (
        b'"a,b\n1,2\n5,7\n8,4\n',
        "ugly.csv: a quote in its first line is opened and never closed",
    ),
    "a name without end": (
        b'a,"b\n' + b"1,2\n3,5\n" * 25_000,
        "ugly.csv: a name in its first line is longer than 131,072 characters",
    ),
    "a name in latin-1": (
        "a,größe\n1,2\n5,7\n8,4\n".encode("latin-1"),
        "ugly.csv: the name of column 2 is not UTF-8",
    ),
    "too many columns": (
        "".join(
            ",".join(f"{start}{i}" for i in range(100_001)) + "\n" for start in "x149"
        ).encode(),
        "ugly.csv has 100,001 columns in its first line; 100,000 are read",
    ),
    "no line end": (b"a,b;" * 5_000_000, "ugly.csv has no line end in its first 16,777,216 bytes"),
    "a JSON line without end": (
        b'{"a": "' + b"x" * (1 << 24),
        "ugly.csv: a line is longer than 16,777,216 bytes",
    ),
}


def test_a_name_longer_than_names_can_be_is_no_fault_of_the_disk(tmp_path):
    with pytest.raises(InputError, match="File name too long") as failure:
        open_table([tmp_path / ("x" * 300)])
    assert failure.value.hint == "check the path and its permissions"


def test_a_row_without_end_is_refused_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 1 << 20)
    (tmp_path / "t.csv").write_bytes(b'a,b\n1,2\n1,"' + b"x\n" * 10_000_000)
    with pytest.raises(InputError, match=r"line 3 of .*t\.csv is longer than 1,048,576 bytes"):
        open_table([tmp_path / "t.csv"]).read()


@pytest.mark.parametrize("case", UGLY)
def test_ugly_csv_gives_one_message_with_file_row_column_and_value(case, tmp_path):
    content, message = UGLY[case]
    path = tmp_path / "ugly.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as failure:
        open_table([path]).read()
    assert str(failure.value) == message.replace("ugly.csv", str(path))
    assert failure.value.hint
    assert failure.value.exit_code == 3


# What stands above the second row, and its line.
ABOVE = {
    "a header": ("a,b\n1,2\n", 3),
    "line ends of Windows": ("\ufeffa,b\r\n1,2\r\n", 3),
    "blank lines": ("\n\na,b\n\n1,2\n\n\n", 8),
    "comments with a quote": ('# "as\n#,"in\n\n#\na,b\n1,2\n', 7),
    "a separator told": ("sep=,\na,b\n1,2\n", 4),
    "a quoted name over two lines": ('"a\nx",b\n1,2\n', 4),
    "cells over several lines": ('a,b\n"p\n\nq, ""\n",2\n', 6),
}


@pytest.mark.parametrize("above", ABOVE)
def test_an_error_names_the_line_on_which_its_row_starts(tmp_path, above):
    text, line = ABOVE[above]
    path = tmp_path / "t.csv"
    for row in ("3\n", '3,"4\n', "Zürich,4\n"):
        encoding = "latin-1" if "ü" in row else "utf-8"
        path.write_bytes((text + row).encode(encoding, errors="ignore"))
        with pytest.raises(InputError) as failure:
            open_table([path], text_columns=["a"]).read()
        assert str(failure.value).startswith(f"line {line} of {path}: ")
    path.write_bytes((text + "3,4\n").encode())
    reader = open_table([path])
    assert reader.read().num_rows == 2 and reader.locate(1) == f"line {line} of {path}"


def test_a_table_without_names_has_its_first_row_on_its_first_line(tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n3\n")
    with pytest.raises(InputError, match="line 2 of "):
        open_table([tmp_path / "t.csv"], header=False).read()


@pytest.mark.parametrize("rows_after", [0, 3, 1_000_000])
def test_quote_that_never_closes_is_said(tmp_path, rows_after):
    path = tmp_path / "quote.csv"
    path.write_bytes(b'a,b\n1,2\n1,"2\n' + b"1,2\n" * rows_after)
    with pytest.raises(
        InputError, match=r"line 3 of .*quote\.csv: a quote is opened and never closed"
    ):
        open_table([path]).read()


def test_inch_sign_in_a_cell_is_text(tmp_path):
    path = tmp_path / "pipes.csv"
    path.write_bytes(b'name,length\n5" pipe,2\nhose,3\n')
    assert open_table([path]).read()["name"].to_pylist() == ['5" pipe', "hose"]


def test_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file or directory"):
        open_table([tmp_path / "none.csv"])


def test_folder_without_tables_is_said(tmp_path):
    (tmp_path / "notes.md").write_text("no table")
    with pytest.raises(InputError, match="holds no tables"):
        open_table([tmp_path])


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_cut_parquet_is_said(tmp_path, kept):
    path = tmp_path / "cut.parquet"
    parquet.write_table(pa.table({"a": list(range(1000))}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"cut\.parquet is not a readable Parquet file"):
        open_table([path]).read()


def test_parquet_with_flipped_bytes_is_read_or_refused_but_never_a_traceback(tmp_path):
    path = tmp_path / "flipped.parquet"
    parquet.write_table(
        pa.table({"a": list(range(1000)), "b": ["x", "y"] * 500}), path, write_page_checksum=True
    )
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        broken = bytearray(whole)
        broken[place] ^= 0x5A
        path.write_bytes(broken)
        try:
            open_table([path]).read()
        except InputError as failure:
            assert "flipped.parquet" in str(failure)


def test_csv_called_parquet_is_said(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"table\.parquet is not a Parquet file"):
        open_table([path])


def test_cut_arrow_file_is_said(tmp_path):
    path = tmp_path / "cut.arrow"
    table = pa.table({"a": list(range(1000))})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write(table)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cut\.arrow is not a readable Arrow file"):
        open_table([path]).read()


def test_parquet_with_doubled_name_is_said(tmp_path):
    path = tmp_path / "twins.parquet"
    parquet.write_table(
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path
    )
    with pytest.raises(InputError, match="two columns are called 'a'"):
        open_table([path])


def test_files_with_different_columns_are_said(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(InputError, match=r"2\.csv lacks column 'b', which .*1\.csv has"):
        open_table([tmp_path])


def test_text_in_a_later_file_is_said(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,b\n1,2\nx,2\n")
    with pytest.raises(InputError, match=r"line 3 of .*2\.csv: column 'a' is text \('x'\)"):
        open_table([tmp_path]).read()


def test_numbers_and_text_in_two_parquet_files_are_said(tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match=r"column 'a' is numbers in .*1\.parquet and text in"):
        open_table([tmp_path])


@pytest.mark.parametrize(
    "asked, meant", [("sals.csv", "sales.csv"), ("sales.cvs", "sales.csv"), ("none.csv", None)]
)
def test_a_file_that_is_not_there_brings_one_of_nearly_its_name(tmp_path, asked, meant):
    for name in ("sales.csv", "o3l.csv", ".none.divmix.lock"):
        (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(InputError) as failure:
        open_table([tmp_path / asked])
    instead = failure.value.instead
    assert (instead and instead.by) == (meant and str(tmp_path / meant))


def test_column_that_is_not_there_brings_near_names(tmp_path):
    (tmp_path / "t.csv").write_text("age,weight\n1,2\n")
    with pytest.raises(InputError, match="has no column 'wieght'") as failure:
        open_table([tmp_path / "t.csv"], columns=["wieght"])
    assert failure.value.hint == "did you mean weight"


def test_text_where_the_model_has_numbers_is_said_for_parquet(tmp_path):
    parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column 'a' is text where numbers are needed"):
        open_table([tmp_path / "t.parquet"], number_columns=["a"])


def test_a_pipe_is_read_once_and_every_row_arrives(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = "a,b\n" + "".join(f"{i},{i * 2}\n" for i in range(300_000))
    writer = threading.Thread(target=pipe.write_text, args=(lines,))
    writer.start()
    table = open_table([pipe]).read()
    writer.join()
    assert table.column("a").to_pylist() == list(range(300_000))


def test_devices_and_an_empty_name_are_refused():
    with pytest.raises(InputError, match="device"):
        open_table(["/dev/zero"])
    with pytest.raises(InputError, match="empty"):
        open_table([""])


@pytest.mark.parametrize(
    "text, kind",
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        ("%PDF-1.7\n1,2\n", "PDF"),
        ('<?xml version="1.0"?>\n<a/>\n', "XML"),
        ('{"a": [\n1, 2]}\n', "JSON, but not one object a line"),
        ('[{"a": 1}]\n', "a JSON array"),
    ],
)
def test_text_that_is_no_table_is_refused_by_name(tmp_path, text, kind):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=kind):
        open_table([tmp_path / "table.csv"])
