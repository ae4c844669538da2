"""How well a density fits rows: its mean logarithm, and criteria that count parameters."""

from typing import Any

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import _check_sample_weight


class DensityCriteria(DensityMixin):
    """Criteria of an estimator that has `score_samples` and a `mixture_`."""

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-density of the rows of X, a float in nats; sample_weight (n,), y is ignored.

        Raises NotFittedError, ValueError.
        """
        density = self._density(X)
        weights = _check_sample_weight(sample_weight, density[:, None])
        known = ~np.isnan(density)
        return float(np.average(density[known], weights=weights[known]))

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X (n rows), a float in nats: -2 log L + parameters log n;
        the lower the better (Schwarz 1978). Raises NotFittedError, ValueError."""
        density = self._density(X)
        return float(-2 * np.nansum(density) + self._n_parameters() * np.log(len(density)))

    def aic(self, X: Any) -> float:
        """Akaike information criterion on X (n rows), a float in nats: -2 log L + 2 parameters; the
        lower the better (Akaike 1974). Raises NotFittedError, ValueError."""
        return float(-2 * np.nansum(self._density(X)) + 2 * self._n_parameters())

    def _density(self: Any, X: Any) -> np.ndarray:
        return np.asarray(self.score_samples(X))

    def _n_parameters(self: Any) -> int:
        mixture = self.mixture_
        own: int = mixture.family.n_parameters(*mixture.components.means.shape)
        return own + (mixture.noise is not None)
