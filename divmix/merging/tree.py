"""From many components to few clusters: a merge tree over the components, and its cuts."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.errors import UsageError
from divmix.families.family import Array, Moments
from divmix.families.moments import log_dets
from divmix.kernels import merges
from divmix.kernels.merges import Clusters, in_order, united
from divmix.merging.criteria import CRITERIA, Heights

BLOCK_NUMBERS = 10_000_000  # in the matrices of the pairs compared at a time


class MergeTree(NamedTuple):
    """The order in which m components join, in the numbering of `scipy.cluster.hierarchy`.

    pairs  (m - 1, 2)  clusters that merge t joins into cluster m + t; 0 .. m - 1 are components
    costs  (m - 1,)    what each merge cost by the criterion, not necessarily ascending
    """

    pairs: NDArray[np.int64]
    costs: Array


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
    return _merged(criterion, _as_clusters(moments, shared, heights), 1, smallest)


def joined(moments: Moments, k: int) -> tuple[NDArray[np.int64], Array]:
    """Cluster 0 .. k - 1 of each component by `kl`, (m,), and what the merges cost, (m - k,): as by
    `cut`, without the merges below k."""
    merges = _merged("kl", _as_clusters(moments, None, None), k)
    return united(merges.pairs, len(moments.weights)), merges.costs


def _merged(criterion: str, clusters: Clusters, left: int, smallest: float = 0.0) -> MergeTree:
    """The merges down to so many clusters, some at a time, so that Ctrl-C is not kept waiting."""
    m, number = len(clusters.weights), CRITERIA[criterion]
    each = clusters.covariances[0].size + clusters.probabilities.shape[1]
    block = max(BLOCK_NUMBERS // (m * each), 1)
    costs, partner = np.full((m, m), np.inf), np.empty(m, np.int64)
    alive, numbers = np.ones(m, bool), np.arange(m)  # in the tree, of what each slot holds
    join = functools.partial(
        merges.join, number, clusters, smallest, costs, alive, partner, numbers
    )
    tree = MergeTree(np.empty((m - left, 2), np.int64), np.empty(m - left))
    for start in range(0, m, block):
        join(start, min(start + block, m), m, tree.pairs[:0], tree.costs[:0])
    for start in range(0, m - left, block):
        to = start + block
        join(m, m, m + start, tree.pairs[start:to], tree.costs[start:to])
    return tree


def cut(tree: MergeTree, k: int) -> NDArray[np.int64]:
    """Cluster 0 .. k - 1 of each component, (m,); clusters are numbered by their first component.

    Raises UsageError where k is not between 1 and m.
    """
    m = len(tree.pairs) + 1
    if not 1 <= k <= m:
        raise UsageError(f"-k {k}: the model has {m} components", hint=f"choose 1 to {m}")
    return united(tree.pairs[: m - k], m)


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
    """Copies that merges may write to."""
    weights, means, covariances, probabilities = moments
    heights = heights or Heights(np.empty(0), np.empty((0, 0)))
    return Clusters(
        np.array(weights, float),
        np.array(means, float, order="C"),
        np.array(covariances[:, None] if covariances.ndim == 2 else covariances, float, order="C"),
        log_dets(covariances),
        np.zeros((len(weights), 0))
        if probabilities is None
        else np.array(probabilities, float, order="C"),
        np.empty((0, 0)) if shared is None else np.array(shared, float, order="C"),
        heights.peaks.copy(),
        heights.saddles.copy(),
    )
