"""From many components to k, level by level: the pairs whose merging costs least become one."""

from collections.abc import Iterator, Sequence

import numpy as np

from divmix.families import Components
from divmix.families.noise import leaving_room, log_density_ratios
from divmix.families.posterior import posterior
from divmix.merging.criteria import heights_of, shared_mass
from divmix.merging.hierarchy import Level
from divmix.merging.tree import MergeTree, joined, merge_tree
from divmix.search.run import Searching
from divmix.search.shape import shape_joint


def thin_out(searching: Searching, components: Components) -> list[Level]:
    """Levels from these components to k, each refitted; the richest first."""
    first = level(searching, components)
    return [first, *(level(searching, own) for own in thinned(searching, components))]


def thinned(searching: Searching, components: Components) -> Iterator[Components]:
    """Fewer and fewer components, down to k, each time refitted."""
    k, schedule = searching.k, searching.schedule
    while components.count > k:
        m = components.count
        kept = max(k, int(m * (schedule.kept if m > 2 * k else schedule.kept_near_k)))
        merged = fewer(searching, components, kept)
        prior = searching.pooled(merged, schedule.relaxed_prior)
        components = searching.climb("reduce", merged, prior, schedule.level_iterations)
        yield components


def fewer(searching: Searching, components: Components, kept: int) -> Components:
    """So many of the components: the pairs whose merging costs least are one, and beside noise
    those are left out whose rows it takes at less cost, all that are no denser than it could be."""
    family, noise, m = searching.family, searching.noise, components.count
    labels, merges = joined(family.moments(components), kept)
    if noise is None:
        return family.joined(components, labels)
    lost = components.weights * log_density_ratios(family, components, noise)
    count = min(max(m - kept, int((lost < 0).sum())), m - searching.k)
    cheapest = np.argsort(np.concatenate([lost, merges]), kind="stable")[:count]
    left = components.take(np.setdiff1d(np.arange(m), cheapest))
    return family.joined(left, joined(family.moments(left), min(kept, left.count))[0])


def level(searching: Searching, components: Components) -> Level:
    """The components under a weak prior, which leaves likelihoods comparable."""
    schedule = searching.schedule
    many = components.count > searching.k
    iterations = schedule.broad_iterations if many else schedule.last_iterations
    prior = searching.comparable(components)
    fitted = searching.climb("reduce", components, prior, iterations)
    return Level(fitted, aic3(searching, fitted))


def level_beside(searching: Searching, components: Components, noise: Components) -> Level:
    """The components beside a broad one; its weight is a parameter more."""
    fitted = level(searching._replace(noise=noise), leaving_room(components, noise))
    return fitted._replace(aic3=fitted.aic3 + per_parameter(searching))


def best_level(searching: Searching, levels: Sequence[Level]) -> Level:
    """The one of the lowest AIC3 among the last and those with fewer parameters than rows, for no
    criterion weighs more."""
    rich, last = levels[:-1], levels[-1]
    weighed = [own for own in rich if n_parameters(searching, own.components) < searching.rows]
    return min([*weighed, last], key=lambda own: own.aic3)


def aic3(searching: Searching, components: Components) -> float:
    """Bozdogan's (1994) criterion for mixtures, three for each parameter, per row and halved, nats.

    BIC, with log n for each, takes the shapes of few rows for ellipses.
    """
    penalty = per_parameter(searching) * n_parameters(searching, components)
    return float(penalty - searching.log_likelihood(components))


def per_parameter(searching: Searching) -> float:
    """What one costs in AIC3."""
    return searching.schedule.per_parameter / (2 * searching.rows)


def n_parameters(searching: Searching, components: Components) -> int:
    """Free ones of a mixture."""
    return searching.family.n_parameters(components.count, searching.columns)


def overlaps(searching: Searching, components: Components, share: float) -> MergeTree:
    """The order in which overlapping components unite; those below `share` of 1 / k first."""
    every = posterior(shape_joint(searching, components)).responsibilities
    responsibilities = every[:, : components.count]  # noise left out
    shared = shared_mass(responsibilities, searching.sample.held.row_weights)
    return merge_tree(
        searching.family.moments(components),
        criterion="overlap",
        shared=shared,
        smallest=smallest_weight(searching, share),
    )


def saddles(searching: Searching, components: Components) -> MergeTree:
    """The order in which components unite that no valley parts; those too small first."""
    # Heights are densities of whole rows: those with gaps stand where the mixture completes them.
    rows = searching.filled(components)
    log_joint = shape_joint(searching, components, rows)[:, : components.count]
    return merge_tree(
        searching.family.moments(components),
        criterion="saddle",
        heights=heights_of(log_joint),
        smallest=smallest_weight(searching, searching.schedule.least_share),
    )


def smallest_weight(searching: Searching, share: float) -> float:
    """Of a cluster: a share of 1 / k, and some rows for each parameter of its mean."""
    rows = searching.schedule.least_rows * (searching.columns + 1)
    return max(share / searching.k, rows / searching.rows)
