"""How surprising a row is, and which of its columns make it so.

The score of a row is its surprisal -log p(x) in nats, in the units of the prepared columns: the
Jacobian of a logarithm or a scale, the same for a column whatever the density, does not enter.
A column contributes its conditional surprisal -log p(x_j | x_others), exact for normal and
Student-t components and for categories, in excess of what is typical of it.
"""

from collections.abc import Sequence

import numpy as np

from divmix.families import AnyFamily, Components
from divmix.families.posterior import log_sum_exp, log_weights
from divmix.model.mixture import Mixture
from divmix.tables.batches import BLOCK_ROWS

# Nats for a value that no training row had, in a column that was constant or of categories: it
# stands for infinity, but two such values still count more than one, and tables hold numbers.
UNSEEN_VALUE = 1e6
MOST_NAMED = 3  # columns named of a row
LEAST_SHARE = 0.05  # of the contributions, for a column to be named


def score(mixture: Mixture, X: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Scores (n,) of rows X (n, d) of the design matrix.

    unseen (n, blocks) bool: see `Design.unseen_values`.
    """
    return -mixture.score(X).log_density + UNSEEN_VALUE * unseen.sum(axis=1)


def by_column(mixture: Mixture, X: np.ndarray) -> np.ndarray:
    """-log p(x_j | x_others) of each block of features, (n, blocks), nats, for rows X (n, d)."""
    blocks = mixture.design.blocks
    if len(blocks) == 1:
        return -mixture.score(X).log_density[:, None]
    surprisals = np.zeros((len(X), len(blocks)))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        surprisals[rows] = _conditional(mixture.family, mixture.all_components, X[rows], blocks)
    return surprisals


def _conditional(
    family: AnyFamily, components: Components, X: np.ndarray, blocks: Sequence[np.ndarray]
) -> np.ndarray:
    """log p(x_others) - log p(x) for each block, (n, blocks)."""
    log_w = log_weights(components.weights)
    joint = log_w + family.log_densities(X, components)
    whole = log_sum_exp(joint)
    surprisals = np.empty((len(X), len(blocks)))
    for j, block in enumerate(blocks):
        if family.is_independent(block):
            others = joint - family.log_marginal(X, components, block)
        else:
            rest = np.setdiff1d(np.arange(X.shape[1]), block)
            others = log_w + family.log_marginal(X, components, rest)
        surprisals[:, j] = log_sum_exp(others) - whole
    return surprisals


def because(mixture: Mixture, X: np.ndarray, unseen: np.ndarray, typical: np.ndarray) -> list[str]:
    """The columns that make each row surprising, and their shares: `src_bytes 62%, flag 21%`.

    X (n, d), unseen (n, blocks) bool, typical (blocks,) conditional surprisals of known rows, nats.
    Where a row has unseen values, only these are named.
    """
    names = mixture.design.block_names
    excess = np.maximum(by_column(mixture, X) - typical, 0.0)
    any_unseen = unseen.any(axis=1, keepdims=True)
    contributions = np.where(any_unseen, np.where(unseen, UNSEEN_VALUE, 0.0), excess)
    totals = contributions.sum(axis=1)
    largest = np.argsort(-contributions, axis=1, kind="stable")[:, :MOST_NAMED]
    reasons = []
    for row, total, columns in zip(contributions, totals, largest):
        shares = row[columns] / total if total > 0 else np.zeros(len(columns))
        named = [
            f"{names[j]} {share:.0%}" for j, share in zip(columns, shares) if share >= LEAST_SHARE
        ]
        reasons.append(", ".join(named))
    return reasons
