"""What a fit could still gain: the certificate at the end of a fit."""

import numpy as np

from divmix.certificate.bound import certify, starts_at_rows
from divmix.families import Components, Gaussian, make_family
from divmix.families.gaussian import SMALLEST_WEIGHT
from divmix.rows.memory import InMemory

# The bound is over mixtures whose components have at least the variances that CELLS equal parts of
# the table's space have, no less than a tenth of each column's standard deviation; or those of the
# narrowest fitted component where that is narrower. With the floor of the fit itself, or a tenth of
# the deviation in many columns, a component for every row would set the bound.
CELLS = 100
NARROWEST = 0.01
WEIGHT_ITERATIONS = 50


def remaining_gain(
    sample: InMemory, components: Components, generator: np.random.Generator
) -> float:
    """Upper bound on F* - F on the rows of `sample`, mean per row in nats.

    F* is the log-likelihood of the best Gaussian mixture of any number of components that are no
    narrower than CELLS and NARROWEST tell. The covariances are those of the family's structure; for
    a shared matrix they are full ones, which can only raise the bound.

    The certificate of a richer mixture F' makes it tight: F* - F = (F' - F) + (F* - F'), and only
    the second part has to be bounded. F' has the fitted components and those that the search starts
    from, with the best weights.
    """
    X, family = sample.X, sample.family
    shares = sample.row_weights / sample.total_weight
    broad = broad_family(sample, components)
    fitted = family.log_densities(X, components)
    own = logsumexp(fitted + _log(components.weights))
    starts = starts_at_rows(X, sample.row_weights, own, broad, generator)
    joint = np.hstack([fitted, broad.log_densities(X, starts)])
    weights = best_weights(joint, shares)
    richer = logsumexp(joint + _log(weights))
    unseen = certify(X, sample.row_weights, richer, broad, starts).gap
    return float(shares @ (richer - own)) + unseen


def best_weights(log_densities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weights (s,) of fixed components by EM, from log densities (n, s) and shares (n,) of rows."""
    top = log_densities.max(axis=1, keepdims=True)
    densities = np.exp(log_densities - top)
    weights = np.full(densities.shape[1], 1 / densities.shape[1])
    for _ in range(WEIGHT_ITERATIONS):
        weights *= densities.T @ (shares / (densities @ weights))
    return weights / weights.sum()


def logsumexp(terms: np.ndarray) -> np.ndarray:
    """log of the sum of exp over each row of terms (n, s), (n,)."""
    top = terms.max(axis=1)
    return top + np.log(np.exp(terms - top[:, None]).sum(axis=1))


def _log(weights: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(weights, SMALLEST_WEIGHT))


def broad_family(sample: InMemory, components: Components) -> Gaussian:
    """The family of the alternatives: floored as CELLS and NARROWEST tell."""
    family, shares = sample.family, sample.row_weights / sample.total_weight
    variances = shares @ (sample.X - shares @ sample.X) ** 2
    share = max(NARROWEST, CELLS ** (-2 / sample.features))
    narrowest = np.minimum(share * variances, family.variances(components).min(axis=0))
    shape = "full" if family.structure.shared else family.structure.name
    return make_family(family.name, shape, np.maximum(family.floor, narrowest))
