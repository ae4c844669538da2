"""A random choice of rows that depends on their places alone: the pool that samples come from.

Each row has a key, a hash of its place; the pool has the rows of the smallest keys. Pools of parts of
a table merge to that of the whole, in any order (bottom-k sampling, Cohen and Kaplan 2007).
"""

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array

# Numbers in a pool, 64 MB, within these rows.
POOL_CELLS = 1 << 23
LEAST_ROWS, MOST_ROWS = 1 << 15, 1 << 18


def pool_rows(features: int) -> int:
    """Rows of a pool: a function of the number of features alone."""
    return int(np.clip(POOL_CELLS // max(features, 1), LEAST_ROWS, MOST_ROWS))


def keys(places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash (n,) of places (n,): the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = places.astype(np.uint64) + np.uint64(1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def pooled(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Which of the places (n,), at most `size`, are in the pool: indices, ascending."""
    if len(places) <= size:
        return np.arange(len(places))
    return np.sort(np.argpartition(keys(places), size)[:size])


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
