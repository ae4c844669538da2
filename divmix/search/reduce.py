"""From many components to k clusters: ellipses, or unions of components that overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families import Components, Prior
from divmix.families.noise import leaving_room
from divmix.merging.criteria import shared_mass
from divmix.merging.hierarchy import Hierarchy
from divmix.merging.tree import MergeTree, cut, medoid_partition, merge_tree
from divmix.search.run import Searching, partition
from divmix.search.starts import from_clusters, k_means


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
    ellipses = compete(searching, levels, generator)
    levels[-1] = level(searching, ellipses)
    best = min(levels, key=lambda level: level.bic)
    margin = searching.schedule.margin
    enough = best.components.count <= searching.k or levels[-1].bic <= best.bic + margin
    if searching.merge == "kl" or (searching.merge == "auto" and enough):
        return Reduced(ellipses, np.arange(ellipses.count), Hierarchy("kl", tree, relaxed))
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
        prior = searching.pooled(merged, schedule.relaxed_prior)
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


def compete(
    searching: Searching, levels: list[Level], generator: np.random.Generator
) -> Components:
    """k components, from the end of the path, from unions along it, and from k-means.

    The cost of a merge is weighed by mass, so the path joins small clusters too readily where
    sizes are very unequal; unions by overlap do not. All climb J under a weak prior, since the
    likeliest of full components is often one that sits on a few rows that nearly lie in a plane.
    """
    k, schedule = searching.k, searching.schedule
    starts, votes = [levels[-1].components], [1]
    counts = np.array([level.components.count for level in levels])
    for ratio in schedule.union_starts:
        wanted = min(ratio * k, counts[0])
        nearest = int(np.abs(np.log(counts / wanted)).argmin())
        if counts[nearest] > k and not searching.monitor.stop_reason():
            components = levels[nearest].components
            for share in (schedule.least_share, 0.0):
                unions = cut(overlaps(searching, components, share), k)
                starts.append(searching.family.joined(components, unions))
                votes.append(1)
    for labels, times in repeated_k_means(searching, generator):
        start = from_clusters(searching.family, searching.sample, labels, k)
        starts.append(leaving_room(start, searching.noise))
        votes.append(times)
    prior = searching.weak(levels[-1].components, schedule.competing_prior)
    fitted = [searching.climb("reduce", start, prior, schedule.last_iterations) for start in starts]
    return fitted[agreed(searching, fitted, votes, prior)]


def repeated_k_means(
    searching: Searching, generator: np.random.Generator
) -> list[tuple[NDArray[np.int64], int]]:
    """Distinct partitions of the sample by k-means, and how many starts led to each."""
    found: dict[bytes, tuple[NDArray[np.int64], int]] = {}
    for _ in range(searching.schedule.k_means_starts):
        if searching.monitor.stop_reason():
            break
        labels = k_means(searching.sample, searching.k, generator)
        _, times = found.get(labels.tobytes(), (labels, 0))
        found[labels.tobytes()] = labels, times + 1
    return list(found.values())


def agreed(searching: Searching, fitted: list[Components], votes: list[int], prior: Prior) -> int:
    """Index of the mixture to keep: of those that the rows do not tell from the one of the
    highest J, the one whose partition the others agree with most, each with its votes.

    They tell where the mean difference of log-densities is larger than chance has it (Vuong,
    Econometrica 1989).
    """
    values = np.array([searching.value(components, prior) for components in fitted])
    posteriors = [searching.posterior(components) for components in fitted]
    densities = [one.log_density for one in posteriors]
    best = int(values.argmax())
    n = searching.rows
    chance = np.array([np.std(densities[best] - own) / np.sqrt(n) for own in densities])
    alike = np.flatnonzero(values >= values[best] - searching.schedule.alike * chance)
    alike = alike[np.argsort(-values[alike], kind="stable")]
    labels = [posteriors[i].responsibilities.argmax(axis=1) for i in alike]
    return int(alike[medoid_partition(labels, [votes[i] for i in alike])])


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
