"""How far out values are in their columns."""

import numpy as np
import pytest

from divmix.anomaly.margins import STEP, margins_of, tails
from divmix.model import schema


def shares(column, side):
    """-log of the share of values as far out, by counting."""
    return np.array([-np.log((side * column >= side * value).mean()) for value in column])


@pytest.mark.parametrize("side", [1, -1])
def test_a_tail_is_the_share_of_rows_as_far_out_on_the_side_of_the_skewness(side):
    column = side * np.random.default_rng(0).exponential(size=1_000)
    N = column[:, None]
    found = tails(N, margins_of(N))[:, 0]
    np.testing.assert_allclose(found, shares(column, side), atol=STEP)
    # Between the knots, on the other side, and beyond the farthest value.
    new = side * np.array([[np.log(2)], [-9.0], [1e9]])
    last = STEP * (margins_of(N).shape[1] - 1)
    np.testing.assert_allclose(tails(new, margins_of(N))[:, 0], [np.log(2), 0, last], atol=0.15)
    assert np.log(1_000) - STEP < last <= np.log(1_000)


def test_of_a_value_that_repeats_the_whole_tail_counts():
    column = np.r_[np.zeros(900), np.linspace(1, 2, 100)]
    N = column[:, None]
    found = tails(N, margins_of(N))[:, 0]
    assert (found[:900] == 0).all() and found[900:].min() > 2
    assert (tails(np.ones((5, 1)), margins_of(np.ones((5, 1)))) == 0).all()


def test_huge_numbers_have_a_side():
    column = np.r_[np.linspace(0, 1, 99), 1e200]
    N = np.stack([column, -column], axis=1)
    found = tails(N, margins_of(N))
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert found[-1, 0] == found.max()


def test_margins_of_a_model_file_ascend_or_descend():
    def check(*margins):
        arrays = {
            "calibration_opinions": np.ones((3, 2)),
            "calibration_opinion_of": np.zeros(1, int),
            "calibration_margins": np.array(margins, np.float64).reshape(len(margins), -1),
        }
        schema._check_opinions(arrays, 1)

    check([0.0, 1.0, 1.0], [2.0, 1.0, -1.0])
    for wrong in ([0.0, 2.0, 1.0], []):
        with pytest.raises(ValueError, match="neither ascend nor descend"):
            check(wrong)
