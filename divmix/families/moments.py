"""The moments of unions of components."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Moments
from divmix.families.posterior import SMALLEST_WEIGHT


def moment_match(moments: Moments, labels: NDArray[np.int64]) -> Moments:
    """Moments of each union of components; labels (m,) holds the union 0 .. k - 1 of each."""
    weights, means, covariances = moments
    members = np.eye(labels.max() + 1)[labels]  # (m, k)
    total = members.T @ weights
    shares = members * weights[:, None] / np.maximum(total, SMALLEST_WEIGHT)
    # A union of empty components has the plain mean of their moments.
    shares = np.where(total > SMALLEST_WEIGHT, shares, members / members.sum(axis=0))
    centres = shares.T @ means
    gaps = means - centres[labels]
    spread = covariances + gaps[:, :, None] * gaps[:, None, :]
    return Moments(total, centres, np.einsum("mk,mab->kab", shares, spread))
