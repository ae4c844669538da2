"""Pictures set upright and centred by their moments: a prior about handwriting."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from divmix.encoders.encoder import Learning, Responsibilities
from divmix.errors import UsageError
from divmix.tables.batches import BLOCK_ROWS

# Of the mass of all pictures, what may fall off their edges: one of a pixel's 256 levels.
MOST_LOST = 1 / 256
ENOUGH = 10_000  # pictures, evenly taken, that tell a share of the mass


class Moments(NamedTuple):
    """Of n pictures the centre of mass (n, 2), row and column, and by how many columns the mass
    of a row moves from row to row, (n,)."""

    center: np.ndarray
    shear: np.ndarray


@dataclass(frozen=True)
class Deskew:
    """Each picture (height x width) is moved to its centre of mass and sheared along its rows, so
    that the covariance of the coordinates of its mass vanishes.

    margin: pixels by which the upright picture is larger on each side, for what would fall off.
    """

    height: int
    width: int
    margin: int = 0

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
                "--encoder deskew needs the size of the pictures",
                hint="such as --image 28x28, and no encoder before it",
            )
        height, width = learning.image
        return cls(height, width, _margin(X.reshape(len(X), height, width)))

    @property
    def pictures(self) -> tuple[int, int]:
        """Height and width of the upright pictures."""
        return self.height + 2 * self.margin, self.width + 2 * self.margin

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"p{j}" for j in range(self.pictures[0] * self.pictures[1]))

    def transform(self, X: np.ndarray) -> np.ndarray:
        from scipy.ndimage import affine_transform

        pictures = X.reshape(len(X), self.height, self.width)
        center = (np.array(self.pictures) - 1) / 2
        upright = np.empty((len(X), *self.pictures))
        # Half a pixel at the edge is kept where there is room for it; models without a margin do not.
        mode = "grid-constant" if self.margin else "constant"
        for picture, mass_center, shear, out in zip(pictures, *_moments(pictures), upright):
            matrix = np.array([[1.0, 0.0], [shear, 1.0]])
            offset = mass_center - matrix @ center
            affine_transform(picture, matrix, offset, output=out, order=1, mode=mode)
        return upright.reshape(len(X), -1)

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        """Upright pictures, without their margins."""
        pictures = means.reshape(len(means), *self.pictures)
        rows, columns = (slice(self.margin, self.margin + n) for n in (self.height, self.width))
        return pictures[:, rows, columns].reshape(len(means), -1)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"height": self.height, "width": self.width, "margin": self.margin}, {}

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        height, width, margin = document["height"], document["width"], document.get("margin", 0)
        return cls(int(height), int(width), int(margin))


def _moments(pictures: np.ndarray) -> Moments:
    """Of pictures (n, height, width)."""
    total = pictures.sum(axis=(1, 2))
    total = np.where(total > 0, total, 1.0)
    rows, columns = map(np.arange, pictures.shape[1:])
    by_row, by_column = pictures.sum(axis=2), pictures.sum(axis=1)
    y, x = by_row @ rows / total, by_column @ columns / total
    spread = (by_row * (rows - y[:, None]) ** 2).sum(axis=1)
    first = np.einsum("nyx,x->ny", pictures, columns) - by_row * x[:, None]
    together = (first * (rows - y[:, None])).sum(axis=1)
    return Moments(np.stack([y, x], axis=1), together / np.where(spread > 0, spread, 1.0))


def _margin(pictures: np.ndarray) -> int:
    """The least margin that loses no more than MOST_LOST of the mass of pictures (n, h, w).

    At most half a picture, beyond which no centre of mass can move.
    """
    pictures = pictures[:: max(1, len(pictures) // ENOUGH)]
    most = max(pictures.shape[1:]) // 2
    lost, total = np.zeros(most + 1), 0.0
    for start in range(0, len(pictures), BLOCK_ROWS):
        mass = np.abs(pictures[start : start + BLOCK_ROWS])
        beyond = _beyond(mass.shape[1:], _moments(pictures[start : start + BLOCK_ROWS]))
        total += float(mass.sum())
        outside = beyond > 0
        mass, beyond = mass[outside], beyond[outside]
        # A pixel that lands between the last one and the one beyond is shared by both.
        lost += [float(mass @ np.clip(beyond - margin, 0, 1)) for margin in range(most + 1)]
    enough = np.flatnonzero(lost <= MOST_LOST * total)
    return int(enough[0]) if len(enough) else most


def _beyond(image: tuple[int, ...], moments: Moments) -> np.ndarray:
    """How many pixels beyond the edge each pixel (n, height, width) is moved, 0 within."""
    y, x = (moments.center[:, axis, None, None] for axis in (0, 1))
    rows = np.arange(image[0])[:, None] - y
    columns = np.arange(image[1]) - x - moments.shear[:, None, None] * rows
    sides = (np.abs(rows) - (image[0] - 1) / 2, np.abs(columns) - (image[1] - 1) / 2)
    return np.maximum(np.maximum(*sides), 0.0)
