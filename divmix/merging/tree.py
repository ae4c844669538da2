"""From many components to few clusters: a merge tree over the components, and its cuts."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.errors import UsageError
from divmix.families.family import Array, Moments
from divmix.families.moments import log_dets, moment_match
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels.merges import unite
from divmix.merging.criteria import CRITERIA, Clusters, Heights

BLOCK_NUMBERS = 1_000_000  # numbers in the matrices of the pairs compared at a time


class MergeTree(NamedTuple):
    """The order in which m components join, in the numbering of `scipy.cluster.hierarchy`.

    pairs  (m - 1, 2)  clusters that merge t joins into cluster m + t; 0 .. m - 1 are components
    costs  (m - 1,)    what each merge cost by the criterion, not necessarily ascending
    """

    pairs: NDArray[np.int64]
    costs: Array


Cost = Callable[[Clusters, NDArray[np.int64], NDArray[np.int64]], Array]


def merge_tree(
    moments: Moments,
    *,
    criterion: str = "kl",
    shared: Array | None = None,
    heights: Heights | None = None,
    smallest: float = 0.0,
) -> MergeTree:
    """Join the cheapest pair of clusters until one is left.

    Weights sum to 1, covariances are positive definite; `overlap` needs `shared` (m, m), `saddle`
    the `heights`. Clusters of less weight than `smallest` are joined before all others, the
    smallest first, each to its cheapest partner: a handful of outliers is no cluster.

    Raises UsageError for an unknown criterion, ValueError where what it needs is missing.
    """
    if criterion not in CRITERIA:
        hint = "known: " + ", ".join(CRITERIA)
        raise UsageError(f"--merge {criterion}: no such criterion", hint=hint)
    if criterion == "overlap" and shared is None:
        raise ValueError("criterion overlap needs the shared mass of the components")
    if criterion == "saddle" and heights is None:
        raise ValueError("criterion saddle needs the heights of the components")
    return _merged(CRITERIA[criterion], _as_clusters(moments, shared, heights), 1, smallest)


def joined(moments: Moments, k: int) -> tuple[NDArray[np.int64], Array]:
    """Cluster 0 .. k - 1 of each component by `kl`, (m,), and what the merges cost, (m - k,): as by
    `cut`, without the merges below k."""
    merges = _merged(CRITERIA["kl"], _as_clusters(moments, None, None), k)
    return _united(merges.pairs, len(moments.weights)), merges.costs


def _merged(cost: Cost, clusters: Clusters, left: int, smallest: float = 0.0) -> MergeTree:
    """The merges down to so many clusters."""
    m = len(clusters.weights)
    costs = _all_costs(cost, clusters)
    alive = np.ones(m, bool)
    numbers = np.arange(m)  # in the tree, of the cluster that each slot holds
    tree = MergeTree(np.empty((m - left, 2), np.int64), np.empty(m - left))
    for step in range(m - left):
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


def cut(tree: MergeTree, k: int) -> NDArray[np.int64]:
    """Cluster 0 .. k - 1 of each component, (m,); clusters are numbered by their first component.

    Raises UsageError where k is not between 1 and m.
    """
    m = len(tree.pairs) + 1
    if not 1 <= k <= m:
        raise UsageError(f"-k {k}: the model has {m} components", hint=f"choose 1 to {m}")
    return _united(tree.pairs[: m - k], m)


def _united(pairs: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """The cluster of each of m components after these merges, (m,)."""
    cluster = np.arange(m)
    for step, (one, other) in enumerate(pairs):
        cluster[(cluster == one) | (cluster == other)] = m + step
    return in_order(cluster)


def in_order(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition, labels numbered by their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def medoid_partition(
    partitions: Sequence[NDArray[np.int64]],
    votes: Sequence[int] | NDArray[np.int64] | NDArray[np.float64] | None = None,
) -> int:
    """Index of the partition that agrees most with all others.

    partitions are label arrays (n,) of the same rows, each counts as much as `votes` say, once by
    default; agreement is the adjusted Rand index (Hubert and Arabie 1985). Ties go to the first.
    """
    places: dict[bytes, int] = {}  # of the distinct ones
    which = [places.setdefault(in_order(labels).tobytes(), len(places)) for labels in partitions]
    distinct = [in_order(partitions[which.index(place)]) for place in places.values()]
    agreement = np.eye(len(distinct))
    for i, one in enumerate(distinct):
        for j in range(i):
            agreement[i, j] = agreement[j, i] = adjusted_rand_index(one, distinct[j])
    total = np.bincount(which, votes, minlength=len(distinct))
    return which.index(int((agreement @ total).argmax()))


def adjusted_rand_index(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Agreement of two partitions (n,) of labels 0 .. k - 1 (Hubert and Arabie 1985); that of
    scikit-learn takes milliseconds to look at its arguments."""
    shape = one.max() + 1, other.max() + 1
    table = np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape)
    both = _pairs_within(table)
    rows, columns = _pairs_within(table.sum(axis=1)), _pairs_within(table.sum(axis=0))
    by_chance = rows * columns / max(_pairs_within(np.array([len(one)])), 1.0)
    largest = 0.5 * (rows + columns)
    return (both - by_chance) / (largest - by_chance) if largest != by_chance else 1.0


