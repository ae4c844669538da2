"""What a fit says of columns of numbers: those that a float64 rounds, as identifiers are, those in
which one value stands for itself, as a 0 for nothing among amounts does, and those with a value far from
all others."""

from collections.abc import Iterable

import numpy as np

from divmix.design.cells import Batch, column_of
from divmix.design.columns import TableColumn
from divmix.design.learning import sampled
from divmix.design.numeric_column import NumericColumn
from divmix.design.roles import EXACT
from divmix.settings import TableSettings, in_shell
from divmix.tables import arrays

LONGEST = 2.0**128  # more than that numbers nothing: it is a quantity
# A value stands for itself where a column has more values than a scale or a code has, and this one so
# much of the rows, and so many times as many as the value that comes next.
MANY_VALUES, LEAST_SHARE, TIMES = 20, 0.1, 4
FAR = 20  # times the width of the middle 98 % of the rows, of a value that lies so far beyond them
TOLD = 5  # columns by name


def notes_on_numbers(
    table: Batch, columns: Iterable[TableColumn], settings: TableSettings
) -> list[str]:
    """Which columns hold such numbers, in sentences; `columns` are those of the table in a fit.

    An encoder has its own use of a value that comes often, as the ground of a picture.
    """
    rows = sampled(table)
    of_number = {
        column: arrays.to_floats(column_of(rows, column.name))
        for column in columns
        if isinstance(column, NumericColumn)
    }
    known = {column: values[~np.isnan(values)] for column, values in of_number.items()}
    notes = _on_rounding(known)
    notes += _on_far_values(known)
    return notes if settings.encoder else [*notes, *_on_point_masses(known)]


def _on_rounding(known: dict[NumericColumn, np.ndarray]) -> list[str]:
    notes = []
    for column, values in known.items():
        largest = max(abs(column.minimum), abs(column.maximum))
        if EXACT < largest < LONGEST and (values % 1 == 0).all():
            notes.append(
                f"column '{column.name}' has whole numbers beyond {EXACT:,}, which are "
                f"rounded: --exclude {in_shell(column.name)} if it is an identifier"
            )
    return notes


def _on_far_values(known: dict[NumericColumn, np.ndarray]) -> list[str]:
    """Of columns without a logarithm: a wrong value there hides all that the others differ in."""
    found = {
        column: far_value(column, values) for column, values in known.items() if not column.log
    }
    told = [
        f"{column.name} {far[0]:.15g} (98% are {far[1]:.3g} to {far[2]:.3g})"
        for column, far in found.items()
        if far
    ]
    if not told:
        return []
    return [
        f"far from all others: {', '.join(told[:TOLD])}{_more(told)}: beside such a value the others of its column "
        "are alike; correct it, empty it and use --missing model, or use --log for a long tail"
    ]


def _on_point_masses(known: dict[NumericColumn, np.ndarray]) -> list[str]:
    found = {column.name: point_mass(values) for column, values in known.items()}
    told = [f"{name} is {mass[0]:g} in {mass[1]:.0%}" for name, mass in found.items() if mass]
    if not told:
        return []
    return [
        f"{', '.join(told[:TOLD])} of the rows{_more(told)}: such rows may be clusters by that alone; where "
        "the value stands for nothing known, empty these cells and use --missing model"
    ]


def _more(told: list[str]) -> str:
    return f", and {len(told) - TOLD} more likewise" if len(told) > TOLD else ""


def far_value(column: NumericColumn, values: np.ndarray) -> tuple[float, float, float] | None:
    """The end of a column that lies far from all values (n,) of it, with nothing on the way, and the ends of
    their middle 98 %; None where none does."""
    if not len(values):
        return None
    low, high = np.quantile(values, (0.01, 0.99))
    reach = FAR * (high - low)
    for end, beyond in ((column.maximum, values - high), (column.minimum, low - values)):
        farthest = max(end - high, low - end)
        if 0 < reach < farthest:
            nearer = beyond[beyond <= reach].max(initial=0.0)
            farther = beyond[beyond > reach].min(initial=farthest)
            if farther - nearer > reach / 2:
                return end, low, high
    return None


def point_mass(values: np.ndarray) -> tuple[float, float] | None:
    """The value of a column (n,) that stands for itself, and its share of the rows; None where
    none does."""
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= MANY_VALUES:
        return None
    second, first = np.sort(counts)[-2:]
    if first < max(LEAST_SHARE * len(values), TIMES * second):
        return None
    return float(found[counts.argmax()]), float(first / len(values))
