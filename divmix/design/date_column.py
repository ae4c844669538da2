"""Columns of dates in the design matrix: days since 1970, or year, month, day, weekday and hour."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from divmix.design.date_text import DateOrder
from divmix.design.numeric_column import NumberLearner, NumericColumn
from divmix.design.row_names import Locate, row_name
from divmix.errors import InputError
from divmix.settings import in_shell
from divmix.tables import arrays
from divmix.tables.schema import is_number, is_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS_A_DAY = 86_400_000_000
DAYS = "days"  # the one part of --dates numeric
ISO = "year-month-day"

# Each of days since 1970 (n,), as numbers (n,).
_PARTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    DAYS: lambda days: days,
    "year": lambda days: 1970.0 + _months(days) // 12,
    "month": lambda days: 1.0 + _months(days) % 12,
    "day": lambda days: 1 + np.floor(days) - _first_of_month(_months(days)),
    "weekday": lambda days: (np.floor(days) + 3) % 7,  # Monday is 0
    "hour": lambda days: (days - np.floor(days)) * 24,
}


PARTS = tuple(_PARTS)


@dataclass(frozen=True)
class DateColumn:
    """One feature, days since 1970-01-01 UTC, or one a part of the date; each a NumericColumn.

    order : how dates are written where the training table had text; "" for a column of dates.
    times : whether some training row had a time of the day.
    """

    kind: ClassVar[str] = "date"
    name: str
    order: str
    times: bool
    parts: tuple[str, ...]
    columns: tuple[NumericColumn, ...]

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def is_constant(self) -> bool:
        return all(column.is_constant for column in self.columns)

    def encode(self, column: pa.Array, out: np.ndarray, row_name: Locate) -> np.ndarray | None:
        """Fill `out` (n, parts); returns (n,) bool where values are missing, or None."""
        days = _days(self.name, column, self.order, row_name)
        missing = None
        for j, (part, learned) in enumerate(zip(self.parts, self.columns)):
            values = arrays.floats(_PARTS[part](days))
            missing = learned.encode(values, out[:, j : j + 1], row_name)
        return missing

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, parts) features to dates, with a time of the day where the training rows had one."""
        values = [
            arrays.to_floats(column.decode(encoded[:, j : j + 1]))
            for j, column in enumerate(self.columns)
        ]
        found = dict(zip(self.parts, values))
        days = found.get(DAYS)
        if days is None:
            months = (
                np.round(found["year"] - 1970) * 12 + np.clip(np.round(found["month"]), 1, 12) - 1
            )
            length = _first_of_month(months + 1) - _first_of_month(months)
            days = _first_of_month(months) + np.clip(np.round(found["day"]), 1, length) - 1
            days = days + np.clip(found.get("hour", np.zeros(len(days))), 0, 23.999) / 24
        if self.times:
            moments = arrays.integers(np.round(days * 86_400) * 1_000_000)
            return pc.cast(moments, pa.timestamp("us"))
        return pc.cast(pc.cast(arrays.integers(np.round(days)), pa.int32()), pa.date32())

    def unseen(self, encoded: np.ndarray) -> np.ndarray:
        """(n,) bool, false: a date that no training row had is a number like others."""
        return np.zeros(len(encoded), np.bool_)

    def log_jacobian(self, encoded: np.ndarray) -> np.ndarray | float:
        """log |dz/dx| of each row, in nats, over the parts."""
        return sum(column.log_jacobian(encoded) for column in self.columns)

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each part from (m, parts) moments."""
        pairs = [
            column.summary(means[:, j : j + 1], variances[:, j : j + 1])
            for j, column in enumerate(self.columns)
        ]
        return np.hstack([mean for mean, _ in pairs]), np.hstack([spread for _, spread in pairs])


class DateLearner:
    """Learns a DateColumn batch by batch; `in_parts` asks for year, month, day and so on."""

    def __init__(
        self,
        name: str,
        order: DateOrder | None,
        in_parts: bool,
        scaling: str,
        median: bool = False,
    ) -> None:
        self._name, self._order = name, order.name if order else ""
        self._times = False
        wanted = [part for part in PARTS if (part != DAYS) == in_parts]
        self._parts = {
            part: NumberLearner(name if part == DAYS else f"{name}_{part}", scaling, False, median)
            for part in wanted
        }

    def update(self, column: pa.Array, weights: np.ndarray, row_name: Locate) -> None:
        """The rows that come next, of weights (n,) from 0. Raises InputError."""
        days = _days(self._name, column, self._order, row_name)
        self._times = self._times or bool((days[~np.isnan(days)] % 1 != 0).any())
        for part, learner in self._parts.items():
            learner.update(arrays.floats(_PARTS[part](days)), weights, row_name)

    def learned(self, sample: pa.Array, weights: np.ndarray) -> DateColumn:
        """The column; `sample` has dates in rows that stand for all, of weights (n,)."""
        days = _days(self._name, sample, self._order, row_name)
        kept = {p: learner for p, learner in self._parts.items() if p != "hour" or self._times}
        columns = tuple(
            learner.learned(arrays.floats(_PARTS[part](days)), weights)
            for part, learner in kept.items()
        )
        return DateColumn(self._name, self._order, self._times, tuple(kept), columns)


def _months(days: np.ndarray) -> np.ndarray:
    """Months since January 1970 of days since its first; NaN where these are."""
    known = np.where(np.isnan(days), 0, np.floor(days)).astype("datetime64[D]")
    return np.where(np.isnan(days), np.nan, known.astype("datetime64[M]").astype(np.int64))


def _first_of_month(months: np.ndarray) -> np.ndarray:
    """Days since 1970 of the first day of months since January 1970."""
    known = np.where(np.isnan(months), 0, months).astype("datetime64[M]")
    return np.where(np.isnan(months), np.nan, known.astype("datetime64[D]").astype(np.int64))


def _days(name: str, column: pa.Array, order: str, row_name: Locate) -> np.ndarray:
    """A column as days since 1970 (n,) float64, NaN where it is empty.

    Raises InputError that names the row of what is no date in the order of the training table.
    """
    kind = column.type
    if types.is_date(kind) or types.is_timestamp(kind):
        moments = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
        return arrays.to_floats(moments) / MICROSECONDS_A_DAY
    if types.is_null(kind) or column.null_count == len(column):
        return np.full(len(column), np.nan)
    texts = column
    if is_number(kind):  # yyyymmdd
        whole = pc.if_else(pc.is_nan(pc.cast(column, pa.float64())), _NOTHING, column)
        texts = pc.cast(pc.cast(whole, pa.int64(), safe=False), pa.large_string())
    if not is_text(texts.type):
        raise _no_date(name, 0, texts, row_name, order)
    encoded = pc.dictionary_encode(pc.cast(texts, pa.large_string()))
    written = DateOrder(order or ISO)
    moments = [written.moment(text) for text in encoded.dictionary.to_pylist()]
    known = [
        np.nan if moment is None else (moment - EPOCH).total_seconds() / 86_400
        for moment in moments
    ]
    codes = arrays.to_codes(encoded.indices)
    days = np.where(codes < 0, np.nan, np.array([*known, np.nan])[codes])
    strange = np.isnan(days) & (codes >= 0)
    if strange.any():
        raise _no_date(name, int(np.argmax(strange)), texts, row_name, order)
    return days


def _no_date(name: str, row: int, texts: pa.Array, row_name: Locate, order: str) -> InputError:
    return InputError(
        f"{row_name(row)}: column '{name}' is '{texts[row]}', no date as {order or ISO}",
        hint=f"correct it, or use --exclude {in_shell(name)}",
    )


_NOTHING = pa.nulls(1, pa.float64())[0]
