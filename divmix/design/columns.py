"""What each kind of column becomes in the design matrix: learned once, applied row by row.

A column's `encode` fills its features of the design matrix and says where values are missing;
`decode` is the way back. Features are always centred, because moments far from the origin lose
digits. Everything is elementwise, so a batch gets the same bits as the whole table.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.date_column import DateColumn
from divmix.design.numeric_column import NumericColumn, numbers
from divmix.design.row_names import Locate
from divmix.errors import InputError
from divmix.settings import in_shell
from divmix.tables import arrays


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

    def encode(self, column: pa.Array, out: np.ndarray, row_name: Locate) -> np.ndarray | None:
        """Fill `out` (n, 1); returns (n,) bool where values are missing, or None where none is."""
        codes, missing = self.codes(column, row_name)
        out[:, 0] = codes - self.share
        return missing

    def codes(
        self, column: pa.Array, row_name: Locate, unknown: str = "error"
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """1 for true and 0 for false, (n,), and where values are missing. Raises InputError."""
        values = numbers(self.name, column, row_name)
        missing = np.isnan(values)
        strange = ~missing & (values != 0) & (values != 1)
        if strange.any():
            row = int(np.argmax(strange))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is {values[row]:g}, neither true nor false",
                hint="the model was fitted on a column of true and false",
            )
        codes = np.where(missing, float(self.share >= 0.5), values)
        return codes, missing if missing.any() else None

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, 1) features to the column they stand for: true from one half."""
        return arrays.booleans(encoded[:, 0] + self.share >= 0.5)

    def unseen(self, encoded: np.ndarray) -> np.ndarray:
        """(n,) bool: rows of (n, 1) features that differ from a constant column's one value."""
        return encoded[:, 0] != 0 if self.is_constant else np.zeros(len(encoded), np.bool_)

    def unseen_codes(self, codes: np.ndarray) -> np.ndarray:
        """The same (n,) of rows by their codes (n,)."""
        return codes != self.share if self.is_constant else np.zeros(len(codes), np.bool_)

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

    def encode(
        self, column: pa.Array, out: np.ndarray, row_name: Locate, unknown: str = "error"
    ) -> np.ndarray | None:
        """Fill `out` (n, categories); returns (n,) bool where values are missing, or None.

        A category that was not there in the fit is an InputError, or with `unknown="ignore"` a
        row that has none of the known ones.
        """
        codes, missing = self.codes(column, row_name, unknown)
        shares = np.array(self.shares)
        out[:] = -shares
        known = np.flatnonzero(codes < len(shares))
        out[known, codes[known]] = 1 - shares[codes[known]]
        return missing

    def codes(
        self, column: pa.Array, row_name: Locate, unknown: str = "error"
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The place of each row's category, (n,), their number for a row that has none of them, and
        where values are missing: these count as the category of most rows."""
        texts = encoded_text(column) if isinstance(column, pa.DictionaryArray) else as_text(column)
        codes, missing = self._places(texts), arrays.is_empty(texts)
        unseen = (codes < 0) & ~missing
        if unknown == "error" and unseen.any():
            row = int(np.argmax(unseen))
            raise InputError(
                f"{row_name(row)}: column '{self.name}' is '{texts[row].as_py()}', "
                "a category the model does not know",
                hint="use --unknown ignore to label such rows by their other columns",
            )
        codes = np.where(missing, int(np.argmax(self.shares)), codes)
        codes = np.where(codes < 0, len(self.categories), codes)
        return codes, missing if missing.any() else None

    def _places(self, texts: pa.Array) -> np.ndarray:
        """Of texts (n,) among the categories, -1 of others; each text of a dictionary is looked for
        once."""
        if isinstance(texts, pa.DictionaryArray):
            return np.append(self._places(texts.dictionary), -1)[arrays.to_codes(texts.indices)]
        return arrays.to_codes(pc.index_in(texts, value_set=self._category_array))

    def decode(self, encoded: np.ndarray) -> pa.Array:
        """(n, categories) features to the column they stand for: the largest wins."""
        codes = np.argmax(encoded + np.array(self.shares), axis=1)
        return pc.take(self._category_array, arrays.integers(codes))

    def unseen(self, encoded: np.ndarray) -> np.ndarray:
        """(n,) bool: rows of (n, categories) features that have none of the known categories."""
        return (encoded + np.array(self.shares)).max(axis=1) < 0.5

    def unseen_codes(self, codes: np.ndarray) -> np.ndarray:
        """The same (n,) of rows by their codes (n,)."""
        return codes == len(self.categories)

    def log_jacobian(self, encoded: np.ndarray) -> float:
        """Zero: the features are not scaled."""
        return 0.0

    def summary(self, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of each category and its standard deviation, from (m, categories) moments."""
        return means + np.array(self.shares), np.sqrt(variances)

    @cached_property
    def _category_array(self) -> pa.Array:
        return arrays.texts(self.categories)


class BooleanLearner:
    """Learns the share of true values among the rows of positive weight, batch by batch."""

    def __init__(self, name: str) -> None:
        self._name, self._true, self._known = name, 0.0, 0.0

    def update(self, column: pa.Array, weights: np.ndarray, row_name: Locate) -> None:
        """The rows that come next, of weights (n,) from 0. Raises InputError."""
        values = numbers(self._name, column, row_name)
        known = ~np.isnan(values)
        self._true += float((weights[known] * values[known]).sum())
        self._known += float(weights[known].sum())

    def learned(self, sample: pa.Array, weights: np.ndarray) -> BooleanColumn:
        """The column; of a sample nothing is asked. Raises InputError."""
        if not self._known > 0:
            raise _empty(self._name)
        return BooleanColumn(self._name, self._true / self._known)


class TooManyCategories(InputError):
    """A column of text has `count` different values, more than may be."""

    def __init__(self, name: str, count: int, most: int) -> None:
        super().__init__(
            f"column '{name}' is text with {count:,} different values, "
            f"more than the {most:,} categories allowed",
            hint=f"use --exclude {in_shell(name)}, or raise --max-categories",
        )
        self.count = count


class CategoryLearner:
    """Learns the categories and their shares, batch by batch."""

    def __init__(self, name: str, max_categories: int) -> None:
        self._name, self._most = name, max_categories
        self._mass: dict[str, float] = {}

    def update(self, column: pa.Array, weights: np.ndarray, row_name: Locate) -> None:
        """The rows that come next, of weights (n,) from 0."""
        encoded = encoded_text(column)
        found, codes = encoded.dictionary.to_pylist(), arrays.to_codes(encoded.indices)
        if encoded.null_count:
            codes, weights = codes[codes >= 0], weights[codes >= 0]
        rows = np.bincount(codes, minlength=len(found))
        mass = np.bincount(codes, weights, minlength=len(found))
        for place in np.flatnonzero(rows):
            category = found[place]
            self._mass[category] = self._mass.get(category, 0.0) + float(mass[place])

    def learned(self, sample: pa.Array, weights: np.ndarray) -> CategoricalColumn:
        """The column; of a sample nothing is asked. InputError beyond the most categories."""
        name, most = self._name, self._most
        if len(self._mass) > most:
            raise TooManyCategories(name, len(self._mass), most)
        found = sorted(self._mass)
        mass = np.array([self._mass[category] for category in found])
        if not mass.sum() > 0:
            raise _empty(name)
        return CategoricalColumn(name, tuple(found), tuple((mass / mass.sum()).tolist()))


def _empty(name: str) -> InputError:
    return InputError(
        f"column '{name}' is empty in every row", hint=f"use --exclude {in_shell(name)}"
    )


TableColumn = NumericColumn | BooleanColumn | CategoricalColumn | DateColumn


class Learner(Protocol):
    """Learns a column from batches of its rows, in their order."""

    def update(self, column: pa.Array, weights: np.ndarray, row_name: Locate) -> None:
        """The rows that come next, of weights (n,) from 0. Raises InputError that names a row."""
        ...

    def learned(self, sample: pa.Array, weights: np.ndarray) -> TableColumn:
        """The column; `sample` are rows that stand for all, of weights (n,). Raises InputError."""
        ...


def encoded_text(column: pa.Array) -> pa.DictionaryArray:
    """Any plain column as codes of different texts; one that has codes keeps them, and the texts
    that no row has, unless these are many."""
    if isinstance(column, pa.DictionaryArray):
        words = column.dictionary
        if not words.null_count and len(words) <= len(column):
            return pa.DictionaryArray.from_arrays(column.indices, as_text(words))
    return pc.dictionary_encode(as_text(column))


def as_text(column: pa.Array) -> pa.Array:
    """Any plain column as text; 3.0 and 3 are both '3'."""
    return pc.cast(column, pa.large_string())
