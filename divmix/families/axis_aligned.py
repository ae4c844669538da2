"""Covariances along the axes: one variance, a variance a column, or known variances."""

import numpy as np

from divmix.families.components import Components
from divmix.families.structure import (
    EMPTY,
    LEAST_LEFT,
    CovarianceStructure,
    Seen,
    diagonal_of,
    diagonal_scatter,
    diagonals_of,
)
from divmix.kernels import m_step, visit


class AxisAligned(CovarianceStructure):
    """Structures whose matrix is diagonal: whitening is a scale for each column."""

    def scales(self, components: Components) -> np.ndarray:
        """1 / standard deviation, (m, d)."""
        m, d = components.means.shape
        return 1.0 / np.sqrt(self.variances(components.covariances, m, d))

    def solve(self, components, vectors):
        return vectors * self.scales(components) ** 2

    def spread(self, covariances, m, d):
        return self.variances(covariances, m, d)[:, None]

    def log_prior(self, covariances, m, d, prior):
        variances = self.variances(covariances, m, d)
        ratios = diagonal_of(prior.covariance) / variances
        return -0.5 * prior.rows * float((np.log(variances) + ratios).sum())

    def pushed(self, target, covariances, gradient, relative, floor):
        columns = len(floor) if target.ndim == 1 else 1  # that share one variance
        each = relative.reshape(-1, *[1] * (target.ndim - 1)) / columns
        moved = target + 2 * each * covariances**2 * gradient
        narrowest = floor if target.ndim == 2 else floor.mean()
        return np.maximum(moved, np.maximum(LEAST_LEFT * target, narrowest))

    def as_full(self, covariances, m, d):
        return self.variances(covariances, m, d)[:, :, None] * np.eye(d)

    def log_factor(self, covariances, m, d):
        return -0.5 * np.log(self.variances(covariances, m, d)).sum(axis=1)

    def sums(self, kernels, X, row_weights, logs, components, shape=()):
        scales = self.scales(components)
        offsets = logs + np.log(scales).sum(axis=1)
        return kernels.diag_sums(X, row_weights, offsets, components.means, scales, *shape)

    def estimate(self, sums, means, previous, floor, prior=None):
        """Variance of each column, (m, d)."""
        before = self.variances(previous, *means.shape)
        rows, extra = (0.0, floor) if prior is None else (prior.rows, diagonal_of(prior.covariance))
        _, mass, scaled_mass, first, second = sums[:5]
        return m_step.diagonal_estimates(
            second, first, scaled_mass, mass, means, extra, rows, before, EMPTY
        )

    def second(self, components, mass):
        variances = self.variances(components.covariances, *components.means.shape)
        return mass[:, None] * (variances + components.means**2)

    def seen_beside_gaps(self, X, components):
        there, known = _parted(X)
        scales = self.scales(components)
        squared = np.empty((components.count, len(X)))
        for j, (mean, scale) in enumerate(zip(components.means, scales)):
            whitened = (known - mean) * scale * there
            squared[j] = np.einsum("ij,ij->i", whitened, whitened)
        return Seen(squared.T, there @ np.log(scales).T, there.sum(axis=1, keepdims=True))

    def completed(self, X, shares, scaled, components):
        there, known = _parted(X)
        means, missing = components.means, 1.0 - there
        unknown = scaled.T @ missing
        first = scaled.T @ known + unknown * means
        variances = self.variances(components.covariances, *means.shape)
        second = scaled.T @ known**2 + unknown * means**2 + (shares.T @ missing) * variances
        return first, second

    def filled(self, X, shares, noise, components):
        values = shares @ components.means + noise * (shares @ (1 / self.scales(components)))
        return np.where(np.isnan(X), values, X)

    def mahalanobis(self, X, components):
        return visit.diag_distances(X, components.means, self.scales(components))

    def whitened_noise(self, components, labels, noise):
        return noise / self.scales(components)[labels]


def _parted(X):
    """Which cells of X (n, d) are there, as 1 and 0, and the values with 0 where none is."""
    missing = np.isnan(X)
    return 1.0 - missing, np.where(missing, 0.0, X)


class Spherical(AxisAligned):
    """One variance for all columns: (m,). Coordinate: its logarithm."""

    name = "spherical"

    def n_parameters(self, m, d):
        return m

    def from_full(self, covariances):
        return diagonals_of(covariances).mean(axis=1)

    def marginal(self, covariances, columns):
        return covariances

    def variances(self, covariances, m, d):
        return np.repeat(covariances[:, None], d, axis=1)

    def estimate(self, sums, means, previous, floor, prior=None):
        estimates = super().estimate(sums, means, previous, floor, prior)
        return np.maximum(estimates.mean(axis=1), floor.mean())

    def coordinates(self, covariances, m):
        return np.log(covariances)[:, None]

    def from_coordinates(self, theta, previous, floor):
        return np.maximum(np.exp(theta[:, 0]), floor.mean())

    def gradient(self, sums, components):
        d = components.means.shape[1]
        distances = diagonal_scatter(sums, components.means).sum(axis=1) / components.covariances
        return 0.5 * (distances - d * sums.mass)[:, None]


class Diag(AxisAligned):
    """A variance for each column: (m, d). Coordinates: their logarithms."""

    name = "diag"

    def n_parameters(self, m, d):
        return m * d

    def from_full(self, covariances):
        return diagonals_of(covariances).copy()

    def marginal(self, covariances, columns):
        return covariances[:, columns]

    def variances(self, covariances, m, d):
        return covariances

    def estimate(self, sums, means, previous, floor, prior=None):
        return np.maximum(super().estimate(sums, means, previous, floor, prior), floor)

    def coordinates(self, covariances, m):
        return np.log(covariances)

    def from_coordinates(self, theta, previous, floor):
        return np.maximum(np.exp(theta), floor)

    def gradient(self, sums, components):
        scatter = diagonal_scatter(sums, components.means)
        return 0.5 * (scatter / components.covariances - sums.mass[:, None])


class Known(Diag):
    """Variances given beforehand and never moved: (m, d). No coordinates."""

    name = "known"

    def n_parameters(self, m, d):
        return 0

    def estimate(self, sums, means, previous, floor, prior=None):
        return previous

    def coordinates(self, covariances, m):
        return np.empty((m, 0))

    def from_coordinates(self, theta, previous, floor):
        return previous

    def pushed(self, target, covariances, gradient, relative, floor):
        return target

    def gradient(self, sums, components):
        return np.empty((components.count, 0))
