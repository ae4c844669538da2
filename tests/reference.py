"""Plain NumPy twin of every kernel: the formulas written out, no tiles, no tricks."""

import numpy as np
from scipy.special import logsumexp

from divmix.kernels.sums import Sums


def diag_sums(X, row_weights, offsets, means, scales, dof=None) -> Sums:
    factors = scales[:, :, None] * np.eye(means.shape[1])
    sums = full_sums(X, row_weights, offsets, means, factors, dof)
    return sums._replace(second=np.einsum("mkk->mk", sums.second))


def full_sums(X, row_weights, offsets, means, factors, dof=None) -> Sums:
    X = X.astype(np.float64)
    d = X.shape[1]
    y = np.einsum("mkl,nml->nmk", factors, X[:, None, :] - means)
    maha = (y**2).sum(axis=2)
    if dof is None:
        u = np.ones_like(maha)
        log_density = offsets - maha / 2
    else:
        u = (dof + d) / (dof + maha)
        log_density = offsets - (dof + d) / 2 * np.log1p(maha / dof)
    row_log_likelihood = logsumexp(log_density, axis=1)
    weighted = row_weights[:, None] * np.exp(log_density - row_log_likelihood[:, None])
    return Sums(
        log_likelihood=float(row_weights @ row_log_likelihood),
        mass=weighted.sum(axis=0),
        scaled_mass=(weighted * u).sum(axis=0),
        first=(weighted * u).T @ X,
        second=np.einsum("nm,nk,nl->mkl", weighted * u, X, X),
        log_scale=(weighted * (np.log(u) - u)).sum(axis=0),
    )


def direction(theta, drive, alpha, bandwidth, kernel="rbf") -> np.ndarray:
    """mean_j [ drive_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ]."""
    difference = theta[:, None, :] - theta[None, :, :]  # j, i
    s = (difference**2).sum(axis=2) / (2 * bandwidth**2)
    if kernel == "rbf":
        value, slope = np.exp(-s), -np.exp(-s)
    else:
        value, slope = (1 + s) ** -0.5, -0.5 * (1 + s) ** -1.5
    gradient = slope[:, :, None] * difference / bandwidth**2
    return (value[:, :, None] * drive[:, None, :] + alpha * gradient).mean(axis=0)


def pairs(theta, drive, weights, alpha, bandwidth, kernel="rbf"):
    """pull, row sums, q and entropy of `particles.pairs`."""
    s = ((theta[:, None, :] - theta[None, :, :]) ** 2).sum(axis=2) / (2 * bandwidth**2)
    k = np.exp(-s) if kernel == "rbf" else (1 + s) ** -0.5
    q = k @ weights
    pull = len(theta) * direction(theta, drive, alpha, bandwidth, kernel)
    return pull, k.sum(axis=1), q, float(weights @ -np.log(q))


def bhattacharyya(means, covariances) -> np.ndarray:
    """k_ij = integral sqrt(p_i p_j) of Gaussians with covariances of any of the four shapes."""
    m = len(means)
    full = full_covariances(means, covariances)
    k = np.empty((m, m))
    for i in range(m):
        for j in range(m):
            middle, u = (full[i] + full[j]) / 2, means[i] - means[j]
            log_dets = [np.linalg.slogdet(S)[1] for S in (full[i], full[j], middle)]
            k[i, j] = np.exp(
                (log_dets[0] + log_dets[1]) / 4 - log_dets[2] / 2
                - u @ np.linalg.solve(middle, u) / 8
            )  # fmt: skip
    return k


def full_covariances(means, covariances) -> np.ndarray:
    """(m, d, d) of spherical (m,), diag (m, d), tied (1, d, d) or full (m, d, d)."""
    m, d = means.shape
    if covariances.ndim == 3:
        return np.broadcast_to(covariances, (m, d, d))
    return covariances.reshape(m, -1)[:, :, None] * np.eye(d)
