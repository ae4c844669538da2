"""From many components to k clusters: ellipses, or unions of components that no valley parts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families import Components, LocationScale, Mixed
from divmix.families.noise import broad_component
from divmix.merging.hierarchy import Hierarchy, Level
from divmix.merging.tree import cut, medoid_partition, merge_tree
from divmix.search.compete import compete
from divmix.search.relax import diversify, relax
from divmix.search.run import Searching, partition
from divmix.search.thinning import best_level, level, level_beside, saddles, thin_out


class Reduced(NamedTuple):
    """Components, the cluster (m,) of each, and the tree that other numbers of clusters need."""

    components: Components
    clusters: NDArray[np.int64]
    hierarchy: Hierarchy

    @property
    def ellipses(self) -> bool:
        """Whether each cluster is one component."""
        return self.hierarchy.criterion == "kl"


def reduce(
    searching: Searching,
    relaxed: Components,
    gone: Sequence[Level],
    m: int,
    generator: np.random.Generator,
) -> Reduced:
    """k clusters from the components of the relaxed and diversified mixture, and from the levels
    that thinning it out has `gone` through.

    Clusters are ellipses where k components, alone or beside scattered rows, describe the rows as
    well as any richer mixture on the way, by AIC3; else unions of components, those on which the
    rich mixtures agree of this way and of some others, each begun with m components.
    """
    levels = list(gone)
    ellipses = compete(searching, levels, generator)
    levels[-1] = level(searching, ellipses)
    tree = merge_tree(searching.family.moments(relaxed))
    if searching.merge == "kl" or (searching.merge == "auto" and enough(searching, levels)):
        return Reduced(ellipses, np.arange(ellipses.count), Hierarchy("kl", tree, relaxed))
    mixtures = rich(searching, levels)
    for _ in range(searching.schedule.other_ways):
        if searching.monitor.stop_reason():
            break
        other = diversify(searching, relax(searching, m, generator))
        mixtures += rich(searching, thin_out(searching, other))
    return unions(searching, mixtures)


def rich(searching: Searching, levels: Sequence[Level]) -> list[Components]:
    """The mixtures of a way from the best AIC3 up, each under the broad prior."""
    least = best_level(searching, levels).components.count
    kept = [level.components for level in levels if level.components.count >= least]
    return [broadened(searching, components) for components in kept]


def broadened(searching: Searching, components: Components) -> Components:
    """The components under a prior as broad as the table, in their cells of it: the density of few
    rows has no valleys then that are none of its shape."""
    iterations = searching.schedule.broad_iterations
    return searching.climb("reduce", components, searching.broad(components.count), iterations)


def enough(searching: Searching, levels: list[Level]) -> bool:
    """Whether no level has clearly a lower AIC3 than the last one, alone or beside scattered rows.

    A mixture describes outliers by components of their own: they are no reason to take clusters
    for unions.
    """
    last, least = levels[-1], best_level(searching, levels).aic3
    least += searching.schedule.strong / (2 * searching.rows)
    if last.aic3 <= least:
        return True
    noise = room_for_noise(searching)
    return noise is not None and level_beside(searching, last.components, noise).aic3 <= least


def room_for_noise(searching: Searching) -> Components | None:
    """A broad component over the box of the rows, where there is none yet and the family has one."""
    family, summary = searching.family, searching.sample.summary()
    parted = isinstance(family, LocationScale | Mixed) and family.structure.name != "tied"
    if searching.noise is not None or not parted:
        return None
    return broad_component(family, summary.low, summary.high)


def unions(searching: Searching, mixtures: list[Components]) -> Reduced:
    """The unions of components on which the mixtures agree most, as k clusters of the rows.

    Each has a vote as heavy as its clusters are parted clearly: the lowest cost among the merges
    that would leave fewer than k, which is what parts the two that are parted least.
    """
    found, labels, clear = [], [], []
    for components in mixtures:
        tree = saddles(searching, components)
        clusters = cut(tree, searching.k)
        found.append(Reduced(components, clusters, Hierarchy("saddle", tree)))
        labels.append(partition(searching, components, clusters))
        clear.append(tree.costs[components.count - searching.k :].min(initial=np.inf))
    return found[medoid_partition(labels, np.array(clear))]
