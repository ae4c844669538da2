"""What each kind of column becomes in the design matrix: learned once, applied row by row.

A column's `encode` fills its features of the design matrix and says where values are missing;
`decode` is the way back. Features are always centred, because moments far from the origin lose
digits. Everything is elementwise, so a batch gets the same bits as the whole table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from divmix.errors import InputError
from divmix.tables import arrays, statistics
from divmix.tables.schema import is_number, is_text

RowName = Callable[[int], str]
"""Names a row of the batch in an error: 17 -> 'data.csv row 18'."""

# Squares of larger values do not fit a float64, and so neither does their variance.
LARGEST = 1e150

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
    def learn(cls, name: str, column: pa.Array, weights: np.ndarray, row_name: RowName, *,
              scaling: str, log: bool | str) -> Self:
        """Learn from the rows of positive weight. `log` is True, False or 'auto'.

        Auto takes the logarithm of a column without negative values whose skewness is above 2,
        where log(1 + x) at least halves it.
        """
        values = _numbers(name, column, row_name)
        present = (weights > 0) & ~np.isnan(values)
        values, weights = values[present], weights[present]
        if not len(values):
            raise InputError(f"column '{name}' is empty in every row",
                             hint=f"use --exclude {name}")
        if log == "auto":
            log = _log_pays(values, weights)
        lowest, highest = float(values.min()), float(values.max())
        if log and lowest > -1:
            values = np.log1p(values)
        average = statistics.mean(values, weights)
        if lowest == highest:
            center, scale = float(values[0]), 1.0
            average = center
        else:
            center, scale = _center_and_scale(values, weights, average, scaling)
        learned = cls(name, center, scale, (average - center) / scale, lowest, highest, bool(log))
        learned._check_range(_numbers(name, column, row_name), row_name)
        return learned

    def encode(self, column: pa.Array, out: np.ndarray, row_name: RowName) -> np.ndarray | None:
        """Fill `out` (n, 1); returns (n,) bool where values are missing, or None where none is."""
        values = _numbers(self.name, column, row_name)
        self._check_range(values, row_name)
        missing = np.isnan(values)
        z = np.log1p(values) if self.log else values
        z = (z - self.center) / self.scale
        # A value can lie so many scales away that the square of z would overflow.
        np.clip(z, -LARGEST, LARGEST, out=z)
        if not missing.any():
            out[:, 0] = z
            return None
        out[:, 0] = np.where(missing, self.fill, z)
        return missing

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, 1) features to the column they stand for."""
        return arrays.floats(self._to_own_units(encoded[:, 0]))

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
        return location, spread * (1 + location) if self.log else spread

    def _to_own_units(self, z: np.ndarray) -> np.ndarray:
        values = z * self.scale + self.center
        return np.expm1(values) if self.log else values

    def _check_range(self, values: np.ndarray, row_name: RowName) -> None:
        # fmin and fmax pass over NaN, which stands for missing.
        lowest = np.fmin.reduce(values, initial=np.inf)
        highest = np.fmax.reduce(values, initial=-np.inf)
        if highest == np.inf or (lowest == -np.inf and len(values)):
            row = int(np.argmax(np.isinf(values)))
            raise InputError(f"{row_name(row)}: column '{self.name}' is infinite",
                             hint=f"correct the value, or use --exclude {self.name}")
        if self.log and lowest <= -1:
            row = int(np.argmax(values <= -1))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is {values[row]:g}, "
                "which has no logarithm of 1 + x",
                hint=f"leave {self.name} out of --log")
        if not self.log and max(highest, -lowest) > LARGEST:
            row = int(np.argmax(np.abs(np.nan_to_num(values)) > LARGEST))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is {values[row]:g}, "
                "whose square is more than a number can hold",
                hint=f"use --log {self.name} or --exclude {self.name}")


@dataclass(frozen=True)
class BooleanColumn:
    """z = x - share, x being 0 or 1; not scaled. A missing value takes the likelier of the two."""

    kind: ClassVar[str] = "boolean"
    name: str
    share: float

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def is_constant(self) -> bool:
        return self.share in (0.0, 1.0)

    @classmethod
    def learn(cls, name: str, column: pa.Array, weights: np.ndarray, row_name: RowName) -> Self:
        """Learn the share of true values among the rows of positive weight."""
        values = _numbers(name, column, row_name)
        present = (weights > 0) & ~np.isnan(values)
        if not present.any():
            raise InputError(f"column '{name}' is empty in every row",
                             hint=f"use --exclude {name}")
        return cls(name, statistics.mean(values[present], weights[present]))

    def encode(self, column: pa.Array, out: np.ndarray, row_name: RowName) -> np.ndarray | None:
        """Fill `out` (n, 1); returns (n,) bool where values are missing, or None where none is."""
        values = _numbers(self.name, column, row_name)
        missing = np.isnan(values)
        strange = ~missing & (values != 0) & (values != 1)
        if strange.any():
            row = int(np.argmax(strange))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is {values[row]:g}, neither true nor false",
                hint="the model was fitted on a column of true and false")
        out[:, 0] = np.where(missing, float(self.share >= 0.5), values) - self.share
        return missing if missing.any() else None

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, 1) features to the column they stand for: true from one half."""
        return arrays.booleans(encoded[:, 0] + self.share >= 0.5)

    def log_jacobian(self, encoded: np.ndarray) -> float:
        """Zero: the column is not scaled."""
        return 0.0

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of true values and its standard deviation, from (m, 1) moments."""
        return means + self.share, np.sqrt(variances)


