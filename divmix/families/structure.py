"""What a covariance structure has to know, and the algebra that all structures share."""

from typing import Any, NamedTuple

import numpy as np

from divmix.families.components import Components
from divmix.families.family import Array, Prior
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels import gaps, m_step, matrices
from divmix.kernels.gaps import has_gaps

# Share of a covariance that a push by the entropy leaves.
LEAST_LEFT = 0.1
# A component whose share of the mass is below this has no estimate of its own: it stays put.
EMPTY = 1e-12
NOT_DEFINITE = "a covariance is not positive definite"


class Seen(NamedTuple):
    """What components see of n rows, a missing cell (NaN) left out: the density of what is there is
    that of these columns alone.

    squared      (n, m) squared Mahalanobis distances
    log_factors  log|W| with W cov W^T = I, (m,), or (n, m) where rows have gaps
    columns      their number, d, or (n, 1)
    """

    squared: Array
    log_factors: Array
    columns: Any


class CovarianceStructure:
    """What the spread of a component may look like; the law on top of it is not known here.

    Arrays: m components, d columns; `covariances` has the shape of `Components.covariances`;
    `floor` (d,) is the smallest variance allowed for each column; S_j is the scatter of
    component j about its mean, sum_x w r u (x - mu_j)(x - mu_j)^T.
    A *coordinate* is an unconstrained number: the structure's part of a particle theta.
    """

    name: str
    shared = False  # True where all components have one covariance: no coordinate of a particle

    def n_parameters(self, m: int, d: int) -> int:
        """Free parameters of m covariances in d dimensions."""
        raise NotImplementedError

    def repeat(self, covariance: np.ndarray, m: int) -> np.ndarray:
        """Covariances of m components that all resemble one full matrix (d, d); or, where they are
        axis-aligned, variances (d,)."""
        return self.from_full(np.repeat(covariance[None], m, axis=0))

    def from_full(self, covariances: np.ndarray) -> np.ndarray:
        """The covariances of this structure that match full ones (m, d, d) best; or, where they
        are axis-aligned, variances (m, d)."""
        raise NotImplementedError

    def as_full(self, covariances: np.ndarray, m: int, d: int) -> np.ndarray:
        """Covariances as matrices (m, d, d)."""
        raise NotImplementedError

    def variances(self, covariances: np.ndarray, m: int, d: int) -> np.ndarray:
        """Variance of each column in each component, (m, d)."""
        raise NotImplementedError

    def marginal(self, covariances: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The covariances of these columns alone: that part of each matrix."""
        return np.ascontiguousarray(covariances[:, columns][:, :, columns])

    def log_factor(self, covariances: np.ndarray, m: int, d: int) -> np.ndarray:
        """log |W| with W cov W^T = I, (m,)."""
        raise NotImplementedError

    def sums(self, kernels, X, row_weights, logs, components: Components, shape=()):
        """Sufficient statistics of rows X (n, d) by the compiled kernels of a law.

        logs (m,) are log weight + log normalising constant of unit scale; `shape` holds the law's
        further parameters.
        """
        raise NotImplementedError

    def estimate(self, sums, means, previous, floor, prior: Prior | None = None) -> np.ndarray:
        """The M-step: (S_j + prior) / (mass_j + the prior's rows), floored; `previous` where empty."""
        raise NotImplementedError

    def second(self, components: Components, mass: np.ndarray) -> np.ndarray:
        """`Sums.second` of rows that have these moments: mass_j (S_j + mu_j mu_j^T), mass (m,)."""
        raise NotImplementedError

    def coordinates(self, covariances: np.ndarray, m: int) -> np.ndarray:
        """Coordinates (m, c)."""
        return np.empty((m, 0))

    def from_coordinates(self, theta, previous, floor) -> np.ndarray:
        """Covariances of coordinates theta (m, c), floored."""
        return previous

    def gradient(self, sums, components: Components) -> np.ndarray:
        """Gradient of the summed log-likelihood in the coordinates, (m, c)."""
        return np.empty((components.count, 0))

    def solve(self, components: Components, vectors: np.ndarray) -> np.ndarray:
        """cov_j^-1 v_j of vectors (m, d), (m, d)."""
        full = self.as_full(components.covariances, *components.means.shape)
        return np.linalg.solve(full, vectors[:, :, None])[:, :, 0]

    def spread(self, covariances: Array, m: int, d: int) -> Array:
        """Covariances (m, d, d), (1, d, d) for all, or variances (m, 1, d)."""
        return covariances

    def log_prior(self, covariances: Array, m: int, d: int, prior: Prior) -> float:
        """-rows / 2 sum_j (log|S_j| + tr S_j^-1 P) for covariances of m components."""
        raise NotImplementedError

    def pushed(
        self, target: Array, covariances: Array, gradient: Array, relative: Array, floor: Array
    ) -> Array:
        """target + 2 relative_j S_j G_j S_j, which leaves a tenth of the target at least.

        That is the displacement of an M-step for the gradient G by the covariances S; target,
        covariances and gradient have the shape of covariances, relative is (m,).
        """
        raise NotImplementedError

    def seen(self, X: Array, components: Components) -> Seen:
        """What components see of rows X (n, d), NaN where a cell is missing."""
        if has_gaps(X):
            return self.seen_beside_gaps(X, components)
        log_factors = self.log_factor(components.covariances, *components.means.shape)
        return Seen(self.mahalanobis(X, components), log_factors, X.shape[1])

    def seen_beside_gaps(self, X: Array, components: Components) -> Seen:
        """As `seen`; rows that miss the same columns, one after the other, cost least."""
        log_factors = self.log_factor(components.covariances, *components.means.shape)
        seen = gaps.distances(X, components.means, self._factors(components), log_factors)
        columns = X.shape[1] - np.isnan(X).sum(axis=1, keepdims=True)
        return Seen(*seen, columns)

    def completed(
        self, X: Array, shares: Array, scaled: Array, components: Components
    ) -> tuple[Array, Array]:
        """sum_i E[s_ij x_i | observed], (m, d), and the same of x x^T in the shape of `second` of
        `Sums`, for shares r (n, m) of rows X with gaps, and scaled shares s = r u.

        Dempster, Laird and Rubin 1977, section 4.1.1; for the Student-t Liu and Rubin 1995.
        """
        means = components.means
        first, second = gaps.moments(X, shares, scaled, means, self._factors(components))
        mass = scaled.sum(axis=0)
        cross = means[:, :, None] * first[:, None, :]
        outer = mass[:, None, None] * means[:, :, None] * means[:, None, :]
        second = second + cross + cross.transpose(0, 2, 1) + outer
        return first + mass[:, None] * means, second.sum(axis=0) if self.shared else second

    def filled(self, X: Array, shares: Array, noise: Array, components: Components) -> Array:
        """X (n, d) with its gaps filled by the conditional means, weighted by shares (n, m), and
        noise (n, d) that has the conditional covariance where it is standard normal."""
        return gaps.completed(X, shares, noise, components.means, self._factors(components))

    def _factors(self, components: Components) -> Array:
        """W (m, d, d) of each component."""
        m, d = components.means.shape
        factors = inverse_cholesky(components.covariances)
        return np.ascontiguousarray(np.broadcast_to(factors, (m, d, d)))

    def mahalanobis(self, X: np.ndarray, components: Components) -> np.ndarray:
        """Squared Mahalanobis distance of rows X (n, d) to each component, (n, m)."""
        raise NotImplementedError

    def whitened_noise(self, components: Components, labels, noise: np.ndarray) -> np.ndarray:
        """Standard noise (n, d) given the covariance of component labels (n,)."""
        m, d = components.means.shape
        factors = np.linalg.cholesky(self.as_full(components.covariances, m, d))
        return np.einsum("nij,nj->ni", factors[labels], noise)


def diagonal_of(covariance: np.ndarray) -> np.ndarray:
    """Variances (d,) of a covariance (d, d), or of variances themselves."""
    return covariance if covariance.ndim == 1 else np.diagonal(covariance).copy()


def diagonals_of(covariances: np.ndarray) -> np.ndarray:
    """Variances (m, d) of covariances (m, d, d), or of variances themselves."""
    if covariances.ndim == 2:
        return covariances
    return np.diagonal(covariances, axis1=1, axis2=2)


def is_empty(mass: np.ndarray) -> np.ndarray:
    """Which components (m,) hold no rows to speak of."""
    return mass <= EMPTY * max(mass.sum(), SMALLEST_WEIGHT)


def per_mass(total: Array, mass: Array, previous: Array) -> Array:
    """total_j / mass_j, (m, d), and `previous` for empty components. total (m, d), mass (m,)."""
    return m_step.per_mass(total, mass, previous, EMPTY)


def diagonal_scatter(sums, means: np.ndarray) -> np.ndarray:
    """Diagonals of S_j, (m, d), never negative."""
    scatter = sums.second - 2 * means * sums.first + sums.scaled_mass[:, None] * means**2
    return np.maximum(scatter, 0.0)


def full_scatter(sums, means: np.ndarray) -> np.ndarray:
    """S_j, (m, d, d)."""
    return m_step.scatters(sums.second, sums.first, sums.scaled_mass, means)


def floor_eigenvalues(covariances: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Covariances (c, d, d) raised where a direction is narrower than the floor (d,).

    In units in which the floor is 1 every eigenvalue becomes at least 1. Only those matrices are
    decomposed that need it, which a Cholesky factorisation tells.
    """
    wide = matrices.are_wide(covariances, floor)
    if wide.all():
        return covariances
    narrow = np.flatnonzero(~wide)
    units = np.sqrt(np.outer(floor, floor))
    values, vectors = np.linalg.eigh(covariances[narrow] / units)
    raised = (vectors * np.maximum(values, 1.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
    result = covariances.copy()
    result[narrow] = 0.5 * (raised + raised.transpose(0, 2, 1)) * units
    return result


def factorised(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W (c, d, d), lower triangular, with W cov W^T = I, and 1/2 log|cov| (c,).

    Raises LinAlgError where a matrix is not positive definite.
    """
    factors, half_logs, fine = matrices.inverse_factors(covariances)
    if not fine.all():
        raise np.linalg.LinAlgError(NOT_DEFINITE)
    return factors, half_logs


def inverse_cholesky(covariances: np.ndarray) -> np.ndarray:
    """W (c, d, d), lower triangular, with W cov W^T = I."""
    return factorised(covariances)[0]
