"""Log-likelihood and moments of a mixture of Student-t distributions, in one visit to the rows.

With maha the squared Mahalanobis distance: log p = offset - (dof + d) / 2 log1p(maha / dof), and
a row counts u = (dof + d) / (dof + maha) in the moments (Peel and McLachlan 2000, section 3).
"""

import numpy as np

from divmix.kernels import visit
from divmix.kernels.sums import Sums


def diag_sums(
    X: np.ndarray,
    row_weights: np.ndarray,
    offsets: np.ndarray,
    means: np.ndarray,
    scales: np.ndarray,
    dof: np.ndarray,
) -> Sums:
    """As `gaussian.diag_sums`; dof (m,) are the degrees of freedom."""
    return visit.diag(X, row_weights, offsets, means, scales, dof)


def full_sums(
    X: np.ndarray,
    row_weights: np.ndarray,
    offsets: np.ndarray,
    means: np.ndarray,
    factors: np.ndarray,
    dof: np.ndarray,
) -> Sums:
    """As `gaussian.full_sums`; dof (m,) are the degrees of freedom."""
    return visit.full(X, row_weights, offsets, means, factors, dof)
