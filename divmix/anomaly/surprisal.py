"""How surprising a row is, and each of its columns given the others.

The score of a row is its surprisal -log p(x) in nats, in the units of the prepared columns: the
Jacobian of a logarithm or a scale, the same for a column whatever the density, does not enter. Of a
pool of mixtures it is a mean of theirs (`pooled`). A column's conditional surprisal is -log p(x_j | x_others),
exact for normal and Student-t components and for categories.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly.p_values import ANOMALOUS
from divmix.anomaly.pool import Pool, Usual
from divmix.families import AnyFamily, AnyMatrix, Components, Mixed
from divmix.families.family import Array
from divmix.families.mixed import as_seen, scattered
from divmix.families.posterior import log_sum_exp, log_weights
from divmix.tables.batches import BLOCK_ROWS

# Nats for a value that no training row had, in a column that was constant or of categories, or that has
# no logarithm in a logged one: it stands for infinity, but two such values still count more than one, and tables hold numbers.
UNSEEN_VALUE = 1e6
# Exponent of the mean over the members of a pool: at 0 it is their average, towards infinity the
# highest. Chosen on made tables (`benchmarks.made_tables.anomalies`): what columns depend on each
# other for is seen by the full members alone, and higher ones find small clusters strange.
POWER = 0.25
# Weight of a detailed member's opinion beside that of the others, chosen on the same tables: of more it
# hides groups of anomalies, which it may have a component for, and of less it finds fewer scattered ones.
DETAIL = 0.05
CELLS = 4_000_000  # of arrays of rows x components x numbers


def score(pool: Pool, X: AnyMatrix, unseen: NDArray[np.bool_]) -> Array:
    """Scores (n,) of rows X (n, d) of the design matrix.

    unseen (n, blocks) bool: see `Design.unseen_values`.
    """
    scores = np.empty(len(X))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        own = -_by_member(pool, _log_joint(pool, as_seen(X[rows], pool.family)))
        scores[rows] = pooled(own, pool.usual)
    return scores + UNSEEN_VALUE * unseen.sum(axis=1)


def usual_of(surprisals: Array, of: NDArray[np.int64]) -> Usual:
    """What is usual to a pool by the surprisals (n, members) of rows that it has not seen.

    of (members,): which opinion each is a part of. An opinion has the median for its centre and the mean
    of an exponential beyond that for its scale, by the rows up to ANOMALOUS from the highest: anomalies
    beyond are only counted.
    """
    medians = np.median(surprisals, axis=0)
    said = _opinions(surprisals, medians, of)
    centres, end = np.quantile(said, [0.5, 1 - ANOMALOUS], axis=0)
    excess = np.clip(said - centres, 0.0, end - centres).sum(axis=0)
    seen = ((said > centres) & (said <= end)).sum(axis=0)
    scales = np.where(excess > 0, excess / np.maximum(seen, 1), 1.0)
    return Usual(medians, np.stack([centres, scales], axis=1), of)


def pooled(surprisals: Array, usual: Usual | None) -> Array:
    """Scores (n,) of rows from the surprisals (n, members) by each member of a pool.

    An opinion is a power mean of the densities of its members over their typical values, log mean
    exp(POWER (s_j - t_j)) / POWER (mean of order -POWER; Cooke 1991, chapter 11), plus the mean of the
    centres t_j: a row that one member finds far stranger than usual is strange, which an average would
    dilute. Opinions have p-values exp(-z), z = (s - centre) / scale, and the score is -log of their
    harmonic mean (Wilson 2019), in nats of the first: what one of them sees counts, whatever the spread of
    the others. That of a detailed member weighs DETAIL, the others alike. The plain mean where
    nothing is usual.
    """
    if usual is None:
        return surprisals.mean(axis=1)
    centre, scale = usual.opinions[0]
    return centre + scale * log_sum_exp(_weighted(surprisals, usual))


def says(surprisals: Array, usual: Usual | None) -> Array:
    """How far the score hangs on each member, (n, members), sums of 1."""
    if usual is None:
        return np.full(surprisals.shape, 1 / surprisals.shape[1])
    terms = _weighted(surprisals, usual)
    share = np.exp(terms - log_sum_exp(terms)[:, None])
    say = np.empty(surprisals.shape)
    for k in range(len(usual.opinions)):
        own = usual.of == k
        excess = POWER * (surprisals[:, own] - usual.centres[own])
        say[:, own] = share[:, k, None] * np.exp(excess - log_sum_exp(excess)[:, None])
    return say


def _opinions(surprisals: Array, centres: Array, of: NDArray[np.int64]) -> Array:
    """What the members (members,) of each opinion say together, (n, opinions), nats."""
    said = [_together(surprisals[:, of == k], centres[of == k]) for k in range(of.max() + 1)]
    return np.stack(said, axis=1)


def _together(surprisals: Array, centres: Array) -> Array:
    excess = POWER * (surprisals - centres)
    return centres.mean() + (log_sum_exp(excess) - np.log(len(centres))) / POWER


def _weighted(surprisals: Array, usual: Usual) -> Array:
    """z of each opinion plus the log of its weight, (n, opinions)."""
    centres, scales = usual.opinions.T
    z = (_opinions(surprisals, usual.centres, usual.of) - centres) / scales
    weights = np.full(len(centres), 1 / len(centres))
    if detailed := int(usual.of[0]):
        weights = np.full(len(centres), (1 - DETAIL) / detailed)
        weights[detailed] = DETAIL
    return z + np.log(weights)


def by_column(pool: Pool, X: Array, blocks: Sequence[NDArray[np.int64]]) -> Array:
    """-log p(x_j | x_others) of each block of features, (n, blocks), nats, for rows X (n, d).

    Of a pool the mean over its members, for a number each with its say in the score; for categories
    all alike, as in `marginal`, which these are held against. A cell that is missing (NaN) is none of
    the others, and its own is 0.
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
        say = says(-whole, pool.usual)
        found = conditionals(pool, X[rows])
        others = _by_member(pool, joint[:, :, None] - found.log_density)
        of_numbers = np.einsum("nkj,nk->nj", others - whole[:, :, None], say)
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
    say = says(-whole, pool.usual)
    numeric = scattered(pool.family, X.shape[1])
    for j, block in enumerate(blocks):
        others = X.copy()
        others[:, block] = np.nan
        apart = _by_member(pool, _log_joint(pool, others)) - whole
        is_number = len(block) == 1 and block[0] in numeric
        surprisals[:, j] = (apart * say).sum(axis=1) if is_number else apart.mean(axis=1)
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
