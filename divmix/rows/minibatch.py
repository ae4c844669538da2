"""Other rows at each visit."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Family
from divmix.families.mixed import as_seen
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels.sums import Sums
from divmix.rows.memory import MemoryRows
from divmix.rows.protocol import Block, Features
from divmix.rows.summary import Summary


class MiniBatches:
    """Rows of which each call of `sums` visits `size`, drawn without replacement by `generator`.

    Everything else is that of all rows.
    """

    def __init__(self, rows: MemoryRows, size: int, generator: np.random.Generator) -> None:
        self._all, self._generator = rows, generator
        self._size = min(size, rows.visited)
        self._weight = rows.total_weight * self._size / rows.visited

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        return self._all.features

    @property
    def total_weight(self) -> float:
        """Weight that as many rows as a batch has have on average."""
        return self._weight

    @property
    def visited(self) -> int:
        """Rows of a batch."""
        return self._size

    def summary(self) -> Summary:
        """That of all rows."""
        return self._all.summary()

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Those of a batch, scaled to the weight that as many rows have on average."""
        chosen = self._generator.choice(self._all.visited, self._size, replace=False, shuffle=False)
        X, weights = self._all.take(chosen).held
        weights = weights * (self._weight / max(weights.sum(), SMALLEST_WEIGHT))
        return family.sums(as_seen(X, family), weights, components)

    def sample(self, size: int | None, generator: np.random.Generator) -> MemoryRows:
        """From all rows."""
        return self._all.sample(size, generator)

    def among(self, features: NDArray[np.int64]) -> "MiniBatches":
        """Batches of these features alone."""
        return MiniBatches(self._all.among(features), self._size, self._generator)

    def blocks(self) -> Iterator[Block]:
        """All rows."""
        return self._all.blocks()
