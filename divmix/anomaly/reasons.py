"""Why a row is unlike the others, in the columns and units of the table.

A column is to blame as far as its surprisal given the row's other columns is more than usual. Of a
category only what exceeds its own rarity counts: a rare one that has nothing to do with the rest of
the row is no anomaly.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly import surprisal
from divmix.anomaly.pool import Pool
from divmix.design.columns import NumericColumn
from divmix.design.date_column import DateColumn
from divmix.design.design import Design
from divmix.families import Mixed
from divmix.families.family import Array
from divmix.tables import arrays

MOST_NAMED = 3  # columns named of a row
LEAST_SHARE = 0.1  # of the contributions, for a column to be named
USUAL = 0.99  # share of the rows within what is called usual
HALVINGS = 60


class Told(NamedTuple):
    """A column of a row: its value, what is usual, and whether the value is outside of that."""

    value: str
    usual: str
    outside: bool | np.bool_

    def __str__(self) -> str:
        return f"{self.value}, {self.usual}" if self.usual else self.value


class Reasons:
    """What a pool of mixtures says of the columns of a table.

    typical (blocks,): conditional surprisals of known rows, nats.
    """

    def __init__(self, pool: Pool, design: Design, typical: Array) -> None:
        self.pool, self.design, self.typical = pool, design, typical
        self.of_columns = pool.of_columns()  # whose ranges are those of the design's columns
        self.names, self.blocks = design.block_names, design.blocks

    def of(self, X: Array, unseen: NDArray[np.bool_]) -> list[str | None]:
        """The columns to blame of rows X (n, d): `temp_c 84.1, usually 18 to 43; unit b`; None where there
        is none.

        unseen (n, blocks) bool. Where a row has unseen values, only these are named. Cells that are
        missing (NaN) have no say.
        """
        if not len(X):
            return []
        contributions = self.contributions(X)
        contributions[unseen.any(axis=1)] = 0.0
        contributions[unseen] = surprisal.UNSEEN_VALUE
        return sentences(contributions, lambda j, rows: self._told(j, X[rows], unseen[rows, j]))

    def contributions(self, X: Array) -> Array:
        """Conditional surprisals in excess of what is usual, (n, blocks), nats, not negative; 0 of what is
        missing.

        A category is not to blame for being rare alone, nor one that more than half of such rows have.
        """
        own = surprisal.by_column(self.pool, X, self.blocks)
        usual = np.broadcast_to(self.typical, own.shape).copy()
        for j in self._categories:
            rarity = surprisal.marginal(self.pool, X, self.blocks[j])
            usual[:, j] = np.maximum(np.maximum(usual[:, j], rarity), np.log(2))
        there = ~np.isnan(X[:, [block[0] for block in self.blocks]])
        return np.where(there, np.maximum(own - usual, 0.0), 0.0)

    @cached_property
    def _categories(self) -> list[int]:
        """Blocks that are columns of categories."""
        if not isinstance(self.pool.family, Mixed):
            return []
        numeric = self.pool.family.categories.numeric
        return [j for j, block in enumerate(self.blocks) if not np.isin(block, numeric).any()]

    def _told(self, j: int, X: Array, unseen: NDArray[np.bool_]) -> list[Told]:
        """Block j of rows X (n, d)."""
        name, block = self.names[j], self.blocks[j]
        if j in self._categories:
            decoded = self.design.preprocessing.columns[j].decode(X[:, block]).to_pylist()
            return categories_told(name, decoded, unseen)
        if unseen.any() and self._number(j).is_constant:
            return [not_the_only_value(name, self._number(j))] * len(X)
        values = X[:, block[0]]
        low, high = (np.full(len(X), end) for end in self._usual(j))
        inside = (low <= values) & (values <= high) & ~unseen & ~np.isnan(X).any(axis=1)
        low[inside], high[inside] = self._usual_here(j, X[inside])
        outside = (values < low) | (values > high) | unseen
        words = np.where(inside, "here usually", "usually")
        own, low, high = (self._own_units(j, part) for part in (values, low, high))
        if not self.design.is_embedding:
            column = self._number(j)
            low, high = (np.clip(end, column.minimum, column.maximum) for end in (low, high))
        return [
            Told(
                f"{name} {number_told(value, below)}",
                f"{word} {range_told(*ends)}",
                out,
            )
            for value, below, word, out, *ends in zip(own, unseen, words, outside, low, high)
        ]

    def _usual(self, j: int) -> tuple[float, float]:
        """Between which features of block j lie in all but a few rows."""
        if j not in self._ranges:
            self._ranges[j] = self._range_of(j)
        return self._ranges[j]

    @cached_property
    def _ranges(self) -> dict[int, tuple[float, float]]:
        return {}

    def _range_of(self, j: int) -> tuple[float, float]:
        """Quantiles of the mixture of one number, by halving."""
        location, scale, law, place = self._laws
        feature = place[int(self.blocks[j][0])]
        centre, width = location[:, feature], scale[:, feature]
        weights = self.of_columns.components.weights
        ends = []
        for level in ((1 - USUAL) / 2, (1 + USUAL) / 2):
            low, high = (centre - 1e3 * width).min(), (centre + 1e3 * width).max()
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                below = weights @ law((middle - centre) / width) < level
                low, high = (middle, high) if below else (low, middle)
            ends.append(0.5 * (low + high))
        return ends[0], ends[1]

    @cached_property
    def _laws(self):
        """Locations and scales of numbers, (m, c), their distribution function, and where each
        feature stands among them."""
        from scipy.special import ndtr, stdtr  # scipy takes long to import

        family, components = self.of_columns.family, self.of_columns.components
        features, numbers = np.arange(components.means.shape[1]), family
        if isinstance(family, Mixed):
            features, numbers = family.categories.numeric, family.numbers
            components = family.of_numbers(components)
        m, d = components.means.shape
        squares = numbers.structure.variances(components.covariances, m, d)
        dof = components.dof
        law = ndtr if dof is None else lambda z: stdtr(dof, z)
        place = {int(feature): i for i, feature in enumerate(features)}
        return components.means, np.sqrt(squares), law, place

    def _usual_here(self, j: int, X: Array) -> tuple[Array, Array]:
        """The same of rows X (n, d) given their other columns, in the component these tell of."""
        from scipy.special import ndtri, stdtrit

        feature = self._laws[3][int(self.blocks[j][0])]
        low, high = np.empty(len(X)), np.empty(len(X))
        dof, size = self.of_columns.components.dof, surprisal.rows_at_once(self.pool)
        for start in range(0, len(X), size):
            rows = slice(start, start + size)
            found = surprisal.conditionals(self.of_columns, X[rows])
            others = surprisal.log_others(self.of_columns, X[rows], found)[:, :, feature]
            own = others.argmax(axis=1)
            at = np.arange(len(own)), own, feature
            level = (1 + USUAL) / 2
            reach = ndtri(level)
            if dof is not None:
                reach = stdtrit(dof[own] + len(found.features) - 1, level)
            width = reach * np.sqrt(found.square[at])
            low[rows], high[rows] = found.location[at] - width, found.location[at] + width
        return low, high

    def _own_units(self, j: int, values: Array) -> Array:
        """Features of block j in the units of the column, or as they are in an embedding."""
        if self.design.is_embedding:
            return values
        return arrays.to_floats(self._number(j).decode(values[:, None]))

    def _number(self, j: int) -> NumericColumn:
        """The column of block j; of a date its first feature."""
        column = self.design.preprocessing.columns[j]
        own = column.columns[0] if isinstance(column, DateColumn) else column
        assert isinstance(own, NumericColumn)
        return own


def sentences(
    contributions: Array, told_of: Callable[[int, NDArray[np.int64]], Sequence[Told]]
) -> list[str | None]:
    """A sentence for each row on the columns with the highest contributions (n, blocks), None where
    these are 0.

    told_of: a block, and rows of which it is to tell.
    """
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :MOST_NAMED]
    own = np.take_along_axis(contributions, order, axis=1)
    told = np.full(order.shape, None, object)
    for j in np.unique(order[own > 0]):
        rows, place = np.nonzero((own > 0) & (order == j))
        # One by one: an assignment of tuples would make them columns.
        for row, at, of_row in zip(rows, place, told_of(int(j), rows)):
            told[row, at] = of_row
    blamed = own >= LEAST_SHARE * contributions.sum(axis=1, keepdims=True)
    sentence = [_sentence(list(filter(None, row)), shares) for row, shares in zip(told, blamed)]
    return [text or None for text in sentence]


def _sentence(told: Sequence[Told], blamed: Sequence[bool] | NDArray[np.bool_]) -> str:
    """`temp_c 84.1, usually 18 to 43; unit b, here unusual` of the columns blamed most that are outside of
    what is usual; where none is, `x 2.1, y 0.3 and z 4, unusual together`."""
    outside = [own for own, share in zip(told, blamed) if share and own.outside]
    if outside or len(told) < 2:
        return "; ".join(map(str, outside or told))
    *first, last = (own.value for own in told)
    return f"{', '.join(first)} and {last}, unusual together"


def categories_told(name: str, values: Sequence[object], unseen: NDArray[np.bool_]) -> list[Told]:
    """A column of categories with these values (n,), some of which training did not have."""
    return [
        Told(f"{name} is new", "", True) if new else Told(f"{name} {value}", "here unusual", True)
        for value, new in zip(values, unseen)
    ]


def not_the_only_value(name: str, column: NumericColumn) -> Told:
    """Another value of a column that was constant in training."""
    only = column.decode(np.zeros((1, 1)))[0].as_py()
    return Told(f"{name} is not {number_told(only)}", "", True)


def number_told(value: float, below: bool | np.bool_ = False) -> str:
    """A number of a row; or one `below` all that have a logarithm, in a logged column."""
    if below:
        return "is -1 or less"
    if abs(value) >= 1e6:  # all digits before the point
        return f"{round(value):.15g}"
    return f"{float(f'{value:.6g}'):.15g}"


def range_told(low: float, high: float) -> str:
    """`18 to 43`."""
    low_text, high_text = (f"{float(f'{end:.3g}'):.15g}" for end in (low, high))
    return low_text if low_text == high_text else f"{low_text} to {high_text}"
