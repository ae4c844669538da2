"""Files as people have them: read right at once, or one error with a command that then works."""

import io
import json
import re
import shlex
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from divmix.design.preprocessing import Preprocessing
from divmix.errors import InputError
from divmix.settings import TableSettings
from divmix.tables.reading import open_table, reading_options
from divmix.workflows.sniff import run_sniff
from tests.cli import conftest
from tests.cli.helpers import assert_two_lines

run = conftest.run

AB = {"a": [1.5, 2.5, 4.0], "b": [10.0, 20.0, 15.0]}
ROWS = "1.5,10\n2.5,20\n4,15\n"
FIXED = "name      a    b\nJo Ann  1.5   10\nBo      2.5   20\nMr X    4.0   15\n"

# What is in the file, and what comes of it.
READ = {
    "Excel's separator line": ("sep=;\r\na;b\r\n1,5;10\r\n2,5;20\r\n4;15\r\n", AB),
    "comments before the header": (f"# exported 2024\n# by me\na,b\n{ROWS}", AB),
    "a header in a comment": ("# a b\n1.5 10\n2.5 20\n4 15\n", AB),
    "bars": ("a|b\n1.5|10\n2.5|20\n4|15\n", AB),
    "blanks": ("a b\n1.5 10\n2.5 20\n4 15\n", AB),
    "aligned by blanks": ("    a   b\n  1.5  10\n  2.5  20\n  4.0  15\n", AB),
    "R's write.table": ("a b\n1 1.5 10\n2 2.5 20\n3 4 15\n", AB),
    "fixed width": (FIXED, AB | {"name": ["Jo Ann", "Bo", "Mr X"]}),
    "a mark of UTF-8": (f"\ufeffa,b\n{ROWS}", AB),
    "UTF-16 as Excel writes it": ("a\tb\r\n1.5\t10\r\n2.5\t20\r\n4\t15\r\n".encode("utf-16"), AB),
    "a name that comes twice": (
        "a,b,a\n1.5,10,1\n2.5,20,2\n4,15,4\n", AB | {"a.1": [1, 2, 4]}
    ),
    "a column without a name": (
        "a,,b\n1.5,1,10\n2.5,2,20\n4,4,15\n", AB | {"column_2": [1, 2, 4]}
    ),
    "a separator at line ends": ("a,b,\n1.5,10,\n2.5,20,\n4,15,\n", AB | {"column_3": [None] * 3}),
    "German thousands": (
        "a;b\n1.500;0,5\n12.000;1,25\n900;2,75\n",
        {"a": [1500, 12000, 900], "b": [0.5, 1.25, 2.75]},
    ),
    "dollars and thousands": (
        'a,b\n"$1,234.50",1\n"$2,000.00",2\n$3.25,4\n',
        {"a": [1234.5, 2000, 3.25], "b": [1, 2, 4]},
    ),
    "percent": ("a,b\n12%,1\n7.5%,2\n8 %,4\n", {"a": [12, 7.5, 8], "b": [1, 2, 4]}),
    "dashes for nothing": ("a,b\n1.5,1\n-,2\n2.5,4\n", {"a": [1.5, None, 2.5], "b": [1, 2, 4]}),
    "a minus sign of Unicode": ("a,b\n\u22121.5,1\n2,2\n3,4\n", {"a": [-1.5, 2, 3], "b": [1, 2, 4]}),
    "blanks in thousands": ("a;b\n1 234;1\n5 678;2\n9;4\n", {"a": [1234, 5678, 9], "b": [1, 2, 4]}),
    "JSON Lines": ('{"a": 1.5, "b": 10}\n{"b": 20, "a": 2.5}\n{"a": 4, "b": 15}\n', AB),
    "post codes": ("zip,b\n01234,1\n89012,2\n", {"zip": ["01234", "89012"], "b": [1, 2]}),
    "long account numbers": (
        "no,b\n9007199254740993,1\n9007199254740992,2\n",
        {"no": ["9007199254740993", "9007199254740992"], "b": [1, 2]},
    ),
}  # fmt: skip

# What is in the file, its name, the message after the name, and the settings of the command.
REFUSED = {
    "latin-1": (
        "a,b\nZ\u00fcrich,1\nBern,2\nBasel,4\n".encode("latin-1"),
        "line 2 of ugly.csv: column 'a' is not UTF-8",
        {"encoding": "cp1252"},
    ),
    "UTF-16 without a mark": (
        f"a,b\n{ROWS}".encode("utf-16-le"),
        " is text in UTF-16 without a mark that says so",
        {"encoding": "utf-16-le"},
    ),
    "no header": (ROWS, " has no header: its first line is 1.5, 10, ...", {"header": False}),
    "a word among numbers": (
        "a,b\n1.5,1\n2.5,2\n3.5,4\nunknown,4\n",
        "line 5 of ugly.csv: column 'a' is text ('unknown')",
        {"exclude": ("a",)},
    ),
    "a word among numbers as people write them": (
        "a;b\n6,1 %;1\n2,5 %;2\n3,5 %;4\noffen;4\n",
        "line 5 of ugly.csv: column 'a' is text ('offen')",
        {"exclude": ("a",)},
    ),
    "two currencies": (
        "a,b\n$1,1\n2,2\n3,4\n4,5\n\u20ac4,4\n",
        "line 2 of ugly.csv: column 'a' is '$1', and not all of its numbers are written so",
        {"exclude": ("a",)},
    ),
    "gaps": (
        "a,b\n1.5,1\n,2\n3.5,4\n",
        "line 3 of ugly.csv: column 'a' is empty (1 of 3 rows have an empty cell)",
        {"missing": "model"},
    ),
    "infinite": (
        "a,b\n1.5,1\ninf,2\n3.5,4\n",
        "line 3 of ugly.csv: column 'a' is infinite",
        {"exclude": ("a",)},
    ),
}


