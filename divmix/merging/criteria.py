"""What it costs to join two clusters.

`kl` suits clusters that are ellipses: two components become one Gaussian, their categories one
distribution. `overlap` suits clusters
of any shape: two components that share rows belong to one cluster, which stays a union of
components.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array
from divmix.families.moments import entropy_of
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels.merges import divergences

# Clusters that share no row in double precision (-log of the smallest double is 745) come after
# all that do, in the order of their `kl` cost.
NO_OVERLAP = 1e3


Indices = NDArray[np.int64]


class Clusters(NamedTuple):
    """What a criterion sees of c clusters.

    weights (c,), means (c, d), covariances (c, d, d) or variances (c, d), and their log determinants (c,); shared
    (c, c) = mean over rows of r_a r_b, the responsibilities of two clusters (see `shared_mass`);
    probabilities (c, L) of the levels of categories, or None.
    """

    weights: Array
    means: Array
    covariances: Array
    log_dets: Array
    shared: Array | None
    probabilities: Array | None = None


def kl_cost(clusters: Clusters, a: Indices, b: Indices) -> Array:
    """Upper bound (p,) of the KL divergence caused by one Gaussian for each pair a, b (p,), nats.

    B(a, b) = 1/2 [(w_a + w_b) log|P_ab| - w_a log|P_a| - w_b log|P_b|], P_ab the covariance of
    the two together. Runnalls, IEEE Trans. Aerospace and Electronic Systems 43 (2007). It is the
    entropy that joining adds; categories add theirs, (w_a + w_b) h(P_ab) - w_a h(P_a) - w_b h(P_b)
    with h = -sum P log P over their columns.
    """
    weights, means, covariances, log_dets, _, probabilities = clusters[:6]
    if probabilities is None:
        probabilities = np.zeros((len(weights), 0))
    if covariances.ndim == 3:
        return divergences(
            a, b, weights, means, covariances, log_dets, probabilities, SMALLEST_WEIGHT
        )
    total = weights[a] + weights[b]
    share = (weights[a] / np.maximum(total, SMALLEST_WEIGHT))[:, None]
    joined = share * covariances[a] + (1 - share) * covariances[b]
    joined += share * (1 - share) * (means[a] - means[b]) ** 2
    own = weights[a] * log_dets[a] + weights[b] * log_dets[b]
    own += 2 * weights[a] * entropy_of(probabilities[a])
    own += 2 * weights[b] * entropy_of(probabilities[b])
    both = entropy_of(share * probabilities[a] + (1 - share) * probabilities[b])
    return 0.5 * (total * (np.log(joined).sum(axis=1) + 2 * both) - own)


def overlap_cost(clusters: Clusters, a: Indices, b: Indices) -> Array:
    """-log of the larger probability that a row of one of a, b (p,) is taken for the other's, (p,).

    P(b | a) = mean_x[r_a r_b] / w_a: a row of a, labelled at random by its responsibilities, goes
    to b. The soft form of the directly estimated misclassification probability of Hennig,
    Advances in Data Analysis and Classification 4 (2010); it needs no rows after `shared_mass`,
    for the shared mass of a union is the sum of its parts'.
    """
    smaller = np.maximum(np.minimum(clusters.weights[a], clusters.weights[b]), SMALLEST_WEIGHT)
    assert clusters.shared is not None  # `merge_tree` has asked for it
    shared = clusters.shared[a, b]
    apart = shared <= SMALLEST_WEIGHT
    costs = -np.log(np.where(apart, 1.0, shared) / smaller)
    costs[apart] = NO_OVERLAP + kl_cost(clusters, a[apart], b[apart])
    return costs


CRITERIA: dict[str, Callable[[Clusters, Indices, Indices], Array]] = {
    "kl": kl_cost,
    "overlap": overlap_cost,
}
NEEDS_SHARED_MASS = {"overlap"}


def shared_mass(responsibilities: Array, row_weights: Array | None = None) -> Array:
    """Weighted mean over rows of r_a r_b, (m, m), from responsibilities (n, m)."""
    if row_weights is None:
        return responsibilities.T @ responsibilities / len(responsibilities)
    return (responsibilities * row_weights[:, None]).T @ responsibilities / row_weights.sum()
