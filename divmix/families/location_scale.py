"""What Gaussian and Student-t components have in common: a location and a scale matrix."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from divmix.families.axis_aligned import AxisAligned
from divmix.families.components import Components
from divmix.families.family import Array, Moments, Prior, Push
from divmix.families.gaps import in_runs, one_each
from divmix.families.moments import log_dets, moment_match, weighted_sums
from divmix.families.posterior import log_weights, posterior
from divmix.families.structure import LEAST_LEFT, CovarianceStructure, Seen, per_mass
from divmix.kernels import m_step
from divmix.kernels.components import Overlap, overlap
from divmix.kernels.sums import Sums

LOG_2PI = np.log(2 * np.pi)
WIDE_COLUMNS = 100  # more than these make a table wide


@dataclass(frozen=True)
class LocationScale:
    """Densities of a location and a scale matrix, with a covariance structure and a floor.

    structure tells what the scale matrices may look like; floor (d,) is the smallest variance of
    each column. Coordinates theta (m, D) = (mean, coordinates of the covariance).
    """

    structure: CovarianceStructure
    floor: Array

    name: ClassVar[str]

    def start(self, weights: Array, means: Array, covariance: Array) -> Components:
        """Components at `means` (m, d) that all have the covariance (d, d), or variances (d,)
        where they are axis-aligned, floored."""
        covariance = covariance + (self.floor if covariance.ndim == 1 else np.diag(self.floor))
        return Components(weights, means, self.structure.repeat(covariance, len(means)))

    def n_parameters(self, m: int, d: int) -> int:
        """Free parameters of the mixture: weights, means, covariances."""
        return m - 1 + m * d + self.structure.n_parameters(m, d)

    def log_densities_at(self, seen: Seen, components: Components) -> Array:
        """log p of rows as the components see them, (n, m), nats."""
        raise NotImplementedError

    def log_densities(self, X: Array, components: Components) -> Array:
        """log p(x|theta_j) of rows X (n, d), (n, m), nats; of one with missing cells (NaN), of
        the others alone."""
        seen = in_runs(X, lambda rows: self.structure.seen(rows, components))
        return self.log_densities_at(seen, components)

    def row_scales(self, seen: Seen, components: Components) -> Array | None:
        """Weight u (n, m) of rows in mean and scale; None: all 1."""
        return None

    def log_row_scales(self, scales: Array, seen: Seen, components: Components) -> Array:
        """log u (n, m) of scales u (n, m), as the estimate of degrees of freedom wants it."""
        raise NotImplementedError

    def filled(
        self, X: Array, components: Components, generator: np.random.Generator | None = None
    ) -> Array:
        """X (n, d) with its missing cells filled in: by conditional means, or with a generator by
        draws from their distribution given the others."""
        seen = self.structure.seen(X, components)
        joint = self.log_densities_at(seen, components) + log_weights(components.weights)
        shares = posterior(joint).responsibilities
        if generator is not None:
            shares = one_each(shares, generator)
        return self.filled_by(X, shares, seen, components, generator)

    def filled_by(
        self,
        X: Array,
        shares: Array,
        seen: Seen,
        components: Components,
        generator: np.random.Generator | None = None,
    ) -> Array:
        """As `filled`, with responsibilities (n, m); for draws, one component to each row."""
        noise = np.zeros(X.shape)
        if generator is not None:
            noise = generator.standard_normal(X.shape)
            scales = self.noise_scales(seen, shares, components, generator)
            noise = noise if scales is None else noise * scales[:, None]
        return self.structure.filled(X, shares, noise, components)

    def noise_scales(
        self, seen: Seen, shares: Array, components: Components, generator: np.random.Generator
    ) -> Array | None:
        """Of draws of missing cells, (n,), beside those of a Gaussian; None: all 1."""
        return None

    @property
    def columns_independent(self) -> bool:
        """Whether the density of a component is the product of those of its columns."""
        return False

    def is_independent(self, columns: NDArray[np.int64]) -> bool:
        """Whether the density of a component is that of these columns times that of the others."""
        return self.columns_independent

    def log_marginal(self, X: Array, components: Components, columns: NDArray[np.int64]) -> Array:
        """log p of these columns alone, (n, m), of rows X (n, d)."""
        return self.log_densities(X[:, columns], self.marginal(components, columns))

    def marginal(self, components: Components, columns: NDArray[np.int64]) -> Components:
        """The components of these columns alone, of the same family."""
        covariances = self.structure.marginal(components.covariances, columns)
        return components._replace(means=components.means[:, columns], covariances=covariances)

    @property
    def axis_aligned(self) -> bool:
        """Whether the scale matrices are diagonal."""
        return isinstance(self.structure, AxisAligned)

    @property
    def diagonal_only(self) -> bool:
        """Whether moments are those of single columns: of axis-aligned components in so many that
        products of columns would cost more than all else."""
        return self.axis_aligned and len(self.floor) > WIDE_COLUMNS

    def moments(self, components: Components) -> Moments:
        """Weights, locations and scale matrices, as the merge tree sees them."""
        m, d = components.means.shape
        if self.diagonal_only:
            variances = self.structure.variances(components.covariances, m, d)
            return Moments(components.weights, components.means, variances)
        full = self.structure.as_full(components.covariances, m, d)
        return Moments(components.weights, components.means, full)

    def from_moments(self, moments: Moments) -> Components:
        """Components of these locations and scale matrices."""
        weights, means, full, _ = moments
        made = self.start(weights, means, np.zeros(full.shape[1:]))
        return made._replace(covariances=self.structure.from_full(full))

    def joined(self, components: Components, labels: NDArray[np.int64]) -> Components:
        """One component for each label, with the moments of those it stands for."""
        return self.from_moments(moment_match(self.moments(components), labels))

    def overlap(
        self, components: Components, values: Array | None = None, *, gradient: bool = True
    ) -> Overlap:
        """Entropy of the components by the overlap of their locations and scales; see
        `kernels.components`. Weights are taken relative to their sum."""
        weights = components.weights / components.weights.sum()
        return overlap(components.means, components.covariances, weights, values, gradient)

    def log_prior(self, components: Components, prior: Prior | None) -> float:
        """-rows / 2 sum_j (log|S_j| + tr S_j^-1 P), 0 without a prior or where all share one S."""
        if prior is None or self.structure.shared:
            return 0.0
        m, d = components.means.shape
        return self.structure.log_prior(components.covariances, m, d, prior)

    def pooled(self, components: Components) -> Array:
        """Covariance within the components, (d, d) or (d,): sum_j w_j S_j, of the mean log-volume.

        So a few broad ones, of outliers, do not make it broad.
        """
        weights, _, covariances, _ = self.moments(components)
        shares = weights / weights.sum()
        mean = weighted_sums(shares, covariances)
        logs = log_dets(np.concatenate([covariances, mean[None]]))
        return mean * np.exp((shares @ logs[:-1] - logs[-1]) / max(len(mean), 1))

    def expected(self, components: Components, weight: float) -> Sums:
        """What rows of this total weight leave on average that the mixture itself has drawn.

        Their M-step is these components. The log-likelihood is left at 0.
        """
        mass = weight * components.weights
        first = mass[:, None] * components.means
        second = self.structure.second(components, mass)
        return Sums(0.0, mass, mass, first, second, mass * self.mean_log_scale(components))

    def mean_log_scale(self, components: Components) -> Array:
        """E[log u - u] of a row's weight u in each component, (m,)."""
        return np.full(components.count, -1.0)

    def residuals(self, X: Array, shares: Array, components: Components) -> Array:
        """sum_j r_j u_j (x - mu_j) of rows X (n, d) with responsibilities r (n, m), (n, d).

        How far a row lies from what its components expect; 0 on average over rows that the
        components are fitted to, whatever these are like.
        """
        scales = self.row_scales(self.structure.seen(X, components), components)
        scaled = shares if scales is None else shares * scales
        return scaled.sum(axis=1)[:, None] * X - scaled @ components.means

    def maximize(
        self,
        sums: Sums,
        components: Components,
        *,
        learn_weights: bool = True,
        prior: Prior | None = None,
        push: Push | None = None,
    ) -> Components:
        """The M-step: the components that maximise the expected log-likelihood.

        With a prior the expected log-posterior under it (Fraley and Raftery 2007). A push moves on
        by alpha grad H in the metric of EM: with p_j the share of the rows, means by S_j / p_j
        dH/dmu_j, covariances, about the means so moved, by 2 / p_j S_j dH/dS_j S_j, weights by
        their natural gradient w_j (dH/dw_j - mean). So what stands still is stationary in J. What
        H alone would take is bounded: a weight or a covariance keeps a tenth of the M-step's.
        """
        own, before = components.weights, components.covariances
        shares = sums.mass / (sums.mass.sum() + sums.outside)
        weights = shares if learn_weights else own
        means = per_mass(sums.first, sums.scaled_mass, components.means)
        if push is not None:
            alpha, gradient = push
            spread = self.structure.spread(before, *means.shape)
            rows = 0.0 if prior is None else prior.rows / sums.mass.sum()
            weights, means, relative = m_step.pushed_locations(
                alpha, gradient.weights, gradient.means, spread, shares, own, weights, means,
                rows, LEAST_LEFT, learn_weights,
            )  # fmt: skip
        covariances = self.structure.estimate(sums, means, before, self.floor, prior)
        if push is not None:
            covariances = self.structure.pushed(
                covariances, before, gradient.covariances, relative, self.floor
            )
        return components._replace(weights=weights, means=means, covariances=covariances)

    def gradient(self, sums: Sums, components: Components) -> Array:
        """Gradient of the summed log-likelihood in the coordinates theta, (m, D)."""
        centred = sums.first - sums.scaled_mass[:, None] * components.means
        by_mean = self.structure.solve(components, centred)
        return np.hstack([by_mean, self.structure.gradient(sums, components)])

    def coordinates(self, components: Components) -> Array:
        """theta (m, D)."""
        shape = self.structure.coordinates(components.covariances, components.count)
        return np.hstack([components.means, shape])

    def from_coordinates(self, theta: Array, components: Components) -> Components:
        """Components at theta (m, D); what is no coordinate stays as in `components`."""
        d = components.means.shape[1]
        covariances = self.structure.from_coordinates(
            theta[:, d:], components.covariances, self.floor
        )
        return components._replace(means=theta[:, :d].copy(), covariances=covariances)
