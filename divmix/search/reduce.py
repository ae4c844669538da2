"""From many components to k clusters: ellipses, or unions of components that overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families import Components
from divmix.merging.hierarchy import Hierarchy
from divmix.merging.tree import cut, medoid_partition, merge_tree
from divmix.search.compete import compete
from divmix.search.run import Searching, partition
from divmix.search.thinning import Level, level, overlaps, thin_out


class Reduced(NamedTuple):
    """Components, the cluster (m,) of each, and the tree that other numbers of clusters need."""

    components: Components
    clusters: NDArray[np.int64]
    hierarchy: Hierarchy

    @property
    def ellipses(self) -> bool:
        """Whether each cluster is one component."""
        return self.hierarchy.criterion == "kl"


def reduce(searching: Searching, relaxed: Components, generator: np.random.Generator) -> Reduced:
    """k clusters from the components of the relaxed and diversified mixture.

    Clusters are ellipses where k components describe the rows as well as any richer mixture on the
    way, by BIC; else unions of components.
    """
    tree = merge_tree(searching.family.moments(relaxed))
    levels = thin_out(searching, relaxed, tree)
    ellipses = compete(searching, levels, generator)
    levels[-1] = level(searching, ellipses)
    best = min(levels, key=lambda level: level.bic)
    margin = searching.schedule.margin
    enough = best.components.count <= searching.k or levels[-1].bic <= best.bic + margin
    if searching.merge == "kl" or (searching.merge == "auto" and enough):
        return Reduced(ellipses, np.arange(ellipses.count), Hierarchy("kl", tree, relaxed))
    rich = [level for level in levels if level.components.count >= best.components.count]
    return consensus(searching, rich)


def consensus(searching: Searching, levels: list[Level]) -> Reduced:
    """The unions at the level whose partition the other levels agree with most."""
    found = []
    for rich in levels:
        tree = overlaps(searching, rich.components)
        clusters = cut(tree, searching.k)
        found.append(Reduced(rich.components, clusters, Hierarchy("overlap", tree)))
    return found[medoid(searching, found)]


def medoid(searching: Searching, found: list[Reduced]) -> int:
    """Index of the reduction whose partition of the sample the others agree with most."""
    return medoid_partition([partition(searching, one.components, one.clusters) for one in found])
