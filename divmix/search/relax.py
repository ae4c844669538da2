"""Many components that know nothing of k, and the steps that keep them diverse."""

from dataclasses import replace

import numpy as np

from divmix.families import Components, Mixed, make_family
from divmix.families.noise import denser_than_noise, leaving_room
from divmix.search import starts
from divmix.search.run import Searching


def relax(searching: Searching, m: int, generator: np.random.Generator) -> Components:
    """m components, or as many as there are distinct rows, from the start asked for, fitted."""
    m = max(searching.k, min(m, starts.count_distinct(searching.sample)))
    family, sample = searching.family, searching.sample
    components = starts.start(family, sample, m, searching.init, generator)
    components = leaving_room(components, searching.noise)
    if searching.init == "centre":
        components = parted(searching, components)
    relaxed = _relaxed(searching, components)
    if searching.noise is None:
        return relaxed
    # Components that are no denser than noise are left out: it has to win their rows.
    dense = denser_than_noise(family, relaxed, searching.noise)
    if dense.all() or dense.sum() < searching.k:
        return relaxed
    return _relaxed(searching, relaxed.take(np.flatnonzero(dense)))


def parted(searching: Searching, components: Components) -> Components:
    """Components from one place, by a covariance that all share: it is as wide as the table at
    first, and as it shrinks they part."""
    family = searching.family
    categories = family.categories if isinstance(family, Mixed) else None
    tied = make_family("gaussian", "tied", family.floor, categories)
    iterations = searching.schedule.centre_iterations
    unsettled = replace(searching.schedule, settled=0.0)
    together = searching._replace(
        family=tied, tol=0.0, schedule=unsettled, noise=None, k=components.count
    )
    moved = together.climb("relax", tied.from_moments(family.moments(components)), None, iterations)
    return family.from_moments(tied.moments(moved))


def _relaxed(searching: Searching, components: Components) -> Components:
    schedule = searching.schedule
    prior = searching.pooled(components, schedule.relaxed_prior)
    return searching.climb("relax", components, prior, schedule.relax_iterations)


def diversify(searching: Searching, components: Components) -> Components:
    """Components that overlap share their drive and repel each other."""
    schedule = searching.schedule
    prior = searching.pooled(components, schedule.relaxed_prior)
    iterations = schedule.diversify_iterations
    return searching.climb("diversify", components, prior, iterations, share=schedule.share)


def choose_components(searching: Searching) -> int:
    """Components of the relaxed mixture: some for each cluster, as many as the rows can carry."""
    schedule, k, n, d = searching.schedule, searching.k, searching.rows, searching.columns
    rows_each = searching.family.n_parameters(1, d)
    carried = max(schedule.at_least_per_cluster * k, n // rows_each)
    wanted = max(schedule.components_per_cluster * k, schedule.least_components)
    return max(k, min(wanted, carried, n // (d + 1)))
