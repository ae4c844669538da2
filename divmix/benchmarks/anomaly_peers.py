"""Detectors of other packages, with their defaults: fit(X) -> a function from rows to scores."""

from collections.abc import Callable

import numpy as np

Scorer = Callable[[np.ndarray], np.ndarray]
FEW, SEVERAL = 4, 8  # components of the mixtures


def mahalanobis(X: np.ndarray, seed: int) -> Scorer:
    """Squared distance from the mean in the covariance of the rows, by its pseudo-inverse."""
    mean, precision = X.mean(axis=0), np.linalg.pinv(np.cov(X.T), hermitian=True)
    return lambda rows: np.einsum("ij,jk,ik->i", rows - mean, precision, rows - mean, optimize=True)


def isolation_forest(X: np.ndarray, seed: int) -> Scorer:
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(random_state=seed).fit(X)
    return lambda rows: -model.score_samples(rows)


def nearest_neighbours(X: np.ndarray, seed: int) -> Scorer:
    """Distance to the 5th neighbour; a training row is not its own neighbour."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=5).fit(X)

    def score(rows: np.ndarray) -> np.ndarray:
        distances, _ = model.kneighbors(None if rows is X else rows)
        return distances[:, -1]

    return score


def local_outlier_factor(X: np.ndarray, seed: int) -> Scorer:
    """Of the training rows alone, which is how it is meant."""
    from sklearn.neighbors import LocalOutlierFactor

    scores = -LocalOutlierFactor().fit(X).negative_outlier_factor_
    return lambda rows: scores


def ecod(X: np.ndarray, seed: int) -> Scorer:
    """PyOD's empirical cumulative distributions. Raises ImportError without PyOD."""
    from pyod.models.ecod import ECOD

    return ECOD().fit(X).decision_function


def copod(X: np.ndarray, seed: int) -> Scorer:
    """PyOD's empirical copula. Raises ImportError without PyOD."""
    from pyod.models.copod import COPOD

    return COPOD().fit(X).decision_function


def gaussian_mixture(components: int) -> Callable[[np.ndarray, int], Scorer]:
    def fit(X: np.ndarray, seed: int) -> Scorer:
        from divmix.benchmarks import peers

        model = peers.gaussian_mixture(X, components, seed)
        return lambda rows: -model.score_samples(rows)

    return fit
