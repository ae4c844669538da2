"""How surprising a row is, and each of its columns given the others.

The score of a row is its surprisal -log p(x) in nats, in the units of the prepared columns: the
Jacobian of a logarithm or a scale, the same for a column whatever the density, does not enter. Of a
pool of mixtures it is what these say together (`opinions.pooled`). A column's conditional surprisal is -log p(x_j | x_others),
exact for normal and Student-t components and for categories.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly.margins import tails
from divmix.anomaly.opinions import pooled, says
from divmix.anomaly.pool import Pool
from divmix.families import AnyFamily, AnyMatrix, Components, Mixed
from divmix.families.family import Array
from divmix.families.mixed import as_seen, scattered
from divmix.families.posterior import log_sum_exp, log_weights
from divmix.tables.batches import BLOCK_ROWS

# Nats for a value that no training row had, in a column that was constant or of categories, or that has
# no logarithm in a logged one: it stands for infinity, but two such values still count more than one, and tables hold numbers.
UNSEEN_VALUE = 1e6
CELLS = 4_000_000  # of arrays of rows x components x numbers


def score(pool: Pool, X: AnyMatrix, unseen: NDArray[np.bool_]) -> Array:
    """Scores (n,) of rows X (n, d) of the design matrix.

    unseen (n, blocks) bool: see `Design.unseen_values`.
    """
    scores = np.empty(len(X))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        own = -_by_member(pool, _log_joint(pool, as_seen(X[rows], pool.family)))
        scores[rows] = pooled(own, pool.usual, far_out(pool, _margins(pool), X[rows]))
    return scores + UNSEEN_VALUE * unseen.sum(axis=1)


def far_out(pool: Pool, margins: Array | None, X: AnyMatrix) -> Array | None:
    """What margins say of rows X (n, d), (n,), nats; None without such."""
    if margins is None:
        return None
    far = np.empty(len(X))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        far[rows] = _tails(pool, margins, X[rows]).sum(axis=1)
    return far


def _tails(pool: Pool, margins: Array, X: AnyMatrix) -> Array:
    """How far out each number of rows X (n, d) is in its column, (n, c), nats; 0 where it is missing."""
    return np.nan_to_num(tails(pool.numbers(X), margins), copy=False)


def _margins(pool: Pool) -> Array | None:
    return None if pool.usual is None else pool.usual.margins


def _says(pool: Pool, own: Array, X: AnyMatrix) -> tuple[Array, Array]:
    """How far the scores of rows X (n, d) hang on each member, whose surprisals are own (n, members), and what
    the margins add to each number, (n, c)."""
    margins = _margins(pool)
    if margins is None:
        return says(own, pool.usual)[0], np.zeros((len(X), len(scattered(pool.family, X.shape[1]))))
    alone = _tails(pool, margins, X)
    say, of_margins = says(own, pool.usual, alone.sum(axis=1))
    return say, of_margins[:, None] * alone


def by_column(pool: Pool, X: Array, blocks: Sequence[NDArray[np.int64]]) -> Array:
    """-log p(x_j | x_others) of each block of features, (n, blocks), nats, for rows X (n, d).

    Of a pool the mean over its members, for a number each with its say in the score, and its tail with that of
    the margins; for categories all alike, as in `marginal`, which these are held against. A cell that is
    missing (NaN) is none of the others, and its own is 0.
    """
    surprisals, gaps = np.zeros((len(X), len(blocks))), np.isnan(X).any(axis=1)
    if gaps.any():
        surprisals[gaps] = _beside_gaps(pool, X[gaps], blocks)
        surprisals[~gaps] = by_column(pool, X[~gaps], blocks)
        return surprisals
    size = rows_at_once(pool)
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        joint = _log_joint(pool, X[rows])
        whole = _by_member(pool, joint)
        say, alone = _says(pool, -whole, X[rows])
        found = conditionals(pool, X[rows])
        others = _by_member(pool, joint[:, :, None] - found.log_density)
        of_numbers = np.einsum("nkj,nk->nj", others - whole[:, :, None], say) + alone
        place = {int(feature): i for i, feature in enumerate(found.features)}
        for j, block in enumerate(blocks):
            if len(block) == 1 and int(block[0]) in place:
                surprisals[rows, j] = of_numbers[:, place[int(block[0])]]
                continue
            own = _log_marginal(pool, X[rows], block)
            surprisals[rows, j] = (_by_member(pool, joint - own) - whole).mean(axis=1)
    return surprisals


def _beside_gaps(pool: Pool, X: Array, blocks: Sequence[NDArray[np.int64]]) -> Array:
    """`by_column` of rows with missing cells: each column by the densities with it and without."""
    surprisals, whole = np.zeros((len(X), len(blocks))), _by_member(pool, _log_joint(pool, X))
    say, alone = _says(pool, -whole, X)
    place = {int(feature): i for i, feature in enumerate(scattered(pool.family, X.shape[1]))}
    for j, block in enumerate(blocks):
        others = X.copy()
        others[:, block] = np.nan
        apart = _by_member(pool, _log_joint(pool, others)) - whole
        if len(block) == 1 and int(block[0]) in place:
            surprisals[:, j] = (apart * say).sum(axis=1) + alone[:, place[int(block[0])]]
        else:
            surprisals[:, j] = apart.mean(axis=1)
    return surprisals


def rows_at_once(pool: Pool) -> int:
    """Rows of which arrays (rows, components, numbers) are made at a time."""
    m, d = pool.components.means.shape
    return int(np.clip(CELLS // (m * max(len(scattered(pool.family, d)), 1)), 1, BLOCK_ROWS))


def marginal(pool: Pool, X: Array, block: NDArray[np.int64]) -> Array:
    """-log p(x_block) of one block of features alone, (n,), nats."""
    log_w = log_weights(pool.components.weights)
    terms = log_w + _log_marginal(pool, X, block)
    return -_by_member(pool, terms).mean(axis=1)


class Conditionals(NamedTuple):
    """Each number given the others, in each component: features (c,), and log p(x_j | x_others),
    location and squared scale, (n, m, c)."""

    features: NDArray[np.int64]
    log_density: Array
    location: Array
    square: Array


def conditionals(pool: Pool, X: Array) -> Conditionals:
    """Of rows X (n, d), by each component as it sees them."""
    parts = [
        (own, _conditionals(pool.family, pool.components.take(own), seen))
        for own, seen in pool.views(X)
    ]
    features = parts[0][1].features
    whole = [np.empty((len(X), len(pool.members), len(features))) for _ in range(3)]
    for own, (_, *part) in parts:
        for array, of_part in zip(whole, part):
            array[:, own] = of_part
    return Conditionals(features, *whole)


def _conditionals(family: AnyFamily, components: Components, X: Array) -> Conditionals:
    """By the precisions L of the components.

    Given the others x_j is about x_j - (L delta)_j / L_jj with variance 1 / L_jj, or, in a Student-t
    component of nu degrees of freedom, again t: nu + c - 1 of them, squared scale
    (nu + distance of the others) / (nu + c - 1) / L_jj.
    """
    features = np.arange(X.shape[1])
    numbers = family
    if isinstance(family, Mixed):
        features, numbers = family.categories.numeric, family.numbers
        components = family.of_numbers(components)
    N = X[:, features]
    shape = (len(N), components.count, len(features))
    residual, square, others = np.empty(shape), np.empty(shape), np.empty(shape)
    precisions = _precisions(numbers.structure, components, numbers.axis_aligned)
    for j, precision in enumerate(precisions):
        delta = N - components.means[j]
        pushed = delta * precision if precision.ndim == 1 else delta @ precision
        diagonal = precision if precision.ndim == 1 else np.diagonal(precision)
        residual[:, j] = pushed / diagonal
        square[:, j] = 1 / diagonal
        distance = (delta * pushed).sum(axis=1, keepdims=True)
        others[:, j] = np.maximum(distance - residual[:, j] ** 2 * diagonal, 0.0)
    location = N[:, None, :] - residual
    if components.dof is None:
        log_density = -0.5 * (np.log(2 * np.pi * square) + residual**2 / square)
        return Conditionals(features, log_density, location, square)
    from scipy.special import gammaln

    dof = components.dof[:, None] + len(features) - 1
    square *= (components.dof[:, None] + others) / dof
    log_density = (
        gammaln(0.5 * (dof + 1))
        - gammaln(0.5 * dof)
        - 0.5 * np.log(np.pi * dof * square)
        - 0.5 * (dof + 1) * np.log1p(residual**2 / (dof * square))
    )
    return Conditionals(features, log_density, location, square)


def log_others(pool: Pool, X: Array, found: Conditionals) -> Array:
    """log of weight times p(x_others) of each number in each component, (n, m, c)."""
    return _log_joint(pool, X)[:, :, None] - found.log_density


def _precisions(structure, components: Components, diagonal: bool) -> Sequence[Array]:
    m, d = components.means.shape
    if diagonal:
        return list(1 / structure.variances(components.covariances, m, d))
    return list(np.linalg.inv(structure.as_full(components.covariances, m, d)))


def _log_joint(pool: Pool, X: Array) -> Array:
    joint = np.empty((len(X), len(pool.members)))
    for own, seen in pool.views(X):
        joint[:, own] = pool.family.log_densities(seen, pool.components.take(own))
    return log_weights(pool.components.weights) + joint


def _log_marginal(pool: Pool, X: Array, block: NDArray[np.int64]) -> Array:
    """log p(x_block) in each component, (n, m)."""
    logs = np.empty((len(X), len(pool.members)))
    for own, seen in pool.views(X):
        logs[:, own] = pool.family.log_marginal(seen, pool.components.take(own), block)
    return logs


def _by_member(pool: Pool, terms: Array) -> Array:
    """Sums of exp(terms) (n, m, ...) over the components of each member, in logs,
    (n, members, ...)."""
    starts = np.flatnonzero(np.diff(pool.members, prepend=-1))
    ends = [*starts[1:], len(pool.members)]
    own = [
        terms[:, start] if end == start + 1 else log_sum_exp(terms[:, start:end])
        for start, end in zip(starts, ends)
    ]
    return np.stack(own, axis=1) + np.log(len(own))
