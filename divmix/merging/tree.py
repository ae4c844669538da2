"""From many components to few clusters: a merge tree over the components, and its cuts.

A criterion says what it costs to join two clusters. `kl` suits clusters that are ellipses: two
components become one Gaussian. `overlap` suits clusters of any shape: two components that share
rows belong to one cluster, which stays a union of components.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from divmix.errors import UsageError
from divmix.merging.hierarchy import MergeTree

TINY = 1e-300  # keeps a ratio of weights finite where a component is empty

# Clusters that share no row in double precision (-log of the smallest double is 745) come after
# all that do, in the order of their `kl` cost.
NO_OVERLAP = 1e3

BLOCK_NUMBERS = 1_000_000  # numbers in the matrices of the pairs compared at a time


class Clusters(NamedTuple):
    """What a criterion sees of c clusters.

    weights (c,), means (c, d), covariances (c, d, d) and their log determinants (c,); shared
    (c, c) = mean over rows of r_a r_b, the responsibilities of two clusters (see `shared_mass`).
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    log_dets: np.ndarray
    shared: np.ndarray | None


def kl_cost(clusters: Clusters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Upper bound (p,) of the KL divergence caused by one Gaussian for each pair a, b (p,), nats.

    B(a, b) = 1/2 [(w_a + w_b) log|P_ab| - w_a log|P_a| - w_b log|P_b|], P_ab the covariance of
    the two together. Runnalls, IEEE Trans. Aerospace and Electronic Systems 43 (2007).
    """
    weights, log_dets = clusters.weights, clusters.log_dets
    total = weights[a] + weights[b]
    share = (weights[a] / np.maximum(total, TINY))[:, None, None]
    gap = clusters.means[a] - clusters.means[b]
    joined = share * clusters.covariances[a] + (1 - share) * clusters.covariances[b]
    joined += share * (1 - share) * gap[:, :, None] * gap[:, None, :]
    own = weights[a] * log_dets[a] + weights[b] * log_dets[b]
    return 0.5 * (total * np.linalg.slogdet(joined)[1] - own)


def overlap_cost(clusters: Clusters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-log of the larger probability that a row of one of a, b (p,) is taken for the other's, (p,).

    P(b | a) = mean_x[r_a r_b] / w_a: a row of a, labelled at random by its responsibilities, goes
    to b. The soft form of the directly estimated misclassification probability of Hennig,
    Advances in Data Analysis and Classification 4 (2010); it needs no rows after `shared_mass`,
    for the shared mass of a union is the sum of its parts'.
    """
    smaller = np.maximum(np.minimum(clusters.weights[a], clusters.weights[b]), TINY)
    shared = clusters.shared[a, b]
    apart = shared <= TINY
    costs = -np.log(np.where(apart, 1.0, shared) / smaller)
    costs[apart] = NO_OVERLAP + kl_cost(clusters, a[apart], b[apart])
    return costs


CRITERIA: dict[str, Callable[[Clusters, np.ndarray, np.ndarray], np.ndarray]] = {
    "kl": kl_cost,
    "overlap": overlap_cost,
}
NEEDS_SHARED_MASS = {"overlap"}


def shared_mass(responsibilities: np.ndarray, row_weights: np.ndarray | None = None) -> np.ndarray:
    """Weighted mean over rows of r_a r_b, (m, m), from responsibilities (n, m)."""
    if row_weights is None:
        return responsibilities.T @ responsibilities / len(responsibilities)
    return (responsibilities * row_weights[:, None]).T @ responsibilities / row_weights.sum()


def merge_tree(
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    *,
    criterion: str = "kl",
    shared: np.ndarray | None = None,
    smallest: float = 0.0,
) -> MergeTree:
    """Join the cheapest pair of clusters until one is left.

    weights (m,) sum to 1, means (m, d), covariances (m, d, d) positive definite; `overlap` needs
    `shared` (m, m). Clusters of less weight than `smallest` are joined before all others, the
    smallest first, each to its cheapest partner: a handful of outliers is no cluster.

    Raises UsageError for an unknown criterion, ValueError where `shared` is missing.
    """
    if criterion not in CRITERIA:
        hint = "known: " + ", ".join(CRITERIA)
        raise UsageError(f"--merge {criterion}: no such criterion", hint=hint)
    if criterion in NEEDS_SHARED_MASS and shared is None:
        raise ValueError(f"criterion {criterion} needs the shared mass of the components")
    m = len(weights)
    cost = CRITERIA[criterion]
    clusters = _as_clusters(weights, means, covariances, shared)
    costs = _all_costs(cost, clusters)
    alive = np.ones(m, bool)
    numbers = np.arange(m)  # in the tree, of the cluster that each slot holds
    tree = MergeTree(np.empty((m - 1, 2), np.int64), np.empty(m - 1))
    for step in range(m - 1):
        a, b = _next_pair(costs, clusters.weights, alive, smallest)
        tree.pairs[step] = sorted(numbers[[a, b]])
        tree.costs[step] = costs[a, b]
        _join(clusters, a, b)
        numbers[a] = m + step
        alive[b] = False
        costs[b] = costs[:, b] = np.inf
        others = np.flatnonzero(alive & (numbers != m + step))
        costs[a, others] = costs[others, a] = cost(clusters, np.full(len(others), a), others)
    return tree


def cut(tree: MergeTree, k: int) -> np.ndarray:
    """Cluster 0 .. k - 1 of each component, (m,); clusters are numbered by their first component.

    Raises UsageError where k is not between 1 and m.
    """
    m = len(tree.pairs) + 1
    if not 1 <= k <= m:
        raise UsageError(f"-k {k}: the model has {m} components", hint=f"choose 1 to {m}")
    cluster = np.arange(m)
    for step in range(m - k):
        cluster[np.isin(cluster, tree.pairs[step])] = m + step
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def moment_match(
    weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One Gaussian for each union of components: weights (k,), means (k, d), covariances (k, d, d).

    clusters (m,) holds the union 0 .. k - 1 of each component.
    """
    members = np.eye(clusters.max() + 1)[clusters]  # (m, k)
    total = members.T @ weights
    shares = members * weights[:, None] / np.maximum(total, TINY)
    # A union of empty components has the plain mean of their moments.
    shares = np.where(total > TINY, shares, members / members.sum(axis=0))
    centres = shares.T @ means
    gaps = means - centres[clusters]
    spread = covariances + gaps[:, :, None] * gaps[:, None, :]
    return total, centres, np.einsum("mk,mab->kab", shares, spread)


def medoid_partition(partitions: Sequence[np.ndarray]) -> int:
    """Index of the partition that agrees most with all others.

    partitions are label arrays (n,) of the same rows; agreement is the adjusted Rand index
    (Hubert and Arabie 1985). Ties go to the first.
    """
    from sklearn.metrics import adjusted_rand_score

    agreement = np.eye(len(partitions))
    for i, one in enumerate(partitions):
        for j in range(i):
            agreement[i, j] = agreement[j, i] = adjusted_rand_score(one, partitions[j])
    return int(agreement.sum(axis=1).argmax())


def _as_clusters(weights, means, covariances, shared) -> Clusters:
    """Copies that `_join` may write to."""
    return Clusters(
        np.array(weights, float),
        np.array(means, float),
        np.array(covariances, float),
        np.linalg.slogdet(covariances)[1],
        None if shared is None else np.array(shared, float),
    )


def _all_costs(cost, clusters: Clusters) -> np.ndarray:
    """Costs of all pairs (m, m), symmetric with inf on the diagonal; in blocks to bound memory."""
    m, d = clusters.means.shape
    costs = np.full((m, m), np.inf)
    a, b = np.tril_indices(m, -1)
    block = max(BLOCK_NUMBERS // d**2, 1)
    for start in range(0, len(a), block):
        one, other = a[start : start + block], b[start : start + block]
        costs[one, other] = costs[other, one] = cost(clusters, one, other)
    return costs


def _next_pair(costs, weights, alive, smallest) -> list[int]:
    """The slots that join next, ascending."""
    small = alive & (weights < smallest)
    if small.any():
        a = np.where(small, weights, np.inf).argmin()
        return sorted((int(a), int(costs[a].argmin())))
    return sorted(int(slot) for slot in np.unravel_index(costs.argmin(), costs.shape))


def _join(clusters: Clusters, a: int, b: int) -> None:
    """Put the union of a and b into slot a."""
    pair = [a, b]
    total, mean, covariance = moment_match(
        clusters.weights[pair], clusters.means[pair], clusters.covariances[pair], np.zeros(2, int)
    )
    clusters.weights[a] = total[0]
    clusters.means[a] = mean[0]
    clusters.covariances[a] = covariance[0]
    clusters.log_dets[a] = np.linalg.slogdet(covariance[0])[1]
    if clusters.shared is not None:
        clusters.shared[a] += clusters.shared[b]
        clusters.shared[:, a] += clusters.shared[:, b]
