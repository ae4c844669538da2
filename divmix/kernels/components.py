"""The O(m^2) step between Gaussian components: their overlap, its entropy, the entropy's gradient.

Components N(mu_i, S_i) of weights w_i, with the Bhattacharyya or probability product kernel
k_ij = integral sqrt(p_i p_j) (Jebara, Kondor and Howard 2004), which has no unit and no bandwidth:

    log k = 1/4 (log|S_i| + log|S_j|) - 1/2 log|S| - 1/8 u' S^-1 u,  S = (S_i + S_j) / 2
    H = -sum_i w_i log q_i,  q_i = sum_j w_j k_ij,  u = mu_i - mu_j

0 <= H <= log m, and exp(H) is the effective number of components. A Student-t has no such closed
form: it takes that of its location and scale. With c_ij = -(w_i w_j / q_i + w_i w_j / q_j) k_ij,
symmetric, the exact gradients are

    dH/dw_i = -log q_i - sum_l w_l k_li / q_l
    dH/dmu_i = sum_j c_ij dlog k_ij/dmu_i,  dlog k/dmu_i = -1/4 S^-1 u
    dH/dS_i = sum_j c_ij dlog k_ij/dS_i,  dlog k/dS_i = 1/4 S_i^-1 - 1/4 S^-1 + 1/16 S^-1 u u' S^-1

A spherical covariance is a diagonal one of equal entries; a tied one makes unit variances of the
coordinates L^-1 mu, S = L L'. So there are two kinds of pairs, each with its kernels:
`diagonal_pairs` and `full_pairs`.
"""

from typing import NamedTuple

import numpy as np

from divmix.kernels.compile import kernel as compiled
from divmix.kernels.diagonal_pairs import DiagonalPairs
from divmix.kernels.full_pairs import FullPairs
from divmix.kernels.pair_groups import Floats, added

# Similarities of all pairs are kept up to this many components (128 MiB); with more, a strip of
# rows of that size is made at a time, and made again for the gradient.
KEPT_UP_TO = 4096
TINY = np.finfo(np.float64).tiny


class Gradient(NamedTuple):
    """Derivatives of H, each of the shape of what it is taken by."""

    weights: Floats  # (m,) as if weights were free: sum to 1 is the caller's business
    means: Floats  # (m, d)
    covariances: Floats  # spherical (m,), diag (m, d), tied (1, d, d), full (m, d, d)


class Overlap(NamedTuple):
    """Sums over all pairs (i, j), the pair of a component with itself included: k_ii = 1."""

    entropy: float  # H, nats
    weighted: Floats  # (m,) q_i = sum_j w_j k_ij
    row_sums: Floats  # (m,) sum_j k_ij
    shared: Floats  # (m, P) sum_j k_ij V_j
    gradient: Gradient | None


def overlap(
    means: Floats,
    covariances: Floats,
    weights: Floats,
    values: Floats | None = None,
    gradient: bool = True,
    factor: Floats | None = None,
) -> Overlap:
    """Entropy of components, shared `values` V (m, P), and the gradient of the entropy if wanted.

    means (m, d); covariances spherical (m,), diag (m, d), tied (1, d, d) or full (m, d, d);
    weights (m,), 0 allowed, sum 1. factor (m, m), symmetric and 1 on the diagonal, multiplies k:
    the overlap in columns that are independent of these; gradients are those with it.
    """
    means, covariances, weights = (
        np.ascontiguousarray(array, np.float64) for array in (means, covariances, weights)
    )
    values = np.zeros((len(means), 0)) if values is None else values
    if covariances.ndim < 3:
        variances = np.broadcast_to(covariances.reshape(len(means), -1), means.shape)
        result = _all_pairs(DiagonalPairs(means, variances), weights, values, gradient, factor)
        if covariances.ndim == 1 and result.gradient is not None:
            return _replaced(result, covariances=result.gradient.covariances.sum(axis=1))
        return result
    if len(covariances) == 1:
        return _tied(means, covariances[0], weights, values, gradient, factor)
    return _all_pairs(FullPairs(means, covariances), weights, values, gradient, factor)


def _tied(
    means: Floats,
    covariance: Floats,
    weights: Floats,
    values: Floats,
    gradient: bool,
    factor: Floats | None,
) -> Overlap:
    """`overlap` in coordinates y = L^-1 mu, where all covariances are the identity.

    With G = dH/dy: dH/dmu = G L^-1, and as dlog k/dS = 1/8 S^-1 u u' S^-1, summed over pairs,
    dH/dS = -1/2 L^-T y' G L^-1.
    """
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    y = (means - means.mean(axis=0)) @ inverse.T
    result = _all_pairs(DiagonalPairs(y, np.ones_like(y)), weights, values, gradient, factor)
    if result.gradient is None:
        return result
    by_y = result.gradient.means
    by_covariance = -0.5 * inverse.T @ (y.T @ by_y) @ inverse
    by_covariance = 0.5 * (by_covariance + by_covariance.T)
    return _replaced(result, means=by_y @ inverse, covariances=by_covariance[None])


def _replaced(result: Overlap, **parts: Floats) -> Overlap:
    assert result.gradient is not None
    return result._replace(gradient=result.gradient._replace(**parts))


def _all_pairs(
    shape: "DiagonalPairs | FullPairs",
    weights: Floats,
    values: Floats,
    gradient: bool,
    factor: Floats | None,
) -> Overlap:
    m = len(weights)
    height = m if m <= KEPT_UP_TO else max(1, KEPT_UP_TO**2 // m)
    strips = [(start, min(start + height, m)) for start in range(0, m, height)]
    row_sums, weighted, shared = np.empty(m), np.empty(m), np.empty((m, values.shape[1]))

    def similarities(start: int, stop: int) -> Floats:
        k = shape.similarities(start, stop)
        return k if factor is None else k * factor[start:stop]

    for start, stop in strips:
        k = similarities(start, stop)
        row_sums[start:stop], weighted[start:stop] = _row_sums(k, weights)
        if values.size:
            shared[start:stop] = k @ values
    entropy, log_weighted, ratio = _entropy(weights, weighted)
    result = Overlap(entropy, weighted, row_sums, shared, None)
    if not gradient:
        return result

    parts = []
    for start, stop in strips:
        if len(strips) > 1:
            k = similarities(start, stop)
        parts.append(shape.gradients(k, start, weights, ratio))
    by_weights, by_means, by_covariances, totals = added(parts)
    by_weights -= log_weighted + ratio  # k_ii = 1
    by_covariances = shape.completed(by_covariances, totals)
    return result._replace(gradient=Gradient(by_weights, by_means, by_covariances))


@compiled
def _row_sums(k, weights):
    """sum_j k_ij and sum_j w_j k_ij of each row."""
    plain, weighted = np.empty(len(k)), np.empty(len(k))
    for i in range(len(k)):
        row, total, own = k[i], 0.0, 0.0
        for j in range(len(row)):
            total += row[j]
            own += weights[j] * row[j]
        plain[i], weighted[i] = total, own
    return plain, weighted


@compiled
def _entropy(weights, weighted):
    """H, and of each component log q and w / q; q is 0 for weight 0, far from all others."""
    entropy, logs, ratio = 0.0, np.empty(len(weights)), np.empty(len(weights))
    for i in range(len(weights)):
        q = max(weighted[i], TINY)
        logs[i], ratio[i] = np.log(q), weights[i] / q
        entropy -= weights[i] * logs[i]
    return entropy, logs, ratio
