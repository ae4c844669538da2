"""Multivariate Student-t components: heavy tails, so robust to outliers.

A row's weight in a component is u = (nu + d) / (nu + maha) (Peel and McLachlan, Statistics and
Computing 2000, eq. 20): a far row counts little towards mean and scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Array, Prior, Push
from divmix.families.gaps import sums_beside_gaps
from divmix.families.location_scale import LocationScale
from divmix.families.posterior import log_weights
from divmix.families.structure import Seen, is_empty
from divmix.kernels.gaps import has_gaps
from divmix.kernels.sums import Sums

START_DOF = 10.0
NEWTON_STEPS = 60  # at most; six do as a rule, an end of the range takes about fifty bisections
DOF_RANGE = (1.0, 200.0)  # below, the mean is undefined; above, it is a Gaussian


@dataclass(frozen=True)
class Student(LocationScale):
    """Student-t densities with degrees of freedom nu learned for each component."""

    name = "student"

    def start(self, weights: Array, means: Array, covariance: Array) -> Components:
        """Components at `means` (m, d) that all have the scale matrix (d, d), floored."""
        components = super().start(weights, means, covariance)
        return components._replace(dof=np.full(len(means), START_DOF))

    def n_parameters(self, m: int, d: int) -> int:
        """As those of Gaussians, and the degrees of freedom."""
        return super().n_parameters(m, d) + m

    def joined(self, components: Components, labels: NDArray[np.int64]) -> Components:
        """One component for each label; degrees of freedom are averaged by weight."""
        made = super().joined(components, labels)
        dof = (
            np.bincount(labels, weights=components.weights * components.degrees_of_freedom)
            / made.weights
        )
        return made._replace(dof=dof)

    def log_densities_at(self, seen: Seen, components: Components) -> Array:
        """log p of rows as the components see them, (n, m), nats."""
        dof = components.degrees_of_freedom
        tail = 0.5 * (dof + seen.columns) * np.log1p(seen.squared / dof)
        return seen.log_factors + _by_number(log_constants, seen.columns, dof) - tail

    def mean_log_scale(self, components: Components) -> Array:
        """E[log u - u] (m,): log u is that of a Beta variate of nu / 2 and d / 2, and E[u] = 1."""
        from scipy.special import digamma

        half = 0.5 * components.degrees_of_freedom
        both = half + 0.5 * components.means.shape[1]
        return np.log(both) - np.log(half) + digamma(half) - digamma(both) - 1

    def row_scales(self, seen: Seen, components: Components) -> Array:
        """u = (nu + d) / (nu + squared distance) of rows, (n, m), d the columns that are there."""
        dof = components.degrees_of_freedom
        return (dof + seen.columns) / (dof + seen.squared)

    def noise_scales(
        self, seen: Seen, shares: Array, components: Components, generator: np.random.Generator
    ) -> Array:
        """sqrt((nu + squared distance) / chi^2 of nu + columns degrees of freedom), (n,), by the
        component that each row has the share 1 of."""
        own = shares.argmax(axis=1)
        dof, rows = components.degrees_of_freedom[own], np.arange(len(shares))
        columns = np.broadcast_to(seen.columns, (len(shares), 1))[:, 0]
        return np.sqrt((dof + seen.squared[rows, own]) / generator.chisquare(dof + columns))

    def log_row_scales(self, scales: Array, seen: Seen, components: Components) -> Array:
        """log u of rows, (n, m), such that E[log of the scale] of a row with gaps is that of a
        complete one of this log u: E = log u + digamma(h) - log h, h = (nu + columns) / 2."""
        d, dof = components.means.shape[1], components.degrees_of_freedom
        logs = np.log(scales)
        if isinstance(seen.columns, int):
            return logs
        return logs + _by_number(_excess, seen.columns, dof) - _excess(d, dof)

    def variances(self, components: Components) -> Array:
        """Variance of each column; where nu <= 2 and there is none, the squared scale."""
        factor = np.where(
            components.degrees_of_freedom > 2,
            components.degrees_of_freedom / (components.degrees_of_freedom - 2.0001),
            1.0,
        )
        squared = self.structure.variances(components.covariances, *components.means.shape)
        return squared * factor[:, None]

    def draw(
        self, components: Components, labels: NDArray[np.int64], generator: np.random.Generator
    ) -> Array:
        """One row (d,) from each component in labels (n,)."""
        noise = generator.standard_normal((len(labels), components.means.shape[1]))
        dof = components.degrees_of_freedom[labels]
        noise *= np.sqrt(dof / generator.chisquare(dof))[:, None]
        noise = self.structure.whitened_noise(components, labels, noise)
        return components.means[labels] + noise

    def sums(self, X: NDArray, row_weights: Array, components: Components) -> Sums:
        """Log-likelihood, masses and moments summed over rows X (n, d)."""
        from divmix.kernels import student

        if has_gaps(X):
            return sums_beside_gaps(self, X, row_weights, components)
        dof = components.degrees_of_freedom
        logs = log_weights(components.weights) + log_constants(X.shape[1], dof)
        return self.structure.sums(student, X, row_weights, logs, components, (dof,))

    def maximize(
        self,
        sums: Sums,
        components: Components,
        *,
        learn_weights: bool = True,
        prior: Prior | None = None,
        push: Push | None = None,
    ) -> Components:
        """The M-step, degrees of freedom included."""
        updated = super().maximize(
            sums, components, learn_weights=learn_weights, prior=prior, push=push
        )
        return updated._replace(dof=self._degrees_of_freedom(sums, components))

    def update_shared(self, sums: Sums, components: Components) -> Components:
        """EM update of the degrees of freedom, which are no coordinates of a particle."""
        return components._replace(dof=self._degrees_of_freedom(sums, components))

    def _degrees_of_freedom(self, sums: Sums, components: Components) -> Array:
        """Solve the score equation of nu for each component (Peel and McLachlan, eq. 32)."""
        from scipy.special import digamma

        full = ~is_empty(sums.mass)
        dof = components.degrees_of_freedom.copy()
        half = 0.5 * (dof[full] + components.means.shape[1])
        known = 1 + sums.log_scale[full] / sums.mass[full] + digamma(half) - np.log(half)
        dof[full] = solved_degrees(known)
        return dof


def log_constants(columns: Any, dof: Array) -> Array:
    """log of the constant in front of a density of so many columns and unit scale."""
    from scipy.special import gammaln  # scipy takes long to import, and a Gaussian needs none

    half = gammaln(0.5 * (dof + columns)) - gammaln(0.5 * dof)
    return half - 0.5 * columns * np.log(np.pi * dof)


def _excess(columns: Any, dof: Array) -> Array:
    """digamma(h) - log h, h = (nu + columns) / 2."""
    from scipy.special import digamma

    half = 0.5 * (dof + columns)
    return digamma(half) - np.log(half)


def _by_number(of: Callable[[Any, Array], Array], columns: Any, dof: Array) -> Array:
    """of(columns, dof) where columns is a number, (m,), or (n, 1) of few different ones, (n, m)."""
    if isinstance(columns, int):
        return of(columns, dof)
    found, place = np.unique(columns, return_inverse=True)
    return of(found[:, None], dof)[place.reshape(-1)]


def solved_degrees(known: Array) -> Array:
    """nu (m,) within DOF_RANGE with log(nu / 2) - digamma(nu / 2) + known = 0, known (m,).

    The score falls in nu. Newton steps in log nu, of all components at once; one that would leave
    the interval in which the root lies is a bisection.
    """
    from scipy.special import digamma, zeta

    low, high = (np.full(len(known), np.log(end)) for end in DOF_RANGE)
    at = 0.5 * (low + high)
    for _ in range(NEWTON_STEPS):
        half = 0.5 * np.exp(at)
        score = np.log(half) - digamma(half) + known
        low, high = np.where(score > 0, at, low), np.where(score > 0, high, at)
        step = at - score / (1 - half * zeta(2, half))  # the derivative of digamma
        step = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
        moved, at = np.abs(step - at).max(initial=0.0), step
        if moved < 1e-12:
            break
    return np.exp(at)
