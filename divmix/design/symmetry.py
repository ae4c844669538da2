"""Columns of numbers made symmetric: a power of each, by the middle of its rows.

The power is that of Yeo and Johnson (2000), of the distance from the median in halves of the range from
the lowest to the highest tenth. It is the one nearest to 1 at which the tenths lie as far from the
median as those of a symmetric column may (Hinkley 1975). So rows in the middle decide: how far anomalies
lie does not count, as it would for the skewness.
"""

from dataclasses import replace

import numpy as np

from divmix.design.design import Design
from divmix.design.numeric_column import LARGEST, SMALLEST, NumericColumn
from divmix.design.powers import POWERS, inverse, yeo_johnson
from divmix.design.statistics import quantiles
from divmix.families.coded import AnyMatrix, Coded, M, number_of

TENTHS = (0.1, 0.5, 0.9)
# Two standard errors of the asymmetry of n normal rows, times the root of n: 1.04 is that of
# (low + high - 2 median) / (high - low) by the asymptotic law of quantiles.
STANDARD_ERRORS = 2 * 1.04


def symmetric(design: Design, X: AnyMatrix, row_weights: np.ndarray) -> Design:
    """The design with powers of its columns of numbers, by rows X (n, d) of weights (n,).

    Columns whose tenths lie together, and those of an embedding, stay as they are.
    """
    if design.is_embedding:
        return design
    used = row_weights > 0
    columns = [
        _of_column(column, number_of(X, block[0])[used], row_weights[used])
        if isinstance(column, NumericColumn)
        else column
        for column, block in zip(design.preprocessing.columns, design.blocks)
    ]
    return Design(replace(design.preprocessing, columns=tuple(columns)))


def _of_column(column: NumericColumn, z: np.ndarray, weights: np.ndarray) -> NumericColumn:
    there = ~np.isnan(z)
    if column.is_constant or not there.any():
        return column
    low, median, high = quantiles(z[there], weights[there], TENTHS)
    unit = (high - low) / 2
    if not low < median < high or unit * column.scale < SMALLEST:
        return column
    power = nearest_power((low - median) / unit, (high - median) / unit, int(there.sum()))
    if power == 1:
        return column
    fill = yeo_johnson(np.array([(column.fill - median) / unit]), power)[0]
    center, scale = column.center + column.scale * median, column.scale * unit
    return replace(column, center=center, scale=scale, fill=float(fill), power=power)


def powers_of(design: Design) -> np.ndarray | None:
    """The powers (d,) of the features of a design; None where none changes anything."""
    powers = np.ones(design.n_features)
    if not design.is_embedding:
        for column, block in zip(design.preprocessing.columns, design.blocks):
            if isinstance(column, NumericColumn):
                powers[block] = column.power
    return powers if (powers != 1).any() else None


def without_powers(X: M, powers: np.ndarray) -> M:
    """Rows X (n, d) in the units of their columns' centres and scales alone."""
    if isinstance(X, Coded):
        return replace(X, numbers=without_powers(X.numbers, powers[X.categories.numeric]))
    plain = X.copy()
    for j in np.flatnonzero(powers != 1):
        plain[:, j] = np.clip(inverse(X[:, j], powers[j]), -LARGEST, LARGEST)
    return plain


def nearest_power(low: float, high: float, rows: int) -> float:
    """The power nearest to 1 that takes the tenths low < 0 < high of so many rows about as far from 0."""
    found = _asymmetry(1.0, low, high)
    allowed = STANDARD_ERRORS / np.sqrt(rows)
    if abs(found) <= allowed:
        return 1.0
    end, allowed = (POWERS[0], allowed) if found > 0 else (POWERS[1], -allowed)
    too_far = _asymmetry(end, low, high) - allowed
    if too_far * found >= 0:
        return end
    from scipy.optimize import brentq  # scipy takes long to import, and most columns need none

    return float(brentq(lambda power: _asymmetry(power, low, high) - allowed, end, 1.0))


def _asymmetry(power: float, low: float, high: float) -> float:
    below, above = yeo_johnson(np.array([low, high]), power)
    return float((above + below) / (above - below))
