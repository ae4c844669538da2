"""Dates and times as text: in which of the usual orders a column has them, and what they are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "januar", "january"),
            ("feb", "februar", "february"),
            ("mar", "mär", "maerz", "märz", "march"),
            ("apr", "april"),
            ("may", "mai"),
            ("jun", "juni", "june"),
            ("jul", "juli", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "okt", "october", "oktober"),
            ("nov", "november"),
            ("dec", "dez", "december", "dezember"),
        ),
        start=1,
    )
    for name in names
}

_TIME = (
    r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<half>[AaPp][Mm])?\s*(?P<zone>Z|UTC|[+-]\d\d:?\d\d|[+-]\d\d)?)?"
)
_YEAR, _TWO = r"(?P<year>\d{4})", r"(?P<year>\d{2}|\d{4})"
_MONTH, _DAY = r"(?P<month>\d{1,2})", r"(?P<day>\d{1,2})"
_NAME = r"(?P<month>[A-Za-zäÄ]{3,9})\.?"

# The first order that all cells of a column fit is taken: 3/4/2024 is the third of April where a
# 13 in the first place tells so, else March the fourth.
_ORDERS = {
    "year-month-day": f"{_YEAR}([-/.]){_MONTH}\\2{_DAY}",
    "yyyymmdd": r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)",
    "day.month.year": f"{_DAY}\\.{_MONTH}\\.{_TWO}",
    "month/day/year": f"{_MONTH}([-/]){_DAY}\\2{_TWO}",
    "day/month/year": f"{_DAY}([-/]){_MONTH}\\2{_TWO}",
    "day month-name year": f"{_DAY}\\.?[- ]{_NAME}[- ,]+{_TWO}",
    "month-name day year": f"{_NAME} {_DAY},? {_YEAR}",
    "year-month": f"{_YEAR}-(?P<month>0[1-9]|1[0-2])",
}
ORDERS = {name: re.compile(pattern + _TIME) for name, pattern in _ORDERS.items()}


@dataclass(frozen=True)
class DateOrder:
    """How the dates of a column are written: the name of one of the orders."""

    name: str

    def moment(self, text: str) -> datetime | None:
        """The moment that a cell tells, in UTC where it tells a zone; None where it is no date."""
        found = ORDERS[self.name].fullmatch(text.strip())
        if found is None:
            return None
        parts = found.groupdict()
        month = parts["month"]
        year, hour = int(parts["year"]), int(parts["hour"] or 0)
        if year < 100:  # as strptime has it
            year += 1900 if year >= 69 else 2000
        if parts["half"]:
            hour = hour % 12 + 12 * (parts["half"].lower() == "pm")
        try:
            moment = datetime(
                year,
                int(month) if month.isdigit() else MONTHS[month.lower()],
                int(parts.get("day") or 1),
                hour,
                int(parts["minute"] or 0),
                int(parts["second"] or 0),
                int((parts["fraction"] or "0")[:6].ljust(6, "0")),
                UTC,
            )
        except (KeyError, ValueError):
            return None
        return moment - _offset(parts["zone"])


def date_order(values: Sequence[str]) -> DateOrder | None:
    """The order that all these cells fit, None where there is none."""
    for name in ORDERS:
        order = DateOrder(name)
        if values and all(order.moment(value) for value in values):
            return order
    return None


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z", "UTC"):
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if zone[0] == "-" else size
