"""What a fit asks of rows, wherever they live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from divmix.families.categories import Categories
from divmix.families.coded import AnyMatrix
from divmix.families.components import Components
from divmix.families.family import Array, Family
from divmix.kernels.sums import Sums

if TYPE_CHECKING:
    from divmix.rows.memory import MemoryRows
    from divmix.rows.summary import Summary


class Block(NamedTuple):
    """Some rows: X (b, d) float64, and their weights (b,)."""

    X: Array
    row_weights: Array


class AnyBlock(NamedTuple):
    """Some rows as they are held, X (b, d) float64 or `Coded`, and their weights (b,)."""

    X: AnyMatrix
    row_weights: Array


class Features(NamedTuple):
    """What is known of d columns.

    indicator (d,): which are 0/1. far_rows: whether clusters are dense with far rows, as those of
    an embedded graph of neighbours are. categories: which stand for columns of categories, None
    for none; a family that knows them gives them probabilities. names: of the features, for notes.
    """

    indicator: NDArray[np.bool_]
    far_rows: bool = False
    categories: Categories | None = None
    names: tuple[str, ...] = ()

    def among(self, features: NDArray[np.int64]) -> Features:
        """Of these features alone, in their order."""
        return Features(
            self.indicator[features],
            self.far_rows,
            self.categories and self.categories.among(features),
            tuple(self.names[j] for j in features) if self.names else (),
        )

    def name(self, feature: int) -> str:
        """What a feature is called; its place, from 1, where it has no name."""
        return self.names[feature] if self.names else f"column {feature + 1}"


class Rows(Protocol):
    """Rows of d numbers, each with a weight. Nothing outside asks where they live."""

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        ...

    @property
    def total_weight(self) -> float:
        """Weight that one visit by `sums` has in all."""
        ...

    @property
    def visited(self) -> int:
        """Rows that one call of `sums` visits."""
        ...

    def summary(self) -> Summary:
        """Counts, moments and range, over the rows of positive weight."""
        ...

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics of all rows, added in a fixed order.

        coarse: float32 arithmetic will do; sums are float64 in any case.
        """
        ...

    def sample(self, size: int | None, generator: np.random.Generator) -> MemoryRows:
        """`size` rows of positive weight, drawn without replacement, in their order; all of them
        where there are no more, or for None."""
        ...

    def among(self, features: NDArray[np.int64]) -> Rows:
        """The same rows with these of their features alone, in this order."""
        ...

    def blocks(self) -> Iterator[Block]:
        """All rows in their order."""
        ...
