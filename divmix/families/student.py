"""Multivariate Student-t components: Gaussian ones with heavy tails, so robust to outliers.

A row's weight in a component is u = (nu + d) / (nu + maha) (Peel and McLachlan, Statistics and
Computing 2000, eq. 20): a far row counts little towards mean and scale.
"""

from dataclasses import dataclass

import numpy as np

from divmix.families.components import Components
from divmix.families.gaussian import Gaussian
from divmix.families.structure import is_empty

START_DOF = 10.0
DOF_RANGE = (1.0, 200.0)  # below, the mean is undefined; above, it is a Gaussian


@dataclass(frozen=True)
class Student(Gaussian):
    """Student-t densities with degrees of freedom nu learned for each component."""

    name = "student"
    columns_independent = False  # all columns share the tail

    def start(self, weights, means, covariance):
        components = super().start(weights, means, covariance)
        return components._replace(dof=np.full(len(means), START_DOF))

    def n_parameters(self, m, d):
        return super().n_parameters(m, d) + m

    def log_normalizer(self, components):
        from scipy.special import gammaln  # scipy takes long to import, and a Gaussian needs none

        m, d = components.means.shape
        dof = components.dof
        return (
            self.structure.log_factor(components.covariances, m, d)
            + gammaln(0.5 * (dof + d))
            - gammaln(0.5 * dof)
            - 0.5 * d * np.log(np.pi * dof)
        )

    def log_densities(self, X, components):
        d = X.shape[1]
        distances = self.structure.mahalanobis(X, components)
        tail = 0.5 * (components.dof + d) * np.log1p(distances / components.dof)
        return self.log_normalizer(components) - tail

    def variances(self, components):
        """Variance of each column; where nu <= 2 and there is none, the squared scale."""
        factor = np.where(components.dof > 2, components.dof / (components.dof - 2.0001), 1.0)
        return super().variances(components) * factor[:, None]

    def draw(self, components, labels, generator):
        noise = generator.standard_normal((len(labels), components.means.shape[1]))
        dof = components.dof[labels]
        noise *= np.sqrt(dof / generator.chisquare(dof))[:, None]
        noise = self.structure.whitened_noise(components, labels, noise)
        return components.means[labels] + noise

    def sums(self, X, row_weights, components):
        from divmix.kernels import student

        shape = (components.dof,)
        offsets = self.offsets(components)
        return self.structure.sums(student, X, row_weights, offsets, components, shape)

    def maximize(self, sums, components, *, learn_weights, base=None):
        updated = super().maximize(sums, components, learn_weights=learn_weights, base=base)
        return updated._replace(dof=self._degrees_of_freedom(sums, components))

    def update_shared(self, sums, components):
        return components._replace(dof=self._degrees_of_freedom(sums, components))

    def _degrees_of_freedom(self, sums, components: Components) -> np.ndarray:
        """Solve the score equation of nu for each component (Peel and McLachlan, eq. 32)."""
        from scipy.optimize import brentq
        from scipy.special import digamma

        d = components.means.shape[1]
        dof = components.dof.copy()
        for j in np.flatnonzero(~is_empty(sums.mass)):
            half = 0.5 * (dof[j] + d)
            known = 1 + sums.log_scale[j] / sums.mass[j] + digamma(half) - np.log(half)

            def score(nu: float, known: float = known) -> float:
                return np.log(0.5 * nu) - digamma(0.5 * nu) + known

            low, high = DOF_RANGE
            if score(low) <= 0:
                dof[j] = low
            elif score(high) >= 0:
                dof[j] = high
            else:
                dof[j] = brentq(score, low, high)
        return dof
