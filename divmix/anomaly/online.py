"""Flags along a stream: the rate of false discoveries over all batches of rows that ever came.

Benjamini and Hochberg within each batch keep the rate of that batch; those of many batches together
may have any. The rules below give each batch a level that hangs on the batches before it alone, and
keep E[false flags / flags] of the whole stream, after each batch, up to `rate`:

- "lond" (Javanmard and Montanari 2018, of single tests): with the shares SHARE_b, which sum to one,
  and D flags before batch b of n rows, R rows are flagged where R is the largest number of p-values
  up to rate SHARE_b (D + R) / n. Of a single row that is LOND, of a single batch with the share one
  Benjamini and Hochberg. For E[V_b / (D + R)] <= rate SHARE_b by the argument for theirs, and
  V_b / flags in all is no more; as theirs it holds for p-values that depend positively, as ranks
  among the same known rows do (Bates et al. 2023).
- "saffron": its form for batches, BatchSt-BH (Zrnic, Jiang, Ramdas and Jordan 2020). Storey's share
  of normal rows makes it flag more; it asks for independent p-values.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.families.family import Array

RULES = ("lond", "saffron")
HALF = 0.5  # p-values above it count the normal rows (Storey)


class Batch(NamedTuple):
    """What the levels of later batches hang on.

    `level` is what the batch was tested at; `most` how many rows would have been flagged if one of
    its p-values had been 0, at best.
    """

    rows: int
    flagged: int
    level: float
    most: int


def flag_batch(
    p_values: Array, rule: str, rate: float, past: Sequence[Batch]
) -> tuple[NDArray[np.bool_], Batch]:
    """Flags (n,) of the next batch with p-values (n,), NaN of which are not tested, and its account."""
    there = ~np.isnan(p_values)
    own = p_values[there]
    if rule == "lond":
        level, before = rate * share(len(past)), sum(batch.flagged for batch in past)
        flagged, most = _step_up(own, level, before, rate), 0
    else:
        level = saffron_level(rate, past, len(own))
        flagged = _storey(own, level, rate)
        most = int(flagged.sum())
        if len(own):
            with_zero = own.copy()
            with_zero[np.argmax(own)] = 0.0
            most = int(_storey(with_zero, level, rate).sum())
    flags = np.zeros(len(p_values), bool)
    flags[there] = flagged
    return flags, Batch(len(own), int(flagged.sum()), level, most)


def share(b: int) -> float:
    """The share of the rate for batch b, counted from 0: they sum to one over all b.

    1 / ((b + 1)(b + 2)) alone would fall as fast as b^-2; the telescoping log form below falls about
    as 1 / (b log^2 b), so that batches of later years still have some.
    """
    ends = 1 / np.log2(np.array([b, b + 1]) + 2.0)
    return float(ends[0] - ends[1])


def saffron_level(rate: float, past: Sequence[Batch], rows: int) -> float:
    """The level of the next batch of `rows` by BatchSt-BH: what the shares so far have given, less
    what the batches before may have spent, in the worst case that all of its rows are flagged."""
    if not rows:
        return 0.0
    before = sum(batch.flagged for batch in past)
    given = rate * sum(share(b) for b in range(len(past) + 1))
    left = given - spent(past)
    return max(0.0, left) * (rows + before) / rows


def spent(past: Sequence[Batch]) -> float:
    """The estimate of the false discovery proportion that BatchSt-BH keeps up to the rate:
    the sum of level x most / (most + flags of the other batches)."""
    flagged = sum(batch.flagged for batch in past)
    return sum(
        batch.level * batch.most / (batch.most + flagged - batch.flagged)
        for batch in past
        if batch.most
    )


def _step_up(p_values: Array, level: float, before: int, highest: float) -> NDArray[np.bool_]:
    """The R lowest p-values, R the largest number of them up to level (before + R) / n."""
    n = len(p_values)
    ordered = np.sort(p_values)
    limits = np.minimum(level * (before + np.arange(1, n + 1)) / max(n, 1), highest)
    met = np.flatnonzero(ordered <= limits)
    if not len(met):
        return np.zeros(n, bool)
    return p_values <= ordered[met[-1]]


def _storey(p_values: Array, level: float, highest: float) -> NDArray[np.bool_]:
    """Benjamini and Hochberg at the level over the share of normal rows."""
    n = len(p_values)
    normal = (1 + (p_values > HALF).sum()) / (n * (1 - HALF)) if n else 1.0
    return _step_up(p_values, level / normal, 0, highest)
