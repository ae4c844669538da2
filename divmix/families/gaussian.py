"""Gaussian components."""

from dataclasses import dataclass

import numpy as np

from divmix.families.axis_aligned import AxisAligned
from divmix.families.components import Components
from divmix.families.structure import Base, CovarianceStructure, per_mass

LOG_2PI = np.log(2 * np.pi)
SMALLEST_WEIGHT = 1e-300  # keeps log weight finite for a component that died


@dataclass(frozen=True)
class Gaussian:
    """Normal densities p(x|theta) = N(x; mu, cov) with a covariance structure and a floor.

    Everything a fit needs follows from `sums`, the sufficient statistics: the M-step, the
    gradient, and the coordinates theta (m, D) = (mean, coordinates of the covariance) in which a
    component is a particle.
    """

    structure: CovarianceStructure
    floor: np.ndarray  # (d,) smallest variance of each column

    name = "gaussian"

    def start(self, weights, means, covariance) -> Components:
        """Components at `means` (m, d) that all have the full covariance (d, d), floored."""
        covariance = covariance + np.diag(self.floor)
        return Components(weights, means, self.structure.repeat(covariance, len(means)))

    def n_parameters(self, m: int, d: int) -> int:
        """Free parameters of the mixture: weights, means, covariances."""
        return m - 1 + m * d + self.structure.n_parameters(m, d)

    # densities

    def log_normalizer(self, components: Components) -> np.ndarray:
        """log of the constant in front of each density, (m,)."""
        m, d = components.means.shape
        return self.structure.log_factor(components.covariances, m, d) - 0.5 * d * LOG_2PI

    def log_densities(self, X: np.ndarray, components: Components) -> np.ndarray:
        """log p(x|theta_j) of rows X (n, d), (n, m), nats."""
        distances = self.structure.mahalanobis(X, components)
        return self.log_normalizer(components) - 0.5 * distances

    def marginal(self, components: Components, columns: np.ndarray) -> Components:
        """The components of these columns alone; the same family, normal or Student-t."""
        covariances = self.structure.marginal(components.covariances, columns)
        return components._replace(means=components.means[:, columns], covariances=covariances)

    @property
    def columns_independent(self) -> bool:
        """Whether the density of a component is the product of those of its columns."""
        return isinstance(self.structure, AxisAligned)

    def variances(self, components: Components) -> np.ndarray:
        """Variance of each column in each component, (m, d)."""
        return self.structure.variances(components.covariances, *components.means.shape)

    def draw(self, components: Components, labels: np.ndarray, generator) -> np.ndarray:
        """One row (d,) from each component in labels (n,)."""
        noise = generator.standard_normal((len(labels), components.means.shape[1]))
        noise = self.structure.whitened_noise(components, labels, noise)
        return components.means[labels] + noise

    # sufficient statistics and what follows from them

    def sums(self, X: np.ndarray, row_weights: np.ndarray, components: Components):
        """Log-likelihood, masses and moments summed over rows X (n, d): `kernels.sums.Sums`."""
        from divmix.kernels import gaussian

        offsets = self.offsets(components)
        return self.structure.sums(gaussian, X, row_weights, offsets, components)

    def offsets(self, components: Components) -> np.ndarray:
        """log weight + log normalizer, (m,)."""
        weights = np.maximum(components.weights, SMALLEST_WEIGHT)
        return np.log(weights) + self.log_normalizer(components)

    def maximize(
        self, sums, components: Components, *, learn_weights: bool, base: Base | None = None
    ) -> Components:
        """The M-step: the components that maximise the expected log-likelihood.

        With a base measure the expected log-posterior under it (Fraley and Raftery 2007).
        """
        means = per_mass(sums.first, sums.scaled_mass, components.means)
        covariances = self.structure.estimate(sums, means, components.covariances, self.floor, base)
        total = sums.mass.sum() + sums.outside
        weights = sums.mass / total if learn_weights else components.weights
        return components._replace(weights=weights, means=means, covariances=covariances)

    def gradient(self, sums, components: Components) -> np.ndarray:
        """Gradient of the summed log-likelihood in the coordinates theta, (m, D)."""
        centred = sums.first - sums.scaled_mass[:, None] * components.means
        by_mean = self.structure.solve(components, centred)
        return np.hstack([by_mean, self.structure.gradient(sums, components)])

    # coordinates of a particle

    def coordinates(self, components: Components) -> np.ndarray:
        """theta (m, D)."""
        shape = self.structure.coordinates(components.covariances, components.count)
        return np.hstack([components.means, shape])

    def from_coordinates(self, theta: np.ndarray, components: Components) -> Components:
        """Components at theta (m, D); what is no coordinate stays as in `components`."""
        d = components.means.shape[1]
        covariances = self.structure.from_coordinates(
            theta[:, d:], components.covariances, self.floor
        )
        return components._replace(means=theta[:, :d].copy(), covariances=covariances)

    def update_shared(self, sums, components: Components) -> Components:
        """EM update of the parameters that are no coordinates of a particle (tied covariance)."""
        if not self.structure.shared:
            return components
        covariances = self.structure.estimate(
            sums, components.means, components.covariances, self.floor
        )
        return components._replace(covariances=covariances)
