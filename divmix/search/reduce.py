"""From many components to k clusters: ellipses, or unions of components that overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families import Components
from divmix.families.noise import leaving_room
from divmix.merging.criteria import shared_mass
from divmix.merging.hierarchy import Hierarchy
from divmix.merging.tree import MergeTree, cut, medoid_partition, merge_tree
from divmix.search.run import Searching, partition
from divmix.search.starts import from_k_means


class Level(NamedTuple):
    """A mixture on the way from many components to k, and its BIC (per row, halved, nats)."""

    components: Components
    bic: float


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
    last = best_of_k(searching, levels)
    best = min(levels, key=lambda level: level.bic)
    margin = searching.schedule.margin
    ellipses = best.components.count <= searching.k or last.bic <= best.bic + margin
    if searching.merge == "kl" or (searching.merge == "auto" and ellipses):
        components = last.components
        if not searching.alpha:
            components = likeliest(searching, components, generator)
        return Reduced(components, np.arange(components.count), Hierarchy("kl", tree, relaxed))
    rich = [level for level in levels if level.components.count >= best.components.count]
    return consensus(searching, rich)


def thin_out(searching: Searching, components: Components, tree: MergeTree) -> list[Level]:
    """Levels from the components of `tree` to k, each refitted; the richest first."""
    family, k, schedule = searching.family, searching.k, searching.schedule
    levels = [level(searching, components)]
    while components.count > k:
        m = components.count
        kept = max(k, int(m * (schedule.kept if m > 2 * k else schedule.kept_near_k)))
        if len(levels) > 1:
            tree = merge_tree(family.moments(components))
        merged = family.joined(components, cut(tree, kept))
        iterations = schedule.level_iterations if kept > k else schedule.last_iterations
        prior = searching.pooled(merged.count, schedule.relaxed_prior)
        components = searching.climb("reduce", merged, prior, iterations)
        levels.append(level(searching, components))
    return levels


def level(searching: Searching, components: Components) -> Level:
    """The components under the broad prior alone, which leaves likelihoods comparable."""
    schedule = searching.schedule
    many = components.count > searching.k
    iterations = schedule.broad_iterations if many else schedule.last_iterations
    prior = searching.broad(components.count)
    broad = searching.climb("reduce", components, prior, iterations)
    n = searching.rows
    parameters = searching.family.n_parameters(broad.count, searching.columns)
    bic = parameters * np.log(n) / (2 * n) - searching.log_likelihood(broad)
    return Level(broad, bic)


def best_of_k(searching: Searching, levels: list[Level]) -> Level:
    """The likeliest k components, from the end of the path and from unions along it.

    The cost of a merge is weighed by mass, so the path joins small clusters too readily where
    sizes are very unequal; unions by overlap do not.
    """
    k, schedule = searching.k, searching.schedule
    starts = [levels[-1].components]
    counts = np.array([level.components.count for level in levels])
    for ratio in schedule.union_starts:
        wanted = min(ratio * k, counts[0])
        nearest = int(np.abs(np.log(counts / wanted)).argmin())
        if counts[nearest] > k:
            components = levels[nearest].components
            for share in (schedule.least_share, 0.0):
                unions = cut(overlaps(searching, components, share), k)
                starts.append(searching.family.joined(components, unions))
    fitted = [
        searching.climb(
            "reduce",
            start,
            searching.pooled(start.count, schedule.start_prior),
            schedule.last_iterations,
        )
        for start in starts
    ]
    best = max(fitted, key=searching.log_likelihood)
    levels[-1] = level(searching, best)
    return levels[-1]


def likeliest(
    searching: Searching, components: Components, generator: np.random.Generator
) -> Components:
    """Plain maximum likelihood: k components without a prior, from these and from k-means."""
    schedule = searching.schedule

    def fitted(start: Components) -> Components:
        return searching.climb("reduce", start, None, schedule.plain_iterations)

    found = [fitted(components)]
    while len(found) <= schedule.plain_starts and not searching.monitor.stop_reason():
        start = from_k_means(searching.family, searching.sample, searching.k, generator)
        found.append(fitted(leaving_room(start, searching.noise)))
    return max(found, key=searching.log_likelihood)


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


def overlaps(searching: Searching, components: Components, share: float | None = None) -> MergeTree:
    """The order in which overlapping components unite; those below `share` of 1 / k first."""
    schedule = searching.schedule
    share = schedule.least_share if share is None else share
    responsibilities = searching.posterior(components).responsibilities
    shared = shared_mass(responsibilities, searching.sample.matrix.row_weights)
    rows = schedule.least_rows * (searching.columns + 1)
    return merge_tree(
        searching.family.moments(components),
        criterion="overlap",
        shared=shared,
        smallest=max(share / searching.k, rows / searching.rows),
    )
