"""What a first way from many components to k tells of the rows: whether some of them are outliers,
which belong to no cluster and widen those they are fitted with, and whether clusters are ellipses."""

from functools import partial
from typing import NamedTuple

import numpy as np

from divmix.families import Components
from divmix.families.noise import denser_than_noise
from divmix.merging.hierarchy import Level, Way
from divmix.search.relax import choose_components, diversify, relax
from divmix.search.run import Searching
from divmix.search.thinning import best_level, level_beside, n_parameters, thin_out


class FirstLook(NamedTuple):
    """outliers: whether a mixture beside a broad component has clearly the lowest BIC.

    rich: whether it, or without outliers the mixture of the lowest AIC3, has more than k components.
    way: the one that was gone.
    """

    outliers: bool
    rich: bool
    way: Way


def look_for_outliers(
    searching: Searching, noise: Components | None, generator: np.random.Generator
) -> FirstLook:
    """Levels of a mixture down to k components, and the best ones of them beside the broad component.

    Beside it stand only components that are denser than it could be. Raises FitError.
    """
    monitor = searching.monitor
    begun = len(monitor.trace)
    relaxed = diversify(searching, relax(searching, choose_components(searching), generator))
    levels = thin_out(searching, relaxed)
    trace = (row._replace(iteration=i) for i, row in enumerate(monitor.trace[begun:]))
    way = Way(relaxed, tuple(levels), tuple(trace))
    clearly = searching.schedule.strong / (2 * searching.rows)
    richer = best_level(searching, levels)
    rich = richer.aic3 < levels[-1].aic3 - clearly
    if noise is None:
        return FirstLook(False, rich, way)
    best = min(levels, key=partial(bic, searching))
    least = bic(searching, best) - clearly
    # What the lowest BIC leaves to its clusters may have components of its own at the lowest AIC3.
    for level in [best] if richer is best else [best, richer]:
        dense = denser_than_noise(searching.family, level.components, noise)
        if dense.all() or not dense.any():
            continue
        apart = level_beside(searching, level.components.take(np.flatnonzero(dense)), noise)
        if bic(searching, apart, of_noise=1) < least:
            return FirstLook(True, apart.components.count > searching.k, way)
    return FirstLook(False, rich, way)


def bic(searching: Searching, level: Level, of_noise: int = 0) -> float:
    """BIC of a level, per row and halved as its AIC3 is; of_noise: parameters of a component beside it.

    AIC3 would rather have several components for scattered rows than a broad one, which are not
    normal about the middle of the table.
    """
    n = searching.rows
    parameters = n_parameters(searching, level.components) + of_noise
    return level.aic3 + parameters * (np.log(n) - searching.schedule.per_parameter) / (2 * n)
