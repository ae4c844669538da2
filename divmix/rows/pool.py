"""The pool of a table whose rows go by."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.coded import AnyMatrix, stacked
from divmix.families.family import Array
from divmix.rows.protocol import AnyBlock
from divmix.sampling import Pool


class PoolBuilder:
    """Keeps the rows of a pool, with their weights."""

    def __init__(self, size: int) -> None:
        self._pool = Pool(size)
        self._kept: list[AnyBlock] = []

    def update(self, places: NDArray[np.int64], X: AnyMatrix, row_weights: Array) -> None:
        """Rows X (n, d) at these places (n,) of their table, ascending, with weights (n,)."""
        chosen = self._pool.add(places)
        self._kept.append(AnyBlock(X[chosen], row_weights[chosen]))
        if self._pool.is_long:
            self._kept = [self.built()]

    def built(self) -> AnyBlock:
        """The rows of the pool, in their order."""
        chosen = self._pool.pruned()
        X = stacked([block.X for block in self._kept])
        row_weights = np.concatenate([block.row_weights for block in self._kept])
        return AnyBlock(X[chosen], row_weights[chosen])
