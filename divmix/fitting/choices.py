"""What a fit chooses by itself where a setting is left to it. Labels are never looked at."""

import numpy as np

# Rows for each free parameter below which a covariance matrix is mostly noise.
ROWS_PER_PARAMETER = 3
# Above this many columns a matrix for each component costs more than it tells.
MOST_FULL_COLUMNS = 40


def choose_covariance(rows: int, columns: int, components: int) -> str:
    """"full" where the rows can carry a matrix for each component, else "diag"."""
    parameters = components * columns * (columns + 3) // 2
    enough = rows >= ROWS_PER_PARAMETER * parameters
    return "full" if enough and columns <= MOST_FULL_COLUMNS else "diag"


def variance_floor(X: np.ndarray, row_weights: np.ndarray, share: float) -> np.ndarray:
    """Smallest variance of each column of X (n, d): `share` of its variance, (d,).

    A constant column takes the mean variance of the others for its own.
    """
    total = row_weights.sum()
    mean = row_weights @ X / total
    square = np.zeros(X.shape[1])
    for start in range(0, len(X), 65536):  # in blocks: no copy of X
        rows = slice(start, start + 65536)
        square += row_weights[rows] @ (X[rows] - mean) ** 2
    variances = square / total
    varying = variances > 1e-12 * variances.max()
    return share * np.where(varying, variances, variances[varying].mean())
