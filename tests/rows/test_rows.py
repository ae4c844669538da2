"""Rows in memory, mini-batches of them, and summaries that can be merged."""

import numpy as np
import pytest

from divmix.families import Components, make_family
from divmix.rows import Block, Features, MemoryRows, MiniBatches, memory, summarize


def toy(weights=None):
    generator = np.random.default_rng(0)
    X = np.concatenate([generator.normal(c, 0.3, (80, 2)) for c in (-2, 0, 2)])
    family = make_family("gaussian", "diag", np.full(2, 1e-6))
    means, variances = generator.normal(size=(4, 2)), generator.uniform(0.5, 2, (4, 2))
    return family, Components(np.full(4, 0.25), means, variances), MemoryRows(X, weights)


def weighted(n=300, d=3, seed=1):
    """Rows of which some weigh nothing, in columns far from 0."""
    generator = np.random.default_rng(seed)
    X = generator.normal([1e4, -5, 0], [1, 10, 1e-3], (n, d))
    return X, generator.integers(0, 3, n).astype(float)


def in_blocks(X, row_weights, ends):
    return [Block(*part) for part in zip(np.split(X, ends), np.split(row_weights, ends))]


def assert_close(one, other):
    assert one.number == other.number
    for name in ("weight", "mean", "scatter", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)


def test_a_summary_is_what_numpy_says_of_the_repeated_rows():
    X, row_weights = weighted()
    found = summarize([Block(X, row_weights)])
    used, repeated = X[row_weights > 0], np.repeat(X, row_weights.astype(int), axis=0)
    assert found.number == len(used) and found.weight == len(repeated)
    np.testing.assert_allclose(found.mean, repeated.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variances, repeated.var(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(found.low, used.min(axis=0))
    np.testing.assert_array_equal(found.high, used.max(axis=0))


@pytest.mark.parametrize("ends", [[1], [150], [0, 7, 7, 299], list(range(1, 300))])
def test_a_summary_does_not_depend_on_blocks_or_their_order(ends):
    X, row_weights = weighted()
    whole, blocks = summarize([Block(X, row_weights)]), in_blocks(X, row_weights, ends)
    assert_close(summarize(blocks), whole)
    assert_close(summarize(blocks[::-1]), whole)


def test_merging_is_symmetric_and_does_not_mind_brackets():
    X, row_weights = weighted()
    a, b, c = (summarize([block]) for block in in_blocks(X, row_weights, [20, 200]))
    assert_close(a.merged(b), b.merged(a))
    assert_close(a.merged(b).merged(c), a.merged(b.merged(c)))


def test_rows_of_no_weight_alone_have_no_summary():
    with pytest.raises(ValueError, match="positive weight"):
        summarize([Block(np.ones((3, 2)), np.zeros(3))])


def test_memory_rows_yield_all_rows_in_blocks(monkeypatch):
    X, row_weights = weighted()
    rows = MemoryRows(X, row_weights)
    whole = rows.summary()
    monkeypatch.setattr(memory, "BLOCK_ROWS", 64)
    blocks = list(rows.blocks())
    assert [len(block.X) for block in blocks] == [64, 64, 64, 64, 44]
    np.testing.assert_array_equal(np.concatenate([block.X for block in blocks]), X)
    np.testing.assert_array_equal(
        np.concatenate([block.row_weights for block in blocks]), row_weights
    )
    assert_close(rows.summary(), whole)
    assert rows.total_weight == row_weights.sum()


def test_rows_of_no_weight_are_never_drawn_and_the_order_stays():
    X = np.arange(40.0).reshape(20, 2)
    features = Features(np.array([True, False]))
    rows = MemoryRows(X, np.tile([0.0, 1.0], 10), features)
    sample = rows.sample(6, np.random.default_rng(0))
    drawn, row_weights = sample.matrix
    assert len(drawn) == 6 and (row_weights == 1).all()
    assert (np.diff(drawn[:, 0]) > 0).all()
    assert sample.features is features
    everything = rows.sample(None, np.random.default_rng(0)).matrix
    np.testing.assert_array_equal(everything.X, X[1::2])
    np.testing.assert_array_equal(rows.sample(10, np.random.default_rng(0)).matrix.X, X[1::2])


def test_rows_that_all_weigh_are_not_copied_where_all_are_asked_for():
    rows = MemoryRows(np.arange(40.0).reshape(20, 2))
    assert rows.sample(None, np.random.default_rng(0)) is rows


def test_every_row_is_as_likely_to_be_drawn_whatever_it_weighs():
    rows = MemoryRows(np.arange(5.0)[:, None], np.array([1.0, 1.0, 100.0, 1.0, 1.0]))
    generator = np.random.default_rng(0)
    drawn = np.concatenate([rows.sample(2, generator).matrix.X[:, 0] for _ in range(3000)])
    np.testing.assert_allclose(np.bincount(drawn.astype(int)) / 3000, 0.4, atol=0.04)


def test_an_integer_weight_equals_repeated_rows():
    counts = np.random.default_rng(1).integers(0, 4, 240)
    family, components, rows = toy(counts.astype(float))
    repeated = MemoryRows(np.repeat(rows.matrix.X, counts, axis=0))
    for one, other in zip(rows.sums(family, components), repeated.sums(family, components)):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    assert_close(rows.summary()._replace(number=0), repeated.summary()._replace(number=0))


def test_reweighted_and_taken_rows_are_those_asked_for():
    X, row_weights = weighted()
    rows = MemoryRows(X, row_weights)
    other = np.ones(len(X))
    assert rows.reweighted(other).matrix.row_weights is other
    np.testing.assert_array_equal(rows.reweighted(other).matrix.X, X)
    few = rows.take(X[:, 1] > 0)
    np.testing.assert_array_equal(few.matrix.X, X[X[:, 1] > 0])
    np.testing.assert_array_equal(few.matrix.row_weights, row_weights[X[:, 1] > 0])


def test_coarse_sums_are_those_of_float32_rows_and_do_not_change_the_others():
    family, components, rows = toy()
    exact = rows.sums(family, components)
    coarse = rows.sums(family, components, coarse=True)
    assert coarse.log_likelihood != exact.log_likelihood
    assert coarse.log_likelihood == pytest.approx(exact.log_likelihood, rel=1e-6)
    np.testing.assert_array_equal(rows.sums(family, components).second, exact.second)


def test_a_mini_batch_stands_for_all_rows():
    family, components, rows = toy(np.random.default_rng(2).uniform(0.5, 2, 240))
    batch = MiniBatches(rows, 60, np.random.default_rng(0))
    found = [batch.sums(family, components) for _ in range(300)]
    estimates = [sums.log_likelihood / batch.total_weight for sums in found]
    exact = rows.sums(family, components).log_likelihood / rows.total_weight
    standard_error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * standard_error
    np.testing.assert_allclose([sums.mass.sum() for sums in found], batch.total_weight)
    whole = MiniBatches(rows, 10_000, np.random.default_rng(0))
    assert whole.total_weight == pytest.approx(rows.total_weight)
    assert whole.sums(family, components).log_likelihood / whole.total_weight == pytest.approx(
        exact
    )


def test_all_but_the_sums_of_mini_batches_is_that_of_all_rows():
    family, components, rows = toy()
    batch = MiniBatches(rows, 10, np.random.default_rng(0))
    batch.sums(family, components)
    assert_close(batch.summary(), rows.summary())
    assert batch.features is rows.features
    assert sum(len(block.X) for block in batch.blocks()) == 240
    assert batch.sample(None, np.random.default_rng(0)) is rows
