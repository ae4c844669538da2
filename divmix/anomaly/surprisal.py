"""How surprising a row is, and which of its columns are to blame.

The score of a row is its surprisal -log p(x) in nats, in the units of the prepared columns: the
Jacobian of a logarithm or a scale, the same for a column whatever the density, has no say in it.
A column is to blame by its conditional surprisal -log p(x_j | x_others), exact for normal and
Student-t components, in excess of what is typical of it.
"""

import numpy as np

from divmix.design.preprocessing import Preprocessing
from divmix.families import Components, Gaussian
from divmix.model.calibration import blocks
from divmix.model.mixture import BLOCK, Mixture

# Nats for a value that no training row had, in a column that was constant or of categories: it
# stands for infinity, but two such values still count more than one, and tables hold numbers.
TRIPWIRE = 1e6
NAMED = 3  # columns named at most
LEAST_SHARE = 0.05  # of the blame, to be named


def score(mixture: Mixture, X: np.ndarray, wires: np.ndarray) -> np.ndarray:
    """Scores (n,) of rows X (n, d) of the design matrix with tripwires (n, columns)."""
    return -mixture.score(X).log_density + TRIPWIRE * wires.sum(axis=1)


def trip(X: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """(n, columns) bool: values of a kind that training did not have.

    A constant column with another value, a category that was not there. In X such a value of a
    constant column is put back, so that it counts once and the same in all units. An embedding
    has no tripwires: what it makes of such values is its own.
    """
    wires = np.zeros((len(X), len(blocks(preprocessing))), bool)
    if preprocessing.encoder is not None:
        return wires
    for j, (column, features) in enumerate(zip(preprocessing.columns, blocks(preprocessing))):
        if column.kind == "categorical":
            known = X[:, features] + np.array(column.shares)
            wires[:, j] = known.max(axis=1) < 0.5
        elif column.is_constant:
            wires[:, j] = X[:, features[0]] != 0
            X[wires[:, j], features[0]] = 0
    return wires


def by_column(mixture: Mixture, X: np.ndarray) -> np.ndarray:
    """-log p(x_j | x_others) of each column, (n, columns), nats, for rows X (n, d)."""
    parts = blocks(mixture.preprocessing)
    told = np.zeros((len(X), len(parts)))
    if len(parts) == 1:
        told[:, 0] = -mixture.score(X).log_density
        return told
    for start in range(0, len(X), BLOCK):
        rows = slice(start, start + BLOCK)
        told[rows] = _conditional(mixture.family, mixture.all_components, X[rows], parts)
    return told


def _conditional(family: Gaussian, components: Components, X, parts) -> np.ndarray:
    """log p(x_others) - log p(x) for each part."""
    log_weights = np.log(np.maximum(components.weights, 1e-300))
    joint = log_weights + family.log_densities(X, components)
    whole = np.logaddexp.reduce(joint, axis=1)
    told = np.empty((len(X), len(parts)))
    for j, part in enumerate(parts):
        if family.columns_independent:
            own = family.log_densities(X[:, part], family.marginal(components, part))
            others = joint - own
        else:
            rest = np.setdiff1d(np.arange(X.shape[1]), part)
            others = log_weights + family.log_densities(
                X[:, rest], family.marginal(components, rest)
            )
        told[:, j] = np.logaddexp.reduce(others, axis=1) - whole
    return told


def because(mixture: Mixture, X: np.ndarray, wires: np.ndarray, typical: np.ndarray) -> list[str]:
    """The columns to blame for each row and their shares: `src_bytes 62%, flag 21%`.

    X (n, d), wires (n, columns), typical (columns,) conditional surprisals of known rows.
    """
    preparation = mixture.preprocessing
    names = (
        preparation.feature_names
        if preparation.encoder
        else [column.name for column in preparation.columns]
    )
    excess = np.maximum(by_column(mixture, X) - typical, 0.0)
    excess = np.where(wires.any(axis=1)[:, None], np.where(wires, TRIPWIRE, 0.0), excess)
    totals = excess.sum(axis=1)
    order = np.argsort(-excess, axis=1, kind="stable")[:, :NAMED]
    told = []
    for row, total, columns in zip(excess, totals, order):
        shares = row[columns] / total if total > 0 else np.zeros(len(columns))
        told.append(
            ", ".join(
                f"{names[j]} {share:.0%}"
                for j, share in zip(columns, shares)
                if share >= LEAST_SHARE
            )
        )
    return told
