"""Log-likelihood and moments of a Gaussian mixture, in one visit to the rows."""

import numpy as np

from divmix.kernels import visit
from divmix.kernels.sums import Sums


def diag_sums(
    X: np.ndarray,
    row_weights: np.ndarray,
    offsets: np.ndarray,
    means: np.ndarray,
    scales: np.ndarray,
) -> Sums:
    """Sums for diagonal covariances; scales (m, d) are 1 / standard deviation.

    X (n, d) is C-contiguous and centred, row_weights (n,) and offsets (m,) are float64; offsets
    are log weight + log of the normalising constant, means (m, d).
    """
    return visit.diag(X, row_weights, offsets, means, scales)


def full_sums(
    X: np.ndarray,
    row_weights: np.ndarray,
    offsets: np.ndarray,
    means: np.ndarray,
    factors: np.ndarray,
) -> Sums:
    """Sums for full covariances; factors (m, d, d) are lower triangular, inv(cholesky(cov))."""
    return visit.full(X, row_weights, offsets, means, factors)
