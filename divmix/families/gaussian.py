"""Gaussian components."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Array
from divmix.families.gaps import sums_beside_gaps
from divmix.families.location_scale import LOG_2PI, LocationScale
from divmix.families.posterior import log_weights
from divmix.families.structure import Seen
from divmix.kernels.gaps import has_gaps
from divmix.kernels.sums import Sums


@dataclass(frozen=True)
class Gaussian(LocationScale):
    """Normal densities p(x|theta) = N(x; mu, cov)."""

    name = "gaussian"

    def log_densities_at(self, seen: Seen, components: Components) -> Array:
        """log p of rows as the components see them, (n, m), nats."""
        logs = seen.squared * -0.5
        logs += seen.log_factors
        logs -= 0.5 * seen.columns * LOG_2PI
        return logs

    def sums(self, X: NDArray, row_weights: Array, components: Components) -> Sums:
        """Log-likelihood, masses and moments summed over rows X (n, d)."""
        from divmix.kernels import gaussian

        if has_gaps(X):
            return sums_beside_gaps(self, X, row_weights, components)
        logs = log_weights(components.weights) - 0.5 * X.shape[1] * LOG_2PI
        return self.structure.sums(gaussian, X, row_weights, logs, components)

    @property
    def columns_independent(self) -> bool:
        """Whether the density of a component is the product of those of its columns."""
        return self.axis_aligned

    def variances(self, components: Components) -> Array:
        """Variance of each column in each component, (m, d)."""
        return self.structure.variances(components.covariances, *components.means.shape)

    def draw(
        self, components: Components, labels: NDArray[np.int64], generator: np.random.Generator
    ) -> Array:
        """One row (d,) from each component in labels (n,)."""
        noise = generator.standard_normal((len(labels), components.means.shape[1]))
        noise = self.structure.whitened_noise(components, labels, noise)
        return components.means[labels] + noise

    def update_shared(self, sums: Sums, components: Components) -> Components:
        """EM update of a tied covariance, which is no coordinate of a particle."""
        if not self.structure.shared:
            return components
        covariances = self.structure.estimate(
            sums, components.means, components.covariances, self.floor
        )
        return components._replace(covariances=covariances)
