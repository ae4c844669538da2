"""Numbers as people write them: $1,234.50, 12 %, 1013 hPa, 1.234,5, (12.00), a minus sign of Unicode.

A column is read as such numbers only where it leaves no doubt: every cell is one, with the same
sign of a currency, of percent or of a unit, or stands for an empty cell.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.tables import arrays

# What stands for an empty cell in a column whose other cells are numbers.
EMPTY = (
    "-",
    "--",
    "---",
    "\u2013",
    "\u2014",
    ".",
    "..",
    "n.a.",
    "N.A.",
    "k.A.",
    "k. A.",
    "<NA>",
    "none",
    "None",
    "NONE",
    "nil",
    "#DIV/0!",
    "#NAME?",
    "#NUM!",
    "#REF!",
    "#VALUE!",
)

_BLANKS = "\u00a0\u2007\u2009\u202f"  # no-break, figure, thin, narrow no-break
_BLANK = f"[ \t{_BLANKS}]"
_MINUS = "\u2212\u2013"  # minus sign, en dash
_CURRENCY = (
    r"US\$|[$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba]"
    r"|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN"
)
_UNIT = "[A-Za-z\u00b0\u00b5\u03bc\u03a9][A-Za-z0-9/\u00b2\u00b3\u00b7]{0,7}"  # that a blank parts from its number
_SIGN = f"[+{_MINUS}-]"
_CELL = re.compile(
    f"(?P<open>\\()?(?P<sign>{_SIGN})?{_BLANK}*(?P<before>{_CURRENCY})?{_BLANK}*(?P<sign2>{_SIGN})?"
    f"(?P<body>[0-9.](?:[0-9.,'\u2019 {_BLANKS}]*[0-9.])?(?:[eE][+-]?[0-9]+)?)"
    f"(?:{_BLANK}*(?P<after>{_CURRENCY}|%)|{_BLANK}+(?P<unit>{_UNIT}))?(?P<close>\\))?"
)
_GROUPINGS = {",": ",", ".": r"\.", " ": f"[ {_BLANKS}]", "'": "['\u2019]"}


@dataclass(frozen=True)
class Spelling:
    """How the numbers of a column are written.

    decimal : the decimal sign. grouping : what parts thousands, "" for nothing. unit : "%", a
    currency or another unit, "" for none. example : a cell that no reader of plain numbers would take, "" for none.
    empty : a cell that stands for nothing, "" where there is none.
    """

    decimal: str = "."
    grouping: str = ""
    unit: str = ""
    example: str = ""
    empty: str = ""

    def told(self) -> str:
        """An example in words: `'$1,234' is 1234`."""
        value = self.numbers(arrays.texts([self.example]))[0][0].as_py()
        return f"'{self.example}' is {value:.15g}"

    def numbers(self, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Text (n,) as float64, and which cells (n,) are neither numbers so written nor empty."""
        cells = pc.utf8_trim(texts, characters=f" \t{_BLANKS}")
        no_value = pc.is_in(cells, value_set=arrays.texts(EMPTY))
        cells = pc.if_else(pc.fill_null(no_value, _FALSE), _NOTHING, cells)
        if self.unit:
            unit = re.escape(self.unit)
            cells = pc.replace_substring_regex(
                cells, f"^([(]?{_SIGN}?){_BLANK}*{unit}{_BLANK}*", r"\1"
            )
            cells = pc.replace_substring_regex(cells, f"{_BLANK}*{unit}([)]?)$", r"\1")
        cells = pc.replace_substring_regex(cells, r"^\((.*)\)$", r"-\1")
        cells = pc.replace_substring_regex(cells, f"^[{_MINUS}]", "-")
        good = pc.match_substring_regex(cells, f"^[+-]?(?:{_body(self.grouping, self.decimal)})$")
        bad = pc.fill_null(pc.invert(good), _FALSE)
        if pc.any(bad).as_py():
            cells = pc.if_else(bad, _NOTHING, cells)
        if self.grouping:
            cells = pc.replace_substring_regex(cells, _GROUPINGS[self.grouping], "")
        cells = pc.utf8_ltrim(pc.replace_substring(cells, self.decimal, "."), characters="+")
        return pc.cast(cells, pa.float64()), bad


def spelling_of(values: Sequence[str], decimal: str) -> Spelling | None:
    """How these cells, none of them empty, are written in a file with this decimal sign.

    None where they are no numbers, or leave a doubt: two currencies, or a percent sign or a unit in
    some cells only. Where several ways fit, `1,234` is read with the file's decimal sign, which makes
    it a thousand in a file that has decimal points.
    """
    cells = [value.strip(f" \t{_BLANKS}") for value in values]
    found = [_CELL.fullmatch(cell) for cell in cells if cell not in EMPTY]
    matches = [match for match in found if match is not None]
    if not matches or len(matches) < len(found) or not all(map(_is_whole, matches)):
        return None
    units = {match["before"] or match["after"] or match["unit"] or "" for match in matches}
    unit = next(iter(units - {""}), "")
    if len(units - {""}) > 1 or ("" in units and not re.fullmatch(f"(?:{_CURRENCY})?", unit)):
        return None
    bodies = {match["body"] for match in matches}
    for sign in (decimal, "," if decimal == "." else "."):
        for grouping in ("", ",", ".", " ", "'"):
            if grouping != sign and all(map(re.compile(_body(grouping, sign)).fullmatch, bodies)):
                odd = (m[0] for m in matches if not _is_plain(m[0], decimal))
                empty = next((cell for cell in cells if cell in EMPTY), "")
                return Spelling(sign, grouping, unit, next(odd, ""), empty)
    return None


def is_some_number(cell: str) -> bool:
    """Whether a cell alone is a number in some way of writing."""
    match = _CELL.fullmatch(cell.strip(f" \t{_BLANKS}"))
    return (
        match is not None
        and not match["unit"]  # one cell alone may be a street and its number
        and _is_whole(match)
        and any(
            re.fullmatch(_body(grouping, sign), match["body"])
            for sign in ".,"
            for grouping in ("", ",", ".", " ", "'")
            if grouping != sign
        )
    )


def _is_whole(match: re.Match) -> bool:
    """One sign, one unit, and both parentheses or none, which stand for a minus sign."""
    return (
        bool(match["open"]) == bool(match["close"])
        and not (match["sign"] and match["sign2"])
        and not (match["open"] and (match["sign"] or match["sign2"]))
        and not (match["before"] and (match["after"] or match["unit"]))
    )


def _is_plain(cell: str, decimal: str) -> bool:
    return re.fullmatch(f"[+-]?(?:{_body('', decimal)})", cell) is not None


def _body(grouping: str, decimal: str) -> str:
    """A pattern of numbers without a sign; thousands are parted everywhere or, if short, nowhere."""
    point = re.escape(decimal)
    exponent = "(?:[eE][+-]?[0-9]+)?"
    plain = f"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+){exponent}"
    if not grouping:
        return plain
    parted = f"[1-9][0-9]{{0,2}}(?:{_GROUPINGS[grouping]}[0-9]{{3}})+(?:{point}[0-9]*)?"
    return f"{parted}|{plain}"


_FALSE = arrays.booleans(np.zeros(1))[0]
_NOTHING = pa.nulls(1, pa.large_string())[0]
