"""Covariances with correlations: a matrix for each component, or one for all."""

import functools
import operator

import numpy as np

from divmix.families.structure import (
    EMPTY,
    LEAST_LEFT,
    NOT_DEFINITE,
    CovarianceStructure,
    factorised,
    floor_eigenvalues,
    full_scatter,
    inverse_cholesky,
    is_empty,
)
from divmix.kernels import m_step, matrices, visit
from divmix.kernels.padding import triangle


class Full(CovarianceStructure):
    """A matrix each: (m, d, d). Coordinates: lower Cholesky factor, its diagonal in logs."""

    name = "full"

    def n_parameters(self, m, d):
        return m * d * (d + 1) // 2

    def from_full(self, covariances):
        return covariances.copy()

    def as_full(self, covariances, m, d):
        return covariances

    def log_prior(self, covariances, m, d, prior):
        total, fine = matrices.log_volumes(covariances, prior.covariance)
        if not fine:
            raise np.linalg.LinAlgError(NOT_DEFINITE)
        return -0.5 * prior.rows * total

    def pushed(self, target, covariances, gradient, relative, floor):
        return _pushed(target, covariances, gradient, relative, floor)

    def variances(self, covariances, m, d):
        return np.diagonal(covariances, axis1=1, axis2=2)

    def log_factor(self, covariances, m, d):
        return -factorised(covariances)[1]

    def sums(self, kernels, X, row_weights, logs, components, shape=()):
        factors, half_logs = factorised(components.covariances)
        offsets = logs - half_logs
        return kernels.full_sums(X, row_weights, offsets, components.means, factors, *shape)

    def estimate(self, sums, means, previous, floor, prior=None):
        rows, extra = (0.0, previous[0]) if prior is None else prior
        _, mass, scaled_mass, first, second = sums[:5]
        estimates, wide = m_step.estimates(
            second, first, scaled_mass, mass, means, extra, rows, previous, EMPTY, floor
        )
        return estimates if wide else floor_eigenvalues(estimates, floor)

    def second(self, components, mass):
        means = components.means
        outer = means[:, :, None] * means[:, None, :]
        return mass[:, None, None] * (components.covariances + outer)

    def coordinates(self, covariances, m):
        factors = np.linalg.cholesky(covariances)
        diagonal = np.arange(factors.shape[-1])
        factors[:, diagonal, diagonal] = np.log(factors[:, diagonal, diagonal])
        return factors[:, *triangle(len(diagonal))]

    def from_coordinates(self, theta, previous, floor):
        diagonal = np.arange(len(floor))
        factors = np.zeros((len(theta), len(floor), len(floor)))
        factors[:, *triangle(len(floor))] = theta
        factors[:, diagonal, diagonal] = np.exp(factors[:, diagonal, diagonal])
        return floor_eigenvalues(factors @ factors.transpose(0, 2, 1), floor)

    def gradient(self, sums, components):
        factors = np.linalg.cholesky(components.covariances)
        precisions = np.linalg.inv(components.covariances)
        scatter = full_scatter(sums, components.means)
        # By the matrix first, then the chain rule through cov = L L^T.
        by_covariance = 0.5 * (
            precisions @ scatter @ precisions - sums.mass[:, None, None] * precisions
        )
        by_factor = 2 * by_covariance @ factors
        diagonal = np.arange(factors.shape[-1])
        by_factor[:, diagonal, diagonal] *= factors[:, diagonal, diagonal]
        return by_factor[:, *triangle(len(diagonal))]

    def mahalanobis(self, X, components):
        factors = inverse_cholesky(components.covariances)
        return visit.full_distances(X, components.means, factors)


class Tied(CovarianceStructure):
    """One matrix for all: (1, d, d). It is shared, so it is no coordinate of a particle.

    The total second moment is the same whatever component a row belongs to, so rows are whitened
    once and the kernel for axis-aligned components does the rest.
    """

    name = "tied"
    shared = True
    BLOCK = 16384  # rows whitened at a time, which bounds the copy

    def n_parameters(self, m, d):
        return d * (d + 1) // 2

    def from_full(self, covariances):
        return covariances.mean(axis=0, keepdims=True)

    def as_full(self, covariances, m, d):
        return np.broadcast_to(covariances, (m, d, d))

    def pushed(self, target, covariances, gradient, relative, floor):
        alpha = 1 / (1 / relative).sum()  # of shares that sum to 1: the matrix belongs to all
        return _pushed(target, covariances, gradient, np.full(1, alpha), floor)

    def variances(self, covariances, m, d):
        return np.broadcast_to(np.diagonal(covariances[0]), (m, d))

    def log_factor(self, covariances, m, d):
        return np.full(m, -factorised(covariances)[1][0])

    def sums(self, kernels, X, row_weights, logs, components, shape=()):
        """As for the others, but `second` is the pooled sum of w x x^T, (d, d)."""
        (factor,), (half_log,) = factorised(components.covariances)
        offsets = logs - half_log
        means = components.means @ factor.T
        scales = np.ones_like(means)
        parts, second = [], np.zeros((X.shape[1], X.shape[1]))
        for start in range(0, len(X), self.BLOCK):
            rows = slice(start, start + self.BLOCK)
            whitened = np.ascontiguousarray(X[rows] @ factor.T)
            part = kernels.diag_sums(whitened, row_weights[rows], offsets, means, scales, *shape)
            parts.append(part)
            second += (X[rows] * row_weights[rows, None]).T @ X[rows]
        total = functools.reduce(operator.add, parts)
        first = np.ascontiguousarray(np.linalg.solve(factor, total.first.T).T)
        return total._replace(first=first, second=second)

    def estimate(self, sums, means, previous, floor, prior=None):
        """As for the others; what all share needs no prior."""
        if is_empty(sums.mass).all():
            return previous
        cross = means.T @ sums.first
        outer = (means * sums.mass[:, None]).T @ means
        covariance = (sums.second - cross - cross.T + outer) / sums.mass.sum()
        return floor_eigenvalues(covariance[None], floor)

    def second(self, components, mass):
        """Of all components together, (d, d)."""
        means = components.means
        return mass.sum() * components.covariances[0] + (means * mass[:, None]).T @ means

    def mahalanobis(self, X, components):
        factor = inverse_cholesky(components.covariances)[0]
        means = components.means @ factor.T
        return visit.diag_distances(X @ factor.T, means, np.ones_like(means))


def _pushed(target, covariances, gradient, relative, floor):
    """target + 2 relative_j S_j G_j S_j (c, d, d), less of it where less than LEAST_LEFT of the target
    would be left; floored."""
    result, fine = m_step.pushed(target, covariances, gradient, relative, LEAST_LEFT, floor)
    if fine:
        return result
    most, shift, whitening = 1 - LEAST_LEFT, result - target, inverse_cholesky(target)
    lowest = np.linalg.eigvalsh(whitening @ shift @ whitening.transpose(0, 2, 1))[:, 0]
    shares = np.where(lowest < -most, most / np.maximum(-lowest, most), 1.0)
    return floor_eigenvalues(target + shares[:, None, None] * shift, floor)
