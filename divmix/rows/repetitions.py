"""Which rows of a table are equal."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from divmix.families.coded import AnyMatrix, cells_of
from divmix.families.family import Array
from divmix.rows.protocol import AnyBlock
from divmix.sampling import mixed

CELLS = 1 << 18  # looked at together: no copy of all rows is made


def distinct(rows: AnyBlock) -> tuple[NDArray[np.int64], Array]:
    """The first of each group of equal rows of positive weight, (g,), ascending, and what the group
    weighs, (g,).

    Rows are told apart by hashes, and then held against the first of theirs: those that differ after
    all are grouped anew.
    """
    X, row_weights = rows
    used = np.flatnonzero(row_weights > 0)
    hashes, first = _hashes(X, used), used.copy()
    left = np.arange(len(used))
    while len(left):
        _, places, group = np.unique(hashes[left], return_index=True, return_inverse=True)
        found = used[left[places[group]]]
        equal = _are_equal(X, used[left], found)
        first[left[equal]] = found[equal]
        left = left[~equal]
    chosen, group = np.unique(first, return_inverse=True)
    weights = np.zeros(len(chosen))
    np.add.at(weights, group, row_weights[used])
    return chosen, weights


def _hashes(X: AnyMatrix, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash (r,) of each of the rows (r,)."""
    hashes = np.empty(len(rows), np.uint64)
    columns = cells_of(X[:0]).shape[1]
    keys = np.random.default_rng(0).integers(2**64, size=columns, dtype=np.uint64)
    for part in _parts(X, len(rows)):
        # A cell counts otherwise in each column; the sum is one modulo 2^64.
        hashes[part] = mixed(cells_of(X[rows[part]]) ^ keys).sum(axis=1)
    return hashes


def _are_equal(
    X: AnyMatrix, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of the rows (r,) equal the others (r,)."""
    equal = np.empty(len(rows), np.bool_)
    for part in _parts(X, len(rows)):
        one, other = cells_of(X[rows[part]]), cells_of(X[others[part]])
        equal[part] = (one == other).all(axis=1)
    return equal


def _parts(X: AnyMatrix, rows: int) -> Iterator[slice]:
    size = max(1, CELLS // max(X.shape[1], 1))
    for start in range(0, rows, size):
        yield slice(start, start + size)
