"""Powers of numbers of either sign (Yeo and Johnson 2000): 1 leaves them, 0 is a logarithm of what is above 0."""

import numpy as np

POWERS = (0.0, 2.0)  # between these neither side has an end


def yeo_johnson(u: np.ndarray, power: float) -> np.ndarray:
    """((1 + u)^power - 1) / power of u >= 0, and -((1 - u)^(2 - power) - 1) / (2 - power) below, (n,)."""
    from scipy.special import boxcox1p  # scipy takes long to import

    return np.copysign(boxcox1p(np.abs(u), _exponents(u, power)), u)


def inverse(z: np.ndarray, power: float) -> np.ndarray:
    """The u (n,) whose `yeo_johnson` is z; infinite where none fits a float64."""
    from scipy.special import inv_boxcox1p

    with np.errstate(over="ignore"):
        return np.copysign(inv_boxcox1p(np.abs(z), _exponents(z, power)), z)


def log_slope(u: np.ndarray, power: float) -> np.ndarray:
    """log of the derivative of `yeo_johnson` at u, (n,)."""
    return (_exponents(u, power) - 1) * np.log1p(np.abs(u))


def _exponents(values: np.ndarray, power: float) -> np.ndarray:
    return np.where(values >= 0, power, 2 - power)
