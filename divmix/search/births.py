"""Births: the component that a mixture lacks most, found by the ascents of the certificate."""

import numpy as np

from divmix.certificate.bound import ascended, starts_at_rows
from divmix.certificate.gap import broad_family, covers
from divmix.families import Components, Family
from divmix.search.run import Searching

ROWS, SCALES, STEPS = 20, 3, 8  # a quick search: a birth that is missed costs little


def birth(
    searching: Searching, components: Components, generator: np.random.Generator
) -> Components | None:
    """The components and a new one of mean weight, or None where none is worth its parameters.

    Of the maxima of D(theta) = E_x[p(x|theta) / p(x)] the one whose birth raises the log-likelihood
    most; the highest of them may stand on a single far row, which gains next to nothing. It is worth
    its parameters where that gain exceeds their price in BIC. Gaussian components, each with a
    covariance of its own.
    """
    sample = searching.sample
    X, row_weights = sample.matrix
    own = searching.posterior(components).log_density
    family = broad_family(searching.family, sample, components)
    starts = starts_at_rows(X, row_weights, own, family, generator, rows=ROWS, scales=SCALES)
    candidates = ascended(X, row_weights, own, family, starts, steps=STEPS)
    m, d = components.means.shape
    weight = components.weights.sum() / (m + 1)
    log_ratios = family.log_densities(X, candidates) - own[:, None]
    gains = row_weights @ np.logaddexp(np.log1p(-weight), np.log(weight) + log_ratios)
    best = int(gains.argmax())
    price = 0.5 * (family.n_parameters(2, d) - family.n_parameters(1, d)) * np.log(len(X))
    if gains[best] * len(X) / sample.total_weight < price:
        return None
    newborn = candidates.take(np.array([best]))._replace(weights=np.full(1, weight))
    others = components._replace(weights=components.weights * (m / (m + 1)))
    return others.followed_by(newborn)


def can_be_born(family: Family) -> bool:
    """Whether the certificate covers the family of the rows."""
    return covers(family) and not family.structure.shared
