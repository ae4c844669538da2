"""Numbers as people write them, and the doubts that keep a column from being taken for such."""

import numpy as np
import pytest

from divmix.tables import arrays
from divmix.tables.number_text import spelling_of
from divmix.tables.reading import open_table

SPELLINGS = {
    "thousands": (["1,234", "12", "1,234,567.5"], [1234, 12, 1234567.5]),
    "German thousands": (["1.234,5", "7", "1.234.567"], [1234.5, 7, 1234567]),
    "blanks": (["1 234", "12 345 678", "9"], [1234, 12345678, 9]),
    "narrow no-break blanks": (["1\u202f234", "5"], [1234, 5]),
    "Swiss": (["1'234.50", "1\u2019000"], [1234.5, 1000]),
    "dollars": (["$12", "$1,200.50", "-$3"], [12, 1200.5, -3]),
    "euros after": (["12,50 \u20ac", "3,00 \u20ac"], [12.5, 3]),
    "a code": (["CHF 12.5", "CHF 7"], [12.5, 7]),
    "percent": (["12%", "7.5 %"], [12, 7.5]),
    "a unit": (["1013.2 hPa", "998 hPa", "-"], [1013.2, 998, np.nan]),
    "a unit before it has none": (["hPa 1013", "hPa 998"], None),
    "a unit in some": (["1013 hPa", "998"], None),
    "two units": (["5 kg", "3 lb"], None),
    "a code with letters": (["12A", "7A"], None),
    "numbers and streets": (["12 High Street", "7 High Street"], None),
    "what a spreadsheet could not reckon": (["1.5", "#DIV/0!", "2"], [1.5, np.nan, 2]),
    "accounts": (["$(12.00)", "$3.00"], None),
    "in parentheses": (["(12.00)", "3.00"], [-12, 3]),
    "minus of Unicode": (["\u22121.5", "2"], [-1.5, 2]),
    "dashes for nothing": (["1", "-", "2.5", "n.a."], [1, np.nan, 2.5, np.nan]),
    "two currencies": (["$1", "\u20ac2"], None),
    "percent in some": (["12%", "0.12"], None),
    "a word": (["1", "many"], None),
    "versions": (["1.2.3", "1.10.2"], None),
    "telephone": (["079 123 45 67", "044 1 2 3"], None),
    "groups that do not fit": (["1,23", "1,2345.6"], None),
    "only dashes": (["-", "--"], None),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_a_column_is_read_as_numbers_where_it_leaves_no_doubt(case):
    cells, values = SPELLINGS[case]
    spelling = spelling_of(cells, ".")
    if values is None:
        assert spelling is None
        return
    numbers, bad = spelling.numbers(arrays.texts(cells))
    assert not any(bad.to_pylist())
    assert np.array_equal(arrays.to_floats(numbers), np.array(values, float), equal_nan=True)


def test_a_cell_that_is_written_otherwise_is_bad():
    spelling = spelling_of(["$1,234.5", "$7"], ".")
    _, bad = spelling.numbers(arrays.texts(["$12", "\u20ac12", "1,23", "12", "-", "x"]))
    assert bad.to_pylist() == [False, True, True, False, False, True]


def read(folder, text, **options):
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_table([folder / "t.csv"], **options)


def test_amounts_in_a_file_are_read_and_said(tmp_path):
    reader = read(tmp_path, 'a,b,c\n"$1,234",12%,5\n$7,8%,-\n$9,7%,6\n')
    assert reader.read().to_pydict() == {"a": [1234, 7, 9], "b": [12, 8, 7], "c": [5, None, 6]}
    assert reader.notes == (
        "read as numbers: a ('$1,234' is 1234), b ('12%' is 12)",
        "read as empty cells: '-' in c",
    )


def test_numbers_of_a_later_block_may_have_thousands_and_dashes_but_no_unit(tmp_path):
    plain = "a,b\n" + "1,2\n" * 300_000
    reader = read(tmp_path, plain + '"1,234",-\n')
    last = reader.read().slice(300_000).to_pylist()
    assert last == [{"a": 1234, "b": None}]
    assert reader.notes[-1] == "read as empty cells: '-' in b"
    with pytest.raises(Exception, match=r"line 300,002 of .*: column 'a' is '12%', and not all"):
        read(tmp_path, plain + "12%,1\n").read()


def test_german_thousands_in_a_file_with_decimal_commas(tmp_path):
    table = read(tmp_path, "a;b\n1.234;0,5\n12.345;1,25\n").read()
    assert table.to_pydict() == {"a": [1234, 12345], "b": [0.5, 1.25]}


def test_whole_numbers_with_leading_zeros_or_too_many_digits_are_codes(tmp_path):
    table = read(
        tmp_path, "zip,card,n\n01234,9007199254740993,0\n99999,9007199254740992,10\n"
    ).read()
    assert table["zip"].to_pylist() == ["01234", "99999"]
    assert table["card"].to_pylist() == ["9007199254740993", "9007199254740992"]
    assert table["n"].to_pylist() == [0, 10]
