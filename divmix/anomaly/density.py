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

from divmix.engine.loop import climb
from divmix.engine.monitor import Monitor
from divmix.engine.steps import em_step
from divmix.families import Components, Gaussian, make_family
from divmix.rows.memory import InMemory
from divmix.search import starts as initialization
from divmix.search.phases import RELAXED_ALPHA, Search

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

Density = tuple[Gaussian, Components]


def detailed(
    X: np.ndarray,
    row_weights: np.ndarray,
    indicator_floor: np.ndarray,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
) -> Density:
    """Many diagonal Gaussians for rows X (n, d) that are all normal.

    The relaxed and diversified phases of the default method on all distinct rows. indicator_floor
    (d,) is the smallest variance of 0/1 features, 0 for the others. Raises FitError.
    """
    X, row_weights = distinct(X, row_weights)
    extent = np.ptp(X, axis=0)
    extent[extent == 0] = 1.0
    family = make_family(
        "gaussian", "diag", np.maximum((SMALLEST_SPREAD * extent) ** 2, indicator_floor)
    )
    most = components or DETAILED_COMPONENTS
    m = max(1, min(most, len(X) // ROWS_EACH))
    search = Search(InMemory(X, row_weights, family, "auto"), 1, RELAXED_ALPHA, generator, monitor)
    diverse = search.diversify(search.relax(m))
    base = search.pooled(RELAXED_ALPHA)
    return family, search.climb("refine", diverse, base, DETAILED_ITERATIONS)


def robust(
    X: np.ndarray,
    row_weights: np.ndarray,
    indicator_floor: np.ndarray,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
) -> Density:
    """Few Student-t components for rows X (n, d) that have anomalies among them.

    The number of normal groups is not known, and starts differ: mixtures of 1, 2, 3 ... components,
    from several starts each, count alike, and their average is itself a mixture. Raises FitError.
    """
    rows = np.flatnonzero(row_weights > 0)
    if len(rows) > ROBUST_ROWS:
        rows = np.sort(generator.choice(rows, ROBUST_ROWS, replace=False, shuffle=False))
    X, row_weights = np.ascontiguousarray(X[rows]), row_weights[rows]
    variances = X.var(axis=0)
    usual = variances[variances > 0].mean() if (variances > 0).any() else 1.0
    floor = ROBUST_FLOOR * np.where(variances > 0, variances, usual)
    family = make_family("student", "diag", np.maximum(floor, indicator_floor))
    most = min(components or ROBUST_COMPONENTS, initialization.count_distinct(X))
    parts = []
    for m in range(1, most + 1):
        starts = 1 if m == 1 else ROBUST_STARTS  # one component has one start
        for _ in range(starts):
            part = _trimmed(X, row_weights, family, m, generator, monitor)
            parts.append(part._replace(weights=part.weights / (starts * most)))
    return family, Components(*(np.concatenate(arrays) for arrays in zip(*parts)))


def distinct(X: np.ndarray, row_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of positive weight without their repetitions, and the weight of each.

    A sum over the columns with random factors finds equal rows; those that differ after all
    stay apart.
    """
    rows = np.flatnonzero(row_weights > 0)
    factors = np.random.default_rng(0).uniform(1, 2, X.shape[1])
    keys = X[rows] @ factors
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    first = rows[first]
    equal = np.ones(len(rows), bool)
    for start in range(0, len(rows), 65536):  # in blocks: no copy of X
        part = slice(start, start + 65536)
        equal[part] = (X[rows[part]] == X[first[group[part]]]).all(axis=1)
    weights = np.bincount(group[equal], weights=row_weights[rows[equal]], minlength=len(first))
    apart = rows[~equal]
    chosen = np.concatenate([first, apart])
    return np.ascontiguousarray(X[chosen]), np.concatenate([weights, row_weights[apart]])


def _trimmed(X, row_weights, family, m: int, generator, monitor) -> Components:
    """m components at most, from rounds of dropping small ones and the least likely rows."""
    components = initialization.start(family, X, row_weights, m, "kmeans++", generator)
    kept = row_weights
    for iterations in (START_ITERATIONS, *[ROUND_ITERATIONS] * ROUNDS):
        components = climb(
            em_step(family),
            components,
            InMemory(X, kept, family),
            monitor,
            phase="relax" if iterations == START_ITERATIONS else "refine",
            alpha=0.0,
            max_iter=iterations,
            tol=SETTLED,
        ).components
        components = _without_small(components)
        kept = row_weights * _likeliest(family, components, X, row_weights)
    return components


def _without_small(components: Components) -> Components:
    large = components.weights >= min(SMALLEST_SHARE, components.weights.max())
    kept = components.take(np.flatnonzero(large))
    return kept._replace(weights=kept.weights / kept.weights.sum())


def _likeliest(family, components: Components, X, row_weights) -> np.ndarray:
    """(n,) true for the likeliest rows that hold all but TRIMMED of the weight."""
    joint = np.log(np.maximum(components.weights, 1e-300)) + family.log_densities(X, components)
    order = np.argsort(np.logaddexp.reduce(joint, axis=1), kind="stable")
    below = np.cumsum(row_weights[order])
    likely = np.empty(len(X), bool)
    likely[order] = below > TRIMMED * below[-1]
    return likely
