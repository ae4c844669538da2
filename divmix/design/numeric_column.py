"""Number columns in the design matrix: logarithm, centre, scale and power."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pyarrow import types

from divmix.design import powers, statistics
from divmix.design.number_summary import Moments, NumberSummary
from divmix.design.row_names import Locate, row_name
from divmix.errors import InputError
from divmix.settings import in_shell
from divmix.tables import arrays
from divmix.tables.schema import is_number, is_text

# Squares of larger values do not fit a float64, and so neither does their variance.
LARGEST = 1e150
# A spread that small counts as none: what is divided by it has lost its digits.
SMALLEST = 1e-300

# What log(1 + x) is taken of in place of a value at or below -1: the least number that has one. Its
# logarithm is -36.7, that of the next number -36.0.
LEAST_LOGGED = float(np.nextafter(-1.0, 0.0))
NO_LOGARITHM = math.log1p(LEAST_LOGGED) + 0.1  # logarithms below it are of no other value

# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.3489795003921634

# An exponential distribution has skewness 2: beyond it a tail counts as heavy.
HEAVY_TAIL = 2.0


@dataclass(frozen=True)
class NumericColumn:
    """z = (x - center) / scale, or z = (log(1 + x) - center) / scale for a logged column; with a
    `power` other than 1, that of it (`powers.yeo_johnson`).

    `fill` is the z of a missing value: that of the column's mean or median.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    center: float
    scale: float
    fill: float
    minimum: float
    maximum: float
    log: bool = False
    power: float = 1.0

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def is_constant(self) -> bool:
        return self.minimum == self.maximum

    def encode(
        self, column: pa.Array, out: np.ndarray, row_name: Locate, unknown: str = "error"
    ) -> np.ndarray | None:
        """Fill `out` (n, 1); returns (n,) bool where values are missing, or None where none is.

        In a logged column a value at or below -1 is an InputError, or with `unknown="ignore"` taken
        as the least that has a logarithm, the end of the column.
        """
        if self._filled(column, out):
            return None
        values = numbers(self.name, column, row_name)
        _refuse_infinite(self.name, values, row_name)
        if self.log:
            if unknown == "error":
                _refuse_no_logarithm(
                    self.name, values, row_name, "use --unknown ignore to take it as just above -1"
                )
            values = np.maximum(values, LEAST_LOGGED)
        elif far := _found_far(self.name, values, row_name):
            raise _too_far(self.name, far)
        missing = np.isnan(values)
        z = np.log1p(values) if self.log else values
        # A value can lie so many scales away that z, or its square, would overflow.
        with np.errstate(over="ignore"):
            z = (z - self.center) / self.scale
            if self.power != 1:
                z = powers.yeo_johnson(z, self.power)
        np.clip(z, -LARGEST, LARGEST, out=z)
        if not missing.any():
            out[:, 0] = z
            return None
        out[:, 0] = np.where(missing, self.fill, z)
        return missing

    def _filled(self, column: pa.Array, out: np.ndarray) -> bool:
        """Whether `out` (n, 1) is filled at once: where every value is there and within all bounds."""
        values = None if self.log or self.power != 1 else arrays.as_stored(column)
        if values is None or not len(values):
            return False
        ends = np.array([values.min(), values.max()], np.float64)
        reach = np.abs(ends).max()
        if not reach <= LARGEST or (reach + abs(self.center)) / LARGEST > self.scale:
            return False  # NaN and infinity among them
        apart = np.subtract(values, self.center, dtype=np.float64)
        np.divide(apart, self.scale, out=out[:, 0])
        return True

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, 1) features to the column they stand for."""
        return arrays.floats(self._to_own_units(encoded[:, 0]))

    def unseen(self, encoded: np.ndarray) -> np.ndarray:
        """(n,) bool: rows of (n, 1) features that differ from a constant column's one value, or
        stand for what has no logarithm."""
        if self.is_constant:
            return encoded[:, 0] != 0
        if self.log:
            return self._without_power(encoded[:, 0]) < NO_LOGARITHM
        return np.zeros(len(encoded), np.bool_)

    def log_jacobian(self, encoded: np.ndarray) -> np.ndarray | float:
        """log |dz/dx| of each row of (n, 1) features, in nats."""
        own: np.ndarray | float = -math.log(self.scale)
        if self.power != 1:
            own = own + powers.log_slope(powers.inverse(encoded[:, 0], self.power), self.power)
        return own - self._without_power(encoded[:, 0]) if self.log else own

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in own units of components with these (m, 1) moments.

        For a logged column, and one with a power, the first is the median of the values it stands
        for, the second follows from it by the delta rule.
        """
        location = self._to_own_units(means)
        spread = np.sqrt(variances) * self.scale
        if self.power != 1:
            slopes = powers.log_slope(powers.inverse(means, self.power), self.power)
            spread *= np.exp(-slopes)
        # The exponential of a component far off a logged column is held within a float64.
        return location, np.minimum(spread, LARGEST) * (1 + location) if self.log else spread

    def _to_own_units(self, z: np.ndarray) -> np.ndarray:
        values = self._without_power(z)
        return np.expm1(np.minimum(values, math.log(LARGEST))) if self.log else values

    def _without_power(self, z: np.ndarray) -> np.ndarray:
        """x, or log(1 + x) of a logged column."""
        u = z if self.power == 1 else powers.inverse(z, self.power)
        return u * self.scale + self.center


