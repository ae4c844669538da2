"""Where rows live: DataTerm(components) -> sufficient statistics, additive over rows.

The loop calls a data term and never knows whether the rows stand in memory, in files or on other
machines.
"""

from typing import Protocol

import numpy as np

from divmix.families import Components, Gaussian


class DataTerm(Protocol):
    """Sums over rows, and the total weight of the rows they are over."""

    total_weight: float
    rows: int
    features: int

    def __call__(self, components: Components): ...


class InMemory:
    """All rows X (n, d), C-contiguous, with row weights (n,), at each call."""

    def __init__(self, X: np.ndarray, row_weights: np.ndarray, family: Gaussian) -> None:
        self.X = X
        self.row_weights = row_weights
        self.family = family
        self.rows, self.features = X.shape
        self.total_weight = float(row_weights.sum())

    def __call__(self, components: Components):
        return self.family.sums(self.X, self.row_weights, components)


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
        return self.full.family.sums(self.full.X[rows], weights, components)
