import numba
import numpy as np
import pytest

from divmix.kernels.places import first_above, lowest


@numba.njit
def lowest_of(values):
    return lowest(values)


@numba.njit
def first_above_of(ascending, value):
    return first_above(ascending, value)


@pytest.mark.parametrize("find", [lowest, lowest_of])
def test_the_place_of_the_least_is_that_of_numpy(find):
    generator = np.random.default_rng(0)
    for size in range(1, 30):
        values = generator.integers(0, 5, size).astype(float)  # often several are least
        values[values == 4] = np.inf
        assert find(values) == values.argmin()


@pytest.mark.parametrize("find", [first_above, first_above_of])
def test_the_first_place_above_a_value_is_that_of_numpy(find):
    generator = np.random.default_rng(0)
    for size in range(1, 30):
        ascending = np.sort(generator.integers(0, 5, size)).astype(float)
        for value in (-1.0, 0.0, 2.0, 2.5, 4.0, 9.0):
            assert find(ascending, value) == np.searchsorted(ascending, value, side="right")
