"""How well a density fits rows: its mean logarithm, and criteria that count parameters."""

from typing import Any

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import _check_sample_weight

from divmix.model.mixture import Mixture


class DensityCriteria(DensityMixin):
    """Criteria of an estimator that has `score_samples` and a `mixture_`."""

    mixture_: Mixture

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-density of the rows of X, a float in nats; sample_weight (n,), y is ignored.

        Raises NotFittedError, ValueError.
        """
        density = self._density(X)
        weights = _check_sample_weight(sample_weight, density[:, None])
        known = ~np.isnan(density)
        return float(np.average(density[known], weights=weights[known]))

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X (n rows), a float in nats: -2 log L + parameters log n,
        with the parameters of `divmix describe`; the lower the better (Schwarz 1978). Rows that were
        left out count in neither. Raises NotFittedError, ValueError."""
        density = self._density(X)
        known = density[~np.isnan(density)]
        return float(-2 * known.sum() + self.mixture_.n_parameters * np.log(len(known)))

    def aic(self, X: Any) -> float:
        """Akaike information criterion on X (n rows), a float in nats: -2 log L + 2 parameters; the
        lower the better (Akaike 1974). Raises NotFittedError, ValueError."""
        return float(-2 * np.nansum(self._density(X)) + 2 * self.mixture_.n_parameters)

    def _density(self: Any, X: Any) -> np.ndarray:
        return np.asarray(self.score_samples(X))
