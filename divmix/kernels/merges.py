"""What joining two components costs, and their union: one call for many pairs."""

import numpy as np

from divmix.kernels.compile import kernel


@kernel
def divergences(a, b, weights, means, covariances, log_dets, probabilities, smallest):
    """1/2 [(w_a + w_b) log|P| - w_a log|P_a| - w_b log|P_b|] of pairs a, b (p,), (p,), P the
    covariance of both together; and what the entropies of probabilities (m, L) gain likewise.

    Weights below `smallest` count as none. Covariances are positive definite.
    """
    costs, joined = np.empty(len(a)), np.empty(covariances.shape[1:])
    for pair in range(len(a)):
        i, j = a[pair], b[pair]
        total, share = weights[i] + weights[j], _share(i, j, weights, smallest)
        own = weights[i] * log_dets[i] + weights[j] * log_dets[j]
        _pool(i, j, share, means, covariances, joined)
        cost = 0.5 * (total * _log_det(joined) - own)
        for c in range(probabilities.shape[1]):
            one, other = probabilities[i, c], probabilities[j, c]
            both = share * one + (1 - share) * other
            cost += weights[i] * one * np.log(max(one, smallest))
            cost += weights[j] * other * np.log(max(other, smallest))
            cost -= total * both * np.log(max(both, smallest))
        costs[pair] = cost
    return costs


@kernel
def unite(a, b, weights, means, covariances, log_dets, probabilities, smallest):
    """Put the union of a and b into slot a."""
    share, d = _share(a, b, weights, smallest), means.shape[1]
    joined = np.empty(covariances.shape[1:])
    _pool(a, b, share, means, covariances, joined)
    for r in range(d):
        means[a, r] = share * means[a, r] + (1 - share) * means[b, r]
        for s in range(r + 1):
            covariances[a, r, s] = joined[r, s]
            covariances[a, s, r] = joined[r, s]
    for c in range(probabilities.shape[1]):
        probabilities[a, c] = share * probabilities[a, c] + (1 - share) * probabilities[b, c]
    weights[a] += weights[b]
    log_dets[a] = _log_det(joined)


@kernel
def _share(a, b, weights, smallest):
    """Share of a in the union of a and b; half where neither has a weight."""
    total = weights[a] + weights[b]
    return weights[a] / total if total > smallest else 0.5


@kernel
def _pool(a, b, share, means, covariances, joined):
    """The covariance of the union, in the lower triangle of `joined`."""
    for r in range(means.shape[1]):
        for s in range(r + 1):
            gap = (means[a, r] - means[b, r]) * (means[a, s] - means[b, s])
            value = share * covariances[a, r, s] + (1 - share) * covariances[b, r, s]
            joined[r, s] = value + share * (1 - share) * gap


@kernel
def _log_det(matrix):
    """log|S|, of the lower triangle of S, which becomes its Cholesky factor."""
    total = 0.0
    for r in range(len(matrix)):
        for s in range(r + 1):
            value = matrix[r, s]
            for c in range(s):
                value -= matrix[r, c] * matrix[s, c]
            matrix[r, s] = np.sqrt(value) if r == s else value / matrix[s, s]
        total += 2 * np.log(matrix[r, r])
    return total
