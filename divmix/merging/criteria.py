"""What it costs to join two clusters.

`kl` suits clusters that are ellipses: two components become one Gaussian, their categories one
distribution. `overlap` and `saddle` suit clusters of any shape, which stay unions of components: two
that share rows, or two whose densities no valley parts, belong to one cluster.
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
# The same for clusters without a saddle between them, beyond any depth of a valley in double precision.
NO_SADDLE = 1e6
# Share of a row below which a component is not there: outliers alone would be its saddles.
PRESENT = 1e-12


Indices = NDArray[np.int64]


class Heights(NamedTuple):
    """Log-densities of c clusters where they are densest and where one passes into another.

    peaks    (c,)    largest log-density of each over the rows
    saddles  (c, c)  the largest at which both of two are dense at one row; -inf where no row has both
    """

    peaks: Array
    saddles: Array


class Clusters(NamedTuple):
    """What a criterion sees of c clusters.

    weights (c,), means (c, d), covariances (c, d, d) or variances (c, d), and their log determinants (c,); shared
    (c, c) = mean over rows of r_a r_b, the responsibilities of two clusters (see `shared_mass`);
    probabilities (c, L) of the levels of categories, or None; heights, see `heights_of`.
    """

    weights: Array
    means: Array
    covariances: Array
    log_dets: Array
    shared: Array | None
    probabilities: Array | None = None
    heights: Heights | None = None


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


def saddle_cost(clusters: Clusters, a: Indices, b: Indices) -> Array:
    """How clearly a valley parts each of the pairs a, b (p,): (p,), times sqrt(rows) in standard errors.

    The prominence of the lower peak over the saddle (Chazal, Guibas, Oudot and Skraba, Journal of
    the ACM 60, 2013), a difference of log-densities, whose standard error goes with one over the
    root of the rows that the lower cluster has: it is multiplied by the root of its weight. Broad
    components between two clusters do not join them, for the saddle of a union is its highest one
    and its peak the higher one.
    """
    assert clusters.heights is not None  # `merge_tree` has asked for it
    peaks, saddles = clusters.heights
    lower = np.where(peaks[a] < peaks[b], a, b)
    saddle = saddles[a, b]
    apart = ~np.isfinite(saddle)
    depths = peaks[lower] - np.where(apart, 0.0, saddle)
    costs = depths * np.sqrt(clusters.weights[lower])
    costs[apart] = NO_SADDLE + kl_cost(clusters, a[apart], b[apart])
    return costs


CRITERIA: dict[str, Callable[[Clusters, Indices, Indices], Array]] = {
    "kl": kl_cost,
    "overlap": overlap_cost,
    "saddle": saddle_cost,
}


def shared_mass(responsibilities: Array, row_weights: Array | None = None) -> Array:
    """Weighted mean over rows of r_a r_b, (m, m), from responsibilities (n, m)."""
    if row_weights is None:
        return responsibilities.T @ responsibilities / len(responsibilities)
    return (responsibilities * row_weights[:, None]).T @ responsibilities / row_weights.sum()


def heights_of(log_joint: Array) -> Heights:
    """Peaks and saddles of components over rows, from log w_j p(x|theta_j), (n, m)."""
    m = log_joint.shape[1]
    present = log_joint >= log_joint.max(axis=1, keepdims=True) + np.log(PRESENT)
    saddles = np.full((m, m), -np.inf)
    for a in range(m):
        own = present[:, a]
        both = np.where(present[own], np.minimum(log_joint[own, a, None], log_joint[own]), -np.inf)
        saddles[a] = both.max(axis=0, initial=-np.inf)
    np.fill_diagonal(saddles, -np.inf)
    return Heights(log_joint.max(axis=0), saddles)
