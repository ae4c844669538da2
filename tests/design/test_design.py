"""A design is columns and a chain of encoders, also where the chain is empty."""

import numpy as np
import pyarrow as pa
import pytest

from divmix.design.design import Design
from divmix.design.prepare import design_matrix, prepare
from divmix.design.preprocessing import Preprocessing
from divmix.encoders import Chain, Learning, learn, parse
from divmix.errors import UsageError
from divmix.progress import Progress
from divmix.settings import TableSettings
from divmix.tables.batches import BATCH_ROWS, BLOCK_ROWS


def mixed_table(n=300, seed=0):
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "size": draw.lognormal(2, 1, n),
            "open": draw.random(n) < 0.4,
            "city": draw.choice(["Bern", "Oslo", "Rome"], n).tolist(),
            "same": np.full(n, 7.0),
        }
    )


def plain(table, **options):
    return Design(Preprocessing.learn(table, TableSettings(**options)))


def embedding(table, chain="pca:2", **options):
    tables = TableSettings(encoder=chain, **options)
    return prepare(table, tables, np.random.default_rng(0), Progress())


def test_an_empty_chain_is_a_chain_that_changes_nothing():
    X = np.random.default_rng(0).normal(size=(5, 3))
    chain, rows = learn(None, X, Learning(np.random.default_rng(0), Progress()))
    assert parse(None) == [] and len(chain) == 0 and not chain.far_rows
    assert rows is X and chain.transform(X) is X  # nothing is copied either
    assert chain.features(("a", "b", "c")) == ("a", "b", "c")
    assert Chain.from_parts(*chain.to_parts()) == chain


def test_a_design_without_encoders_is_its_preprocessing():
    table = mixed_table()
    design = plain(table, log=("size",))
    own, alone = design.transform(table), design.preprocessing.transform(table)
    for one, other in zip(own, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert own.log_jacobian.any()
    assert design.feature_names == design.preprocessing.feature_names
    assert design.inverse(own.X)["city"].to_pylist() == table["city"].to_pylist()
    assert not design.is_embedding and not design.far_rows


def test_blocks_are_columns_and_indicators_their_zeros_and_ones():
    design = plain(mixed_table())
    assert [block.tolist() for block in design.blocks] == [[0], [1], [2, 3, 4], [5]]
    assert design.block_names == ("size", "open", "city", "same")
    assert design.indicator.tolist() == [False, True, True, True, True, False]


def test_each_feature_of_an_embedding_is_a_block_and_none_an_indicator():
    design, rows = embedding(mixed_table())
    assert [block.tolist() for block in design.blocks] == [[0], [1]]
    assert design.block_names == design.feature_names == ("pc1", "pc2")
    assert not design.indicator.any() and not rows.log_jacobian.any()
    assert design.schema.names == ("size", "open", "city", "same")
    summary = design.column_summary(np.array([[1.0, 2.0]]), np.array([[4.0, 9.0]]))
    assert (summary.names, summary.spread.tolist()) == (("pc1", "pc2"), [[2.0, 3.0]])
    with pytest.raises(UsageError, match="embedding"):
        design.inverse(rows.X)


@pytest.mark.parametrize(
    "chain, far", [("pca:3", False), ("pca:3,spectral:2", True), ("spectral:3,pca:2", False)]
)
def test_rows_are_far_where_the_last_encoder_is_a_graph(chain, far):
    design, _ = embedding(mixed_table(), chain)
    assert design.far_rows is far


def test_an_embedding_has_the_bits_of_the_fit_in_batches_that_start_at_blocks():
    assert BATCH_ROWS % BLOCK_ROWS == 0
    table = mixed_table(2 * BLOCK_ROWS + 77)
    design, rows = embedding(table, "pca:4")
    parts = [
        design.transform(batch, first_row=start).X
        for start in range(0, table.num_rows, BLOCK_ROWS)
        for batch in table.slice(start, BLOCK_ROWS).combine_chunks().to_batches()
    ]
    np.testing.assert_array_equal(np.vstack(parts), rows.X)
    np.testing.assert_array_equal(design_matrix(table, design, Progress()).X, rows.X)


def test_rows_that_are_left_out_keep_their_places_in_an_embedding():
    table = mixed_table(50).append_column("w", pa.array([0.0] * 10 + [1.0] * 40))
    design, rows = embedding(table, "pca:2", weight="w")
    assert rows.X.shape == (50, 2) and not rows.row_weights[:10].any()
    np.testing.assert_array_equal(rows.X, design.transform(table).X)
    # They have no say in what is learned: the mean of the others is the origin.
    np.testing.assert_allclose(rows.X[10:].mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("chain", [None, "pca:3,spectral:2"])
def test_a_design_survives_being_stored(chain):
    table = mixed_table()
    design, rows = embedding(table, chain)
    document, arrays = design.to_parts()
    assert ("encoders" in document) == (chain is not None)
    again = Design.from_parts(document, arrays)
    np.testing.assert_array_equal(again.transform(table).X, rows.X)
    assert again.feature_names == design.feature_names and again.far_rows == design.far_rows


def test_unseen_values_are_other_constants_and_new_categories():
    table = pa.table({"kind": ["a", "b"] * 20, "same": [7.0] * 40, "x": np.linspace(0, 1, 40)})
    design = plain(table)
    new = pa.table({"kind": ["a", "c", "b"], "same": [7.0, 7.0, 7.5], "x": [0.5, 0.5, 0.5]})
    X = design.transform(new, unknown="ignore").X
    unseen = design.unseen_values(X)
    np.testing.assert_array_equal(unseen, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(X[:, 2], 0.0)  # the constant column is put back
    encoded, rows = embedding(table)
    assert not encoded.unseen_values(rows.X).any()


def test_a_number_without_a_logarithm_is_an_unseen_value_of_a_logged_column():
    table = pa.table({"x": [-0.9, 0.0, 1.0, 5.0, 1e9]})
    design = plain(table, log=("x",))
    assert not design.unseen_values(design.transform(table).X).any()
    X = design.transform(pa.table({"x": [-0.999999, -1.0, -1e300]}), unknown="ignore").X
    np.testing.assert_array_equal(design.unseen_values(X)[:, 0], [False, True, True])
    np.testing.assert_array_equal(X[1:], 0.0)  # put in the midst
    plain_table = plain(table)
    assert not plain_table.unseen_values(np.full((1, 1), -1e9)).any()