@dataclass(frozen=True)
class CategoricalColumn:
    """One feature a category, 1 where the row has it and 0 elsewhere, less the category's share."""

    kind: ClassVar[str] = "categorical"
    name: str
    categories: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)

    @property
    def is_constant(self) -> bool:
        return max(self.shares) == 1.0

    @classmethod
    def learn(cls, name: str, column: pa.Array, weights: np.ndarray, row_name: RowName, *,
              max_categories: int) -> Self:
        """Learn the categories and their shares. InputError beyond `max_categories`."""
        encoded = pc.dictionary_encode(as_text(column))
        found = encoded.dictionary.to_pylist()
        if len(found) > max_categories:
            raise InputError(
                f"column '{name}' is text with {len(found):,} different values, "
                f"more than the {max_categories:,} categories allowed",
                hint=f"use --exclude {name}, or raise --max-categories")
        codes = arrays.to_codes(encoded.indices)
        mass = np.bincount(codes[codes >= 0], weights[codes >= 0], minlength=len(found))
        if not mass.sum() > 0:
            raise InputError(f"column '{name}' is empty in every row",
                             hint=f"use --exclude {name}")
        order = sorted(range(len(found)), key=found.__getitem__)
        shares = mass / mass.sum()
        return cls(name, tuple(found[i] for i in order), tuple(float(shares[i]) for i in order))

    def encode(self, column: pa.Array, out: np.ndarray, row_name: RowName,
               unknown: str = "error") -> np.ndarray | None:
        """Fill `out` (n, categories); returns (n,) bool where values are missing, or None.

        A category that was not there in the fit is an InputError, or with `unknown="ignore"` a
        row that has none of the known ones.
        """
        texts = as_text(column)
        codes = arrays.to_codes(pc.index_in(texts, value_set=self._category_array))
        missing = arrays.is_empty(texts)
        unseen = (codes < 0) & ~missing
        if unknown == "error" and unseen.any():
            row = int(np.argmax(unseen))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is '{texts[row].as_py()}', "
                "a category the model does not know",
                hint="use --unknown ignore to label such rows by their other columns")
        codes = np.where(missing, int(np.argmax(self.shares)), codes)
        shares = np.array(self.shares)
        out[:] = -shares
        known = np.flatnonzero(codes >= 0)
        out[known, codes[known]] = 1 - shares[codes[known]]
        return missing if missing.any() else None

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, categories) features to the column they stand for: the largest wins."""
        codes = np.argmax(encoded + np.array(self.shares), axis=1)
        return pc.take(self._category_array, arrays.integers(codes))

    def log_jacobian(self, encoded: np.ndarray) -> float:
        """Zero: the features are not scaled."""
        return 0.0

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of each category and its standard deviation, from (m, categories) moments."""
        return means + np.array(self.shares), np.sqrt(variances)

    @cached_property
    def _category_array(self) -> pa.Array:
        return arrays.texts(self.categories)


TableColumn = NumericColumn | BooleanColumn | CategoricalColumn


def as_text(column: pa.Array) -> pa.Array:
    """Any plain column as text; 3.0 and 3 are both '3'."""
    return pc.cast(column, pa.large_string())


def _numbers(name: str, column: pa.Array, row_name: RowName) -> np.ndarray:
    kind = column.type
    if is_number(kind) or types.is_boolean(kind) or types.is_null(kind):
        return arrays.to_floats(column)
    value = ""
    row = int(np.argmin(arrays.is_empty(column))) if len(column) else 0
    if is_text(kind) and len(column):
        value = f" ('{column[row].as_py()}')"
    raise InputError(f"{row_name(row)}: column '{name}' is {'text' if is_text(kind) else kind}"
                     f"{value} where numbers are needed",
                     hint="correct the table, or use a model fitted on such a column")


def _log_pays(values: np.ndarray, weights: np.ndarray) -> bool:
    if values.min() < 0:
        return False
    before = statistics.skewness(values, weights, statistics.mean(values, weights))
    if before <= HEAVY_TAIL:
        return False
    logged = np.log1p(values)
    after = statistics.skewness(logged, weights, statistics.mean(logged, weights))
    return abs(after) <= before / 2


def _center_and_scale(values: np.ndarray, weights: np.ndarray, average: float,
                      scaling: str) -> tuple[float, float]:
    if scaling == "none":
        return average, 1.0
    if scaling == "minmax":
        return average, float(values.max() - values.min())
    if scaling == "robust":
        lower, median, upper = statistics.quantiles(values, weights, (0.25, 0.5, 0.75))
        # More than half of the rows can share one value: then quartiles say nothing of the spread.
        if upper > lower:
            return median, (upper - lower) / NORMAL_IQR
    return average, statistics.standard_deviation(values, weights, average)
