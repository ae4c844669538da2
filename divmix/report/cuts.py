"""What a mixture looks like at other numbers of clusters, read off its merge tree."""

from typing import NamedTuple

import numpy as np

from divmix.families import Components
from divmix.families.posterior import log_weights
from divmix.merging import tree as reduction
from divmix.model.mixture import Mixture
from divmix.report.plane import Ellipse, Plane
from divmix.tables.batches import BLOCK_ROWS

MOST_CUTS = 30


class Cut(NamedTuple):
    """groups (leaves,) the cluster of each leaf; ellipses with the cluster of each."""

    groups: np.ndarray
    ellipses: list[tuple[int, Ellipse]]


class Cuts(NamedTuple):
    """The cuts of 1 .. `most` clusters. Leaves are the clusters of the finest of these.

    merges: those between the leaves, as `(one, other, cost)`; leaf j is j, merge t leaves + t.
    """

    leaves: int
    cuts: list[Cut]
    merges: list[tuple[int, int, float]]


def most_cuts(mixture: Mixture) -> int:
    """The finest cut that is offered, 0 without a tree."""
    if mixture.hierarchy is None:
        return 0
    wanted = min(max(2 * mixture.n_clusters, 12), max(MOST_CUTS, mixture.n_clusters))
    return min(wanted, mixture.hierarchy.count)


def rich_components(mixture: Mixture) -> Components:
    """The components that the tree joins."""
    assert mixture.hierarchy is not None
    return mixture.hierarchy.relaxed or mixture.components


def cuts_of(mixture: Mixture, plane: Plane) -> Cuts | None:
    """All cuts that a page offers; None without a merge tree."""
    most = most_cuts(mixture)
    if mixture.hierarchy is None or most < 2:
        return None
    hierarchy, rich = mixture.hierarchy, rich_components(mixture)
    leaf_of = reduction.cut(hierarchy.tree, most)
    first = np.unique(leaf_of, return_index=True)[1]  # a component of each leaf
    unions = plane.ellipses(mixture.family, rich) if hierarchy.relaxed is None else []
    cuts = []
    for k in range(1, most + 1):
        clusters = _by_weight(reduction.cut(hierarchy.tree, k), rich.weights)
        if hierarchy.relaxed is None:
            ellipses = list(zip(clusters.tolist(), unions))
        else:
            joined = mixture.family.joined(rich, clusters)
            ellipses = list(enumerate(plane.ellipses(mixture.family, joined)))
        cuts.append(Cut(clusters[first], ellipses))
    return Cuts(most, cuts, _merges(hierarchy.tree, leaf_of, most))


def _by_weight(clusters: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same partition, numbered from the heaviest cluster, as `Mixture.cut` numbers it."""
    rank = np.argsort(-np.bincount(clusters, weights=weights), kind="stable")
    return np.argsort(rank)[clusters]


def _merges(
    tree: reduction.MergeTree, leaf_of: np.ndarray, leaves: int
) -> list[tuple[int, int, float]]:
    """The last merges, in numbers of leaves."""
    m = len(leaf_of)
    number = dict(enumerate(leaf_of.tolist()))
    found = []
    for step, ((a, b), cost) in enumerate(zip(tree.pairs.tolist(), tree.costs.tolist())):
        if step < m - leaves:
            number[m + step] = number[a]
        else:
            found.append((number[a], number[b], cost))
            number[m + step] = leaves + len(found) - 1
    return found


def leaves_of_rows(mixture: Mixture, X: np.ndarray) -> np.ndarray:
    """The leaf of each row of the design matrix X (n, d), (n,): that of its likeliest component."""
    assert mixture.hierarchy is not None
    rich = rich_components(mixture)
    leaf_of = reduction.cut(mixture.hierarchy.tree, most_cuts(mixture))
    found = np.empty(len(X), np.int64)
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        joint = log_weights(rich.weights) + mixture.family.log_densities(block, rich)
        found[start : start + len(block)] = leaf_of[joint.argmax(axis=1)]
    return found
