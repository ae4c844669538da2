"""Algebra of many small matrices: one for each component, where NumPy's own cost is the call.

A function that factorises tells of each matrix whether it is positive definite, and leaves what is
to be done with one that is not to its caller.
"""

import numpy as np

from divmix.kernels.compile import helper, kernel


@kernel
def inverse_factors(matrices):
    """W (m, d, d), lower triangular, with W S W' = I, 1/2 log|S| (m,), and which are positive
    definite (m,); of one that is not the others are left undefined."""
    m, d = matrices.shape[:2]
    inverses, half_logs = np.zeros((m, d, d)), np.zeros(m)
    fine, factor = np.empty(m, np.bool_), np.empty((d, d))
    for j in range(m):
        fine[j] = factorise(matrices[j], factor)
        for k in range(d):
            half_logs[j] += np.log(factor[k, k])
        _invert_triangle(factor, inverses[j])
    return inverses, half_logs, fine


@kernel
def are_wide(covariances, floor):
    """Of which of covariances (m, d, d) no direction is narrower than variances floor (d,), (m,)."""
    m, d = covariances.shape[:2]
    wide, shifted, factor = np.empty(m, np.bool_), np.empty((d, d)), np.empty((d, d))
    for j in range(m):
        wide[j] = factorise(narrowed(covariances[j], floor, shifted), factor)
    return wide


@helper
def narrowed(covariance, floor, result):
    """The lower triangle of the covariance (d, d) less variances floor (d,), in `result`: positive
    definite where no direction is narrower than the floor."""
    for a in range(len(floor)):
        for b in range(a + 1):
            result[a, b] = covariance[a, b] - (floor[a] if a == b else 0.0)
    return result


@kernel
def log_dets(matrices):
    """log|S| (m,) of positive definite S (m, d, d)."""
    m, d = matrices.shape[:2]
    logs, factor = np.zeros(m), np.empty((d, d))
    for j in range(m):
        factorise(matrices[j], factor)
        for k in range(d):
            logs[j] += 2 * np.log(factor[k, k])
    return logs


@kernel
def log_volumes(covariances, matrix):
    """sum_j log|S_j| + tr(S_j^-1 P) of S (m, d, d) and P (d, d), and whether all S_j are positive
    definite."""
    m, d = covariances.shape[:2]
    factor, row, total, fine = np.empty((d, d)), np.empty(d), 0.0, True
    inverse = np.empty((d, d))
    for j in range(m):
        fine &= factorise(covariances[j], factor)
        inverse[:] = 0.0
        _invert_triangle(factor, inverse)
        for k in range(d):
            total += 2 * np.log(factor[k, k])
            row[:] = 0.0
            for a in range(k + 1):
                for b in range(k + 1):
                    row[b] += inverse[k, a] * matrix[a, b]
            for b in range(k + 1):
                total += row[b] * inverse[k, b]
    return total, fine


@kernel
def with_inverses(packed, shares, inverses):
    """P_j + share_j S_j^-1, (m, d, d): lower triangles P packed by rows (m, d (d + 1) / 2), shares
    (m,), S_j^-1 = W_j' W_j of lower triangular W_j (m, d, d)."""
    m, d = inverses.shape[:2]
    result = np.zeros((m, d, d))
    for j in range(m):
        for k in range(d):
            for a in range(k + 1):
                for b in range(a + 1):
                    result[j, a, b] += inverses[j, k, a] * inverses[j, k, b]
        for a in range(d):
            for b in range(a + 1):
                value = packed[j, a * (a + 1) // 2 + b] + shares[j] * result[j, a, b]
                result[j, a, b] = value
                result[j, b, a] = value
    return result


@helper
def factorise(matrix, factor):
    """The Cholesky factor in the lower triangle of `factor`; whether there is one."""
    d = len(matrix)
    for a in range(d):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= factor[a, c] * factor[b, c]
            if a > b:
                factor[a, b] = value / factor[b, b]
            elif value > 0.0:  # False also for NaN
                factor[a, a] = np.sqrt(value)
            else:
                for k in range(a, d):
                    factor[k, k] = 1.0
                return False
    return True


@helper
def _invert_triangle(factor, inverse):
    """inverse (d, d), of zeros, becomes that of the lower triangle of `factor`, by rows."""
    d = len(factor)
    for a in range(d):
        for c in range(a):
            share = factor[a, c]
            for b in range(c + 1):
                inverse[a, b] -= share * inverse[c, b]
        scale = 1.0 / factor[a, a]
        for b in range(a):
            inverse[a, b] *= scale
        inverse[a, a] = scale
