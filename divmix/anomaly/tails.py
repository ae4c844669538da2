"""The tails of components, from the rows in the middle.

The squared distances of the rows of a Student-t component from its location, in its scale, are those
of c d F(d, nu), with c = 1 where the scale is right. Anomalies among the rows lie far, so the tail of a
fit to all rows is in part theirs: it is heavy because of them, and then they are nothing strange. So
nu and c follow from the quantiles CENTRAL of these distances, which fewer anomalies than lie beyond
the higher one hardly move (as McCulloch 1986 takes the parameters of stable laws): their ratio
tells nu, the lower one then c.
"""

import numpy as np

from divmix.families import AnyFamily, Components, Mixed
from divmix.families.family import Array
from divmix.families.mixed import as_seen
from divmix.families.posterior import log_weights
from divmix.families.student import DOF_RANGE
from divmix.rows import MemoryRows

# The middle, and all but the twentieth that may be anomalies: with a tenth one column of a heavier
# tail than the others stays unseen, and its highest values look like anomalies in clean tables.
CENTRAL = (0.5, 0.95)
FEWEST = 20  # rows of a component, of which one lies beyond
DEGREES = np.geomspace(*DOF_RANGE, 60)  # between these the ratio is interpolated


def with_central_tails(rows: MemoryRows, family: AnyFamily, components: Components) -> Components:
    """The components with the scale and the degrees of freedom that the middle of the rows has.

    A row is of the component that it likely comes from. Components of few rows, or of rows that are
    equal for the most part, stay as they are.
    """
    held, row_weights = rows.held
    X = as_seen(held, family)
    own = (log_weights(components.weights) + family.log_densities(X, components)).argmax(axis=1)
    numbers, of_numbers = family, components
    if isinstance(family, Mixed):
        if not len(family.categories.numeric):
            return components
        numbers, of_numbers = family.numbers, family.of_numbers(components)
        X = family.numbers_of(X)
    squared = numbers.structure.mahalanobis(X, of_numbers)
    scale, dof = np.ones(components.count), components.degrees_of_freedom.copy()
    for j in range(components.count):
        there = (own == j) & (row_weights > 0)
        if there.sum() < FEWEST:
            continue
        quantiles = np.quantile(
            squared[there, j], CENTRAL, weights=row_weights[there], method="inverted_cdf"
        )
        if quantiles[0] > 0:
            scale[j], dof[j] = tail_of(quantiles, X.shape[1])
    each = scale.reshape(-1, *[1] * (components.covariances.ndim - 1))
    return components._replace(covariances=each * components.covariances, dof=dof)


def tail_of(quantiles: Array, columns: int) -> tuple[float, float]:
    """c and nu of c d F(d, nu) with the quantiles CENTRAL (2,), d columns.

    Where no nu within DOF_RANGE has their ratio the nearest is taken, and c by the lower quantile,
    which more anomalies do not move.
    """
    from scipy.special import fdtri  # scipy takes long to import

    low, high = (fdtri(columns, DEGREES, q) for q in CENTRAL)
    place = np.interp(-quantiles[1] / quantiles[0], -high / low, np.log(DEGREES))
    scale = quantiles[0] / (columns * np.exp(np.interp(place, np.log(DEGREES), np.log(low))))
    return float(scale), float(np.exp(place))
