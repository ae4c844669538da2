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
