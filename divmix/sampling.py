"""A random choice of rows that depends on their places alone: the pool that samples come from.

Each row has a key, a hash of its place; the pool has the rows of the smallest keys. Pools of parts of
a table merge to that of the whole, in any order (bottom-k sampling, Cohen and Kaplan 2007).
"""

import numpy as np
from numpy.typing import NDArray

# Numbers in a pool, 64 MB, within these rows.
POOL_CELLS = 1 << 23
LEAST_ROWS, MOST_ROWS = 1 << 15, 1 << 18
AT_ONCE = 1 << 20  # places whose keys are looked at together


def pool_rows(features: int) -> int:
    """Rows of a pool: a function of the number of features alone."""
    return int(np.clip(POOL_CELLS // max(features, 1), LEAST_ROWS, MOST_ROWS))


def keys(places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash (n,) of places (n,): SplitMix64 (Steele, Lea and Flood 2014)."""
    return mixed((places.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


def mixed(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Codes of the same shape whose bits all depend on each other's: the finaliser of SplitMix64, one
    to one."""
    codes = codes.copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        codes ^= codes >> np.uint64(shift)
        codes *= np.uint64(factor)
    return codes ^ (codes >> np.uint64(31))


class Pool:
    """The places of a pool while those of a table go by. Who keeps the rows at them asks which ones to
    keep: when places come, and of what is kept once `is_long`.

    places : those kept so far, ascending.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._largest: np.uint64 | None = None  # key of the pool, once it is full
        self.places = np.empty(0, np.int64)

    def add(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of the places (n,) that come next, ascending, to keep: indices."""
        chosen = np.arange(len(places))
        if self._largest is not None:
            chosen = np.flatnonzero(keys(places) < self._largest)
        self.places = np.concatenate([self.places, places[chosen]])
        return chosen

    @property
    def is_long(self) -> bool:
        """Whether what is kept has become twice the pool."""
        return len(self.places) > 2 * self._size

    def pruned(self) -> NDArray[np.int64]:
        """Which of what is kept are in the pool: indices, ascending. The others are given up."""
        kept = pooled(self.places, self._size)
        self.places = self.places[kept]
        if len(kept) == self._size:
            self._largest = keys(self.places).max()
        return kept


def pooled(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Which of the places (n,), at most `size`, are in the pool: indices, ascending."""
    kept = np.arange(min(size, len(places)))
    for start in range(size, len(places), AT_ONCE):
        more = np.arange(start, min(start + AT_ONCE, len(places)))
        kept = np.concatenate([kept, more])
        kept = kept[np.argpartition(keys(places[kept]), size)[:size]]
    return np.sort(kept)
