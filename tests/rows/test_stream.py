"""Rows that are read anew at each visit, and what runs ahead of their user."""

import threading
import time

import numpy as np
import pytest

from divmix.families import Components, make_family
from divmix.kernels.sums import Sums
from divmix.rows import Block, Features, MemoryRows, StreamedRows, segments
from divmix.rows.ahead import ahead
from divmix.rows.dask import task_ranges
from divmix.rows.memory import BLOCK_ROWS
from divmix.rows.stream import survey

N, D = 200_000, 3


@pytest.fixture(autouse=True)
def short(cut_short):
    cut_short(5_000)


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    X = generator.normal([0, 50, -3], [1, 7, 0.1], (N, D))
    return X, generator.integers(0, 3, N) / 2


def streamed(X, row_weights, visits=None):
    def read(place):
        if visits is not None:
            visits.append(1)
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            into = place(len(X[part]))
            if into is not None:
                into[:] = X[part]
            yield Block(X[part] if into is None else into, row_weights[part])

    features = Features(np.zeros(D, bool))
    return StreamedRows(read, features, survey(read, features))


def mixture():
    family = make_family("gaussian", "full", np.full(D, 1e-6))
    means = np.array([[0.0, 50, -3], [1, 40, -3]])
    return family, Components(np.array([0.4, 0.6]), means, np.stack([np.eye(D)] * 2))


@pytest.mark.parametrize("coarse", [False, True])
def test_sums_summary_and_samples_have_the_bits_of_memory(table, coarse):
    held, read = MemoryRows(*table), streamed(*table)
    for one, other in zip(
        held.sums(*mixture(), coarse=coarse), read.sums(*mixture(), coarse=coarse)
    ):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(held.summary(), read.summary()):
        np.testing.assert_array_equal(one, other)
    assert held.total_weight == read.total_weight and held.visited == read.visited
    samples = [rows.sample(700, np.random.default_rng(1)).matrix for rows in (held, read)]
    for one, other in zip(*samples):
        np.testing.assert_array_equal(one, other)


def test_some_features_are_those_of_memory(table):
    held, read = (rows.among(np.array([2, 0])) for rows in (MemoryRows(*table), streamed(*table)))
    for one, other in zip(held.summary(), read.summary()):
        np.testing.assert_array_equal(one, other)
    samples = [rows.sample(700, np.random.default_rng(1)).matrix.X for rows in (held, read)]
    np.testing.assert_array_equal(*samples)
    blocks = [np.concatenate([block.X for block in rows.blocks()]) for rows in (held, read)]
    np.testing.assert_array_equal(*blocks)


def test_a_sample_of_a_long_table_is_spread_over_it_and_has_no_row_of_no_weight(table):
    X, row_weights = table
    marked = np.column_stack([np.arange(N), X[:, 1:]])
    drawn = streamed(marked, row_weights).sample(4_000, np.random.default_rng(0)).matrix
    places = drawn.X[:, 0].astype(int)
    assert (np.diff(places) > 0).all() and (row_weights[places] > 0).all()
    assert abs(places.mean() / N - 0.5) < 4 / np.sqrt(12 * 4_000)


def test_a_table_is_looked_at_once_before_its_sums_are_asked_for(table):
    visits = []
    rows = streamed(*table, visits)
    rows.summary(), rows.sample(100, np.random.default_rng(0)), rows.total_weight
    assert len(visits) == 1
    rows.sums(*mixture())
    assert len(visits) == 2


def test_segments_are_added_by_a_tree_that_may_be_cut_into_ranges():
    generator = np.random.default_rng(0)
    parts = [Sums(*generator.normal(size=(7, 1)) * 10.0**j) for j in generator.integers(-8, 8, 45)]
    whole = segments.added(parts)
    for tasks in (1, 2, 3, 7, 45, 100):
        tree, ranges = segments.Tree(), task_ranges(45, tasks)
        assert [number for one in ranges for number in one] == list(range(45))
        for one in ranges:
            own = segments.Tree()
            for number in one:
                own.add(parts[number])
            for level, sums in own.nodes:
                tree.add(sums, level)
        for one, other in zip(whole, tree.total()):
            np.testing.assert_array_equal(one, other)


def test_an_error_ahead_is_raised_where_it_is_waited_for():
    def items():
        yield 1
        raise ValueError("broken")

    found = ahead(items)
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_a_thread_ahead_ends_with_its_user():
    def items():
        yield from range(1_000_000)

    before = threading.active_count()
    found = ahead(items)
    next(found)
    found.close()
    time.sleep(0.05)
    assert threading.active_count() == before
