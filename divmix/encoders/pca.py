"""Principal components, by scikit-learn."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Learning, Responsibilities
from divmix.errors import InputError

DEFAULT = 50


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

        from divmix.encoders.chain import whole_number

        components = whole_number(cls.name, arguments, min(DEFAULT, *X.shape))
        if components > min(X.shape):
            raise InputError(
                f"pca:{components} of {X.shape[0]:,} rows and {X.shape[1]} features",
                hint=f"there are {min(X.shape)} principal components at most",
            )
        fitted = PCA(components, svd_solver="full" if min(X.shape) < 500 else "covariance_eigh")
        fitted.fit(X)
        return cls(fitted.mean_, fitted.components_)

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
