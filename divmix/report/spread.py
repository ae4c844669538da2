"""Covariances of many features that are never made as matrices."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from divmix.families import AnyFamily, Components, Mixed
from divmix.families.family import Array
from divmix.families.mixed import scattered

DENSE = 200  # features of which all eigenvectors are as fast as the first few


@dataclass(frozen=True)
class Spread:
    """A covariance of d features: a matrix of some, variances of all others, and outer products.

    places      (c,) the features that have a covariance (c, c)
    variances   (d,) of the others, 0 of these
    offsets     (r, d) what outer products are of, which are added
    """

    places: NDArray[np.int64]
    covariance: Array
    variances: Array
    offsets: Array

    @classmethod
    def within(cls, family: AnyFamily, components: Components) -> "Spread":
        """Of rows within the components."""
        d = components.means.shape[1]
        places, pooled, variances = scattered(family, d), family.pooled(components), np.zeros(d)
        if isinstance(family, Mixed):
            shares = components.weights / components.weights.sum()
            variances = shares @ family.variances(components)
            variances[places] = 0.0
        if pooled.ndim == 1:
            variances[places], places, pooled = pooled, places[:0], np.zeros((0, 0))
        return cls(places, pooled, variances, np.zeros((0, d)))

    def plus(self, offsets: Array) -> "Spread":
        """With the outer products of more offsets (r, d)."""
        return replace(self, offsets=np.vstack([self.offsets, offsets]))

    @property
    def diagonal(self) -> Array:
        """Variance of each feature, (d,)."""
        found = self.variances + (self.offsets**2).sum(axis=0)
        found[self.places] += np.diagonal(self.covariance)
        return found

    def __matmul__(self, V: Array) -> Array:
        """The matrix times V (d, p)."""
        found = self.variances[:, None] * V + self.offsets.T @ (self.offsets @ V)
        found[self.places] += self.covariance @ V[self.places]
        return found

    def solved(self, V: Array, ridge: float) -> Array:
        """The inverse of the matrix plus ridge times that of ones, times V (d, p); by the lemma of
        Woodbury (1950) the outer products cost no more than their number."""
        plain = self._without_offsets(V, ridge)
        if not len(self.offsets):
            return plain
        others = self._without_offsets(self.offsets.T, ridge)
        small = np.eye(len(self.offsets)) + self.offsets @ others
        return plain - others @ np.linalg.solve(small, self.offsets @ plain)

    def _without_offsets(self, V: Array, ridge: float) -> Array:
        found = V / (self.variances + ridge)[:, None]
        own = self.covariance + ridge * np.eye(len(self.places))
        found[self.places] = np.linalg.solve(own, V[self.places])
        return found

    def widest(self, count: int) -> Array:
        """The `count` directions (count, d) of most spread, or all of fewer features."""
        d = len(self.variances)
        if d <= max(DENSE, count):
            return np.linalg.eigh(self @ np.eye(d))[1].T[::-1][:count]
        from scipy.sparse.linalg import LinearOperator, eigsh

        operator = LinearOperator((d, d), matvec=lambda v: (self @ v.reshape(-1, 1))[:, 0])
        start = np.random.default_rng(0).standard_normal(d)
        return eigsh(operator, count, v0=start)[1].T[::-1]
