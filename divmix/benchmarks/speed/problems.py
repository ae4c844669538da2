"""Made data of a stated shape, and mixtures to start from."""

from typing import NamedTuple

import numpy as np

from divmix.families import AnyFamily, Components, make_family

FLOOR = 1e-6


class Problem(NamedTuple):
    """Rows (n, d) in clusters that overlap, a family, and m components at rows drawn at random."""

    X: np.ndarray
    family: AnyFamily
    start: Components

    def iteration(self):
        """A function that does one EM iteration from the start, over all rows."""
        row_weights = np.ones(len(self.X))
        return lambda: self.family.maximize(
            self.family.sums(self.X, row_weights, self.start), self.start
        )


def make_problem(
    n: int,
    d: int,
    m: int,
    *,
    family: str = "gaussian",
    covariance: str = "diag",
    dtype: type = np.float64,
    seed: int = 0,
) -> Problem:
    rng = np.random.default_rng(seed)
    centers = 2 * rng.standard_normal((m, d))
    X = centers[rng.integers(m, size=n)] + rng.standard_normal((n, d))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    made = make_family(family, covariance, np.full(d, FLOOR))
    means = X[rng.choice(n, m, replace=False)]
    start = made.start(np.full(m, 1 / m), means, np.eye(d))
    return Problem(X.astype(dtype), made, start)
