"""The one log-sum-exp, and logarithms of weights that may be 0."""

import numpy as np
import pytest
from scipy.special import logsumexp

from divmix.families.posterior import log_sum_exp, log_weights


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_it_is_the_log_of_the_sum_also_where_exp_would_overflow(axis, scale):
    terms = scale * np.random.default_rng(0).normal(size=(40, 7))
    np.testing.assert_allclose(log_sum_exp(terms, axis), logsumexp(terms, axis), rtol=1e-13)


def test_the_sum_runs_over_components_unless_told():
    assert log_sum_exp(np.zeros((3, 4))) == pytest.approx([np.log(4)] * 3)


def test_impossible_rows_have_log_density_minus_infinity_and_nan_stays_nan():
    terms = np.array([[-np.inf, -np.inf], [-np.inf, 2.0], [np.nan, 0.0]])
    with np.errstate(all="raise"):
        found = log_sum_exp(terms)
    np.testing.assert_array_equal(found, [-np.inf, 2.0, np.nan])


def test_a_row_has_the_same_bits_alone_and_among_others():
    terms = np.random.default_rng(1).normal(scale=30, size=(50, 9))
    alone = [log_sum_exp(row[None])[0] for row in terms]
    np.testing.assert_array_equal(log_sum_exp(terms), alone)


def test_a_component_that_died_has_a_finite_logarithm_that_adds_nothing():
    found = log_weights(np.array([0.0, 0.25, 0.75]))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1:], np.log([0.25, 0.75]))
    assert log_sum_exp(found[None])[0] == pytest.approx(0.0, abs=1e-15)
