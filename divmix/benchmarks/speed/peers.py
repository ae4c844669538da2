"""Other packages at the same work. All of them are optional, and imported where they are used."""

import time
import warnings
from importlib import import_module

import numpy as np

from divmix.benchmarks.speed.problems import FLOOR
from divmix.errors import MissingExtraError, UsageError

MODULES = {"scikit-learn": "sklearn", "mlpack": "mlpack", "faiss": "faiss"}


def load(peers: tuple[str, ...]) -> None:
    """Import the peers, so that a later limit on threads reaches the libraries they bring.

    Raises UsageError for a peer that is not known, MissingExtraError for one not installed.
    """
    for peer in peers:
        if peer not in MODULES:
            raise UsageError(
                f"--peers {peer}: not a peer of this table",
                hint=f"choose from {', '.join(MODULES)}",
            )
        try:
            import_module(MODULES[peer])
        except ImportError as error:
            raise MissingExtraError(
                f"{peer} cannot be imported ({error})",
                hint="install the peers with: pip install 'divmix[bench]'",
            ) from None


def sklearn_mixture(X: np.ndarray, means: np.ndarray, covariance: str, max_iter: int, tol: float):
    """A GaussianMixture that starts at `means` with unit variances and equal weights.

    It notes (seconds since its start, log-likelihood) at each E-step in `trace`.
    """
    from sklearn.mixture import GaussianMixture

    class TracedMixture(GaussianMixture):
        def _e_step(self, X, **options):
            result = super()._e_step(X, **options)
            self.trace.append((time.perf_counter() - self.started, float(result[0])))
            return result

    m, d = means.shape
    mixture = TracedMixture(
        m,
        covariance_type=covariance,
        weights_init=np.full(m, 1 / m),
        means_init=means,
        precisions_init=np.ones((m, d)) if covariance == "diag" else np.tile(np.eye(d), (m, 1, 1)),
        init_params="random_from_data",  # the cheapest: its result is replaced by the above
        reg_covar=FLOOR,
        max_iter=max_iter,
        tol=tol,
    )
    mixture.trace, mixture.started = [], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge: it is asked for few iterations
        return mixture.fit(X)


def sklearn_iteration(X: np.ndarray, means: np.ndarray, covariance: str):
    """A function that does one EM iteration of scikit-learn, without the set-up of a fit."""
    mixture = sklearn_mixture(X, means, covariance, max_iter=1, tol=0.0)

    def iterate():
        _, log_responsibilities = mixture._e_step(X)
        mixture._m_step(X, log_responsibilities)

    return iterate


def mlpack_iteration_seconds(X: np.ndarray, m: int, iterations: int = 10) -> float:
    """Seconds an iteration: a long fit less a short one, which start alike."""
    import mlpack

    def fit_seconds(count: int) -> float:
        start = time.perf_counter()
        mlpack.gmm_train(
            gaussians=m, input_=X, diagonal_covariance=True, kmeans_max_iterations=1,
            max_iterations=count, tolerance=1e-300, seed=1, trials=1,
        )  # fmt: skip
        return time.perf_counter() - start

    return (fit_seconds(1 + iterations) - fit_seconds(1)) / iterations


def faiss_iteration_seconds(X: np.ndarray, m: int, iterations: int = 20) -> float:
    """Seconds an iteration of hard k-means."""
    import faiss

    X = X.astype(np.float32)

    def fit_seconds(count: int) -> float:
        kmeans = faiss.Kmeans(X.shape[1], m, niter=count, seed=1, max_points_per_centroid=len(X))
        start = time.perf_counter()
        kmeans.train(X)
        return time.perf_counter() - start

    return (fit_seconds(1 + iterations) - fit_seconds(1)) / iterations
