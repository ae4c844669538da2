"""The shape of components, and the smallest variance they may have. Labels are never looked at."""

import numpy as np

from divmix.families.family import Array
from divmix.rows import Features, Summary

# Rows for each free parameter below which a covariance matrix is mostly noise.
ROWS_PER_PARAMETER = 3
# Above this many columns a matrix for each component costs more than it tells.
MOST_FULL_COLUMNS = 40
# Smallest variance of a 0/1 column. Two categories lie exp(1 / INDICATOR_FLOOR) = 55 to 1 apart at
# most; with less variance, a category that all rows of a component share outweighs any number.
INDICATOR_FLOOR = 0.25


def choose_covariance(rows: int, columns: int, components: int, method: str) -> str:
    """ "full" where a matrix for each component can be told from the rows, else "diag".

    The default method's prior keeps a matrix sound on few rows; the others have no such help and
    need enough rows for each.
    """
    parameters = components * columns * (columns + 3) // 2
    enough = method == "diversified" or rows >= ROWS_PER_PARAMETER * parameters
    return "full" if enough and columns <= MOST_FULL_COLUMNS else "diag"


def variance_floor(summary: Summary, features: Features, share: float) -> Array:
    """Smallest variance of each column, (d,).

    `share` of the column's variance; a constant column takes the mean variance of the others for
    its own, or 1 where all are. For a 0/1 column the floor is INDICATOR_FLOOR.
    """
    variances = summary.variances
    varying = variances > 1e-12 * variances.max()
    usual = variances[varying].mean() if varying.any() else 1.0
    floor = share * np.where(varying, variances, usual)
    return np.where(features.indicator, np.maximum(floor, INDICATOR_FLOOR), floor)
