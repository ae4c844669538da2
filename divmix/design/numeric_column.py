"""Number columns in the design matrix: logarithm, centre and scale."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from pyarrow import types

from divmix.design import statistics
from divmix.design.row_names import Locate
from divmix.errors import InputError
from divmix.tables import arrays
from divmix.tables.schema import is_number, is_text

# Squares of larger values do not fit a float64, and so neither does their variance.
LARGEST = 1e150
# A spread that small counts as none: what is divided by it has lost its digits.
SMALLEST = 1e-300

# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.3489795003921634

# An exponential distribution has skewness 2: beyond it a tail counts as heavy.
HEAVY_TAIL = 2.0


@dataclass(frozen=True)
class NumericColumn:
    """z = (x - center) / scale, or z = (log(1 + x) - center) / scale for a logged column.

    `fill` is the z of a missing value: that of the column's mean.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    center: float
    scale: float
    fill: float
    minimum: float
    maximum: float
    log: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def is_constant(self) -> bool:
        return self.minimum == self.maximum

    @classmethod
    def learn(
        cls,
        name: str,
        column: pa.Array,
        weights: np.ndarray,
        row_name: Locate,
        *,
        scaling: str,
        log: bool | str,
    ) -> Self:
        """Learn from the rows of positive weight. `log` is True, False or 'auto'.

        Auto takes the logarithm of a column without negative values whose skewness is above 2,
        where log(1 + x) at least halves it.
        """
        everything = numbers(name, column, row_name)
        present = (weights > 0) & ~np.isnan(everything)
        values, weights = everything[present], weights[present]
        if not len(values):
            raise InputError(f"column '{name}' is empty in every row", hint=f"use --exclude {name}")
        _refuse_infinite(name, everything, row_name)
        if log == "auto":
            log = _log_pays(values, weights)
        _refuse_out_of_range(name, everything, row_name, log=bool(log))
        lowest, highest = float(values.min()), float(values.max())
        if log:
            values = np.log1p(values)
        if lowest == highest:
            average = float(values[0])
            center, scale = (0.0 if scaling == "pixels" else average), 1.0
        else:
            average = statistics.mean(values, weights)
            center, scale = _center_and_scale(values, weights, average, scaling)
            if scale < SMALLEST:
                scale = 1.0
        # Quartiles may lie close together far from the mean.
        fill = min(max((average - center) / scale, -LARGEST), LARGEST)
        return cls(name, center, scale, fill, lowest, highest, bool(log))

    def encode(self, column: pa.Array, out: np.ndarray, row_name: Locate) -> np.ndarray | None:
        """Fill `out` (n, 1); returns (n,) bool where values are missing, or None where none is."""
        values = numbers(self.name, column, row_name)
        _refuse_infinite(self.name, values, row_name)
        _refuse_out_of_range(self.name, values, row_name, log=self.log)
        missing = np.isnan(values)
        z = np.log1p(values) if self.log else values
        # A value can lie so many scales away that z, or its square, would overflow.
        with np.errstate(over="ignore"):
            z = (z - self.center) / self.scale
        np.clip(z, -LARGEST, LARGEST, out=z)
        if not missing.any():
            out[:, 0] = z
            return None
        out[:, 0] = np.where(missing, self.fill, z)
        return missing

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, 1) features to the column they stand for."""
        return arrays.floats(self._to_own_units(encoded[:, 0]))

    def unseen(self, encoded: np.ndarray) -> np.ndarray:
        """(n,) bool: rows of (n, 1) features that differ from a constant column's one value."""
        return encoded[:, 0] != 0 if self.is_constant else np.zeros(len(encoded), np.bool_)

    def log_jacobian(self, encoded: np.ndarray) -> np.ndarray | float:
        """log |dz/dx| of each row of (n, 1) features, in nats."""
        if self.log:
            return -math.log(self.scale) - (encoded[:, 0] * self.scale + self.center)
        return -math.log(self.scale)

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in own units of components with these (m, 1) moments.

        For a logged column the first is the median of the values it stands for, the second
        follows from it by the delta rule.
        """
        location = self._to_own_units(means)
        spread = np.sqrt(variances) * self.scale
        # The exponential of a component far off a logged column is held within a float64.
        return location, np.minimum(spread, LARGEST) * (1 + location) if self.log else spread

    def _to_own_units(self, z: np.ndarray) -> np.ndarray:
        values = z * self.scale + self.center
        return np.expm1(np.minimum(values, math.log(LARGEST))) if self.log else values


def _refuse_infinite(name: str, values: np.ndarray, row_name: Locate) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            f"{row_name(int(np.argmax(infinite)))}: column '{name}' is infinite",
            hint=f"correct the value, or use --exclude {name}",
            fix={"exclude": (name,)},
        )


def _refuse_out_of_range(name: str, values: np.ndarray, row_name: Locate, *, log: bool) -> None:
    """Refuse what has no logarithm, or without one values whose square overflows."""
    # NaN, a missing value, compares as False.
    outside = values <= -1 if log else np.abs(values) > LARGEST
    if not outside.any():
        return
    row = int(np.argmax(outside))
    found = f"{row_name(row)}: column '{name}' is {values[row]:g}"
    if log:
        raise InputError(
            f"{found}, where log(1 + x) is not defined", hint=f"leave {name} out of --log"
        )
    raise InputError(
        f"{found}, whose square is more than a number can hold",
        hint=f"use --log {name} or --exclude {name}",
        fix={"exclude": (name,)},
    )


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


def _log_pays(values: np.ndarray, weights: np.ndarray) -> bool:
    if values.min() < 0:
        return False
    before = statistics.skewness(values, weights, statistics.mean(values, weights))
    if before <= HEAVY_TAIL:
        return False
    logged = np.log1p(values)
    after = statistics.skewness(logged, weights, statistics.mean(logged, weights))
    return abs(after) <= before / 2


def _center_and_scale(
    values: np.ndarray, weights: np.ndarray, average: float, scaling: str
) -> tuple[float, float]:
    if scaling == "pixels":
        return 0.0, 1.0
    if scaling == "none":
        return average, 1.0
    if scaling == "minmax":
        return average, float(values.max() - values.min())
    if scaling == "robust":
        lower, median, upper = statistics.quantiles(values, weights, (0.25, 0.5, 0.75))
        # More than half of the rows can share one value: then quartiles say nothing of the spread.
        if upper > lower:
            return median, (upper - lower) / NORMAL_IQR
    # What varies less than the column can tell is rounding: a pixel that is 1 in two rows of a
    # thousand would stand forty deviations out.
    spread = statistics.standard_deviation(values, weights, average)
    return average, max(spread, statistics.resolution(values))
