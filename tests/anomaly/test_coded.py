"""A detector of many categories has them by codes: scores, p-values and reasons are those of features."""

import numpy as np
import pyarrow as pa
import pytest

from divmix.anomaly.detector import (
    fit_density,
    reasons_of,
    score_itself,
    score_rows,
    score_seen,
)
from divmix.design import design
from divmix.design.symmetry import powers_of
from divmix.families import Coded
from divmix.settings import DetectSettings


def table_of(n, seed, numbers=1):
    """Two groups; the first rows have any categories, and one of them a flag that no other has."""
    generator = np.random.default_rng(seed)
    group, likely = generator.integers(2, size=n), np.random.default_rng(9)
    columns = {f"x{j}": np.exp(generator.normal(size=n) + 3 * group) for j in range(numbers)}
    for j in range(20):
        below = likely.dirichlet(np.ones(4), 2).cumsum(axis=1)[group, :-1]
        level = (generator.random((n, 1)) >= below).sum(axis=1)
        level[:5] = generator.integers(4, size=min(5, n))
        columns[f"t{j}"] = np.array(["a", "b", "c", "d"])[level]
    columns["always"] = np.zeros(n, bool)
    return pa.table(columns)


def new_rows(numbers):
    """Rows with a category and with a flag that training has not."""
    table = table_of(40, 2, numbers)
    for name, value in (("t3", "new"), ("always", True)):
        values = table.column(name).to_pylist()
        values[6 if value is True else 7] = value
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


@pytest.fixture(
    params=[(True, 1), (True, 2), (False, 1)],
    ids=["itself", "itself, numbers made symmetric", "new rows"],
)
def found(request, monkeypatch):
    """The scores of a detector by codes, and by features."""
    both, (itself, numbers) = [], request.param
    for coded_from in (64, 1_000_000):
        monkeypatch.setattr(design, "CODED_FROM", coded_from)
        settings = DetectSettings(components=2, training="mixed" if itself else "clean")
        fitted = fit_density(table_of(1_500, 1, numbers), settings, itself=itself)
        assert isinstance(fitted.X, Coded) == (coded_from == 64)
        assert (powers_of(fitted.mixture.design) is not None) == (numbers == 2)
        if itself:
            scored = [score_itself(fitted), score_seen(fitted)]
        else:
            scored = [score_rows(fitted.mixture, new_rows(numbers).to_batches(16))]
        both.append([(own, reasons_of(fitted.mixture)(own.X, own.empty)) for own in scored])
    return both


def test_scores_are_those_of_all_features(found):
    for (one, because), (other, reasons) in zip(*found):
        np.testing.assert_allclose(one.score, other.score, rtol=1e-9)
        np.testing.assert_allclose(one.p_value, other.p_value, rtol=1e-9)
        np.testing.assert_array_equal(one.highest, other.highest)
        np.testing.assert_array_equal(one.X, other.X)
        assert because == reasons
        if len(one.score) == 40:  # what training has not
            assert {6, 7} == set(one.highest[:2].tolist())
            assert any("t3 is new" in text for text in because)


def test_no_matrix_of_many_rows_is_made(monkeypatch):
    made, whole = [], Coded.matrix

    def matrix(rows):
        made.append(rows.shape)
        return whole(rows)

    monkeypatch.setattr(Coded, "matrix", matrix)
    fitted = fit_density(table_of(6_000, 1), DetectSettings(components=2), itself=True)
    score_itself(fitted), score_seen(fitted)
    # Numbers apart, the most are the rows that tell what is typical.
    assert made and max(n for n, d in made if d > 1) <= 2_000
