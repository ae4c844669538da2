"""exp and log that LLVM vectorises, in float64 and float32.

NumPy's exp in a kernel is a scalar call of 4.7 ns, since Numba no longer reaches Intel's vector
library (llvmlite#1390); these take 0.9 ns. Polynomials interpolate at Chebyshev nodes; they were
computed with 60 digits. They must not be compiled with "reassoc", which would spoil the range
reductions; calls are left to LLVM to inline, since Numba's ``inline="always"`` would compile them
with the flags of the caller.
"""

import numpy as np
from numba.extending import overload

from divmix.kernels.compile import EXACT_ORDER, helper

# Below this exp is 0: above, products of the result with a coordinate are still normal numbers;
# subnormal ones made a kernel 30 to 50 times slower.
LEAST_64, LEAST_32 = np.float64(-700.0), np.float32(-80.0)

# Adding 1.5 x 2^52 rounds to an integer and leaves it in the low bits; ln 2 in two parts, so that
# an integer times the first is exact.
_INVERSE_LN2 = 1.4426950408889634
_ROUND_64, _LN2_HIGH_64, _LN2_LOW_64 = (
    6755399441055744.0,
    0.6931471803691238,
    1.9082149292705877e-10,
)
_ROUND_32 = np.float32(12582912.0)
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_INVERSE_LN2_32 = np.float32(_INVERSE_LN2)

# exp(r) for |r| <= ln 2 / 2
_EXP_64 = (
    1.0, 1.0, 0.5000000000000019, 0.1666666666666668, 0.04166666666648795, 0.008333333333319589,
    0.0013888888952352863, 0.00019841269890076403, 2.4801485441561313e-05, 2.755724088722987e-06,
    2.763265472252779e-07, 2.511004920481866e-08,
)  # fmt: skip
_EXP_32 = tuple(np.array([
    1.0, 1.0, 0.5000000047146057, 0.16666415414041177, 0.04166635277111221, 0.008375134774624326,
    0.0013941118895837,
], np.float32))  # fmt: skip

# log((1 + s) / (1 - s)) / s as a polynomial in s^2, for |s| <= (sqrt 2 - 1) / (sqrt 2 + 1)
_LOG_64 = (
    2.0, 0.6666666666666765, 0.3999999999930191, 0.2857142876073828, 0.22222197046404274,
    0.18183632241617026, 0.15312513114738296, 0.14809867572313065,
)  # fmt: skip
_LOG_32 = tuple(
    np.array([2.0, 0.6666681538347713, 0.3997484537587727, 0.29924530374734704], np.float32)
)
_LN2_64, _LN2_32 = 0.6931471805599453, np.float32(0.6931471805599453)
_SQRT_HALF_BITS_64 = np.int64(0x3FE6A09E667F3BCD)
_SQRT_HALF_BITS_32 = np.int32(0x3F3504F3)


def exp(x):
    """e^x for x <= 0, relative error 2e-16 (float32: 1e-7); 0 below -700 (float32: -80)."""
    return _exp_32(x) if isinstance(x, np.float32) else _exp_64(x)


def log1p(x):
    """log(1 + x) for x >= 0, relative error 6e-16 (float32: 3e-7)."""
    return _log1p_32(x) if isinstance(x, np.float32) else _log1p_64(x)


@helper(fastmath=EXACT_ORDER)
def _exp_64(x):
    rounded = x * _INVERSE_LN2 + _ROUND_64
    n = rounded - _ROUND_64
    r = (x - n * _LN2_HIGH_64) - n * _LN2_LOW_64
    c = _EXP_64
    p = c[8] + r * (c[9] + r * (c[10] + r * c[11]))
    p = c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * (c[4] + r * (c[5] + r * (c[6] + r * (
        c[7] + r * p)))))))  # fmt: skip
    # p 2^n: n, the low bits of `rounded`, added to the exponent of p
    bits = np.float64(p).view(np.int64) + (np.float64(rounded).view(np.int64) << np.int64(52))
    # NaN stays NaN: the low bits of `rounded` are then 0
    return 0.0 if x < LEAST_64 else np.int64(bits).view(np.float64)


@helper(fastmath=EXACT_ORDER)
def _exp_32(x):
    rounded = x * _INVERSE_LN2_32 + _ROUND_32
    n = rounded - _ROUND_32
    r = (x - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    c = _EXP_32
    p = c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * (c[4] + r * (c[5] + r * c[6])))))
    shift = np.float32(rounded).view(np.int32) << np.int32(23)
    bits = np.int32(np.float32(p).view(np.int32) + shift)
    return np.float32(0.0) if x < LEAST_32 else np.int32(bits).view(np.float32)


@helper(fastmath=EXACT_ORDER)
def _log1p_64(x):
    z = 1.0 + x
    # z = 2^n f with f in [sqrt(1/2), sqrt 2); for n = 0, f - 1 is x itself, without the rounding
    n = (np.float64(z).view(np.int64) - _SQRT_HALF_BITS_64) >> np.int64(52)
    f = np.int64(np.float64(z).view(np.int64) - (n << np.int64(52))).view(np.float64)
    g = x if n == 0 else f - 1.0
    s = g / (g + 2.0)
    t = s * s
    c = _LOG_64
    p = c[3] + t * (c[4] + t * (c[5] + t * (c[6] + t * c[7])))
    result = n * _LN2_64 + s * (c[0] + t * (c[1] + t * (c[2] + t * p)))
    return result if z < np.inf else z


@helper(fastmath=EXACT_ORDER)
def _log1p_32(x):
    z = np.float32(1.0) + x
    n = np.int32(np.int32(np.float32(z).view(np.int32) - _SQRT_HALF_BITS_32) >> np.int32(23))
    f = np.int32(np.float32(z).view(np.int32) - np.int32(n << np.int32(23))).view(np.float32)
    g = x if n == 0 else f - np.float32(1.0)
    s = g / (g + np.float32(2.0))
    t = s * s
    c = _LOG_32
    result = np.float32(n) * _LN2_32 + s * (c[0] + t * (c[1] + t * (c[2] + t * c[3])))
    return result if z < np.float32(np.inf) else z


@overload(exp)
def _exp_for(x):
    return (lambda x: _exp_32(x)) if x.bitwidth == 32 else (lambda x: _exp_64(x))


@overload(log1p)
def _log1p_for(x):
    return (lambda x: _log1p_32(x)) if x.bitwidth == 32 else (lambda x: _log1p_64(x))
