"""What a first way from many components to k tells of the rows: whether some of them are outliers,
which belong to no cluster and widen those they are fitted with, and whether clusters are ellipses."""

from typing import NamedTuple

import numpy as np

from divmix.families import Components
from divmix.families.noise import denser_than_noise
from divmix.merging.hierarchy import Way
from divmix.search.relax import choose_components, diversify, relax
from divmix.search.run import Searching
from divmix.search.thinning import best_level, level_beside, thin_out


class FirstLook(NamedTuple):
    """outliers: whether a mixture beside a broad component has clearly the lowest AIC3.

    rich: whether it is one of more than k components. way: the one that was gone.
    """

    outliers: bool
    rich: bool
    way: Way


def look_for_outliers(
    searching: Searching, noise: Components | None, generator: np.random.Generator
) -> FirstLook:
    """Levels of a mixture down to k components, and the best one of them beside the broad component.

    Beside it stand only components that are denser than it could be. Raises FitError.
    """
    monitor = searching.monitor
    begun = len(monitor.trace)
    relaxed = diversify(searching, relax(searching, choose_components(searching), generator))
    levels = thin_out(searching, relaxed)
    trace = (row._replace(iteration=i) for i, row in enumerate(monitor.trace[begun:]))
    way = Way(relaxed, tuple(levels), tuple(trace))
    best = best_level(searching, levels)
    clearly = searching.schedule.strong / (2 * searching.rows)
    rich = best.aic3 < levels[-1].aic3 - clearly
    if noise is None:
        return FirstLook(False, rich, way)
    dense = denser_than_noise(searching.family, best.components, noise)
    if dense.all() or not dense.any():
        return FirstLook(False, rich, way)
    apart = level_beside(searching, best.components.take(np.flatnonzero(dense)), noise)
    if apart.aic3 < best.aic3 - clearly:
        return FirstLook(True, apart.components.count > searching.k, way)
    return FirstLook(False, rich, way)
