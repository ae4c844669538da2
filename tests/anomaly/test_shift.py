"""p-values of rows that are distributed otherwise than the known ones."""

import numpy as np
import pytest

from divmix.anomaly import shift
from divmix.anomaly.p_values import conformal_p_values

LEVELS = np.array([0.3, 0.1, 0.05])


def test_equal_weights_give_ranks():
    known = np.array([1.0, 2.0, 2.0, 5.0])
    scores = np.array([0.0, 2.0, 3.0, 9.0, np.nan])
    found = shift.p_values(scores, np.ones(5), known, np.ones(4))
    np.testing.assert_allclose(found, conformal_p_values(scores, known))


def test_weighted_ranks_by_hand():
    found = shift.p_values(
        np.array([2.0]), np.array([0.5]), np.array([1.0, 2.0, 3.0]), np.array([4.0, 1.0, 2.0])
    )
    np.testing.assert_allclose(found, (0.5 + 3) / (0.5 + 7))


def test_the_ratio_of_two_normals_is_learned():
    generator = np.random.default_rng(0)
    known, new = generator.normal(size=(5_000, 3)), generator.normal(size=(2_500, 3))
    new[:, 1] += 1.0
    found = shift.learn(known, new).weights(known)
    expected = np.exp(known[:, 1] - 0.5)  # of N(1, 1) to N(0, 1)
    assert np.corrcoef(np.log(found), np.log(expected))[0, 1] > 0.99
    assert found.mean() == pytest.approx(1, abs=0.1)
    assert 0.3 < shift.effective_rows(found) / 5_000 < 0.45  # exp(-1) = .37


def test_without_a_shift_all_weigh_about_the_same_and_constant_columns_do_nothing():
    generator = np.random.default_rng(1)
    known, new = (
        np.column_stack([generator.normal(size=(n, 4)), np.ones(n)]) for n in (2_000, 500)
    )
    weights = shift.learn(known, new).weights(known)
    assert shift.effective_rows(weights) > 0.95 * 2_000


def test_no_new_rows_no_shift():
    known = np.random.default_rng(2).normal(size=(50, 2))
    np.testing.assert_array_equal(shift.learn(known, known[:0]).weights(known), np.ones(50))


def test_p_values_under_covariate_shift_are_uniform_where_ranks_are_not():
    """The spread of y grows with x, and new rows have larger x: more of them score high."""
    weighted, plain = [], []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        x, new_x = generator.normal(size=2_000), 1.2 + generator.normal(size=500)
        y, new_y = (np.exp(0.5 * v) * generator.normal(size=len(v)) for v in (x, new_x))
        found = shift.learn(x[:, None], new_x[:, None])
        order = np.argsort(np.abs(y))
        known = np.abs(y)[order]
        p_values = shift.p_values(
            np.abs(new_y), found.weights(new_x[:, None]), known, found.weights(x[order, None])
        )
        weighted.append((p_values[:, None] <= LEVELS).mean(axis=0) / LEVELS)
        ranks = conformal_p_values(np.abs(new_y), known)
        plain.append((ranks[:, None] <= LEVELS).mean(axis=0) / LEVELS)
    assert (np.mean(weighted, axis=0) <= 1.15).all() and (np.mean(weighted, axis=0) >= 0.7).all()
    assert (np.mean(plain, axis=0) > 1.4).all()
