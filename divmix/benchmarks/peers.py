"""Other packages as a user would call them, with their defaults and without their warnings."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def gaussian_mixture(X: np.ndarray, k: int, seed: int, **options):
    """`GaussianMixture` with k components fitted to X (n, d)."""
    from sklearn.mixture import GaussianMixture

    with _quiet():
        return GaussianMixture(k, random_state=seed, **options).fit(X)


def gaussian_mixture_by_bic(X: np.ndarray, most: int, covariance: str, seed: int):
    """The `GaussianMixture` of 1 to `most` components with the lowest BIC on X (n, d)."""
    fitted = [
        gaussian_mixture(X, k, seed, covariance_type=covariance)
        for k in range(1, min(most, len(X)) + 1)
    ]
    return min(fitted, key=lambda model: model.bic(X))


def bayesian_mixture(X: np.ndarray, most: int, seed: int):
    """`BayesianGaussianMixture` with up to `most` components fitted to X (n, d)."""
    from sklearn.mixture import BayesianGaussianMixture

    with _quiet():
        return BayesianGaussianMixture(n_components=min(most, len(X)), random_state=seed).fit(X)


def k_means(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k clusters (n,) of X (n, d), the best of ten starts."""
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=10, random_state=seed).fit_predict(X)


def hdbscan(X: np.ndarray) -> np.ndarray:
    """Clusters (n,) of X (n, d), as many as it finds; its noise is one more of them."""
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(copy=True).fit_predict(X)
    return np.where(found < 0, found.max() + 1, found)


def genie(X: np.ndarray, k: int) -> np.ndarray:
    """k clusters (n,) of X (n, d). Needs the extra `bench`."""
    from genieclust import Genie

    return Genie(n_clusters=k).fit_predict(X)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that the default limit of iterations was reached."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
