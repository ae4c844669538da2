"""What a fit could still gain: the certificate at the end of a fit."""

import numpy as np

from divmix.families import Components, make_family
from divmix.fitting.certificate import certify, starts_at_rows
from divmix.fitting.data_term import InMemory

# The bound is over mixtures whose components are at least this broad, as a share of a column's
# variance (a tenth of its standard deviation), or as broad as the narrowest fitted one where that
# is narrower. With the floor of the fit itself, a spike on a single row would set the bound.
NARROWEST = 0.01


def remaining_gain(
    sample: InMemory, components: Components, generator: np.random.Generator
) -> float:
    """Upper bound on F* - F on the rows of `sample`, mean per row in nats; searched from 400 starts.

    F* is the log-likelihood of the best Gaussian mixture of any number of components that are no
    narrower than NARROWEST tells. The covariances are those of the family's structure; for a
    shared matrix they are full ones, which can only raise the bound.
    """
    X, row_weights, family = sample.X, sample.row_weights, sample.family
    mean = np.average(X, axis=0, weights=row_weights)
    variances = np.average((X - mean) ** 2, axis=0, weights=row_weights)
    narrowest = np.minimum(NARROWEST * variances, family.variances(components).min(axis=0))
    shape = "full" if family.structure.shared else family.structure.name
    broad = make_family(family.name, shape, np.maximum(family.floor, narrowest))
    joint = family.log_densities(X, components) + np.log(np.maximum(components.weights, 1e-300))
    top = joint.max(axis=1)
    log_density = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    starts = starts_at_rows(X, row_weights, log_density, broad, generator)
    return certify(X, row_weights, log_density, broad, starts).gap
