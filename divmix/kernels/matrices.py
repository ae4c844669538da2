"""Algebra of many small matrices: one for each component, where NumPy's own cost is the call.

A function that factorises tells of each matrix whether it is positive definite, and leaves what is
to be done with one that is not to its caller.
"""

import numpy as np

from divmix.kernels.compile import kernel

TINY = np.finfo(np.float64).tiny


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
def log_volumes(covariances, matrix):
    """sum_j log|S_j| + tr(S_j^-1 P) of S (m, d, d) and P (d, d), and whether all S_j are positive
    definite."""
    m, d = covariances.shape[:2]
    factor, row, total, fine = np.empty((d, d)), np.empty(d), 0.0, True
    inverse = np.empty((d, d))
    for j in range(m):
        fine &= _factorise(covariances[j], factor)
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


@kernel
def per_mass(total, mass, previous, empty):
    """total_j / mass_j, (m, d), and `previous` where the share of the mass is `empty` at most."""
    m, d = total.shape
    result, least = np.empty((m, d)), empty * max(mass.sum(), TINY)
    for j in range(m):
        for a in range(d):
            result[j, a] = total[j, a] / mass[j] if mass[j] > least else previous[j, a]
    return result


@kernel
def scatters(second, first, scaled_mass, means):
    """sum w r u (x - mu)(x - mu)', (m, d, d), of sums about 0 and means (m, d)."""
    m, d = means.shape
    result = np.empty((m, d, d))
    for j in range(m):
        mean, own = means[j], first[j]
        for a in range(d):
            for b in range(a + 1):
                value = second[j, a, b] - mean[a] * own[b] - own[a] * mean[b]
                value += scaled_mass[j] * mean[a] * mean[b]
                result[j, a, b] = value
                result[j, b, a] = value
    return result


@kernel
def estimates(second, first, scaled_mass, mass, means, extra, rows, previous, empty):
    """(scatter_j + rows extra) / (mass_j + rows), (m, d, d); `previous` where that is empty."""
    m, d = means.shape
    result, least = np.empty((m, d, d)), empty * max(mass.sum() + m * rows, TINY)
    scattered = scatters(second, first, scaled_mass, means)
    for j in range(m):
        total = mass[j] + rows
        for a in range(d):
            for b in range(d):
                value = (scattered[j, a, b] + rows * extra[a, b]) / total
                result[j, a, b] = value if total > least else previous[j, a, b]
    return result


@kernel
def diagonal_estimates(second, first, scaled_mass, mass, means, extra, rows, previous, empty):
    """As `estimates`, of variances (m, d) and extra (d,)."""
    m, d = means.shape
    result, least = np.empty((m, d)), empty * max(mass.sum() + m * rows, TINY)
    for j in range(m):
        total = mass[j] + rows
        for a in range(d):
            mean = means[j, a]
            value = second[j, a] - 2 * mean * first[j, a] + scaled_mass[j] * mean * mean
            value = (max(value, 0.0) + rows * extra[a]) / total
            result[j, a] = value if total > least else previous[j, a]
    return result


@kernel
def pushed(target, matrices, gradients, relative, share):
    """target + 2 relative_j S_j G_j S_j, (m, d, d), of symmetric S_j and G_j (m, d, d), and which
    of these leave `share` of the target, (m,)."""
    m, d = matrices.shape[:2]
    result, enough = np.empty((m, d, d)), np.empty(m, np.bool_)
    left, factor = np.empty((d, d)), np.empty((d, d))
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
                value = target[j, a, b] + 2 * relative[j] * value
                result[j, a, b] = value
                result[j, b, a] = value
        for a in range(d):
            for b in range(a + 1):
                left[a, b] = result[j, a, b] - share * target[j, a, b]
        enough[j] = _factorise(left, factor)
    return result, enough


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
