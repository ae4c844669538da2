"""Algebra of many small matrices: one for each component, where NumPy's own cost is the call.

A function that factorises tells of each matrix whether it is positive definite, and leaves what is
to be done with one that is not to its caller.
"""

import numpy as np

from divmix.kernels.compile import kernel


@kernel
def inverse_factors(matrices):
    """W (m, d, d), lower triangular, with W S W' = I, 1/2 log|S| (m,), and which are positive
    definite (m,); of one that is not the others are left undefined."""
    m, d = matrices.shape[:2]
    inverses, half_logs = np.zeros((m, d, d)), np.zeros(m)
    fine, factor = np.empty(m, np.bool_), np.empty((d, d))
    for j in range(m):
        fine[j] = _factorise(matrices[j], factor)
        for k in range(d):
            half_logs[j] += np.log(factor[k, k])
        _invert_triangle(factor, inverses[j])
    return inverses, half_logs, fine


@kernel
def are_wide(covariances, floor):
    """Of which of covariances (m, d, d) no direction is narrower than variances floor (d,), (m,)."""
    m, d = covariances.shape[:2]
    wide, own, factor = np.empty(m, np.bool_), np.empty((d, d)), np.empty((d, d))
    for j in range(m):
        for a in range(d):
            for b in range(a + 1):
                own[a, b] = covariances[j, a, b] - (floor[a] if a == b else 0.0)
        wide[j] = _factorise(own, factor)
    return wide


@kernel
def leave_enough(covariances, others, share):
    """Which S_j - share T_j are positive definite, (m,); S and T (m, d, d)."""
    m, d = covariances.shape[:2]
    enough, own, factor = np.empty(m, np.bool_), np.empty((d, d)), np.empty((d, d))
    for j in range(m):
        for a in range(d):
            for b in range(a + 1):
                own[a, b] = covariances[j, a, b] - share * others[j, a, b]
        enough[j] = _factorise(own, factor)
    return enough


@kernel
def traces_of_solved(inverses, matrix):
    """tr(S_j^-1 P), (m,), of factors W_j (m, d, d), S_j^-1 = W_j' W_j, and P (d, d)."""
    m, d = inverses.shape[:2]
    traces, row = np.zeros(m), np.empty(d)
    for j in range(m):
        for k in range(d):
            row[:] = 0.0
            for a in range(k + 1):
                for b in range(k + 1):
                    row[b] += inverses[j, k, a] * matrix[a, b]
            for b in range(k + 1):
                traces[j] += row[b] * inverses[j, k, b]
    return traces


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


@kernel
def scatters(second, first, scaled_mass, means, extra):
    """sum w r u (x - mu)(x - mu)' + extra, (m, d, d), of sums about 0 and means (m, d)."""
    m, d = means.shape
    result = np.empty((m, d, d))
    for j in range(m):
        mean, own = means[j], first[j]
        for a in range(d):
            for b in range(a + 1):
                value = second[j, a, b] - mean[a] * own[b] - own[a] * mean[b]
                value += scaled_mass[j] * mean[a] * mean[b] + extra[a, b]
                result[j, a, b] = value
                result[j, b, a] = value
    return result


@kernel
def between(matrices, gradients, relative):
    """2 relative_j S_j G_j S_j, (m, d, d), of symmetric S_j and G_j (m, d, d)."""
    m, d = matrices.shape[:2]
    result, left = np.empty((m, d, d)), np.empty((d, d))
    for j in range(m):
        own, gradient = matrices[j], gradients[j]
        left[:] = 0.0
        for a in range(d):
            for c in range(d):
                for b in range(d):
                    left[a, b] += own[a, c] * gradient[c, b]
        for a in range(d):
            for b in range(a + 1):
                value = 0.0
                for c in range(d):
                    value += left[a, c] * own[b, c]
                result[j, a, b] = 2 * relative[j] * value
                result[j, b, a] = result[j, a, b]
    return result


@kernel
def _factorise(matrix, factor):
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


@kernel
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
