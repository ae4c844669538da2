"""The density of rows that are all normal: learned in detail.

Many components, as in the relaxed phase of the default method, so that rare kinds of normal rows
get one of their own. The numbers below are from trials on network connections with 0, 1 and 5 % of
anomalies. Of rows that have anomalies among them the density is that of `anomaly.pool`.
"""

from typing import NamedTuple

import numpy as np

from divmix.choosing.relevance import relevant_categories
from divmix.engine.monitor import Monitor
from divmix.families import AnyFamily, Components, make_family
from divmix.rows import MemoryRows, distinct
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
    different = without_repetitions(rows)
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


def without_repetitions(rows: MemoryRows) -> MemoryRows:
    """Each distinct row once, with the weight of all that equal it; in an order that the table's has no
    say in, by a sum over the columns with random factors."""
    X, _ = rows.held
    first, weights = distinct(rows.held)
    factors = np.asarray(np.random.default_rng(0).uniform(1, 2, X.shape[1]))
    order = np.argsort((X @ factors)[first], kind="stable")
    return MemoryRows(X[first[order]], weights[order])
