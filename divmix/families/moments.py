"""The moments of unions of components."""

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array, Moments
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels import matrices


def moment_match(moments: Moments, labels: NDArray[np.int64]) -> Moments:
    """Moments of each union of components; labels (m,) holds the union 0 .. k - 1 of each."""
    weights, means, covariances, probabilities = moments
    members = np.eye(labels.max() + 1)[labels]  # (m, k)
    total = members.T @ weights
    shares = members * weights[:, None] / np.maximum(total, SMALLEST_WEIGHT)
    # A union of empty components has the plain mean of their moments.
    shares = np.where(total > SMALLEST_WEIGHT, shares, members / members.sum(axis=0))
    centres = shares.T @ means
    gaps = means - centres[labels]
    apart = gaps**2 if covariances.ndim == 2 else gaps[:, :, None] * gaps[:, None, :]
    united = weighted_sums(shares.T, covariances + apart)
    if probabilities is not None:
        probabilities = shares.T @ probabilities
    return Moments(total, centres, united, probabilities)


def log_dets(covariances: Array) -> Array:
    """log|S| (m,) of covariances (m, d, d), positive definite, or variances (m, d)."""
    if covariances.ndim == 2:
        return np.log(covariances).sum(axis=1)
    return matrices.log_dets(np.ascontiguousarray(covariances))


def weighted_sums(weights: Array, covariances: Array) -> Array:
    """sum_j w_j S_j of covariances S (m, ...), for each row of weights (m,) or (k, m)."""
    flat = weights @ covariances.reshape(len(covariances), -1)
    return flat.reshape(*weights.shape[:-1], *covariances.shape[1:])


def entropies(moments: Moments) -> Array:
    """Entropy of each component by its moments (m,), nats, but for a constant: 1/2 log|S|, and
    -sum P log P of its categories."""
    found = 0.5 * log_dets(moments.covariances)
    return found + entropy_of(moments.probabilities)


def entropy_of(probabilities: Array | None) -> Array | float:
    """-sum P log P of probabilities (m, L), (m,), nats; 0 for None."""
    if probabilities is None:
        return 0.0
    return -(probabilities * np.log(np.maximum(probabilities, SMALLEST_WEIGHT))).sum(axis=1)
