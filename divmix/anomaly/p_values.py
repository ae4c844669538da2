"""The rules that turn scores into p-values and flags.

Scores are -log density in nats: the higher, the stranger. A conformal p-value is the rank of a
score among those of rows that the density has not seen (Vovk et al. 2005): whatever the density,
a row like those has a p-value up to t with probability at most t. The known scores are kept in a
`model.calibration.Calibration`.
"""

import math

import numpy as np

# A table that is scored against itself has no other rows to be held against: beyond the share of
# EXTRAPOLATED its p-values are those of a generalised Pareto tail (Pickands 1975), whose scale and
# shape follow from the scores at these upper shares, each one half of the one before. They lie far
# inside, where anomalies change them little. Surprisals have a tail close to exponential, shape
# 0, since rows less likely than e^-s hold little mass; more than MOST_SHAPE tells of anomalies.
TAIL = (0.4, 0.2, 0.1)
EXTRAPOLATED = TAIL[-1]
MOST_SHAPE = 0.3
FEWEST_FOR_TAIL = 100


def conformal_p_values(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(1 + known scores that are at least as high) / (1 + known scores), (n,).

    known (c,) ascending. Ties count against the row, which keeps the p-value valid where scores
    repeat. NaN for NaN.
    """
    at_least = len(known) - np.searchsorted(known, scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + at_least) / (1 + len(known)))


def tail_p_values(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """p-values (n,) of scores that are among the `known` (c,) ascending ones themselves.

    The share of scores at least as high, which says nothing about the highest ones: there the
    Pareto tail takes over. Sound while fewer than EXTRAPOLATED of the rows are anomalies.
    """
    at_least = len(known) - np.searchsorted(known, scores, side="left")
    shares = np.maximum(at_least, 1) / len(known)
    if len(known) < FEWEST_FOR_TAIL:
        return np.where(np.isnan(scores), np.nan, shares)
    first, second, third = np.quantile(known, 1 - np.array(TAIL))
    shape, scale = _pareto(second - first, third - second)
    if scale <= 0:
        return np.where(np.isnan(scores), np.nan, shares)
    excess = np.maximum(scores - third, 0.0) / scale
    log_tail = -excess if shape == 0 else -np.log1p(shape * excess) / shape
    beyond = scores > third
    p_values = np.where(beyond, np.minimum(shares, EXTRAPOLATED * np.exp(log_tail)), shares)
    return np.where(np.isnan(scores), np.nan, p_values)


def _pareto(lower: float, upper: float) -> tuple[float, float]:
    """Shape and scale of the tail beyond two steps, in each of which one half of the rest stays.

    Of the excess Y: P(Y > y) = (1 + shape y / scale)^(-1 / shape), shape 0 the exponential.
    """
    if lower <= 0 or upper <= 0:
        return 0.0, 0.0
    shape = min(max(math.log2(upper / lower), 0.0), MOST_SHAPE)
    halving = math.log(2) if shape == 0 else (2**shape - 1) / shape
    # The scale grows from step to step by 2^shape; `upper` is the second step.
    return shape, upper / halving * 2**shape


def smallest_p_value(known: int) -> float:
    """What a row can get at best from so many known scores."""
    return 1 / (1 + known)


def flags(
    scores: np.ndarray, p_values: np.ndarray, known: np.ndarray, rule: str, level: float
) -> np.ndarray:
    """(n,) bool: which rows a rule flags; NaN scores are not flagged.

    rule "fdr" (Benjamini and Hochberg 1995; with conformal p-values: Bates et al. 2023),
    "alpha_level", "contamination" or "threshold"; `known` (c,) are the scores that calibrate.
    """
    there = ~np.isnan(scores)
    flagged = np.zeros(len(scores), bool)
    if not there.any():
        return flagged
    if rule == "fdr":
        from scipy.stats import false_discovery_control

        flagged[there] = false_discovery_control(p_values[there]) <= level
    elif rule == "alpha_level":
        flagged[there] = p_values[there] <= level
    elif rule == "contamination":
        count = int(np.ceil(level * there.sum() - 1e-9))
        highest = np.argsort(-scores[there], kind="stable")[:count]
        flagged[np.flatnonzero(there)[highest]] = True
    else:
        flagged[there] = scores[there] > np.quantile(known, level)
    return flagged
