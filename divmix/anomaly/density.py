"""The density of rows that are all normal: learned in detail.

Many components, as in the relaxed phase of the default method, so that rare kinds of normal rows
get one of their own. The numbers below are from trials on network connections with 0, 1 and 5 % of
anomalies. Of rows that have anomalies among them the density is that of `anomaly.pool`.
"""

from typing import NamedTuple

import numpy as np

from divmix.choosing.relevance import relevant_categories
from divmix.engine.monitor import Monitor
from divmix.families import AnyFamily, AnyMatrix, Coded, Components, make_family
from divmix.rows import AnyBlock, MemoryRows
from divmix.search.relax import diversify, relax
from divmix.search.run import Searching
from divmix.settings import DEFAULT_ALPHA
from divmix.settings.schedule import SCHEDULE

DETAILED_COMPONENTS, ROWS_EACH = 64, 20  # so many, where each has so many distinct rows
DETAILED_ITERATIONS = 40
SMALLEST_SPREAD = 0.01  # standard deviation, as a share of the column's range


class Member(NamedTuple):
    """A mixture, by itself or one of a pool; plain: whether it sees columns without their powers."""

    family: AnyFamily
    components: Components
    plain: bool = False


def detailed(
    rows: MemoryRows,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
    kind: str = "gaussian",
) -> Member:
    """Many diagonal components, by default for rows that are all normal.

    The relaxed and diversified phases of the default method on all distinct rows. Categories have
    probabilities. Raises FitError.
    """
    different = MemoryRows(*distinct(rows))
    summary = different.summary()
    extent = summary.high - summary.low
    extent[extent == 0] = 1.0
    categories = relevant_categories(rows)
    family = make_family(kind, "diag", (SMALLEST_SPREAD * extent) ** 2, categories)
    most = components or DETAILED_COMPONENTS
    m = max(1, min(most, different.visited // ROWS_EACH))
    searching = Searching(different, family, None, monitor, 1, DEFAULT_ALPHA)
    diverse = diversify(searching, relax(searching, m, generator))
    prior = searching.pooled(diverse, SCHEDULE.relaxed_prior)
    return Member(family, searching.climb("refine", diverse, prior, DETAILED_ITERATIONS))


def distinct(rows: MemoryRows) -> AnyBlock:
    """Rows of positive weight without their repetitions, and the weight of each.

    A sum over the columns with random factors finds equal rows; those that differ after all
    stay apart.
    """
    X, row_weights = rows.held
    used = np.flatnonzero(row_weights > 0)
    factors = np.asarray(np.random.default_rng(0).uniform(1, 2, X.shape[1]))
    keys = X[used] @ factors
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    first = used[first]
    equal = np.ones(len(used), bool)
    for start in range(0, len(used), 65536):  # in blocks: no copy of X
        part = slice(start, start + 65536)
        one, other = _cells(X[used[part]]), _cells(X[first[group[part]]])
        equal[part] = (one == other).all(axis=1)
    weights = np.bincount(group[equal], weights=row_weights[used[equal]], minlength=len(first))
    apart = used[~equal]
    chosen = np.concatenate([first, apart])
    return AnyBlock(X[chosen], np.concatenate([weights, row_weights[apart]]))


def _cells(X: AnyMatrix) -> np.ndarray:
    """What rows (n, d) hold, (n, cells): that of equal ones is equal."""
    return X.cells if isinstance(X, Coded) else X