def zipped(text):
    """A zip archive with a table in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("table.csv", text)
    return buffer.getvalue()


# No settings help: a program makes a table of the file, or a person has to.
NO_TABLE = {
    "a workbook": (b"PK\x03\x04xl/workbook.xml", " is an Excel workbook", "Save As"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1", " is an Excel workbook", "Save As"),
    "a zip archive": (zipped(f"a,b\n{ROWS}"), " is a zip archive, not a table", "unzip -p"),
    "a JSON array": (b'[{"a": 1}, {"a": 2}, {"a": 4}]', " is a JSON array", "jq -c '.[]'"),
    "comments between rows": (
        f"a,b\n{ROWS}# the rest\n5,6\n".encode(),
        "line 5 of ugly.csv: 1 cell where the table has 2 columns",
        "grep -v '^#'",
    ),
}  # fmt: skip


def path_of(folder, content):
    path = folder / "ugly.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("case", READ)
def test_read_right_at_once(tmp_path, case):
    content, expected = READ[case]
    path = path_of(tmp_path, content)
    assert open_table([path]).read().select(list(expected)).to_pydict() == expected
    sniffed = run_sniff([str(path)], TableSettings())
    gaps = sum(None in values for values in expected.values() if set(values) != {None})
    assert [p["problem"].split()[-1] for p in sniffed["problems"]] == ["cell)"] * gaps


@pytest.mark.parametrize("case", REFUSED)
def test_one_error_with_a_command_that_then_works(tmp_path, case):
    content, message, settings = REFUSED[case]
    path = path_of(tmp_path, content)
    with pytest.raises(InputError) as failure:
        reader = open_table([path])
        Preprocessing.learn(reader.read(), TableSettings(), locate=reader.locate)
    assert message.replace("ugly.csv", str(path)) in str(failure.value)
    sniffed = run_sniff([str(path)], TableSettings())
    assert sniffed["problems"][0] == {"problem": str(failure.value), "hint": failure.value.hint}
    mended = TableSettings(**settings)
    table = open_table([path], **reading_options(mended)).read()
    assert len(Preprocessing.learn(table, mended).columns) >= 1
    for name, value in settings.items():
        word = "no-header" if value is False else value[0] if isinstance(value, tuple) else value
        assert word in sniffed["command"] and name in sniffed["command"]


@pytest.mark.parametrize("case", NO_TABLE)
def test_what_is_no_table_is_refused_by_name_with_the_way_out(tmp_path, case):
    content, message, way_out = NO_TABLE[case]
    path = path_of(tmp_path, content)
    with pytest.raises(InputError) as failure:
        open_table([path]).read()
    assert message.replace("ugly.csv", str(path)) in str(failure.value)
    assert way_out in f"{failure.value.hint} {failure.value.instead.through}"
    with pytest.raises(InputError, match=re.escape(str(failure.value))):
        run_sniff([str(path)], TableSettings())


def test_patterns_and_folders_of_folders_are_one_table(tmp_path):
    for country, year, value in (("CH", 2023, 1.5), ("CH", 2024, 2.5), ("DE", 2024, 4.0)):
        folder = tmp_path / f"data/country={country}/year={year}"
        folder.mkdir(parents=True)
        parquet.write_table(pa.table({"a": [value]}), folder / "part-0.parquet")
    expected = {"a": [1.5, 2.5, 4.0], "country": ["CH", "CH", "DE"], "year": [2023, 2024, 2024]}
    assert open_table([tmp_path / "data"]).read().to_pydict() == expected
    found = open_table([f"{tmp_path}/data/*/*/part-*.parquet"]).read()
    assert found.to_pydict() == {"a": [1.5, 2.5, 4.0]}
    with pytest.raises(InputError, match="no file fits the pattern"):
        open_table([f"{tmp_path}/none-*.csv"])


def test_sniff_finds_every_problem_and_its_command_works(run, tmp_path):
    lines = ["id;when;price;flag;class"]
    for i in range(40):
        price = "offer" if i == 7 else f"{i * 37 % 11},5"
        flag = "" if i == 9 else f"{i * 13 % 7},5"
        lines.append(f"{i};{i % 28 + 1}.3.2024;{price};{flag};{'xy'[i % 2]}")
    path_of(tmp_path, "\n".join(lines))
    done = run("sniff", "ugly.csv", "--json")
    found = json.loads(done.stdout)
    assert [p["problem"] for p in found["problems"]] == [
        "line 9 of ugly.csv: column 'price' is text ('offer')",
        "line 11 of ugly.csv: column 'flag' is empty (1 of 40 rows have an empty cell)",
    ]
    told = run("sniff", "ugly.csv").stdout
    assert told.splitlines()[-1] == f"  next     {found['command']}"
    fitted = run(*shlex.split(found["command"])[1:], "-k", "2", "--method", "em")
    assert fitted.exit_code == 0, fitted.stderr


def test_sniff_of_what_is_not_there_is_two_lines(run):
    done = run("sniff", "nope.csv")
    assert done.exit_code == 3
    assert_two_lines(done.stderr)
