"""Births: the component that a mixture lacks most, found by the certificate."""

from typing import NamedTuple

import numpy as np

from divmix.families import Components
from divmix.fitting.certificate import certify, starts_at_rows
from divmix.fitting.data_term import InMemory
from divmix.fitting.gap import broad_family, logsumexp

ROWS, SCALES, STEPS = 20, 3, 8  # a quick search: a birth that is missed costs little


class Birth(NamedTuple):
    """Components with one more, and what the certificate says of those before, nats per row."""

    components: Components
    gap: float


def birth(sample: InMemory, components: Components, generator: np.random.Generator) -> Birth:
    """Add the component whose birth gains most at first, with the mean weight of the others.

    Gaussian components, each with a covariance of its own.
    """
    X, row_weights = sample.X, sample.row_weights
    family = broad_family(sample, components)
    own = logsumexp(sample.log_densities(components))
    starts = starts_at_rows(X, row_weights, own, family, generator, rows=ROWS, scales=SCALES)
    found = certify(X, row_weights, own, family, starts, steps=STEPS)
    m, total = components.count, components.weights.sum()
    newborn = found.component._replace(weights=np.full(1, total / (m + 1)))
    others = components._replace(weights=components.weights * (m / (m + 1)))
    return Birth(others.followed_by(newborn), found.gap)


def can_be_born(sample: InMemory) -> bool:
    """Whether the certificate covers the family of the rows."""
    return sample.family.name == "gaussian" and not sample.family.structure.shared
