"""New rows whose columns are distributed otherwise than those of the known ones.

Ranks among known rows are p-values where new normal rows are drawn as these were. Under covariate
shift each known row weighs by w(x) = p_new(x) / p_known(x), and the rank is weighted (weighted
conformal p-values: Tibshirani, Barber, Candes and Ramdas 2019). The ratio is learned: the odds that a
row x is a new one, by a logistic regression of the prepared columns.
"""

from typing import NamedTuple

import numpy as np

from divmix.families.family import Array

STEPS = 50  # of Newton's method; it takes about five
TOLERANCE = 1e-8


class Shift(NamedTuple):
    """Log-odds of new rows: intercept + (X - mean) / scale @ slopes, all (d,) but the first."""

    intercept: float
    slopes: Array
    mean: Array
    scale: Array

    def weights(self, X: Array) -> Array:
        """w (n,) of rows X (n, d), about 1 on average over the known rows."""
        return np.exp(self.intercept + (X - self.mean) / self.scale @ self.slopes)


def learn(known: Array, new: Array) -> Shift:
    """The shift from rows known (c, d) to rows new (n, d).

    Both count alike, whatever their numbers. Slopes, in standard deviations, have a standard normal
    prior, which bounds them where the two are told apart without error. No new rows, no shift.
    """
    if not len(new):
        d = known.shape[1]
        return Shift(0.0, np.zeros(d), np.zeros(d), np.ones(d))
    X = np.concatenate([known, new])
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale[scale == 0] = 1.0
    Z = np.column_stack([np.ones(len(X)), (X - mean) / scale])
    is_new = np.arange(len(X)) >= len(known)
    rows = 2 * min(len(known), len(new))  # what the two are worth together
    mass = np.where(is_new, rows / (2 * len(new)), rows / (2 * len(known)))
    prior = np.r_[0.0, np.ones(X.shape[1])]
    slopes = np.zeros(Z.shape[1])
    for _ in range(STEPS):
        odds = 1 / (1 + np.exp(-np.clip(Z @ slopes, -30, 30)))
        gradient = Z.T @ (mass * (is_new - odds)) - prior * slopes
        curvature = (Z.T * (mass * odds * (1 - odds))) @ Z + np.diag(prior + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        slopes += step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < TOLERANCE:
            break
    return Shift(float(slopes[0]), slopes[1:], mean, scale)


def p_values(scores: Array, own: Array, known: Array, weights: Array) -> Array:
    """(w + sum of w_i of known scores at least as high) / (w + sum of all w_i), (n,).

    scores and own weights w (n,); known scores (c,) ascending and their weights w_i (c,). NaN for
    NaN. Of equal weights these are `p_values.conformal_p_values`.
    """
    from_here = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    at_least = from_here[np.searchsorted(known, scores, side="left")]
    return np.where(np.isnan(scores), np.nan, (own + at_least) / (own + from_here[0]))


def effective_rows(weights: Array) -> float:
    """How many rows of equal weight weighted ones are worth: (sum w)^2 / sum w^2."""
    return float(weights.sum() ** 2 / (weights**2).sum())
