"""A broad component for rows that belong to no cluster: it has a weight, and never moves.

Components beside it have weights that sum to less than 1; the rest is its own. Banfield and Raftery
(Biometrics 1993) take the uniform density over the table's box; a broad Gaussian is a density also
beyond it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Array, Family
from divmix.families.mixed import Mixed, scattered
from divmix.families.moments import entropies
from divmix.families.student import DOF_RANGE
from divmix.kernels.sums import Sums

# By trials with 10 to 30 % of noise: from a start at .05, or if all components may stay where rows
# are scattered, these cover the noise together and leave it nothing.
START_WEIGHT = 0.3
DENSE = 2.0  # times as dense as noise of START_WEIGHT is what belongs to a cluster


MadeNoise = Callable[[Family], Components]  # the broad component that stands beside a family's


def broad_component(family: Family, low: Array, high: Array) -> Components:
    """One component of weight 1 about the middle of the box from `low` to `high`, each (d,).

    As numbers lie anywhere in the box, rows have any category of a column alike.
    """
    variances = (high - low) ** 2 / 12  # those of rows spread evenly
    middle = 0.5 * (low + high)
    if isinstance(family, Mixed):
        middle[family.categories.varying.features] = 0.0
        middle[family.categories.common.features] = 0.0
    variances = variances[scattered(family, len(middle))]
    spread = variances if family.diagonal_only else np.diag(variances)
    made = family.start(np.ones(1), middle[None], spread)
    if isinstance(family, Mixed):
        levels = family.categories.varying
        even = levels.normalised(np.ones((1, len(levels))))
        made.means[:, levels.features] = levels.means(even)
    return made if made.dof is None else made._replace(dof=np.full(1, DOF_RANGE[1]))


def with_noise(components: Components, noise: Components | None) -> Components:
    """The components and, as the last one, the noise with the weight they leave."""
    if noise is None:
        return components
    left = max(1.0 - components.weights.sum(), 0.0)
    return components.followed_by(noise._replace(weights=np.array([left])))


def leaving_room(components: Components, noise: Components | None) -> Components:
    """The components with START_WEIGHT left for the noise."""
    if noise is None:
        return components
    return components._replace(weights=(1 - START_WEIGHT) * components.weights)


def without_last(sums: Sums) -> Sums:
    """The sums of the components; what the noise after them takes is `outside`."""
    return Sums(
        sums.log_likelihood,
        sums.mass[:-1],
        sums.scaled_mass[:-1],
        sums.first[:-1],
        sums.second[:-1],
        sums.log_scale[:-1],
        float(sums.mass[-1]),
    )


def denser_than_noise(
    family: Family, components: Components, noise: Components
) -> NDArray[np.bool_]:
    """Which components (m,) are denser than the noise could be: weight over volume, exp entropy."""
    return log_density_ratios(family, components, noise) > 0


def log_density_ratios(family: Family, components: Components, noise: Components) -> Array:
    """log of how many times denser than the noise could be each component is, (m,)."""
    own, broad = entropies(family.moments(components)), entropies(family.moments(noise))
    return np.log(components.weights) - own - np.log(DENSE * START_WEIGHT) + broad
