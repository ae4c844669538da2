import numba
import numpy as np
import pytest

from divmix.kernels.compile import FAST_MATH
from divmix.kernels.elementary import exp, log1p


@numba.njit(fastmath=set(FAST_MATH))
def exp_of(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


@numba.njit(fastmath=set(FAST_MATH))
def log1p_of(x, out):
    for i in range(len(x)):
        out[i] = log1p(x[i])


def largest_error(function, exact, x):
    out = np.empty_like(x)
    function(x, out)
    expected = exact(x.astype(np.longdouble))
    return np.max(np.abs(out - expected) / expected)


def negative_numbers(least, dtype):
    rng = np.random.default_rng(0)
    return -np.concatenate([rng.random(2000), 50 * rng.random(2000), least * rng.random(2000)]
                           ).astype(dtype)  # fmt: skip


@pytest.mark.parametrize(("dtype", "least", "bound"), [(np.float64, 700, 4e-16),
                                                       (np.float32, 80, 1.2e-7)])  # fmt: skip
def test_exp_is_accurate_to_the_last_bits(dtype, least, bound):
    assert largest_error(exp_of, np.exp, negative_numbers(least, dtype)) <= bound


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 6e-16), (np.float32, 3.5e-7)])
def test_log1p_is_accurate_for_small_and_large_arguments(dtype, bound):
    x = 10 ** np.linspace(-20, 30, 5000)
    assert largest_error(log1p_of, np.log1p, x.astype(dtype)) <= bound


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exp_at_its_ends(dtype):
    ends = np.array([0.0, -0.0, -708.0, -800.0, -np.inf, np.nan], dtype)
    out = np.empty_like(ends)
    exp_of(ends, out)
    np.testing.assert_array_equal(out, np.array([1, 1, 0, 0, 0, np.nan], dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exp_never_gives_a_subnormal_number(dtype):
    x = np.linspace(-760, -70, 20_000).astype(dtype)
    out = np.empty_like(x)
    exp_of(x, out)
    assert np.all((out == 0) | (out > 1000 * np.finfo(dtype).smallest_normal))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_log1p_at_its_ends(dtype):
    ends = np.array([0.0, np.inf, np.nan], dtype)
    out = np.empty_like(ends)
    log1p_of(ends, out)
    np.testing.assert_array_equal(out, np.array([0, np.inf, np.nan], dtype))


def test_fast_math_keeps_nan_and_infinity():
    assert not {"nnan", "ninf", "fast"} & set(FAST_MATH)
    is_nan = numba.njit(fastmath=set(FAST_MATH))(lambda x: x != x)
    assert is_nan(np.nan)
