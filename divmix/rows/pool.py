"""The pool of a table whose rows go by."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array
from divmix.sampling import keys


class PoolBuilder:
    """Keeps the rows of a pool while the rows of a table go by, with their weights."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._largest: np.uint64 | None = None  # key of the pool, once it is full
        self._waiting: list[tuple[NDArray[np.uint64], NDArray[np.int64], Array, Array]] = []
        self._count = 0

    def update(self, places: NDArray[np.int64], X: Array, row_weights: Array) -> None:
        """Rows X (n, d) at these places (n,) of their table, with weights (n,)."""
        own = keys(places)
        chosen = slice(None) if self._largest is None else own < self._largest
        self._waiting.append((own[chosen], places[chosen], X[chosen], row_weights[chosen]))
        self._count += len(self._waiting[-1][0])
        if self._count > 2 * self._size:
            self._prune()

    def built(self) -> tuple[NDArray[np.int64], Array, Array]:
        """Places (s,), ascending, rows (s, d) and weights (s,) of the pool."""
        self._prune()
        _, places, X, row_weights = self._waiting[0]
        order = np.argsort(places)
        return places[order], X[order], row_weights[order]

    def _prune(self) -> None:
        own, places, X, row_weights = (np.concatenate(part) for part in zip(*self._waiting))
        if len(own) > self._size:
            kept = np.argpartition(own, self._size)[: self._size]
            own, places, X, row_weights = own[kept], places[kept], X[kept], row_weights[kept]
            self._largest = own.max()
        self._waiting, self._count = [(own, places, X, row_weights)], len(own)
