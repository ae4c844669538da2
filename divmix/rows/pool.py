"""The pool of a table whose rows go by."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array
from divmix.rows.protocol import Block
from divmix.sampling import Pool


class PoolBuilder:
    """Keeps the rows of a pool, with their weights."""

    def __init__(self, size: int) -> None:
        self._pool = Pool(size)
        self._kept: list[Block] = []

    def update(self, places: NDArray[np.int64], X: Array, row_weights: Array) -> None:
        """Rows X (n, d) at these places (n,) of their table, ascending, with weights (n,)."""
        chosen = self._pool.add(places)
        self._kept.append(Block(X[chosen], row_weights[chosen]))
        if self._pool.is_long:
            self._kept = [self.built()]

    def built(self) -> Block:
        """The rows of the pool, in their order."""
        chosen = self._pool.pruned()
        X, row_weights = (np.concatenate(part) for part in zip(*self._kept))
        return Block(X[chosen], row_weights[chosen])