def _refuse_infinite(name: str, values: np.ndarray, row_name: Locate) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            f"{row_name(int(np.argmax(infinite)))}: column '{name}' is infinite",
            hint=f"correct the value, or use --exclude {in_shell(name)}",
            fix={"exclude": (name,)},
        )


def _refuse_no_logarithm(name: str, values: np.ndarray, row_name: Locate, hint: str) -> None:
    if found := _first(name, values, values <= -1, row_name):
        raise InputError(f"{found}, where log(1 + x) is not defined", hint=hint)


def _found_far(name: str, values: np.ndarray, row_name: Locate) -> str:
    """Names the first value whose square overflows, "" where there is none."""
    return _first(name, values, np.abs(values) > LARGEST, row_name)


def _too_far(name: str, found: str) -> InputError:
    return InputError(
        f"{found}, whose square is more than a number can hold",
        hint=f"use --log {in_shell(name)} or --exclude {in_shell(name)}",
        fix={"exclude": (name,)},
    )


def _first(name: str, values: np.ndarray, marked: np.ndarray, row_name: Locate) -> str:
    """Names the first of the `marked` rows; NaN, a missing value, compares as False."""
    if not marked.any():
        return ""
    row = int(np.argmax(marked))
    return f"{row_name(row)}: column '{name}' is {values[row]:g}"


def numbers(name: str, column: pa.Array, row_name: Locate) -> np.ndarray:
    """The column as (n,) float64, NaN where it is empty. InputError where it is no such column."""
    kind = column.type
    if is_number(kind) or types.is_boolean(kind) or types.is_null(kind):
        return arrays.to_floats(column)
    value = ""
    row = int(np.argmin(arrays.is_empty(column))) if len(column) else 0
    if is_text(kind) and len(column):
        value = f" ('{column[row].as_py()}')"
    raise InputError(
        f"{row_name(row)}: column '{name}' is {'text' if is_text(kind) else kind}"
        f"{value} where numbers are needed",
        hint="correct the table, or use a model fitted on such a column",
    )


