"""The parameters of a finite mixture."""

from typing import NamedTuple

import numpy as np


class Components(NamedTuple):
    """Parameters of m component densities in d dimensions.

    weights      (m,)   mixing weights, non-negative, sum to 1; to less beside a noise component
    means        (m, d)
    covariances  (m,) spherical, (m, d) diag, (1, d, d) tied, (m, d, d) full;
                 for the Student-t family the scale matrices
    dof          (m,)   degrees of freedom of the Student-t family, else None
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    dof: np.ndarray | None = None

    @property
    def count(self) -> int:  # type: ignore[override]  # no one counts values in this tuple
        """Components m."""
        return len(self.weights)

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """Of each parameter."""
        return tuple(None if own is None else own.shape for own in self)

    @property
    def degrees_of_freedom(self) -> np.ndarray:
        """(m,) of Student-t components."""
        assert self.dof is not None
        return self.dof

    def towards(self, other: "Components", share: float) -> "Components":
        """The way from these to others, of as many: (1 - share) of these, share of the others.

        Weights still sum to the same, and covariances stay positive definite.
        """
        weights, means, covariances = (
            one + share * (two - one) for one, two in zip(self[:3], other[:3])
        )
        dof = None
        if self.dof is not None and other.dof is not None:
            dof = self.dof + share * (other.dof - self.dof)
        return Components(weights, means, covariances, dof)

    def followed_by(self, other: "Components") -> "Components":
        """These and then the others; each has its own covariance."""
        weights, means, covariances = (
            np.concatenate([one, two]) for one, two in zip(self[:3], other[:3])
        )
        dof = None
        if self.dof is not None and other.dof is not None:
            dof = np.concatenate([self.dof, other.dof])
        return Components(weights, means, covariances, dof)

    def take(self, index: np.ndarray) -> "Components":
        """The components at `index`, in that order, their weights as they are."""
        own = len(self.covariances) == self.count
        return Components(
            self.weights[index],
            self.means[index],
            self.covariances[index] if own else self.covariances,
            None if self.dof is None else self.dof[index],
        )
