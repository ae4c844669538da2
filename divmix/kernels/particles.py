"""The O(m^2) update between particles: kernel-weighted drive and repulsion (eq. 8 of the paper)."""

import numpy as np

from divmix.kernels.compile import kernel

EXACT_MEDIAN_UP_TO = 512
MEDIAN_PAIRS = 10_000


def direction(
    theta: np.ndarray,
    drive: np.ndarray,
    alpha: float,
    bandwidth: float,
    kernel: str = "rbf",
) -> np.ndarray:
    """phi_i = mean_j [ drive_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ].

    theta and drive are (m, D); so is the result. k is exp(-s) for "rbf" and (1 + s)^(-1/2) for
    "imq", with s = |theta_j - theta_i|^2 / (2 bandwidth^2).
    """
    if kernel not in ("rbf", "imq"):
        raise ValueError(f"kernel must be 'rbf' or 'imq', not {kernel!r}")
    return _direction(theta, drive, float(alpha), float(bandwidth), kernel == "imq")


@kernel
def _direction(theta, drive, alpha, bandwidth, imq):
    m, dims = theta.shape
    out = np.zeros((m, dims))
    inverse = 1.0 / (bandwidth * bandwidth)
    for i in range(m):
        for j in range(m):
            square = 0.0
            for k in range(dims):
                square += (theta[j, k] - theta[i, k]) ** 2
            s = 0.5 * square * inverse
            if imq:
                value = 1.0 / np.sqrt(1.0 + s)
                slope = 0.5 * value / (1.0 + s)
            else:
                value = np.exp(-s)
                slope = value
            push = alpha * slope * inverse
            for k in range(dims):
                out[i, k] += value * drive[j, k] + push * (theta[i, k] - theta[j, k])
    return out / m


def median_distance(theta: np.ndarray, generator: np.random.Generator) -> float:
    """Median distance between two different particles of theta (m, D); 1.0 for a single one.

    Exact up to 512 particles, else over 10,000 pairs drawn from `generator`.
    """
    m = len(theta)
    if m == 1:
        return 1.0
    if m <= EXACT_MEDIAN_UP_TO:
        i, j = np.triu_indices(m, 1)
    else:
        i = generator.integers(m, size=MEDIAN_PAIRS)
        j = (i + generator.integers(1, m, size=MEDIAN_PAIRS)) % m
    return float(np.median(np.linalg.norm(theta[i] - theta[j], axis=1)))