class NumberLearner:
    """Learns a NumericColumn from batches of rows of positive weight. `log` is True, False or "auto";
    `median` whether a missing value takes the median, else the mean.

    Auto takes the logarithm of a column without negative values whose skewness is above 2, where
    log(1 + x) at least halves it.
    """

    def __init__(self, name: str, scaling: str, log: bool | str, median: bool = False) -> None:
        self._name, self._scaling, self._log, self._median = name, scaling, log, median
        self._summary = NumberSummary(log=bool(log))
        self._far = ""  # what names the first value that needs a logarithm

    def update(self, column: pa.Array, weights: np.ndarray, row_name: Locate) -> None:
        """The rows that come next, of weights (n,) from 0. Raises InputError."""
        everything = numbers(self._name, column, row_name)
        present = weights > 0
        if not self._is_usual(everything):
            _refuse_infinite(self._name, everything, row_name)
            if self._log is True:
                _refuse_no_logarithm(
                    self._name, everything, row_name, f"leave {self._name} out of --log"
                )
            if not self._far:
                self._far = _found_far(self._name, everything, row_name)
            present &= ~np.isnan(everything)
        if present.all():
            self._summary.update(everything, weights)
        else:
            self._summary.update(everything[present], weights[present])

    def _is_usual(self, values: np.ndarray) -> bool:
        """Whether every value (n,) is there and within all bounds, by its ends alone."""
        least = -1.0 if self._log is True else -LARGEST
        return not len(values) or bool(values.min() > least and values.max() <= LARGEST)

    def learned(self, sample: pa.Array, weights: np.ndarray) -> NumericColumn:
        """The column; `sample` has its values in rows that stand for all, of weights (n,), for
        quantiles. Raises InputError."""
        found, name = self._summary, self._name
        if found.moments is None:
            raise InputError(
                f"column '{name}' is empty in every row", hint=f"use --exclude {in_shell(name)}"
            )
        log = self._log is True or (self._log == "auto" and _log_pays(found))
        if self._far and not log:
            raise _too_far(name, self._far)
        moments = found.logged if log else found.moments
        assert moments is not None
        average, scale = moments.mean, 1.0
        if found.lowest == found.highest:
            average = math.log1p(found.lowest) if log else found.lowest
            center = 0.0 if self._scaling == "pixels" else average
        else:
            center, scale = self._center_and_scale(moments, log, sample, weights)
            if scale < SMALLEST:
                scale = 1.0
        usual = average
        if self._median:
            values = self._values(sample, weights, log)
            usual = statistics.quantiles(*values, (0.5,))[0] if len(values[0]) else average
        # Quartiles may lie close together far from the mean.
        fill = min(max((usual - center) / scale, -LARGEST), LARGEST)
        return NumericColumn(name, center, scale, fill, found.lowest, found.highest, log)

    def _values(
        self, sample: pa.Array, weights: np.ndarray, log: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values of the sample that are there and count, or their logarithms, and their weights."""
        values = numbers(self._name, sample, row_name)
        present = (weights > 0) & ~np.isnan(values)
        return np.log1p(values[present]) if log else values[present], weights[present]

    def _center_and_scale(
        self, moments: Moments, log: bool, sample: pa.Array, weights: np.ndarray
    ) -> tuple[float, float]:
        found, average = self._summary, moments.mean
        if self._scaling == "pixels":
            return 0.0, 1.0
        if self._scaling == "none":
            return average, 1.0
        if self._scaling == "minmax":
            ends = (found.lowest, found.highest)
            low, high = map(math.log1p, ends) if log else ends
            return average, high - low
        if self._scaling == "robust":
            values, of_values = self._values(sample, weights, log)
            if len(values):
                shares = (0.25, 0.5, 0.75)
                lower, median, upper = statistics.quantiles(values, of_values, shares)
                # More than half of the rows can share one value: then quartiles say nothing of
                # the spread.
                if upper > lower:
                    return median, (upper - lower) / NORMAL_IQR
        # What varies less than the column can tell is rounding: a pixel that is 1 in two rows of
        # a thousand would stand forty deviations out.
        return average, max(moments.standard_deviation, found.resolution(log=log))


def _log_pays(found: NumberSummary) -> bool:
    if found.lowest < 0 or found.moments is None or found.logged is None:
        return False
    before = found.moments.skewness
    return before > HEAVY_TAIL and abs(found.logged.skewness) <= before / 2
