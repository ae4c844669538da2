"""The rules that turn scores into p-values and flags.

Scores are -log density in nats: the higher, the stranger. A conformal p-value is the rank of a
score among those of rows that the density has not seen (Vovk et al. 2005): whatever the density,
a row like those has a p-value up to t with probability at most t. The known scores are kept in a
`model.calibration.Calibration`.
"""

import numpy as np

# Of a table that is held against itself no more than so many rows may be anomalies: what lies higher
# than all others is only counted where the tail of the normal ones is told.
ANOMALOUS = 0.1
FEWEST_FOR_TAIL, FEWEST_SEEN = 50, 20
# A group apart is looked for among the highest twentieth, as kinds of normal rows may be rare, too: the gap
# below it is held against as many steps that come next, of which there must be enough. In a gap of two
# steps one row may stand; wider ones are also made by a category that is rare in a clean table.
GROUP = 0.05
STEPS, FEWEST_STEPS = 50, 10
GAPS = (1, 2)  # steps


def conformal_p_values(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(1 + known scores that are at least as high) / (1 + known scores), (n,).

    known (c,) ascending. Ties count against the row, which keeps the p-value valid where scores
    repeat. NaN for NaN.
    """
    at_least = len(known) - np.searchsorted(known, scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + at_least) / (1 + len(known)))


def own_p_values(scores: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """p-values (n,) of the scores of a table that is held against itself; NaN for NaN.

    excess (n,): see `tail_p_values`. The lower of two, which a model makes smaller than ranks can be: the
    scores of normal rows fall off like an exponential or faster. Those of `anomaly.pool` do where columns
    fall off like a power or faster, and no more than ANOMALOUS of the rows are anomalies.
    """
    p_values = np.full(len(scores), np.nan)
    there = np.flatnonzero(~np.isnan(scores))
    own = scores[there]
    p_values[there] = np.minimum(tail_p_values(own, excess[there]), apart_p_values(own))
    return p_values


def tail_p_values(scores: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """How rarely an exponential tail comes so far, (n,); ranks where no anomaly is expected.

    excess (n,): how far scores are beyond the typical one, in means of the tail (`opinions.excess`). With
    k rows between the middle and ANOMALOUS that told this mean, P(Y > y) of a new one is (1 + y / k)^-k,
    which is exact for an exponential: the error of its rate is taken into account. A tail that falls off
    faster is below, and anomalies among the rows that tell it only make it higher.
    """
    n, known = len(scores), np.sort(scores)
    p_values = np.maximum(n - np.searchsorted(known, scores, side="left"), 1) / max(n, 1)
    if n < FEWEST_FOR_TAIL:
        return p_values
    middle, end = np.quantile(known, [0.5, 1 - ANOMALOUS])
    seen, far = int(((known > middle) & (known <= end)).sum()), scores > end
    if seen >= FEWEST_SEEN and far.any():
        beyond = 0.5 * (1 + np.maximum(excess[far], 0.0) / seen) ** -seen
        p_values[far] = np.minimum(beyond, p_values[far].max())
    return p_values


def apart_p_values(scores: np.ndarray) -> np.ndarray:
    """How rarely a group of rows as high as each one lies as far apart from the rest, (n,).

    In an exponential tail i times the step from the i-th highest score to the next is again
    exponential, for all i alike (Renyi 1953), and of a lighter tail the higher ones are smaller.
    So a gap of w steps, between which w - 1 single rows stand, is held against the k steps that come
    next: the ratio of their means has an F distribution of 2 w and 2 k degrees of freedom, times the number
    of gaps looked at. The rows above the gap that is least likely are then set aside, and those below it
    counted anew: the highest of them is the first of the rest, and its step no longer that of a group.
    Each row has the least of the gaps below it.
    """
    order = np.argsort(-scores, kind="stable")
    known = scores[order]
    found = _gaps(known)
    group = int(found.argmin()) + 1 if len(found) else 0
    found[group:] = np.maximum(found[group:], _gaps(known, group)[group:])
    p_values = np.empty(len(scores))
    p_values[order] = np.minimum.accumulate(found[::-1])[::-1]
    return p_values


def _gaps(known: np.ndarray, aside: int = 0) -> np.ndarray:
    """Of scores (n,), descending, how rarely a gap like the one below each is seen, (n,), the highest `aside`
    of them not counted."""
    from scipy.special import fdtrc  # scipy takes long to import

    n = len(known)
    steps = (np.arange(1, n) - aside) * -np.diff(known)
    apart = steps > 1e-9 * np.abs(known).max(initial=1.0)  # ties are one score
    most = max(1, int(GROUP * n))
    places, looked_at = np.flatnonzero(apart), np.arange(apart[aside:most].sum())
    total = np.concatenate([[0.0], np.cumsum(steps[places])])
    found = np.ones(n)
    for width in GAPS:
        count = np.minimum(STEPS, len(places) - looked_at - width)
        at = looked_at[count >= FEWEST_STEPS]
        count, end = count[count >= FEWEST_STEPS], at + width
        gap = (total[end] - total[at]) / width
        next_ones = (total[end + count] - total[end]) / count
        p_value = most * len(GAPS) * fdtrc(2 * width, 2 * count, gap / next_ones)
        found[places[at]] = np.minimum(found[places[at]], p_value)
    return found


def smallest_p_value(known: int) -> float:
    """What a row can get at best from so many known scores."""
    return 1 / (1 + known)


def share_of_normal_rows(p_values: np.ndarray) -> float:
    """An upper estimate of it from p-values above one half (Storey 2002), at most 1."""
    return min(1.0, 2 * (1 + (p_values > 0.5).sum()) / len(p_values))


def least_rate(p_values: np.ndarray) -> float:
    """The lowest rate at which Benjamini and Hochberg flag any row: min of n p_(k) / k, at most 1."""
    own = np.sort(p_values[~np.isnan(p_values)])
    return min(1.0, float(_rates(own, len(own)).min(initial=1.0)))


def _rates(lowest: np.ndarray, n: int) -> np.ndarray:
    """n p_(k) / k of the lowest of n p-values, ascending: the rate at which k rows would be flagged."""
    return lowest * (n / np.arange(1, len(lowest) + 1))


def flags(
    scores: np.ndarray,
    p_values: np.ndarray,
    known: np.ndarray,
    rule: str,
    level: float,
    *,
    storey: bool = False,
) -> np.ndarray:
    """(n,) bool: which rows a rule flags; NaN scores are not flagged.

    rule "fdr" (Benjamini and Hochberg 1995; with conformal p-values: Bates et al. 2023; with
    `storey` at the level over the share of normal rows), "alpha_level", "contamination" or "threshold"; `known` (c,) are the scores that calibrate.
    """
    there = ~np.isnan(scores)
    flagged = np.zeros(len(scores), bool)
    if not there.any():
        return flagged
    if rule == "fdr":
        normal = share_of_normal_rows(p_values[there]) if storey else 1.0
        # No row above the level has a say: a table has few below it, and these alone are sorted.
        own = np.sort(p_values[there & (normal * p_values <= level)])
        met = np.flatnonzero(normal * _rates(own, there.sum()) <= level)
        flagged = p_values <= (own[met[-1]] if len(met) else -1.0)
    elif rule == "alpha_level":
        flagged[there] = p_values[there] <= level
    elif rule == "contamination":
        count = int(np.ceil(level * there.sum() - 1e-9))
        least = -np.partition(-scores[there], count - 1)[count - 1]
        flagged = scores > least
        flagged[np.flatnonzero(scores == least)[: count - flagged.sum()]] = True
    else:
        flagged[there] = scores[there] > np.quantile(known, level)
    return flagged
