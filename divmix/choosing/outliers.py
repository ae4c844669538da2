"""Whether a table has scattered rows, which belong to no cluster and widen those they are fitted with."""

import numpy as np

from divmix.families import Components
from divmix.families.noise import denser_than_noise, leaving_room
from divmix.merging.tree import merge_tree
from divmix.search.relax import choose_components, relax
from divmix.search.run import Searching
from divmix.search.thinning import level, thin_out


def has_outliers(searching: Searching, noise: Components, generator: np.random.Generator) -> bool:
    """Whether some mixture beside a broad component has clearly a lower BIC than every one without,
    from many components down to k.

    It is that of the lowest BIC, without the components that are no denser than the broad one could
    be. Raises FitError.
    """
    relaxed = relax(searching, choose_components(searching), generator)
    levels = thin_out(searching, relaxed, merge_tree(searching.family.moments(relaxed)))
    best = min(levels, key=lambda own: own.bic)
    dense = denser_than_noise(searching.family, best.components, noise)
    if dense.all() or not dense.any():
        return False
    beside = searching._replace(noise=noise, k=1)
    start = leaving_room(best.components.take(np.flatnonzero(dense)), noise)
    n, clearly = searching.rows, searching.schedule.strong
    apart = level(beside, start).bic + np.log(n) / (2 * n)  # the weight is one parameter more
    return apart < best.bic - clearly / (2 * n)
