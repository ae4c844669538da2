"""Densities that anomalies are held against.

Two situations ask for opposite things. Clean training rows, all of them normal, are learned in
detail: many components, as in the relaxed phase of the default method, and rare kinds of normal
rows get a component of their own. Rows that have anomalies among them must not be learned in
detail, or small groups of anomalies get components too: few heavy-tailed components, none of them
small, fitted to the rows that fit best (trimmed likelihood: Neykov et al. 2007).

The numbers below are from trials without labels in any fit: AUROC over ten tables with 2 to 36 % of
anomalies for the second kind, network connections with 0, 1 and 5 % for the first.
"""

import numpy as np
from numpy.typing import NDArray

from divmix.choosing.relevance import relevant_categories
from divmix.core import fit_rows
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.families import AnyFamily, Components, make_family
from divmix.rows import Block, MemoryRows
from divmix.search.relax import diversify, relax
from divmix.search.run import Searching
from divmix.search.starts import count_distinct
from divmix.settings import DEFAULT_ALPHA, EmSettings
from divmix.settings.schedule import SCHEDULE

DETAILED_COMPONENTS, ROWS_EACH = 64, 20  # so many, where each has so many distinct rows
DETAILED_ITERATIONS = 40
SMALLEST_SPREAD = 0.01  # standard deviation, as a share of the column's range

ROBUST_COMPONENTS, ROBUST_STARTS = 4, 5
TRIMMED = 0.2  # share of the rows, the least likely ones, that have no say
SMALLEST_SHARE = 0.1  # a component with less of the rows is no normal kind of row
ROBUST_ROWS = 20_000  # few components need no more
ROBUST_FLOOR = 1e-6  # smallest variance, as a share of the column's
START_ITERATIONS, ROUNDS, ROUND_ITERATIONS = 40, 4, 8
SETTLED = 1e-4  # nats per row

Density = tuple[AnyFamily, Components]


def detailed(
    rows: MemoryRows,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
) -> Density:
    """Many diagonal Gaussians for rows that are all normal.

    The relaxed and diversified phases of the default method on all distinct rows. Categories have
    probabilities. Raises FitError.
    """
    X, row_weights = distinct(rows)
    extent = np.ptp(X, axis=0)
    extent[extent == 0] = 1.0
    categories = relevant_categories(rows)
    family = make_family("gaussian", "diag", (SMALLEST_SPREAD * extent) ** 2, categories)
    most = components or DETAILED_COMPONENTS
    m = max(1, min(most, len(X) // ROWS_EACH))
    searching = Searching(MemoryRows(X, row_weights), family, None, monitor, 1, DEFAULT_ALPHA)
    diverse = diversify(searching, relax(searching, m, generator))
    prior = searching.pooled(diverse, SCHEDULE.relaxed_prior)
    return family, searching.climb("refine", diverse, prior, DETAILED_ITERATIONS)


def robust(
    rows: MemoryRows,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
) -> Density:
    """Few Student-t components for rows that have anomalies among them.

    The number of normal groups is not known, and starts differ: mixtures of 1, 2, 3 ... components,
    from several starts each, count alike, and their average is itself a mixture. Raises FitError.
    """
    rows = rows.sample(ROBUST_ROWS, generator)
    variances = rows.matrix.X.var(axis=0)
    usual = variances[variances > 0].mean() if (variances > 0).any() else 1.0
    floor = ROBUST_FLOOR * np.where(variances > 0, variances, usual)
    family = make_family("student", "diag", floor, relevant_categories(rows))
    most = min(components or ROBUST_COMPONENTS, count_distinct(rows))
    parts = []
    for m in range(1, most + 1):
        starts = 1 if m == 1 else ROBUST_STARTS  # one component has one start
        for _ in range(starts):
            seed = int(generator.integers(2**31))
            part = _trimmed(rows, family, m, seed, monitor)
            parts.append(part._replace(weights=part.weights / (starts * most)))
    return family, Components(*(np.concatenate(arrays) for arrays in zip(*parts)))


def distinct(rows: MemoryRows) -> Block:
    """Rows of positive weight without their repetitions, and the weight of each.

    A sum over the columns with random factors finds equal rows; those that differ after all
    stay apart.
    """
    X, row_weights = rows.matrix
    used = np.flatnonzero(row_weights > 0)
    factors = np.random.default_rng(0).uniform(1, 2, X.shape[1])
    keys = X[used] @ factors
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    first = used[first]
    equal = np.ones(len(used), bool)
    for start in range(0, len(used), 65536):  # in blocks: no copy of X
        part = slice(start, start + 65536)
        equal[part] = (X[used[part]] == X[first[group[part]]]).all(axis=1)
    weights = np.bincount(group[equal], weights=row_weights[used[equal]], minlength=len(first))
    apart = used[~equal]
    chosen = np.concatenate([first, apart])
    return Block(np.ascontiguousarray(X[chosen]), np.concatenate([weights, row_weights[apart]]))


def _trimmed(
    rows: MemoryRows, family: AnyFamily, m: int, seed: int, monitor: Monitor
) -> Components:
    """m components at most, from rounds of dropping small ones and the least likely rows."""
    components, kept = None, rows
    for iterations in (START_ITERATIONS, *[ROUND_ITERATIONS] * ROUNDS):
        k = m if components is None else components.count
        settings = EmSettings(clusters=k, max_iter=iterations, tol=SETTLED, seed=seed)
        fitted = fit_rows(kept, settings, monitor, family=family, start=components)
        components = _without_small(fitted.components)
        likely = _likeliest(family, components, rows)
        kept = rows.reweighted(rows.matrix.row_weights * likely)
    assert components is not None
    return components


def _without_small(components: Components) -> Components:
    large = components.weights >= min(SMALLEST_SHARE, components.weights.max())
    kept = components.take(np.flatnonzero(large))
    return kept._replace(weights=kept.weights / kept.weights.sum())


def _likeliest(family: AnyFamily, components: Components, rows: MemoryRows) -> NDArray[np.bool_]:
    """(n,) true for the likeliest rows that hold all but TRIMMED of the weight."""
    X, row_weights = rows.matrix
    order = np.argsort(Objective(family).posterior(X, components).log_density, kind="stable")
    below = np.cumsum(row_weights[order])
    likely = np.empty(len(X), bool)
    likely[order] = below > TRIMMED * below[-1]
    return likely
