"""What a fit chooses by itself where a setting is left to it. Labels are never looked at."""

import numpy as np

# Rows for each free parameter below which a covariance matrix is mostly noise.
ROWS_PER_PARAMETER = 3
# Above this many columns a matrix for each component costs more than it tells.
MOST_FULL_COLUMNS = 40
# Smallest variance of a 0/1 column. Two categories lie exp(1 / INDICATOR_FLOOR) = 55 to 1 apart at
# most; with less variance, a category that all rows of a component share outweighs any number.
INDICATOR_FLOOR = 0.25


def choose_covariance(rows: int, columns: int, components: int, method: str) -> str:
    """ "full" where a matrix for each component can be told from the rows, else "diag".

    The default method's base measure keeps a matrix sound on few rows; the others have no such
    help and need enough rows for each.
    """
    parameters = components * columns * (columns + 3) // 2
    enough = method == "diversified" or rows >= ROWS_PER_PARAMETER * parameters
    return "full" if enough and columns <= MOST_FULL_COLUMNS else "diag"


def variance_floor(
    X: np.ndarray, row_weights: np.ndarray, share: float, indicator: np.ndarray
) -> np.ndarray:
    """Smallest variance of each column of X (n, d), (d,).

    `share` of the column's variance; a constant column takes the mean variance of the others for
    its own, or 1 where all are. Where indicator (d,) is true the column is 0/1 and the floor INDICATOR_FLOOR.
    """
    total = row_weights.sum()
    mean = row_weights @ X / total
    square = np.zeros(X.shape[1])
    for start in range(0, len(X), 65536):  # in blocks: no copy of X
        rows = slice(start, start + 65536)
        square += row_weights[rows] @ (X[rows] - mean) ** 2
    variances = square / total
    varying = variances > 1e-12 * variances.max()
    usual = variances[varying].mean() if varying.any() else 1.0
    floor = share * np.where(varying, variances, usual)
    return np.where(indicator, np.maximum(floor, INDICATOR_FLOOR), floor)
