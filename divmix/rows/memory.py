"""Where rows live: DataTerm(components) -> sufficient statistics, additive over rows.

The loop calls a data term and never knows whether the rows stand in memory, in files or on other
machines.
"""

from typing import Protocol

import numpy as np

from divmix.families import Components, Gaussian
from divmix.families.gaussian import SMALLEST_WEIGHT
from divmix.families.noise import with_noise, without_last

# With "auto" precision, rows are visited in float32 while an iteration still changes the
# log-likelihood by more than this (nats per row): its error in float32 is of the order of 1e-8.
COARSE_ABOVE = 1e-4
WORTH_A_COPY = 1_000_000  # numbers in X below which float32 saves too little time


class DataTerm(Protocol):
    """Sums over rows, and the total weight of the rows they are over."""

    total_weight: float
    rows: int
    features: int

    def __call__(self, components: Components): ...


class InMemory:
    """All rows X (n, d), C-contiguous, with row weights (n,), at each call.

    precision "float64", "float32" or "auto": float32 while components still travel far, so that
    the end of a climb, and with it the result, is that of float64. Sums are float64 in any case.
    noise: a broad component beside those that are moved, or None.
    """

    def __init__(
        self,
        X: np.ndarray,
        row_weights: np.ndarray,
        family: Gaussian,
        precision: str = "float64",
        noise: Components | None = None,
    ) -> None:
        self.X = X
        self.row_weights = row_weights
        self.family = family
        self.noise = noise
        self.rows, self.features = X.shape
        self.total_weight = float(row_weights.sum())
        wanted = precision == "float32" or (precision == "auto" and X.size >= WORTH_A_COPY)
        self._coarse = X.astype(np.float32) if wanted else None
        self._coarse_only = precision == "float32"
        self._last = -np.inf

    def __call__(self, components: Components):
        if self._coarse is None:
            return self.visit(self.X, self.row_weights, components)
        sums = self.visit(self._coarse, self.row_weights, components)
        log_likelihood = sums.log_likelihood / self.total_weight
        if abs(log_likelihood - self._last) < COARSE_ABOVE and not self._coarse_only:
            self._coarse = None
        self._last = log_likelihood
        return sums

    def visit(self, X: np.ndarray, row_weights: np.ndarray, components: Components):
        """Sums of the components over rows X (n, d)."""
        if self.noise is None:
            return self.family.sums(X, row_weights, components)
        beside = with_noise(components, self.noise)
        return without_last(self.family.sums(X, row_weights, beside))

    def log_densities(self, components: Components) -> np.ndarray:
        """log w_j p(x|theta_j) of all rows, (n, m); beside noise (n, m + 1)."""
        beside = with_noise(components, self.noise)
        joint = self.family.log_densities(self.X, beside)
        return joint + np.log(np.maximum(beside.weights, SMALLEST_WEIGHT))

    def of(self, rows: np.ndarray, family: Gaussian | None = None) -> "InMemory":
        """Some of the rows, by index or mask, in float64."""
        return InMemory(
            self.X[rows], self.row_weights[rows], family or self.family, noise=self.noise
        )


class MiniBatch:
    """Other rows at each call, `batch_size` of them drawn without replacement."""

    def __init__(self, full: InMemory, batch_size: int, generator: np.random.Generator) -> None:
        self.full = full
        self.generator = generator
        self.rows = min(batch_size, full.rows)
        self.features = full.features
        self.total_weight = full.total_weight * self.rows / full.rows

    def __call__(self, components: Components):
        rows = self.generator.choice(self.full.rows, self.rows, replace=False, shuffle=False)
        weights = self.full.row_weights[rows]
        # Scaled so that sums over a batch have the weight that sums over all rows lead to expect.
        weights = weights * (self.total_weight / max(weights.sum(), 1e-300))
        return self.full.visit(self.full.X[rows], weights, components)
