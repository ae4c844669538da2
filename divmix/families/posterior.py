"""From log-densities of components to those of the mixture, and to responsibilities.

The one log-sum-exp of the package, and the one place that keeps log 0 finite.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SMALLEST_WEIGHT = 1e-300  # of a component that died: its log stays finite


class Posterior(NamedTuple):
    """log p(x) of n rows (n,), nats, and the responsibilities of m components (n, m)."""

    log_density: NDArray[np.float64]
    responsibilities: NDArray[np.float64]


def log_sum_exp(terms: NDArray[np.float64], axis: int = 1) -> NDArray[np.float64]:
    """log of the sum of exp over one axis of terms; -inf where all terms are."""
    top = terms.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(terms - top).sum(axis=axis)) + np.squeeze(top, axis=axis)


def log_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """log w (m,), finite also where w is 0."""
    return np.log(np.maximum(weights, SMALLEST_WEIGHT))


def posterior(log_joint: NDArray[np.float64]) -> Posterior:
    """Of log w_j p(x|theta_j), (n, m)."""
    top = log_joint.max(axis=1, keepdims=True)
    shares = np.exp(log_joint - top)
    total = shares.sum(axis=1, keepdims=True)
    return Posterior((top + np.log(total))[:, 0], shares / total)