def _pairs_within(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1)).sum() / 2)


def _as_clusters(moments: Moments, shared: Array | None, heights: Heights | None) -> Clusters:
    """Copies that `_join` may write to."""
    return Clusters(
        np.array(moments.weights, float),
        np.array(moments.means, float, order="C"),
        np.array(moments.covariances, float, order="C"),
        log_dets(moments.covariances),
        None if shared is None else np.array(shared, float),
        None
        if moments.probabilities is None
        else np.array(moments.probabilities, float, order="C"),
        None if heights is None else Heights(heights.peaks.copy(), heights.saddles.copy()),
    )


def _all_costs(cost: Cost, clusters: Clusters) -> Array:
    """Costs of all pairs (m, m), symmetric with inf on the diagonal; in blocks to bound memory."""
    m = len(clusters.means)
    costs = np.full((m, m), np.inf)
    a, b = np.tril_indices(m, -1)
    levels = 0 if clusters.probabilities is None else clusters.probabilities.shape[1]
    block = max(BLOCK_NUMBERS // (clusters.covariances[0].size + levels), 1)
    for start in range(0, len(a), block):
        one, other = a[start : start + block], b[start : start + block]
        costs[one, other] = costs[other, one] = cost(clusters, one, other)
    return costs


def _next_pair(
    costs: Array, weights: Array, alive: NDArray[np.bool_], smallest: float
) -> list[int]:
    """The slots that join next, ascending."""
    small = alive & (weights < smallest)
    if small.any():
        a = np.where(small, weights, np.inf).argmin()
        return sorted((int(a), int(costs[a].argmin())))
    return sorted(int(slot) for slot in np.unravel_index(costs.argmin(), costs.shape))


def _join(clusters: Clusters, a: int, b: int) -> None:
    """Put the union of a and b into slot a."""
    weights, means, covariances, logs, _, probabilities = clusters[:6]
    if probabilities is None:
        probabilities = np.zeros((len(weights), 0))
    if covariances.ndim == 2:
        pair = Moments(weights[[a, b]], means[[a, b]], covariances[[a, b]], probabilities[[a, b]])
        united = moment_match(pair, np.zeros(2, int))
        for own, made in zip((weights, means, covariances, probabilities), united, strict=True):
            assert made is not None  # the pair has all four
            own[a] = made[0]
        logs[a] = log_dets(united.covariances)[0]
    else:
        unite(a, b, weights, means, covariances, logs, probabilities, SMALLEST_WEIGHT)
    if clusters.shared is not None:
        clusters.shared[a] += clusters.shared[b]
        clusters.shared[:, a] += clusters.shared[:, b]
    if clusters.heights is not None:
        peaks, saddles = clusters.heights
        peaks[a] = max(peaks[a], peaks[b])
        saddles[a] = saddles[:, a] = np.maximum(saddles[a], saddles[b])
