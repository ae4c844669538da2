"""Principal components, by scikit-learn.

Without a number as many as stand out of noise: those whose singular values are beyond the optimal
hard threshold for noise of unknown size (Gavish and Donoho, IEEE Trans. Inf. Theory 2014).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Learning, Responsibilities
from divmix.errors import InputError

MOST = 50  # without a number


@dataclass(frozen=True)
class Pca:
    """Projections on the e directions of largest variance: mean (d,), directions (e, d)."""

    mean: np.ndarray
    directions: np.ndarray

    name = "pca"
    far_rows = False
    pictures = None

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        from sklearn.decomposition import PCA

        asked = _asked(arguments, X.shape)
        solver = "full" if min(X.shape) < 500 else "covariance_eigh"
        fitted = PCA(asked, svd_solver=solver).fit(X)
        components = asked or standing_out(fitted.singular_values_, X.shape)
        return cls(fitted.mean_, fitted.components_[:components])

    @classmethod
    def learn_from_blocks(cls, blocks: Iterable[np.ndarray], arguments: tuple[str, ...]) -> Self:
        """As `learn`, from rows that come in blocks (b, d): by their covariance, which merges (Chan,
        Golub and LeVeque 1983). Equal to it but for rounding. Raises UsageError, InputError."""
        rows, mean, scatter = 0, np.zeros(1), np.zeros((1, 1))
        for X in blocks:
            centre = X.mean(axis=0)
            gap, both = centre - mean, rows + len(X)
            scatter = scatter + (X - centre).T @ (X - centre)
            scatter = scatter + np.outer(gap, gap) * (rows * len(X) / both)
            mean, rows = mean + gap * (len(X) / both), both
        shape = rows, len(mean)
        asked = _asked(arguments, shape)
        squares, vectors = np.linalg.eigh(scatter)
        squares, directions = np.maximum(squares[::-1], 0.0), vectors.T[::-1]
        components = asked or standing_out(np.sqrt(squares), shape)
        # The sign that scikit-learn gives them: the largest entry is positive.
        largest = np.abs(directions).argmax(axis=1)
        signs = np.sign(directions[np.arange(len(directions)), largest])
        return cls(mean, (directions * signs[:, None])[:components])

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"pc{j + 1}" for j in range(len(self.directions)))

    def transform(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean) @ self.directions.T

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        return self.mean + means @ self.directions

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"mean": self.mean, "directions": self.directions}

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        if arrays["directions"].shape[1:] != arrays["mean"].shape:
            raise ValueError("the arrays of its encoder pca do not fit together")
        return cls(arrays["mean"], arrays["directions"])


def _asked(arguments: tuple[str, ...], shape: tuple[int, ...]) -> int | None:
    """The number of components that is asked for, None where they are to stand out of noise.
    Raises UsageError, InputError."""
    from divmix.encoders.chain import whole_number

    components = whole_number(Pca.name, arguments, min(MOST, *shape))
    if components > min(shape):
        raise InputError(
            f"pca:{components} of {shape[0]:,} rows and {shape[1]} features",
            hint=f"there are {min(shape)} principal components at most",
        )
    return components if arguments else None


def standing_out(singular_values: np.ndarray, shape: tuple[int, ...]) -> int:
    """How many singular values of a matrix of this shape are not those of noise; one at least, MOST
    at the most.

    The threshold is omega(beta) times their median, beta the ratio of the shorter to the longer
    side, and omega the cubic by which Gavish and Donoho approximate it.
    """
    beta = min(shape) / max(shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    found = int((singular_values > omega * np.median(singular_values)).sum())
    return min(max(found, 1), MOST, *shape)
