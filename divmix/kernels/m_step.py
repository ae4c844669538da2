"""The M-step of J, of the sums of a visit to the rows: a few calls whatever the number of components.

Sums are those of `kernels.sums`; the equations of the push are told where it is made, in
`families.location_scale`.
"""

import numpy as np

from divmix.kernels.compile import kernel
from divmix.kernels.matrices import factorise, narrowed

TINY = np.finfo(np.float64).tiny


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
def pushed_locations(
    alpha, by_weights, by_means, spread, shares, own, weights, means, rows, left, learned
):
    """Weights and means of an M-step moved on by alpha grad H, and alpha / p_j for the covariances.

    shares (m,) p of the rows; own (m,) the weights that the sums are those of; by_weights (m,),
    by_means (m, d) the gradient; spread (m, d, d), (1, d, d) for all, or variances (m, 1, d); rows
    those of the prior, as a share. A weight keeps `left` of the M-step's; learned: whether any moves.
    """
    m, d = means.shape
    moved, relative, pushed = np.empty((m, d)), np.empty(m), weights.copy()
    slope, total = 0.0, 0.0
    for j in range(m):
        slope += own[j] * by_weights[j]
        total += own[j]
    slope /= total
    before, after = 0.0, 0.0
    for j in range(m):
        least = left * own[j] + TINY
        step, relative[j] = alpha / max(shares[j], least), alpha / max(shares[j] + rows, least)
        wide = spread[j % len(spread)]
        for a in range(d):
            push = 0.0
            if len(wide) == d:
                for b in range(d):
                    push += wide[a, b] * by_means[j, b]
            else:
                push = wide[0, a] * by_means[j, a]
            moved[j, a] = means[j, a] + step * push
        if learned:
            move = alpha * own[j] * (by_weights[j] - slope)
            pushed[j] = max(weights[j] + move, left * weights[j])
        before += weights[j]
        after += pushed[j]
    return pushed * (before / after), moved, relative


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
def estimates(second, first, scaled_mass, mass, means, extra, rows, previous, empty, floor):
    """(scatter_j + rows extra) / (mass_j + rows), (m, d, d), `previous` where that is empty; and
    whether no direction of any is narrower than the floor (d,)."""
    m, d = means.shape
    least, wide = empty * max(mass.sum() + m * rows, TINY), True
    result = scatters(second, first, scaled_mass, means)
    shifted, factor = np.empty((d, d)), np.empty((d, d))
    for j in range(m):
        total = mass[j] + rows
        for a in range(d):
            for b in range(d):
                value = (result[j, a, b] + rows * extra[a, b]) / total
                result[j, a, b] = value if total > least else previous[j, a, b]
        wide &= factorise(narrowed(result[j], floor, shifted), factor)
    return result, wide


@kernel
def diagonal_estimates(second, first, scaled_mass, mass, means, extra, rows, previous, empty):
    """As `estimates`, of variances (m, d) and extra (d,), without a floor."""
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
def pushed(target, covariances, gradients, relative, left, floor):
    """target + 2 relative_j S_j G_j S_j, (m, d, d), of symmetric S_j and G_j (m, d, d); and whether
    all leave `left` of the target and none is narrower than the floor (d,) in any direction."""
    m, d = covariances.shape[:2]
    result, fine = np.empty((m, d, d)), True
    half, factor = np.empty((d, d)), np.empty((d, d))
    for j in range(m):
        own, gradient = covariances[j], gradients[j]
        half[:] = 0.0
        for a in range(d):
            for c in range(d):
                for b in range(d):
                    half[a, b] += own[a, c] * gradient[c, b]
        for a in range(d):
            for b in range(a + 1):
                value = 0.0
                for c in range(d):
                    value += half[a, c] * own[b, c]
                value = target[j, a, b] + 2 * relative[j] * value
                result[j, a, b] = value
                result[j, b, a] = value
        for a in range(d):
            for b in range(a + 1):
                half[a, b] = result[j, a, b] - left * target[j, a, b]
        fine &= factorise(half, factor) and factorise(narrowed(result[j], floor, half), factor)
    return result, fine
