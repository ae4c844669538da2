"""What a fit could still gain: the certificate at the end of a fit."""

from typing import TypeGuard

import numpy as np

from divmix.certificate.bound import certify, starts_at_rows
from divmix.families import Components, Family, Gaussian, make_family
from divmix.families.family import Array
from divmix.families.posterior import log_sum_exp, log_weights
from divmix.rows import MemoryRows

# The bound is over mixtures whose components have at least the variances that CELLS equal parts of
# the table's space have, no less than a tenth of each column's standard deviation; or those of the
# narrowest fitted component where that is narrower. With the floor of the fit itself, or a tenth of
# the deviation in many columns, a component for every row would set the bound.
CELLS = 100
NARROWEST = 0.01
WEIGHT_ITERATIONS = 50


def covers(family: Family) -> TypeGuard[Gaussian]:
    """Whether the certificate is one for this family."""
    return isinstance(family, Gaussian)


def remaining_gain(
    family: Gaussian, sample: MemoryRows, components: Components, generator: np.random.Generator
) -> float:
    """Upper bound on F* - F on the rows of `sample`, mean per row in nats.

    F* is the log-likelihood of the best Gaussian mixture of any number of components that are no
    narrower than CELLS and NARROWEST tell. The covariances are those of the family's structure; for
    a shared matrix they are full ones, which can only raise the bound.

    The certificate of a richer mixture F' makes it tight: F* - F = (F' - F) + (F* - F'), and only
    the second part has to be bounded. F' has the fitted components and those that the search starts
    from, with the best weights.
    """
    X, row_weights = sample.matrix
    shares = row_weights / sample.total_weight
    broad = broad_family(family, sample, components)
    fitted = family.log_densities(X, components)
    own = log_sum_exp(fitted + log_weights(components.weights))
    starts = starts_at_rows(X, row_weights, own, broad, generator)
    joint = np.hstack([fitted, broad.log_densities(X, starts)])
    weights = best_weights(joint, shares)
    richer = log_sum_exp(joint + log_weights(weights))
    unseen = certify(X, row_weights, richer, broad, starts).gap
    return float(shares @ (richer - own)) + unseen


def best_weights(log_densities: Array, shares: Array) -> Array:
    """Weights (s,) of fixed components by EM, from log densities (n, s) and shares (n,) of rows."""
    top = log_densities.max(axis=1, keepdims=True)
    densities = np.exp(log_densities - top)
    weights = np.full(densities.shape[1], 1 / densities.shape[1])
    for _ in range(WEIGHT_ITERATIONS):
        weights *= densities.T @ (shares / (densities @ weights))
    return weights / weights.sum()


def broad_family(family: Gaussian, sample: MemoryRows, components: Components) -> Gaussian:
    """The family of the alternatives: floored as CELLS and NARROWEST tell."""
    X, row_weights = sample.matrix
    shares = row_weights / sample.total_weight
    variances = shares @ (X - shares @ X) ** 2
    share = max(NARROWEST, CELLS ** (-2 / X.shape[1]))
    narrowest = np.minimum(share * variances, family.variances(components).min(axis=0))
    shape = "full" if family.structure.shared else family.structure.name
    made = make_family(family.name, shape, np.maximum(family.floor, narrowest))
    assert isinstance(made, Gaussian)
    return made
