"""Pictures set upright and centred by their moments: a prior about handwriting."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Learning
from divmix.errors import UsageError


@dataclass(frozen=True)
class Deskew:
    """Each picture (height x width) is moved to its centre of mass and sheared along its rows, so
    that the covariance of the coordinates of its mass vanishes."""

    height: int
    width: int

    name = "deskew"
    far_rows = False

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        if arguments:
            raise UsageError(
                f"--encoder deskew:{':'.join(arguments)}: deskew takes no argument",
                hint="write deskew",
            )
        if learning.image is None:
            raise UsageError(
                "--encoder deskew needs the size of the pictures", hint="such as --image 28x28"
            )
        return cls(*learning.image)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"p{j}" for j in range(self.height * self.width))

    def transform(self, X: np.ndarray) -> np.ndarray:
        from scipy.ndimage import affine_transform

        pictures = X.reshape(len(X), self.height, self.width)
        center = np.array([self.height - 1, self.width - 1]) / 2
        mass_centers, shears = self._moments(pictures)
        upright = np.empty(pictures.shape)
        for picture, mass_center, shear, out in zip(pictures, mass_centers, shears, upright):
            matrix = np.array([[1.0, 0.0], [shear, 1.0]])
            affine_transform(picture, matrix, mass_center - matrix @ center, output=out, order=1)
        return upright.reshape(X.shape)

    def _moments(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre of mass (n, 2), and by how many columns a row's mass moves from row to row."""
        total = pictures.sum(axis=(1, 2))
        total = np.where(total > 0, total, 1.0)
        rows, columns = np.arange(self.height), np.arange(self.width)
        by_row, by_column = pictures.sum(axis=2), pictures.sum(axis=1)
        y, x = by_row @ rows / total, by_column @ columns / total
        spread = (by_row * (rows - y[:, None]) ** 2).sum(axis=1)
        first = np.einsum("nyx,x->ny", pictures, columns) - by_row * x[:, None]
        together = (first * (rows - y[:, None])).sum(axis=1)
        shear = together / np.where(spread > 0, spread, 1.0)
        return np.stack([y, x], axis=1), shear

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"height": self.height, "width": self.width}, {}

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        return cls(int(document["height"]), int(document["width"]))
