"""Equal rows are found, and they alone."""

import tracemalloc

import numpy as np
import pytest

from divmix.families import Categories, CategoryColumn, Coded
from divmix.rows import AnyBlock, distinct

N = 20_003


def plain(generator):
    """Rows (N, 13) in 1,000 kinds."""
    return generator.normal(size=(1_000, 13))[generator.integers(1_000, size=N)]


def coded(generator):
    """Rows of a number and two columns of categories."""
    columns = (CategoryColumn((1, 2, 3), (0.5, 0.3, 0.2)), CategoryColumn((4,), (0.4,), True))
    codes = generator.integers([4, 2], size=(N, 2)).astype(np.uint8)
    numbers = generator.integers(300, size=(N, 1)) / 7
    return Coded(numbers, codes, Categories(5, columns))


@pytest.mark.parametrize("made", [plain, coded])
def test_each_kind_of_row_is_told_once_with_its_weight(made):
    """By a dictionary of the rows."""
    generator = np.random.default_rng(0)
    X, row_weights = made(generator), generator.integers(0, 3, N).astype(float)
    cells = X if made is plain else np.hstack([X.numbers, X.codes])
    expected: dict[bytes, list[float]] = {}
    for place, (row, weight) in enumerate(zip(cells, row_weights)):
        if weight:
            expected.setdefault(row.tobytes(), [place, 0.0])[1] += weight
    first, weights = distinct(AnyBlock(X, row_weights))
    np.testing.assert_array_equal(first, [place for place, _ in expected.values()])
    np.testing.assert_array_equal(weights, [weight for _, weight in expected.values()])


def test_rows_of_one_hash_are_held_against_each_other(monkeypatch):
    monkeypatch.setattr("divmix.rows.repetitions.mixed", np.zeros_like)
    X = np.array([[1.0, 0], [3, 4], [1, -0.0], [5, 6], [3, 4], [5, 6]])
    first, weights = distinct(AnyBlock(X, np.arange(1.0, 7)))
    assert first.tolist() == [0, 1, 3] and weights.tolist() == [4, 7, 10]


def test_no_copy_of_the_rows_is_made():
    X = np.random.default_rng(0).normal(size=(200_000, 100))
    tracemalloc.start()
    assert len(distinct(AnyBlock(X, np.ones(len(X))))[0]) == len(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4
