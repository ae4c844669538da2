"""Many components that know nothing of k, and the steps that keep them diverse."""

import numpy as np

from divmix.families import Components
from divmix.families.noise import denser_than_noise, leaving_room
from divmix.search import starts
from divmix.search.births import birth, can_be_born
from divmix.search.run import Searching


def relax(searching: Searching, m: int, generator: np.random.Generator) -> Components:
    """m components, or as many as there are distinct rows, spread over the sample and fitted."""
    m = max(searching.k, min(m, starts.count_distinct(searching.sample)))
    components = starts.start(searching.family, searching.sample, m, "kmeans++", generator)
    components = leaving_room(components, searching.noise)
    relaxed = _relaxed(searching, components)
    if searching.noise is None:
        return relaxed
    # Components that are no denser than noise are left out: it has to win their rows.
    dense = denser_than_noise(searching.family, relaxed, searching.noise)
    if dense.all() or dense.sum() < searching.k:
        return relaxed
    return _relaxed(searching, relaxed.take(np.flatnonzero(dense)))


def _relaxed(searching: Searching, components: Components) -> Components:
    schedule = searching.schedule
    prior = searching.pooled(components.count, schedule.relaxed_prior)
    return searching.climb("relax", components, prior, schedule.relax_iterations)


def diversify(
    searching: Searching, components: Components, generator: np.random.Generator
) -> Components:
    """Components that overlap share their drive and repel each other; one that lacks is born."""
    if searching.alpha == 0:
        return components
    schedule = searching.schedule
    born = birth(searching, components, generator) if can_be_born(searching.family) else None
    if born is not None:  # one: further ones brought nothing in trials
        prior = searching.pooled(born.count, schedule.relaxed_prior)
        components = searching.climb("diversify", born, prior, schedule.birth_iterations)
    prior = searching.pooled(components.count, schedule.relaxed_prior)
    return searching.particle_climb(components, prior, schedule.diversify_iterations)


def choose_components(searching: Searching) -> int:
    """Components of the relaxed mixture: some for each cluster, as many as the rows can carry."""
    schedule, k, n, d = searching.schedule, searching.k, searching.rows, searching.columns
    rows_each = searching.family.n_parameters(1, d)
    carried = max(schedule.at_least_per_cluster * k, n // rows_each)
    wanted = max(schedule.components_per_cluster * k, schedule.least_components)
    return max(k, min(wanted, carried, n // (d + 1)))
