"""What a column of numbers tells before it is scaled, gathered batch by batch.

Batches are summed one by one and merged in their order, so that a table in memory and one that is read
in batches have the same bits. Sums are NumPy's pairwise ones, so no result depends on the number of
threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESOLVED = 10_000  # values that tell how finely a column is written


class Moments(NamedTuple):
    """Sums over weighted values w, x that can be merged (Pebay 2008, eq. 1.3).

    weight      sum of w
    mean        of x
    unit        that no square overflows in: the largest |x - mean|, of a merge no less
    second      sum of w ((x - mean) / unit)^2
    third       sum of w ((x - mean) / unit)^3
    """

    weight: float
    mean: float
    unit: float
    second: float
    third: float

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray) -> Moments:
        """Of values (n,), n >= 1, and weights (n,) above 0."""
        low, high, weight = values.min(), values.max(), weights.sum()
        middle = low / 2 + high / 2  # about which no digits are lost
        work = np.subtract(values, middle)
        average = middle + np.multiply(work, weights, out=work).sum() / weight
        residuals = np.subtract(values, average, out=work)
        unit = float(max(high - average, average - low))
        if unit > 0:
            residuals /= unit
        squares = np.square(residuals)
        squares *= weights
        second = float(squares.sum())
        third = float(np.multiply(squares, residuals, out=squares).sum())
        return cls(float(weight), float(average), unit, second, third)

    def merged(self, other: Moments) -> Moments:
        """Of the values of both."""
        weight = self.weight + other.weight
        gap = other.mean - self.mean
        unit = max(self.unit, other.unit, abs(gap))
        if unit == 0:
            return Moments(weight, self.mean, 0.0, 0.0, 0.0)
        a, b, g = self.unit / unit, other.unit / unit, gap / unit
        own, theirs = self.second * a**2, other.second * b**2
        between = self.weight * (other.weight / weight)
        third = (
            self.third * a**3
            + other.third * b**3
            + g**3 * between * ((self.weight - other.weight) / weight)
            + 3 * g * (self.weight * theirs - other.weight * own) / weight
        )
        mean = self.mean + gap * (other.weight / weight)
        return Moments(weight, mean, unit, own + theirs + g**2 * between, third)

    @property
    def standard_deviation(self) -> float:
        """Root of the weighted mean square about the mean."""
        return float(self.unit * np.sqrt(self.second / self.weight))

    @property
    def skewness(self) -> float:
        """Third standardised moment about the mean; 0 for a constant column."""
        variance = self.second / self.weight
        return float(self.third / self.weight / variance**1.5) if variance > 0 else 0.0


class Spaced:
    """Values at even distances among all of a column: from RESOLVED to twice as many of a long one."""

    def __init__(self) -> None:
        self._values = np.empty(0)
        self._stride, self._seen = 1, 0

    def update(self, values: np.ndarray) -> None:
        """The values (n,) that come next."""
        more = values[-self._seen % self._stride :: self._stride]
        self._seen += len(values)
        self._values = np.concatenate([self._values, more])
        while len(self._values) > 2 * RESOLVED:
            self._values = self._values[::2]
            self._stride *= 2

    def resolution(self, *, log: bool) -> float:
        """Least difference of two of the values or of their log(1 + x), 0 where all are equal."""
        some = np.unique(np.log1p(self._values) if log else self._values)
        return float(np.diff(some).min()) if len(some) > 1 else 0.0


class NumberSummary:
    """Moments, range and resolution of a column of numbers, NaN where it is empty.

    moments and logged are those of x and of log(1 + x); None without a value, and logged also where
    a logarithm is not wanted, or not defined. lowest, highest : the range of x.
    """

    def __init__(self, *, log: bool) -> None:
        self.moments: Moments | None = None
        self.logged: Moments | None = None
        self.lowest, self.highest = np.inf, -np.inf
        self._log, self._spaced = log, Spaced()

    def resolution(self, *, log: bool) -> float:
        """Least difference of two of the values looked at or of their log(1 + x), 0 where all are
        equal."""
        return self._spaced.resolution(log=log)

    def update(self, values: np.ndarray, weights: np.ndarray) -> None:
        """The values (n,) that come next, of weights (n,) above 0; none is NaN."""
        if not len(values):
            return
        low, high = float(values.min()), float(values.max())
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self._spaced.update(values)
        with np.errstate(all="ignore"):  # values beyond all use are refused by name later
            self.moments = _merged(self.moments, Moments.of(values, weights))
            if not self._log or self.lowest <= -1:
                self.logged = None
            else:
                self.logged = _merged(self.logged, Moments.of(np.log1p(values), weights))


def _merged(first: Moments | None, then: Moments) -> Moments:
    return then if first is None else first.merged(then)
