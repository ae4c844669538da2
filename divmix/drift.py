"""Whether rows are still those of a mixture, and how far two mixtures lie apart.

A fitted mixture is where the gradient of the likelihood is 0 over its rows. So over rows of the same
kind each part of the gradient is 0 up to chance, whether or not the mixture describes them well: the
mean responsibilities are the weights, and rows lie about the means of their components (score test;
White, Econometrica 1982). With n new rows and N rows behind the mixture the variance of such a
mean is that of one row times 1 / n + 1 / N. What diversity (alpha) moves is taken into account.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.objective import Objective
from divmix.families.family import Array
from divmix.families.noise import without_last
from divmix.families.posterior import log_weights, posterior
from divmix.model.mixture import Mixture
from divmix.tables.batches import BLOCK_ROWS

DRAWN = 20_000  # rows from each of two mixtures, that tell how far they lie apart
LEVEL = 0.01  # of false alarms, over all figures that are looked at
UNLIKELY = 0.01  # share of a mixture's own rows that are less likely than what is called unlike it


class Distance(NamedTuple):
    """Symmetric Kullback-Leibler divergence (Jeffreys 1946) of two densities, nats, by sampling."""

    symmetric_kl: float
    standard_error: float


def distance(log_ratio_one: Array, log_ratio_other: Array) -> Distance:
    """KL(p, q) + KL(q, p) by log p / q at rows drawn from p, and at rows drawn from q.

    Rows of both are taken as rows of (p + q) / 2, under which the divergence is the mean of
    2 t tanh(t / 2), t = log p / q: never negative, and no ratio has a far tail.
    """
    parts = [2 * t * np.tanh(t / 2) for t in (log_ratio_one, log_ratio_other)]
    value = sum(float(part.mean()) for part in parts) / 2
    variance = sum(float(part.var()) / len(part) for part in parts) / 4
    return Distance(value, math.sqrt(variance))


def distance_of(one: Mixture, other: Mixture, generator: np.random.Generator) -> Distance:
    """Of two mixtures with one design."""
    ratios = []
    for mixture in (one, other):
        X, _ = mixture.draw(DRAWN, generator)
        ratios.append(one.score(X).log_density - other.score(X).log_density)
    return distance(*ratios)


class Figure(NamedTuple):
    """A mean over new rows, and what it is over the rows of the mixture; z is their difference in
    standard errors, 0 where rows do not vary."""

    expected: float
    found: float
    z: float


class Drift(NamedTuple):
    """What new rows say of a mixture.

    shares      of the clusters, the noise last where there is one: mean responsibility
    shifts      of the d features: how far rows lie from the means of their components, in standard
                deviations of the feature in the mixture
    density     mean log-density, nats; None where that of the mixture's rows is not known
    unlike      share of the rows that are less likely than 99 % of the mixture's own
    p_value     how rarely rows of the same kind give such a figure anywhere, by Bonferroni
    """

    shares: list[Figure]
    shifts: list[Figure]
    density: Figure | None
    unlike: float
    p_value: float

    @property
    def drifted(self) -> bool:
        """Whether that is less than LEVEL."""
        return self.p_value < LEVEL


def drift(
    mixture: Mixture,
    X: Array,
    row_weights: Array,
    log_jacobian: Array,
    *,
    behind: float,
    alpha: float,
    n_parameters: int,
    learn_weights: bool = True,
    generator: np.random.Generator,
) -> Drift:
    """What rows X (n, d) of the design matrix say of a mixture fitted to `behind` others.

    row_weights (n,), positive ones at least once; log_jacobian (n,) brings log-densities to the
    units in which the mixture knows that of its own rows. alpha is the weight of diversity that the
    mixture was fitted with; weights that were not learned say nothing of rows.
    """
    used = row_weights > 0
    X, row_weights = X[used], row_weights[used]
    drawn, _ = mixture.draw(DRAWN, generator)
    rows, own = _statistics(mixture, X), _statistics(mixture, drawn)
    likely = own[:, -1]
    unlike = float(np.average(rows[:, -1] < np.quantile(likely, UNLIKELY), weights=row_weights))
    rows[:, -1] += log_jacobian[used]
    found = np.average(rows, axis=0, weights=row_weights)
    # The larger one: rows that a mixture describes badly vary more than its own.
    variances = np.maximum(
        np.average((rows - found) ** 2, axis=0, weights=row_weights), own.var(axis=0)
    )
    effective = row_weights.sum() ** 2 / (row_weights**2).sum()
    errors = variances * (1 / effective + 1 / behind)
    expected = _expected(mixture, alpha, behind)
    known = mixture.about["log_likelihood"]
    if known is not None:
        # Rows that a mixture was fitted to are likelier than others, by about this.
        optimism = n_parameters / behind
        expected[-1] = known - optimism
        errors[-1] += optimism**2
    gaps = found - expected
    z = np.where(errors > 0, gaps / np.sqrt(np.maximum(errors, 1e-300)), 0.0)
    clusters = rows.shape[1] - X.shape[1] - 1
    if known is None:
        z[-1] = 0.0
    if not learn_weights:
        z[:clusters] = 0.0
    figures = [Figure(*map(float, own)) for own in zip(expected, found, z)]
    looked_at = max(int(np.count_nonzero(errors)), 1)
    p_value = min(1.0, looked_at * math.erfc(float(np.abs(z).max()) / math.sqrt(2)))
    return Drift(
        figures[:clusters],
        figures[clusters:-1],
        figures[-1] if known is not None else None,
        unlike,
        p_value,
    )


def spreads(mixture: Mixture) -> Array:
    """Standard deviation of each feature in the whole mixture, (d,); 1 where it does not vary."""
    components = mixture.components
    shares = components.weights / components.weights.sum()
    overall = shares @ components.means
    variances = mixture.family.variances(components) + (components.means - overall) ** 2
    total = np.sqrt(shares @ variances)
    return np.where(total > 0, total, 1.0)


def _statistics(mixture: Mixture, X: Array) -> Array:
    """Of each row the responsibility of each cluster and of the noise, its distance from what is
    expected in each feature, and its log-density, (n, k + d + 1) or one more."""
    components, family = mixture.all_components, mixture.family
    of_cluster = mixture.clusters
    if mixture.noise is not None:
        of_cluster = np.append(of_cluster, mixture.n_clusters)
    members = np.eye(of_cluster.max() + 1)[of_cluster]
    scale = spreads(mixture)
    parts: list[NDArray[np.float64]] = []
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        joint = log_weights(components.weights) + family.log_densities(block, components)
        log_density, shares = posterior(joint)
        own = shares[:, : mixture.components.count]
        shifts = family.residuals(block, own, mixture.components) / scale
        parts.append(np.hstack([shares @ members, shifts, log_density[:, None]]))
    return np.vstack(parts)


def _expected(mixture: Mixture, alpha: float, weight: float) -> Array:
    """Means of the statistics over the rows of a fit, of this total weight: 0 of the gradient of J,
    not of F alone."""
    components, family = mixture.components, mixture.family
    objective = Objective(family, alpha, noise=mixture.noise)
    sums = family.expected(mixture.all_components, weight)
    if mixture.noise is not None:
        sums = without_last(sums)
    pushed = objective.ascended(objective.seen(components, sums, weight))
    weights = 2 * components.weights - pushed.weights
    shares = np.bincount(mixture.clusters, weights)
    if mixture.noise is not None:
        shares = np.append(shares, 1 - weights.sum())
    shifts = components.weights @ (components.means - pushed.means) / spreads(mixture)
    return np.concatenate([shares, shifts, [0.0]])
