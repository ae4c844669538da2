"""Sums of mixture terms in logarithms: what every density and responsibility goes through."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SMALLEST_WEIGHT = 1e-300  # keeps log weight finite for a component that died


def log_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of mixing weights (m,), (m,), finite also where a weight is 0."""
    return np.log(np.maximum(weights, SMALLEST_WEIGHT))


def log_sum_exp(terms: NDArray[np.float64], axis: int = 1) -> NDArray[np.float64]:
    """log of the sum of exp(terms) along an axis, without overflow; terms (n, m) give (n,).

    Terms are nats such as log w_j p(x_i|theta_j), (n, m). Where all are -inf the sum is -inf, where
    one is NaN it is NaN.
    """
    top = terms.max(axis=axis, keepdims=True)
    # -inf less itself is no number: terms that are all -inf are shifted by 0.
    shift = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        return np.squeeze(shift, axis) + np.log(np.exp(terms - shift).sum(axis=axis))


class Posterior(NamedTuple):
    """log p(x) of n rows (n,), nats, and the responsibilities of m components (n, m)."""

    log_density: NDArray[np.float64]
    responsibilities: NDArray[np.float64]

    def clusters(self, of_component: NDArray[np.int64]) -> NDArray[np.int64]:
        """The likeliest cluster (n,) of each row; of_component (m,) that of each component."""
        members = np.eye(of_component.max() + 1)[of_component]
        return (self.responsibilities @ members).argmax(axis=1)


def posterior(log_joint: NDArray[np.float64]) -> Posterior:
    """Of log w_j p(x|theta_j), (n, m), nats."""
    top = log_joint.max(axis=1, keepdims=True)
    # In place: arrays of this size are fresh pages of memory each time.
    shares = log_joint - top
    np.exp(shares, out=shares)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    return Posterior((top + np.log(total))[:, 0], shares)
